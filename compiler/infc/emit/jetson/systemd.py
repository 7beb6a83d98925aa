"""The systemd unit of a deployment: compose in the foreground, in the release that `current` leads to."""

from infc.diag import InternalError
from infc.emit.jetson.compose import COMPOSE_FILE, READY_TIMEOUT_S, TARGET_ENVIRONMENT
from infc.emit.templates import TemplateValue, render
from infc.ir.spec.names import name_problem
from infc.resolve.targets.location import data_directory

FOLDER = "systemd"
STOP_S = 45
"""Seconds that a server gets to end by itself."""
MOST_STOP_S = 120
"""The most that any gets: the agent waits three minutes for systemd to restart a unit."""
_KILL_S = 45


def unit_name(name: str) -> str:
    """What the unit of a deployment is called.

    >>> unit_name("dock-camera")
    'infc-dock-camera.service'
    """
    return f"infc-{name}.service"


def unit_files(name: str, stop_s: int = STOP_S) -> dict[str, bytes]:
    """The unit by its path in the bundle; the container is killed when it has not ended after `stop_s`."""
    if name_problem(name):
        raise InternalError(f"{name!r} cannot name a unit")
    values: dict[str, TemplateValue] = {
        "name": name,
        "compose_file": COMPOSE_FILE,
        "target_environment": TARGET_ENVIRONMENT,
        "start_timeout_s": int(READY_TIMEOUT_S),
        "stop_s": stop_s,
        "unit_stop_s": stop_s + _KILL_S,
    }
    templates = data_directory("targets") / "servers" / "jetson" / "templates"
    return {f"{FOLDER}/{unit_name(name)}": render(templates, "service.j2", values)}
