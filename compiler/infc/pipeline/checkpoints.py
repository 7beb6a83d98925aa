"""The checkpoint of a language model as its spec names it: a folder, or a repository that the server fetches."""

from collections.abc import Mapping

from infc.diag import Diagnostic, Severity
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
    """File -> `sha256:<hex>` of the checkpoint's folder; None for a repository, and where the folder is not here."""
    if problem.source.checkpoint is None or not loaded.file(problem.source.checkpoint).is_dir():
        return None
    checkpoint, _ = source_checkpoint(loaded, problem)
    return None if checkpoint is None else checkpoint.files


def _without_weights(loaded: LoadedSpec, written: str) -> Diagnostic:
    return Diagnostic(
        id="build-weights-missing",
        severity=Severity.WARNING,
        message=f"{written} holds no weights: the bundle is complete but for them",
        span=loaded.span("model.checkpoint"),
        notes=("the server does not start without; infc.lock marks the deployment as pending",),
        help=f"put the checkpoint's *.safetensors (and its tokeniser) beside {written}/config.json and compile again",
    )
