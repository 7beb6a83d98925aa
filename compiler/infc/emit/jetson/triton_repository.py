"""The Triton repository of a bundle: one model, whose engine the device puts in place.

Where modules need other settings (batch size, instances), each has a configuration of its own beside the common one,
in Triton's own layout: `configs/<hardware id>.pbtxt`, taken by `--model-config-name=<hardware id>`.
Source: Triton's documentation, "Custom Model Configuration"; a name without a file falls back to config.pbtxt.
"""

from collections.abc import Sequence

from infc.diag import Diagnostic
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
    first, common = found[0]
    folder = f"{REPOSITORY}/{first.problem.name}"
    files = {f"{folder}/config.pbtxt": _config(first, common)}
    for part, settings in found[1:]:
        if settings != common:
            files[f"{folder}/configs/{part.hardware.id}.pbtxt"] = _config(part, settings)
    return files, ()


def _config(part: JetsonPart, settings: ModelSettings) -> bytes:
    return config_pbtxt(settings, comment_header(part.problem, part.plan, settings))
