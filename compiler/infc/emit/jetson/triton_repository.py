"""The Triton repository of a bundle: one model, whose engine the device puts in place.

Where modules need other settings (batch size, instances), each has a configuration of its own beside the common one,
in Triton's own layout: `configs/<hardware id>.pbtxt`, taken by `--model-config-name=<hardware id>`.
Source: Triton's documentation, "Custom Model Configuration"; a name without a file falls back to config.pbtxt.
"""

from collections.abc import Sequence
from dataclasses import replace

from infc.diag import Diagnostic
from infc.emit.comment import comment_lines
from infc.emit.jetson.parts import JetsonPart
from infc.emit.triton.comments import comment_header
from infc.emit.triton.config import config_pbtxt
from infc.emit.triton.settings import ModelSettings, model_settings

REPOSITORY = "triton"


def repository_files(parts: Sequence[JetsonPart]) -> tuple[dict[str, bytes] | None, tuple[Diagnostic, ...]]:
    """The configurations of the model by path, or what stands in the way."""
    found: list[tuple[JetsonPart, ModelSettings]] = []
    for part in parts:
        settings, problems = model_settings(part.problem, part.plan, part.engine)
        if settings is None:
            return None, problems
        found.append((part, settings))
    common = found[0][1]
    folder = f"{REPOSITORY}/{parts[0].problem.name}"
    files = {f"{folder}/config.pbtxt": _config([part for part, settings in found if settings == common], common)}
    for part, settings in found:
        if settings != common:
            files[f"{folder}/configs/{part.hardware.id}.pbtxt"] = _config([part], settings)
    return files, ()


def _config(parts: Sequence[JetsonPart], settings: ModelSettings) -> bytes:
    """The settings of these modules; the reasons behind a plan are given where it is the only one."""
    first = parts[0]
    if len(parts) == 1:
        return config_pbtxt(settings, comment_header(first.problem, first.plan, settings))
    names = ", ".join(part.hardware.id for part in parts)
    shared = "".join(comment_lines([f"The same settings on {names}; plan.json has the plan of each."]))
    return config_pbtxt(settings, shared + comment_header(first.problem, replace(first.plan, comments=()), settings))
