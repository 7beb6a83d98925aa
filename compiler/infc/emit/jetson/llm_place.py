"""Where a device finds a language model's files: in the release, or in a folder that was filled beforehand.

A checkpoint that is a folder travels in the bundle, signed with the rest. One of the hub travels apart: its digests are
in the bundle, and the server starts only where the device's files are the ones that they name.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from infc.diag import Diagnostic
from infc.emit.vllm.settings import MODEL_FOLDER
from infc.ir.checkpoint import Checkpoint
from infc.ir.problem import LlmProblem

DIGESTS_FILE = "model.sha256"
"""Digests of a model that travels apart, as `sha256sum --check` reads them."""
_DEVICE_FOLDER = PurePosixPath("/var/lib/infc/models")
_KEY_LENGTH = 12
_PREFIX = "sha256:"


@dataclass(frozen=True, kw_only=True)
class ModelPlace:
    """`folder` is on the device, None where the model is in the release. `files` go into the bundle."""

    folder: str | None
    files: dict[str, bytes | Path]


def model_place(problem: LlmProblem, checkpoint: Checkpoint) -> tuple[ModelPlace | None, tuple[Diagnostic, ...]]:
    """Where the model is; None with what stands in the way of a bundle that works offline."""
    problems = tuple(_problems(problem, checkpoint))
    if problems:
        return None, problems
    if checkpoint.folder is not None:
        return ModelPlace(
            folder=None, files={f"{MODEL_FOLDER}/{p}": checkpoint.folder / p for p in checkpoint.files}
        ), ()
    lines = [f"{digest.removeprefix(_PREFIX)}  {path}\n" for path, digest in sorted(checkpoint.files.items())]
    key = checkpoint.digest.removeprefix(_PREFIX)[:_KEY_LENGTH]
    folder = str(_DEVICE_FOLDER / f"{problem.source.served_name}-{key}")
    return ModelPlace(folder=folder, files={DIGESTS_FILE: "".join(lines).encode()}), ()


def _problems(problem: LlmProblem, checkpoint: Checkpoint) -> Iterator[Diagnostic]:
    if checkpoint.has_weights:
        return
    if checkpoint.folder is not None:
        where, help = "the folder holds no weights", "put weights and tokeniser beside config.json"
    else:
        where = "its files are not on this machine, so their digests are not known"
        revision = f" --revision {checkpoint.revision}" if checkpoint.revision else ""
        help = f"fetch them (hf download {checkpoint.repo}{revision}), or name a folder that has them as `checkpoint`"
    yield Diagnostic(
        id="edge-model-incomplete",
        message=f"a device could not start {problem.source.served_name}: {where}",
        span=problem.spans.get("model"),
        notes=("a device is offline, and a signed bundle takes no file later",),
        help=help,
    )
