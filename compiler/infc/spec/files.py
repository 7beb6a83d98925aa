"""The files that a spec names: inside its repository, present, and of the right kind."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from infc.diag import Diagnostic, Severity, Span
from infc.diag.nearest import nearest
from infc.ir.spec import OnnxModel, Spec, TraceSpec
from infc.spec.model_checks import checkpoints
from infc.spec.source_map import SourceMap
from infc.spec.trace import SUFFIXES
from infc.spec.workspace import Workspace

MAX_LISTED = 2000


@dataclass(frozen=True, kw_only=True)
class NamedFile:
    """A file that the spec names at `path`. `is_locked`: the lock can stand in for it in a plan."""

    path: str
    value: str
    suffixes: tuple[str, ...] = ()
    is_folder: bool = False
    is_locked: bool = True


def named_files(spec: Spec, folder: Path) -> Iterator[NamedFile]:
    """Every file that the spec, which lies in `folder`, names."""
    drafter = spec.deploy.vllm.speculative if spec.deploy.vllm else None
    model = drafter.model if drafter is not None else None
    if model is not None and (model.startswith("../") or (folder / model).is_dir()):  # else it is of the hub
        yield NamedFile(path="deploy.vllm.speculative.model", value=model, is_folder=True, is_locked=False)
    if isinstance(spec.model, OnnxModel):
        yield NamedFile(path="model.onnx", value=spec.model.onnx, suffixes=(".onnx",))
    for path, value in checkpoints(spec):
        yield NamedFile(path=path, value=value, is_folder=True)
    data = (".npz",) if isinstance(spec.model, OnnxModel) else (".jsonl",)
    if spec.accuracy is not None:
        yield NamedFile(path="accuracy.dataset", value=spec.accuracy.dataset, suffixes=data)
    if spec.quantization.calibration is not None:
        yield NamedFile(path="quantization.calibration", value=spec.quantization.calibration, suffixes=data)
    if isinstance(spec.workload.arrival, TraceSpec):
        value = spec.workload.arrival.trace
        yield NamedFile(path="workload.arrival.trace", value=value, suffixes=SUFFIXES, is_locked=False)


def check_file(named: NamedFile, folder: Path, workspace: Workspace, source: SourceMap) -> Diagnostic | None:
    """What is wrong with a named file. `folder` is the spec's.

    A missing file that the lock can stand in for is a warning when the lock holds this spec.
    """
    span = source.span(named.path)
    # realpath never raises, not even on a loop of links. Lexically first: what climbs out is refused as it reads.
    here = os.path.realpath(folder)
    target = Path(os.path.realpath(os.path.join(here, named.value)))
    for resolved in (Path(os.path.normpath(os.path.join(here, named.value))), target):
        if not resolved.is_relative_to(workspace.boundary):
            message = f"`{_last(named.path)}` leaves the repository"
            help = f"put the file under the repository ({workspace.boundary.name}/) and name it there"
            return Diagnostic(id="spec-path", message=message, span=span, help=help)
    what = "folder" if named.is_folder else "file"
    if named.suffixes and not named.value.lower().endswith(named.suffixes):
        kinds = " or ".join(filter(None, (", ".join(named.suffixes[:-1]), named.suffixes[-1])))
        message = f"`{_last(named.path)}` must name a {kinds} file"
        return Diagnostic(id="spec-file-type", message=message, span=span, help=f"name a {kinds} file")
    if os.path.isdir(target) if named.is_folder else os.path.isfile(target):
        return None
    if os.path.exists(target):
        found = "folder" if os.path.isdir(target) else "file" if os.path.isfile(target) else "device or pipe"
        message = f"this is a {found}, not a {what}"
        return Diagnostic(id="spec-file-type", message=message, span=span, help=f"name a {what}")
    return _missing(named, target, what, span, has_lock=workspace.locks(Path(source.path)), folder=folder)


def _missing(named: NamedFile, target: Path, what: str, span: Span, *, has_lock: bool, folder: Path) -> Diagnostic:
    near_name = _near(target)
    near = _as_written((Path(named.value).parent / near_name).as_posix(), folder, span) if near_name else None
    whose = "the spec's" if _is_in(folder, span) else "their own file's"
    has_stand_in = named.is_locked and has_lock
    notes = ("a plan can use the profile that the lock names; a compile needs the file",) if has_stand_in else ()
    return Diagnostic(
        id="spec-file-missing",
        severity=Severity.WARNING if has_stand_in else Severity.ERROR,
        message=f"there is no {what} at this path",
        span=span,
        notes=notes,
        help=f"did you mean `{near}`?" if near else f"paths are relative to {whose} folder",
    )


def _is_in(folder: Path, span: Span) -> bool:
    return os.path.realpath(Path(span.path).parent) == os.path.realpath(folder)


def _as_written(path: str, folder: Path, span: Span) -> str:
    """A path relative to the spec's `folder`, as the file of `span` would write it."""
    return path if _is_in(folder, span) else Path(os.path.relpath(folder / path, Path(span.path).parent)).as_posix()


def _near(target: Path) -> str | None:
    try:
        names = [entry.name for entry, _ in zip(os.scandir(target.parent), range(MAX_LISTED), strict=False)]
    except OSError:
        return None
    alike = {Path(name).stem: name for name in sorted(names) if Path(name).suffix == target.suffix}
    close = nearest(target.stem, alike, limit=1)
    return alike[close[0]] if close else None


def _last(path: str) -> str:
    return path.rpartition(".")[2]
