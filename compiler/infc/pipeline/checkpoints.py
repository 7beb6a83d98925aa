"""The checkpoint of a language model as its spec names it: a folder, or a repository that the server fetches."""

import contextlib
import hashlib
import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from infc.diag import Diagnostic, Severity
from infc.emit.manifest import content_digest
from infc.ir.checkpoint import Checkpoint
from infc.ir.problem import LlmProblem
from infc.resolve.atomic_write import write_text_atomically
from infc.resolve.json_reader import object_of_text
from infc.spec import LoadedSpec


def source_checkpoint(loaded: LoadedSpec, problem: LlmProblem) -> tuple[Checkpoint | None, tuple[Diagnostic, ...]]:
    """The checkpoint before it is quantised, with a warning where its weights are not here."""
    from infc.lower.llm import hub_checkpoint, local_checkpoint

    written = problem.source.checkpoint
    if written is None:
        return hub_checkpoint(problem), ()
    checkpoint, problems = local_checkpoint(loaded.file(written), problem, boundary=loaded.workspace.boundary)
    if checkpoint is not None and checkpoint.is_pending:
        problems = (*problems, _without_weights(written))
    return checkpoint, placed(problems, loaded)


def placed(problems: tuple[Diagnostic, ...], loaded: LoadedSpec) -> tuple[Diagnostic, ...]:
    """Diagnostics about the model, pointing at the line of the spec that names it."""
    span = loaded.span("model")
    return tuple(problem if problem.span is not None else replace(problem, span=span) for problem in problems)


def checkpoint_files(loaded: LoadedSpec, problem: LlmProblem) -> Mapping[str, str] | None:
    """Digests, `sha256:<hex>`, of the files in the folders that the spec names: the checkpoint's and the drafter's.

    Of those that are here; None where it names no folder: a server fetches repositories itself. Files that have not
    changed since they were last read are not read again.
    """
    folder, drafter = problem.source.checkpoint, problem.drafter.model if problem.drafter else None
    drafted = {} if drafter is None else drafter_files(loaded, drafter)
    if folder is None and not drafted:
        return None
    files = {path: content_digest(content) for path, content in drafted.items()}
    if folder is not None and loaded.file(folder).is_dir():
        files |= _remembered(loaded, problem, loaded.file(folder))
    return files


def drafter_files(loaded: LoadedSpec, model: str) -> Mapping[str, Path]:
    """Where a bundle holds the files of a drafter; empty for a repository, which the server fetches."""
    from infc.emit.vllm import DRAFTER_FOLDER

    folder = loaded.file(model)
    files = sorted(path for path in folder.rglob("*") if path.is_file()) if folder.is_dir() else []
    return {f"{DRAFTER_FOLDER}/{path.relative_to(folder).as_posix()}": path for path in files}


def _remembered(loaded: LoadedSpec, problem: LlmProblem, folder: Path) -> dict[str, str]:
    """The digests of a checkpoint's files; from `.infc/` while names, sizes and times in the folder are the same."""
    name = hashlib.sha256(str(folder.resolve()).encode()).hexdigest()[:24]
    cache = loaded.workspace.cache / "digests" / f"checkpoint-{name}.json"
    stamps = _stamps(folder)
    with contextlib.suppress(OSError, ValueError):
        known = object_of_text(cache.read_text(encoding="utf-8"))
        if known.text("stamps") == stamps:
            return {str(file): str(digest) for file, digest in json.loads(known.text("files")).items()}
    checkpoint, _ = source_checkpoint(loaded, problem)
    if checkpoint is not None:
        files = dict(checkpoint.files)
    else:  # no sound checkpoint: not what was locked, then
        files = {path.name: content_digest(path) for path in sorted(folder.iterdir()) if path.is_file()}
    with contextlib.suppress(OSError):  # a read-only workspace: they are read again next time
        text = json.dumps({"stamps": stamps, "files": json.dumps(files, sort_keys=True)}, indent=1)
        write_text_atomically(cache, text + "\n")
    return files


def _stamps(folder: Path) -> str:
    """Names, sizes and times of what is in a folder, links followed."""
    found = ((path.name, path.stat()) for path in sorted(folder.iterdir()) if path.exists())
    return json.dumps([[name, status.st_size, status.st_mtime_ns] for name, status in found])


def _without_weights(written: str) -> Diagnostic:
    return Diagnostic(
        id="build-weights-missing",
        severity=Severity.WARNING,
        message=f"{written} holds no weights: the bundle is complete but for them",
        notes=("the server does not start without; infc.lock marks the deployment as pending",),
        help=f"put the checkpoint's *.safetensors (and its tokeniser) beside {written}/config.json and compile again",
    )
