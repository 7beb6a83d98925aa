"""The checkpoint of a language model as its spec names it: a folder, or a repository that the server fetches."""

from collections.abc import Mapping
from pathlib import Path

from infc.diag import Diagnostic, Severity
from infc.emit.manifest import content_digest
from infc.ir.checkpoint import Checkpoint
from infc.ir.problem import LlmProblem
from infc.spec import LoadedSpec


def source_checkpoint(loaded: LoadedSpec, problem: LlmProblem) -> tuple[Checkpoint | None, tuple[Diagnostic, ...]]:
    """The checkpoint before it is quantised, with a warning where its weights are not here."""
    from infc.lower.llm import hub_checkpoint, local_checkpoint

    source = problem.source
    if source.checkpoint is None:
        return hub_checkpoint(problem), ()
    checkpoint, problems = local_checkpoint(loaded.file(source.checkpoint), problem)
    if checkpoint is not None and checkpoint.is_pending:
        problems = (*problems, _without_weights(loaded, source.checkpoint))
    return checkpoint, problems


def checkpoint_files(loaded: LoadedSpec, problem: LlmProblem) -> Mapping[str, str] | None:
    """Digests, `sha256:<hex>`, of the files in the folders that the spec names: the checkpoint's and the drafter's.

    Of those that are here; None where it names no folder: a server fetches repositories itself.
    """
    folder, drafter = problem.source.checkpoint, problem.drafter.model if problem.drafter else None
    drafted = {} if drafter is None else drafter_files(loaded, drafter)
    if folder is None and not drafted:
        return None
    files = {path: content_digest(content) for path, content in drafted.items()}
    if folder is not None and loaded.file(folder).is_dir():
        checkpoint, _ = source_checkpoint(loaded, problem)
        files |= {} if checkpoint is None else checkpoint.files
    return files


def drafter_files(loaded: LoadedSpec, model: str) -> Mapping[str, Path]:
    """Where a bundle holds the files of a drafter; empty for a repository, which the server fetches."""
    from infc.emit.vllm import DRAFTER_FOLDER

    folder = loaded.file(model)
    files = sorted(path for path in folder.rglob("*") if path.is_file()) if folder.is_dir() else []
    return {f"{DRAFTER_FOLDER}/{path.relative_to(folder).as_posix()}": path for path in files}


def _without_weights(loaded: LoadedSpec, written: str) -> Diagnostic:
    return Diagnostic(
        id="build-weights-missing",
        severity=Severity.WARNING,
        message=f"{written} holds no weights: the bundle is complete but for them",
        span=loaded.span("model.checkpoint"),
        notes=("the server does not start without; infc.lock marks the deployment as pending",),
        help=f"put the checkpoint's *.safetensors (and its tokeniser) beside {written}/config.json and compile again",
    )
