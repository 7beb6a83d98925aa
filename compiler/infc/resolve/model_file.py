"""Opening a model file safely: what is refused before anything is parsed, its outline, and its digest."""

import hashlib
import mmap
from dataclasses import dataclass
from pathlib import Path

from infc.diag import Diagnostic
from infc.resolve.onnx_wire import ExternalReference, Outline, WireError, outline_of_onnx

MAX_MODEL_BYTES = 2**31 - 1
"""Protobuf's own limit for one message; larger models keep their weights in external data."""

_LFS_POINTER = b"version https://git-lfs"
_MIN_ONNX_BYTES = 8


@dataclass(frozen=True, kw_only=True)
class ModelFile:
    """An ONNX file that is safe to parse: the outline is complete and every external file lies in its folder."""

    path: Path
    outline: Outline
    external_files: tuple[Path, ...]

    @property
    def files(self) -> tuple[Path, ...]:
        """The model file and its external data, the model first."""
        return (self.path, *self.external_files)


def open_model(path: Path) -> tuple[ModelFile | None, tuple[Diagnostic, ...]]:
    """Check size, structure and external data of an ONNX file. Nothing outside the model's folder is touched."""
    refused = _refusal(path)
    if refused is not None:
        return None, (refused,)
    try:
        with path.open("rb") as stream:
            # Not closed by hand: views of it live as long as the exception that the reader may raise.
            view = memoryview(mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ))
        if view[: len(_LFS_POINTER)] == _LFS_POINTER:
            return None, (_lfs_pointer(path),)
        outline = outline_of_onnx(view)
    except WireError as error:
        return None, (corrupt_model(path, str(error)),)
    except OSError as error:
        return None, (missing_model(path, error.strerror or "cannot be read"),)
    problems, external = _external_files(path, outline.external)
    if problems:
        return None, problems
    return ModelFile(path=path, outline=outline, external_files=external), ()


def model_digest(model: ModelFile) -> str:
    """The sha256 that names a model: of the file, or, with external data, of the list of all its files' digests.

    Raises:
        OSError: a file went away or cannot be read.
    """
    main = _sha256(model.path)
    if not model.external_files:
        return main
    folder = model.path.parent.resolve()
    lines = [f"{_sha256(file)}  {file.relative_to(folder).as_posix()}" for file in sorted(model.external_files)]
    return hashlib.sha256("\n".join([main, *lines]).encode()).hexdigest()


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _refusal(path: Path) -> Diagnostic | None:
    try:
        size = path.stat().st_size if path.is_file() else None
    except OSError as error:
        return missing_model(path, error.strerror or "cannot be read")
    if size is None:
        return missing_model(path, "it is a folder" if path.is_dir() else "no such file")
    if size > MAX_MODEL_BYTES:
        return Diagnostic(
            id="model-too-large",
            message=f"model {path.name} is {size / 2**30:.1f} GiB, more than a protobuf file can hold",
            notes=("ONNX files end at 2 GiB; larger ones cannot be parsed by any runtime",),
            help="save the model with external data (onnx.save(..., save_as_external_data=True))",
        )
    if size < _MIN_ONNX_BYTES:
        return corrupt_model(path, f"the file has {size} bytes")
    return None


def _external_files(
    path: Path, references: tuple[ExternalReference, ...]
) -> tuple[tuple[Diagnostic, ...], tuple[Path, ...]]:
    folder = path.parent.resolve()
    reach: dict[str, tuple[int, str]] = {}
    for reference in references:
        end = reference.offset + reference.length
        if reference.location not in reach or end > reach[reference.location][0]:
            reach[reference.location] = (end, reference.tensor)
    problems, files = [], []
    for location, (end, tensor) in sorted(reach.items()):
        file, reason = _external_file(folder, location, end)
        if file is None:
            problems.append(_bad_external(path, location, tensor, reason))
        else:
            files.append(file)
    return tuple(problems), tuple(files)


def _external_file(folder: Path, location: str, end: int) -> tuple[Path | None, str]:
    """The file of an external location, or why it is refused."""
    if not location or "\0" in location:
        return None, "the location is empty" if not location else "the location holds a NUL byte"
    parts = location.replace("\\", "/").split("/")
    if Path(location).is_absolute() or ".." in parts or ":" in parts[0]:
        return None, "the location leads out of the model's folder"
    try:
        file = (folder / location).resolve()
        if not file.is_relative_to(folder):
            return None, "the location is a link that leads out of the model's folder"
        if not file.is_file():
            return None, "there is no such file beside the model"
        size = file.stat().st_size
    except OSError as error:
        return None, error.strerror or "it cannot be read"
    if end > size:
        return None, f"the file has {size} bytes and the model reads up to byte {end}"
    return file, ""


def missing_model(path: Path, reason: str) -> Diagnostic:
    """The diagnostic for a model that is not there or cannot be read."""
    return Diagnostic(
        id="model-missing",
        message=f"model {path.name} cannot be read: {reason.lower()}",
        notes=(f"looked for {path}",),
        help="correct the path of the model, or fetch it (a plan alone needs only its stored profile)",
    )


def corrupt_model(path: Path, reason: str) -> Diagnostic:
    """The diagnostic for a file that is no valid ONNX model; `reason` becomes a note."""
    return Diagnostic(
        id="model-corrupt",
        message=f"model {path.name} is not a complete ONNX file",
        notes=(reason,),
        help="export or download the model again, and check it with onnx.checker.check_model",
    )


def _lfs_pointer(path: Path) -> Diagnostic:
    return Diagnostic(
        id="model-corrupt",
        message=f"model {path.name} is a Git LFS pointer, not the model",
        notes=("the file holds the pointer that git stores in place of the content",),
        help=f"run: git lfs pull --include {path.name}",
    )


def _bad_external(path: Path, location: str, tensor: str, reason: str) -> Diagnostic:
    return Diagnostic(
        id="model-external-data",
        message=f"model {path.name} keeps weights in {location[:200]!r}, which is refused",
        notes=(reason, f"needed by tensor {tensor!r}"),
        help="keep external data in the model's folder and refer to it by a relative path",
    )
