"""`verify/`: inputs with reference outputs, so that a device tells a sound engine from a broken one before it serves.

The reference is the unquantised model, run by ONNX Runtime on this machine. How far a sound engine may be from it
follows from data: the lowered models, with 16-bit arithmetic emulated, are run on the same inputs, and their distance
is what the planned precision costs. An engine rounds in an order of its own (fused operators, other kernels) and so
lands elsewhere within about the same distance; it gets three times the largest and twice the mean one. A broken engine
(wrong weights, a kernel that fails, an input in the wrong layout) answers something unrelated, whose distance is that
of the outputs themselves. Where the precision costs nothing (FP32), 2**-10 of the outputs' size is allowed: what
summing in another order, and TF32-free FP32 on a GPU, was never seen to exceed.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from infc.build.edge_release_json import DTYPE, SAMPLES_NAME, samples_to_json
from infc.diag import Diagnostic, Severity
from infc.ir.edge_release import EdgeSample, EdgeSamples, OutputTolerance, SampleTensor
from infc.ir.engine import LoweredModel
from infc.ir.model_profile import ModelProfile, TensorSpec
from infc.ir.problem import AxisDistribution, Problem
from infc.lower.arrays import Array, StoredArrays, calibration_share, model_input, read_arrays
from infc.validate.accuracy.inference import Outputs, run_model
from infc.validate.accuracy.subject import reference_session, runnable
from infc.validate.load.requests import draw_sizes, synthetic

SAMPLES_FOLDER = "verify"
MOST_SAMPLES = 16
_MOST_BYTES = 16 << 20
_LARGEST_HEADROOM = 3.0
_MEAN_HEADROOM = 2.0
_FLOOR = 2.0**-10
_SPARE_FLIPS = 2
_FAR = 1e30
Progress = Callable[[str, int, int], None]


@dataclass(frozen=True, kw_only=True)
class Verification:
    """Files by path, and which of them hold outputs: their last bits depend on the processor that computed them."""

    files: dict[str, bytes]
    outputs: frozenset[str]


def verification(
    source: Path, lowered: Sequence[LoweredModel], problem: Problem, dataset: Path | None, progress: Progress
) -> tuple[Verification | None, tuple[Diagnostic, ...]]:
    """The samples of a model, or None with a warning that says why its engines go unchecked.

    Args:
        source: the unquantised model.
        lowered: every lowered model of the bundle; the tolerances hold for all.
        problem: the model's tensors, and the sizes of its axes.
        dataset: real inputs; None: seeded random ones.
        progress: told how far the runs are.
    """
    model = problem.model
    strange = [spec for spec in (*model.inputs, *model.outputs) if not DTYPE.fullmatch(spec.dtype)]
    if strange:
        return None, (_unchecked(f"{strange[0].name} is {strange[0].dtype}, which has no raw form"),)
    inputs = _inputs(model, problem, dataset)
    reference = run_model(lambda: reference_session(source), model, inputs, progress=progress, what="the reference")
    if isinstance(reference, Diagnostic):
        return None, (_unchecked(reference.message, *reference.notes),)
    answers: list[Outputs] = []
    for each in {one.digest: one for one in lowered}.values():
        subject = runnable(each)
        answer: Outputs | Diagnostic = (
            subject
            if isinstance(subject, Diagnostic)
            else run_model(subject.open, model, inputs, progress=progress, what=subject.words)
        )
        if isinstance(answer, Diagnostic):
            return None, (_unchecked(answer.message, *answer.notes),)
        answers.append(answer)
    return _written(model, inputs, reference, answers), ()


def tolerance_of(reference: Array, answers: Sequence[Array], *, rows: int, is_classes: bool) -> OutputTolerance:
    """How far an engine's output may be from the reference: see the module's text.

    `rows` are the rows of one sample. `is_classes`: the largest element of a row means something.
    """
    wanted = np.nan_to_num(reference.astype(np.float64), nan=0.0, posinf=_FAR, neginf=-_FAR)
    distances = [_distances(reference, answer) for answer in answers]
    floor = _FLOOR * float(np.abs(wanted).max(initial=0.0))
    largest = max((float(each.max(initial=0.0)) for each in distances), default=0.0)
    mean = max((float(each.mean()) for each in distances if each.size), default=0.0)
    agreement = None
    if is_classes:
        count = len(reference) // rows
        same = min(_same_argmax(reference, answer, count) for answer in answers) if answers else count
        agreement = max(0.0, same - _SPARE_FLIPS) / count
    return OutputTolerance(
        max_absolute=_LARGEST_HEADROOM * largest + floor,
        mean_absolute=_MEAN_HEADROOM * mean + floor,
        min_argmax_agreement=agreement,
    )


def _distances(reference: Array, answer: Array) -> npt.NDArray[np.float64]:
    first, second = reference.astype(np.float64), answer.astype(np.float64)
    is_same = (first == second) | (np.isnan(first) & np.isnan(second))
    with np.errstate(invalid="ignore", over="ignore"):
        distance = np.where(is_same, 0.0, np.abs(first - second))
    return np.nan_to_num(distance, nan=_FAR, posinf=_FAR)


def _same_argmax(reference: Array, answer: Array, count: int) -> int:
    first, second = (values.reshape(count, -1).argmax(axis=1) for values in (reference, answer))
    return int((first == second).sum())


def _inputs(model: ModelProfile, problem: Problem, dataset: Path | None) -> dict[str, Array]:
    """Rows for every input: of the dataset, spread over it, else random ones of the usual sizes."""
    rows = model.fixed_batch or 1
    stored = None if dataset is None else read_arrays(dataset)[0]
    found = None if stored is None else _from_dataset(model, stored, problem, rows)
    return found if found is not None else _random(model, problem, rows)


def _from_dataset(model: ModelProfile, stored: StoredArrays, problem: Problem, rows: int) -> dict[str, Array] | None:
    keys = {spec.name: spec.name if spec.name in stored.arrays else f"{spec.name}__a" for spec in model.inputs}
    if not all(key in stored.arrays for key in keys.values()):
        return None
    columns = {spec.name: model_input(stored, spec, keys[spec.name]) for spec in model.inputs}
    if any(column.ndim != len(spec.shape) for spec in model.inputs for column in [columns[spec.name]]):
        return None
    count = min(len(column) for column in columns.values())
    first = calibration_share(count)  # of a dataset that calibrates too, these are known to the quantised model
    row_bytes = sum(column[:1].nbytes for column in columns.values())
    samples = max(1, min(MOST_SAMPLES, (count - first) // rows, _MOST_BYTES // max(1, rows * row_bytes)))
    step = max(rows, (count - first) // samples)
    picked = [min(first + sample * step, count - rows) + row for sample in range(samples) for row in range(rows)]
    if min(picked) < 0:
        return None
    axes = problem.traffic.axes
    return {spec.name: _cropped(columns[spec.name][picked], spec, axes) for spec in model.inputs}


def _cropped(values: Array, spec: TensorSpec, axes: Mapping[str, AxisDistribution]) -> Array:
    """The values with no dynamic axis larger than the engine takes."""
    most = {name: axis.maximum for name, axis in axes.items()}
    cuts = tuple(slice(most.get(dim) if isinstance(dim, str) else None) for dim in spec.shape[1:])
    return np.ascontiguousarray(values[(slice(None), *cuts)])


def _random(model: ModelProfile, problem: Problem, rows: int) -> dict[str, Array]:
    rng = np.random.default_rng(0)
    sizes = draw_sizes(problem.traffic.axes, 1, "padded", rng)[0]
    shapes = {
        spec.name: tuple(dim if isinstance(dim, int) else sizes.get(dim, 1) for dim in spec.shape[1:])
        for spec in model.inputs
    }
    row_bytes = sum(8 * int(np.prod(shape, dtype=np.int64)) for shape in shapes.values())
    samples = max(1, min(MOST_SAMPLES, _MOST_BYTES // max(1, rows * row_bytes)))
    return {
        spec.name: synthetic((samples * rows, *shapes[spec.name]), np.dtype(spec.dtype), rng) for spec in model.inputs
    }


def _written(
    model: ModelProfile, inputs: dict[str, Array], reference: Outputs, answers: Sequence[Outputs]
) -> Verification:
    rows = model.fixed_batch or 1
    count = len(next(iter(inputs.values()))) // rows
    by_name = {spec.name: values for spec, values in zip(model.outputs, reference, strict=True)}
    out_bytes = sum(values[:rows].nbytes for values in by_name.values())
    count = max(1, min(count, _MOST_BYTES // max(1, out_bytes)))
    files: dict[str, bytes] = {}
    outputs: set[str] = set()
    samples = []
    for number in range(count):
        part = slice(number * rows, (number + 1) * rows)
        taken: set[str] = set()
        given = tuple(_stored(files, number, name, values[part], taken) for name, values in inputs.items())
        wanted = tuple(_stored(files, number, name, values[part], taken) for name, values in by_name.items())
        outputs |= {tensor.file for tensor in wanted}
        samples.append(EdgeSample(inputs=given, outputs=wanted))
    tolerances = {
        spec.name: tolerance_of(
            reference[index][: count * rows],
            [answer[index][: count * rows] for answer in answers],
            rows=rows,
            is_classes=len(spec.shape) == 2 and spec.shape[1] != 1 and spec.dtype.startswith("float"),
        )
        for index, spec in enumerate(model.outputs)
    }
    files[SAMPLES_NAME] = samples_to_json(EdgeSamples(samples=tuple(samples), tolerances=tolerances))
    return Verification(files=files, outputs=frozenset({*outputs, SAMPLES_NAME}))


def _stored(files: dict[str, bytes], number: int, name: str, values: Array, taken: set[str]) -> SampleTensor:
    stem = re.sub(r"[^A-Za-z0-9-]+", "_", name).strip("_-") or "tensor"
    plain = next(each for i in range(1, 1000) if (each := stem if i == 1 else f"{stem}-{i}") not in taken)
    taken.add(plain)
    file = f"{SAMPLES_FOLDER}/{number}/{plain}.bin"
    little = np.ascontiguousarray(values).astype(values.dtype.newbyteorder("<"), copy=False)
    files[file] = little.tobytes()
    return SampleTensor(name=name, file=file, dtype=str(values.dtype.name), shape=tuple(values.shape))


def _unchecked(reason: str, *notes: str) -> Diagnostic:
    return Diagnostic(
        id="edge-outputs-unchecked",
        severity=Severity.WARNING,
        message="the bundle has no reference outputs: a device takes its engine without comparing what it answers",
        notes=(reason, *notes),
        help="its latency, power and temperature are still judged; test the accuracy on a device of your own",
    )
