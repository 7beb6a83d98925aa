"""How much of a quantised model's output error each operator causes, measured on calibration samples.

The error that one operator's quantisation causes is measured alone, everything else exact. Errors add up nearly
linearly, so the error of any recipe follows from the inner products of these single errors, without running it:
`docs/decisions/` has the figures.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import onnx

from infc.ir.model_profile import ModelProfile
from infc.lower.arrays import Array, Arrays, Calibration
from infc.validate.accuracy.inference import Outputs, open_session, run_batches
from infc.validate.accuracy.switches import SwitchedSession, switched, switches_of

Floats: TypeAlias = npt.NDArray[np.float64]
WORK_FLOPS = 6e11
"""Arithmetic to spend on all runs together: about half a minute on two CPU cores."""
MIN_SAMPLES = 8
MAX_SAMPLES = 64
MAX_UNITS = 128
"""Operators beyond this number are measured in groups of neighbours."""
SKETCH = 4096
CROSS_TERMS = 0.5
"""Weight of the inner products of different units' errors when units are put in order."""
SEED = 20_261


@dataclass(frozen=True, kw_only=True)
class Sensitivity:
    """Single errors of `units` (operators that are raised together, in graph order) as their mean inner products.

    `products[i, j]` is the mean over samples of the inner product of the output errors that units i and j cause, both
    relative to the norm of the exact output. The diagonal is the error power of each unit alone.
    """

    units: tuple[tuple[str, ...], ...]
    products: Floats
    samples: int

    def share(self, unit: int) -> float:
        """The error power of one unit alone, as a share of that of everything quantised."""
        return float(self.products[unit, unit] / self.total) if self.total > 0 else 0.0

    @property
    def total(self) -> float:
        """The predicted error power with everything quantised."""
        return max(float(self.products.sum()), 0.0)


@dataclass(frozen=True, kw_only=True)
class Ordering:
    """Units in the order in which to raise them, and `left[k]`: the share of the error after the first k of them."""

    units: tuple[int, ...]
    left: tuple[float, ...]


def measure_sensitivity(
    quantised: onnx.ModelProto,
    exact: onnx.ModelProto,
    operators: Sequence[str],
    calibration: Calibration,
    model: ModelProfile,
    report: Callable[[int, int], None],
) -> Sensitivity:
    """Run the model once for each unit with only that unit quantised, and once exact.

    The number of samples follows from the model's arithmetic, never from a clock: same files, same result.
    `report` gets the units done, and how many there are.
    """
    probe = switched(quantised, exact, operators)
    names = switches_of(probe)
    units = _units(names)
    samples = _samples(calibration, model, len(units))
    session = open_session(probe.SerializeToString(), has_rewrites=False, threads=0)

    def outputs(on: Sequence[str]) -> Outputs:
        one = SwitchedSession(session, names, on, np.array(True), np.array(False))
        return run_batches(one, model, samples)

    exact_outputs = outputs(())
    sketch = _Sketch(exact_outputs)
    errors = []
    for index, unit in enumerate(units):
        errors.append(sketch.error(outputs(unit)))
        report(index + 1, len(units))
    count = len(next(iter(samples.values())))
    stacked = np.stack(errors) if errors else np.zeros((0, 1))
    return Sensitivity(units=units, products=stacked @ stacked.T / count, samples=count)


def order(sensitivity: Sensitivity) -> Ordering:
    """The order in which to raise units: from nothing quantised add what adds the least error, then turn it round.

    Cross terms count half: errors that cancel on few samples need not on others (`docs/decisions/` compares). Ties go
    to the earlier unit.

    >>> products = np.diag([1.0, 9.0, 4.0])
    >>> found = order(Sensitivity(units=(("a",), ("b",), ("c",)), products=products, samples=1))
    >>> found.units, [round(left, 3) for left in found.left]
    ((1, 2, 0), [1.0, 0.357, 0.071, 0.0])
    """
    count = len(sensitivity.units)
    shrunk = CROSS_TERMS * sensitivity.products
    np.fill_diagonal(shrunk, np.diag(sensitivity.products))
    cost = np.diag(shrunk).copy()
    quantised: list[int] = []
    for _ in range(count):
        best = int(cost.argmin())
        quantised.append(best)
        cost += 2.0 * shrunk[:, best]
        cost[best] = np.inf
    left = [0.0]
    power = 0.0
    for position, unit in enumerate(quantised):
        others = quantised[:position]
        power += float(sensitivity.products[unit, unit] + 2.0 * sensitivity.products[unit, others].sum())
        left.append(max(left[-1], power / sensitivity.total) if sensitivity.total > 0 else 0.0)
    scale = left[-1] or 1.0
    return Ordering(units=tuple(reversed(quantised)), left=tuple(share / scale for share in reversed(left)))


class _Sketch:
    """Turns outputs into one error vector: relative to each sample's norm, wide outputs projected by a count sketch.

    A count sketch keeps inner products in expectation; its error falls as 1 / sqrt(SKETCH).
    Source: Charikar, Chen and Farach-Colton, "Finding frequent items in data streams", ICALP 2002.
    """

    def __init__(self, exact: Outputs) -> None:
        self._exact = _joined(exact)
        norms = np.linalg.norm(self._exact, axis=1, keepdims=True)
        self._scale = 1.0 / np.where(norms > 0, norms, 1.0)
        width = self._exact.shape[1]
        random = np.random.default_rng(SEED)
        is_wide = width > SKETCH
        self._buckets = random.integers(0, SKETCH, size=width) if is_wide else None
        self._signs = random.choice((-1.0, 1.0), size=width) if is_wide else np.ones(width)

    def error(self, outputs: Outputs) -> Floats:
        """The error vector of all samples, one after another."""
        error = (_joined(outputs) - self._exact) * self._scale
        if self._buckets is None:
            return np.asarray(error.ravel())
        return np.concatenate(
            [np.bincount(self._buckets, weights=row * self._signs, minlength=SKETCH) for row in error]
        )


def _joined(outputs: Outputs) -> Floats:
    floats = [output for output in outputs if output.dtype.kind == "f"] or list(outputs)
    return np.concatenate([output.reshape(len(output), -1).astype(np.float64) for output in floats], axis=1)


def _units(names: Sequence[str]) -> tuple[tuple[str, ...], ...]:
    """Single operators, or where there are very many, groups of neighbours in graph order."""
    size = -(-len(names) // MAX_UNITS) if names else 1
    return tuple(tuple(names[start : start + size]) for start in range(0, len(names), size))


def _samples(calibration: Calibration, model: ModelProfile, units: int) -> Arrays:
    """Calibration samples at even distances, as many as the arithmetic allows."""
    axes = {model.batch_axis: 1} if model.batch_axis else {}
    for spec in model.inputs:
        sizes = calibration.inputs[spec.name].shape
        axes |= {d: n for d, n in zip(spec.shape[1:], sizes[1:], strict=True) if isinstance(d, str)}
    flops = max(sum(operator.flops.at(axes) for operator in model.operators), 1.0) / (model.fixed_batch or 1)
    affordable = int(WORK_FLOPS / (flops * (units + 1)))
    count = min(calibration.samples, max(MIN_SAMPLES, min(MAX_SAMPLES, affordable)))
    rows = np.unique(np.linspace(0, calibration.samples - 1, count).round().astype(np.intp))
    chosen: dict[str, Array] = {name: values[rows] for name, values in calibration.inputs.items()}
    return chosen
