"""Arrays of a calibration or dataset file: `.npz` without pickles, checked before they are unpacked.

An input may be stored as integers with `<input>__mean` and `<input>__std` beside it; the model is then fed `(stored -
mean) / std`.
"""

import hashlib
import zipfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from infc.diag import Diagnostic
from infc.ir.model_profile import TensorSpec

Array = npt.NDArray[np.generic]
Arrays = Mapping[str, Array]

MAX_UNPACKED_BYTES = 8 * 2**30
MAX_CALIBRATION_SAMPLES = 256


@dataclass(frozen=True, kw_only=True)
class StoredArrays:
    """The arrays of a file as stored, and the sha256 of the file."""

    path: str
    digest: str
    arrays: Arrays

    def samples(self, name: str) -> int:
        """The size of the first dimension of an array."""
        return int(self.arrays[name].shape[0])


@dataclass(frozen=True, kw_only=True)
class Calibration:
    """Inputs to calibrate with, as the model takes them: every array has the same first dimension.

    `digest` names the data.
    """

    inputs: Arrays
    digest: str

    @property
    def samples(self) -> int:
        """How many samples there are."""
        return len(next(iter(self.inputs.values())))


def calibration_share(samples: int) -> int:
    """How many leading samples of a dataset calibrate when there is no calibration file; they are left out of the test.

    >>> calibration_share(2000), calibration_share(353)
    (256, 70)
    """
    return min(MAX_CALIBRATION_SAMPLES, samples // 5)


def read_arrays(path: Path, shown_as: str | None = None) -> tuple[StoredArrays | None, tuple[Diagnostic, ...]]:
    """Read every array of an `.npz` file. Object arrays (pickles), damaged and oversized files are diagnostics.

    `shown_as` is the path to print, as the user wrote it.
    """
    shown = shown_as or path.name
    try:
        raw = path.read_bytes()
        with zipfile.ZipFile(path) as archive:
            unpacked = sum(entry.file_size for entry in archive.infolist())
        if unpacked > MAX_UNPACKED_BYTES:
            limit = f"{unpacked} bytes unpacked, the limit is {MAX_UNPACKED_BYTES}"
            return None, (_unreadable(shown, limit, "split the data, or store inputs as integers"),)
        with np.load(path, allow_pickle=False) as stored:
            arrays = {name: stored[name] for name in stored.files}
    except (FileNotFoundError, IsADirectoryError):
        return None, (
            Diagnostic(
                id="dataset-not-found",
                message=f"there is no file {shown}",
                help="paths are relative to the spec; create the file or correct the path",
            ),
        )
    except (ValueError, EOFError, zipfile.BadZipFile, OSError) as error:
        reason = "it holds Python objects (pickles)" if "allow_pickle" in str(error) else str(error) or "damaged file"
        return None, (
            _unreadable(shown, reason, "write it with numpy.savez_compressed, plain number or str arrays only"),
        )
    if not arrays:
        return None, (_unreadable(shown, "it holds no array", "store one array per model input"),)
    return StoredArrays(path=shown, digest=hashlib.sha256(raw).hexdigest(), arrays=arrays), ()


def _unreadable(shown: str, reason: str, help_text: str) -> Diagnostic:
    return Diagnostic(id="dataset-unreadable", message=f"cannot read {shown}", notes=(reason,), help=help_text)


def model_input(stored: StoredArrays, spec: TensorSpec, name: str) -> Array:
    """The array `name` as the model input `spec` takes it: normalised when its mean and std are stored, else cast."""
    array = stored.arrays[name]
    mean, std = (stored.arrays.get(f"{spec.name}__{part}") for part in ("mean", "std"))
    if mean is not None and std is not None:
        array = (array.astype(np.float32) - mean.astype(np.float32)) / std.astype(np.float32)
    return np.ascontiguousarray(array.astype(np.dtype(spec.dtype), copy=False))


def check_input(stored: StoredArrays, spec: TensorSpec, name: str) -> tuple[Diagnostic, ...]:
    """Whether the array `name` exists, has the rank and sizes of the input, and numbers that can become its dtype."""
    if name not in stored.arrays:
        present = ", ".join(sorted(stored.arrays))
        return (
            Diagnostic(
                id="dataset-array-missing",
                message=f"{stored.path} has no array {name}",
                notes=(f"arrays in the file: {present}",),
                help=f"store the values of model input {spec.name} under the name {name}",
            ),
        )
    problem = _shape_problem(stored.arrays[name], spec) or _normalisation_problem(stored, spec)
    if problem is None:
        return ()
    return (
        Diagnostic(
            id="dataset-array-shape",
            message=f"array {name} of {stored.path} does not fit model input {spec.name}",
            notes=(problem, f"the model takes {spec.dtype}[{', '.join(str(d) for d in spec.shape)}]"),
            help="store one sample per entry of the first dimension, in the model's own layout",
        ),
    )


def _shape_problem(array: Array, spec: TensorSpec) -> str | None:
    shape = f"{array.dtype}[{', '.join(str(d) for d in array.shape)}]"
    if array.dtype.kind not in "fiub":
        return f"it is {shape}, which is not numbers"
    if array.ndim != len(spec.shape):
        return f"it is {shape}, {array.ndim} dimensions where the model has {len(spec.shape)}"
    wrong = [
        i
        for i, (have, want) in enumerate(zip(array.shape, spec.shape, strict=True))
        if i > 0 and isinstance(want, int) and have != want
    ]
    if wrong:
        return f"it is {shape}: dimension {wrong[0]} differs"
    if np.dtype(spec.dtype).kind in "iu" and array.dtype.kind == "f":
        return f"it is {shape}, and the model takes integers"
    return "it has no sample" if array.shape[0] == 0 else None


def _normalisation_problem(stored: StoredArrays, spec: TensorSpec) -> str | None:
    parts = [stored.arrays.get(f"{spec.name}__{part}") for part in ("mean", "std")]
    present = [part for part in parts if part is not None]
    if not present:
        return None
    if len(present) == 1:
        return f"{spec.name}__mean and {spec.name}__std come together, only one is stored"
    for part in present:
        if part.dtype.kind not in "fiu" or part.ndim > len(spec.shape) - 1:
            return f"{spec.name}__mean and {spec.name}__std must be numbers that broadcast against one sample"
    return "a std of zero" if np.any(present[1] == 0) else None


def calibration_from_file(
    path: Path, inputs: Iterable[TensorSpec], samples: int, shown_as: str | None = None
) -> tuple[Calibration | None, tuple[Diagnostic, ...]]:
    """The first `samples` samples of a calibration file."""
    stored, diagnostics = read_arrays(path, shown_as)
    return (None, diagnostics) if stored is None else calibration_from_arrays(stored, tuple(inputs), samples)


def calibration_from_dataset(
    path: Path, inputs: Iterable[TensorSpec], shown_as: str | None = None
) -> tuple[Calibration | None, tuple[Diagnostic, ...]]:
    """The leading share of a dataset that calibrates when the spec names no calibration file (`calibration_share`)."""
    specs = tuple(inputs)
    stored, diagnostics = read_arrays(path, shown_as)
    if stored is None:
        return None, diagnostics
    first = next((n for spec in specs for n in (spec.name, f"{spec.name}__a") if n in stored.arrays), None)
    count = calibration_share(stored.samples(first)) if first else 1
    return calibration_from_arrays(stored, specs, count)


def calibration_from_arrays(
    stored: StoredArrays, inputs: tuple[TensorSpec, ...], samples: int
) -> tuple[Calibration | None, tuple[Diagnostic, ...]]:
    """The first `samples` samples; both sides of pair data (`<input>__a`, `<input>__b`) are used."""
    is_pairs = f"{inputs[0].name}__a" in stored.arrays
    sides = ("__a", "__b") if is_pairs else ("",)
    diagnostics = tuple(d for spec in inputs for side in sides for d in check_input(stored, spec, spec.name + side))
    if diagnostics:
        return None, diagnostics
    values = {
        spec.name: np.concatenate([model_input(stored, spec, spec.name + side)[:samples] for side in sides])
        for spec in inputs
    }
    digest = hashlib.sha256()
    for name in sorted(values):
        header = f"{name} {values[name].dtype} {values[name].shape}".encode()
        digest.update(header)
        digest.update(np.ascontiguousarray(values[name]).tobytes())
    return Calibration(inputs=values, digest=digest.hexdigest()), ()
