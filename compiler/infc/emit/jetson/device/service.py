"""The service of a release: its systemd unit, the container image that it needs, and whether it answers."""

from __future__ import annotations

import http.client
import re
import subprocess
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from .codes import FAILED, NOT_READY, ROLLED_BACK, Refusal
from .durable import remove_file, write_durably
from .programs import find_program, output_of, required_program

COMPOSE_NAME = "compose.yaml"
_UNIT = re.compile(r"infc-[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.service")
_IMAGE = re.compile(r"^\s+image:\s*[\"']?([^\s\"'#]+)", re.MULTILINE)
_SYSTEMCTL_TIMEOUT_S = 180.0
_LOAD_TIMEOUT_S = 1800.0
_POLL_S = 0.25
_ANSWER_TIMEOUT_S = 10.0


def restart_service(root: str, manifest: dict[str, Any]) -> None:
    """Put the unit of the release that `current` leads to in place, and (re)start it; nothing for a release without.

    Raises:
        Refusal: 30, its image is not on the device; 40, it does not start.
    """
    if manifest["service"]["kind"] == "none":
        return
    release = Path(root) / "opt" / "infc" / manifest["name"] / "current"
    require_images(release)
    unit = _unit_of(manifest)
    try:
        content = (release / "systemd" / unit).read_bytes()
    except OSError as error:
        raise Refusal(FAILED, f"the release has no systemd/{unit}", "get the bundle again") from error
    installed = _installed(root, unit)
    if not installed.is_file() or installed.read_bytes() != content:
        installed.parent.mkdir(parents=True, exist_ok=True)
        write_durably(installed, content)
        _systemctl("daemon-reload")
    _systemctl("enable", unit)
    # A unit that failed too often in a row is refused without this.
    output_of([_tool(), "reset-failed", unit])
    _systemctl("restart", unit)


def stop_service(root: str, manifest: dict[str, Any]) -> None:
    """Stop the service and take its unit away. Raises Refusal 40 when it does not stop."""
    if manifest["service"]["kind"] == "none":
        return
    unit = _unit_of(manifest)
    installed = _installed(root, unit)
    if not installed.exists():
        return
    _systemctl("disable", unit)
    _systemctl("stop", unit)
    remove_file(installed)
    _systemctl("daemon-reload")


def wait_ready(manifest: dict[str, Any]) -> None:
    """Wait until the service answers for its model. Raises Refusal 40 when it does not in the time it has."""
    service = manifest["service"]
    if service["kind"] == "none":
        return
    timeout_s = float(service["ready_timeout_s"])
    end_s = time.monotonic() + timeout_s
    unit = _unit_of(manifest)
    answers = "nothing answers"
    while time.monotonic() < end_s:
        answers = _unready(service)
        if not answers:
            return
        if not is_running(unit):
            time.sleep(_POLL_S)
            if not is_running(unit):
                raise Refusal(ROLLED_BACK, f"{unit} ended before it answered{_last_words(unit)}", _log_help(unit))
        time.sleep(_POLL_S)
    raise Refusal(
        ROLLED_BACK,
        f"{service['url']} is not ready after {timeout_s:.0f} s: {answers}{_last_words(unit)}",
        _log_help(unit),
    )


def service_state(manifest: dict[str, Any]) -> dict[str, Any]:
    """Whether the unit runs and the service answers for its model; null for a release that another program serves."""
    service = manifest["service"]
    if service["kind"] == "none":
        return {"unit": None, "is_active": None, "is_ready": None}
    unit = _unit_of(manifest)
    is_known = find_program("systemctl") is not None and is_running(unit)
    return {"unit": unit, "is_active": is_known, "is_ready": not _unready(service)}


def is_running(unit: str) -> bool:
    """Whether systemd runs the unit, or is about to."""
    told = output_of([_tool(), "show", "--property=ActiveState", unit]) or ""
    return told.strip().partition("=")[2] in ("active", "activating", "reloading")


def require_images(release: Path) -> None:
    """See that the images of compose.yaml are here; those that lie in `images/*.tar` are loaded. Raises Refusal 30."""
    try:
        text = (release / COMPOSE_NAME).read_text(encoding="utf-8")
    except OSError:
        return
    docker = required_program("docker", "the release runs in a container")
    missing = [image for image in dict.fromkeys(_IMAGE.findall(text)) if not _has_image(docker, image)]
    if not missing:
        return
    for archive in sorted((release / "images").glob("*.tar")):
        output_of([docker, "load", "--input", str(archive)], _LOAD_TIMEOUT_S)
    for image in missing:
        if not _has_image(docker, image):
            words = f"docker pull {image} while the device has a network, or docker load --input FILE.tar"
            raise Refusal(NOT_READY, f"the image {image} is not on this device", words)


def host_and_port(url: str) -> tuple[str, int]:
    """Where a service listens.

    >>> host_and_port("http://127.0.0.1:8000")
    ('127.0.0.1', 8000)
    """
    parts = urlsplit(url)
    return parts.hostname or "127.0.0.1", parts.port or 80


def _unready(service: dict[str, Any]) -> str:
    """Why a service is not ready, in words; empty when it is."""
    paths = ["/health"]
    if service["kind"] == "triton":
        paths = ["/v2/health/ready", f"/v2/models/{service['model']}/ready"]
    for path in paths:
        try:
            connection = http.client.HTTPConnection(*host_and_port(service["url"]), timeout=_ANSWER_TIMEOUT_S)
            try:
                connection.request("GET", path)
                status = connection.getresponse().status
            finally:
                connection.close()
        except (OSError, http.client.HTTPException) as error:
            return f"{path}: {error or type(error).__name__}"
        if status != http.client.OK:
            return f"{path}: HTTP status {status}"
    return ""


def _unit_of(manifest: dict[str, Any]) -> str:
    unit = str(manifest["service"]["unit"])
    if not _UNIT.fullmatch(unit):
        raise Refusal(FAILED, f"{unit!r} cannot be the name of a unit", "compile the bundle again")
    return unit


def _installed(root: str, unit: str) -> Path:
    return Path(root) / "etc" / "systemd" / "system" / unit


def _tool() -> str:
    return required_program("systemctl", "it runs the service")


def _systemctl(*arguments: str) -> None:
    """Run systemctl. Raises Refusal 40 with its words."""
    words = " ".join(("systemctl", *arguments))
    try:
        answer = subprocess.run(
            [_tool(), *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            timeout=_SYSTEMCTL_TIMEOUT_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Refusal(ROLLED_BACK, f"{words} did not end: {error}", "look at systemctl list-jobs") from error
    if answer.returncode != 0:
        said = answer.stdout.strip().splitlines()
        unit = arguments[-1]
        raise Refusal(ROLLED_BACK, f"{words} failed: {said[-1] if said else answer.returncode}", _log_help(unit))


def _has_image(docker: str, image: str) -> bool:
    return output_of([docker, "image", "inspect", image]) is not None


def _last_words(unit: str) -> str:
    """The last line that the service logged, where the journal has it."""
    tool = find_program("journalctl")
    text = output_of([tool, "--unit", unit, "--lines", "1", "--output", "cat", "--no-pager"], 20.0) if tool else None
    line = (text or "").strip().splitlines()[-1:]
    return f": {line[0][:300]}" if line else ""


def _log_help(unit: str) -> str:
    return f"journalctl --unit {unit} says more"
