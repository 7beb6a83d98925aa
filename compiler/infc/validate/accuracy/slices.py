"""Parts of the data that are judged on their own: quantisation hurts the tail of inputs first.

One family of parts per dataset: the values of its array `slices` where it has one, else the classes of its labels, else
quarters by length (integer inputs, counted without padding) or by magnitude (the others).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from infc.ir.accuracy import OutputErrors, SliceDelta
from infc.ir.interval import Interval
from infc.lower.arrays import Array, Arrays
from infc.validate.accuracy.bootstrap import PairedIntervals
from infc.validate.accuracy.dataset import LABEL_METRICS, MIN_SAMPLES, Dataset

ARRAY = "slices"
REPORTED = 8
Rows: TypeAlias = npt.NDArray[np.intp]
ScorePart: TypeAlias = Callable[[Rows, float], PairedIntervals | None]
"""(positions of the samples, confidence) -> the metric on them alone; None where it has no meaning there."""


@dataclass(frozen=True, kw_only=True)
class Part:
    """One part of the data: its name and the positions of its samples."""

    name: str
    rows: Rows


def parts_of(data: Dataset, metric: str) -> tuple[Part, ...]:
    """The parts, each of at least 10 samples: smaller ones are judged together. Fewer than two: none."""
    named = data.others.get(ARRAY)
    if named is not None and named.ndim == 1:
        parts = _by_value(named, "slice")
    elif metric in LABEL_METRICS and data.targets is not None and data.targets.ndim == 1:
        parts = _by_value(data.targets, "class")
    else:
        parts = _quarters(data.sides)
    return _large_enough(parts)


def parts_of_rows(named: Array | None, lengths: Array) -> tuple[Part, ...]:
    """The same for rows of text: by the value of their field `slices` where they have one, else quarters by length."""
    return _large_enough(
        _by_value(named, "slice") if named is not None else _quarters_of(lengths.astype(np.float64), "length", "g")
    )


def _large_enough(parts: Sequence[Part]) -> tuple[Part, ...]:
    large = [part for part in parts if len(part.rows) >= MIN_SAMPLES]
    small = [part for part in parts if len(part.rows) < MIN_SAMPLES]
    together = np.sort(np.concatenate([part.rows for part in small])) if small else np.zeros(0, np.intp)
    if len(together) >= MIN_SAMPLES:
        what = "classes" if parts[0].name.startswith("class ") else "slices"
        name = f"{len(small)} {what} of fewer than {MIN_SAMPLES} samples"
        large.append(Part(name=name, rows=together))
    return tuple(large) if len(large) > 1 else ()


def judged_parts(parts: Sequence[Part], score: ScorePart, confidence: float) -> tuple[SliceDelta, ...]:
    """The metric on every part, worst drop first.

    The low bound of each drop holds for all parts together (each at `1 - (1 - confidence) / parts`, Bonferroni): that
    some part loses is said by chance in at most `(1 - confidence) / 2` of tests. The high bound is at `confidence`: a
    limit on every part must hold for each of them, which needs no correction (Berger, Technometrics 24, 1982).
    """
    found = []
    for part in parts:
        corrected = score(part.rows, 1.0 - (1.0 - confidence) / len(parts))
        plain = score(part.rows, confidence)
        if corrected is None or plain is None:
            continue
        found.append(
            SliceDelta(
                name=part.name,
                samples=len(part.rows),
                reference=plain.reference,
                value=plain.value.value,
                drop=Interval(value=plain.drop.value, low=corrected.drop.low, high=plain.drop.high),
            )
        )
    return tuple(sorted(found, key=lambda part: (-part.drop.value, part.name)))


def reported(slices: tuple[SliceDelta, ...]) -> tuple[SliceDelta, ...]:
    """What the evidence keeps of them: the worst, and those whose bounds decide a limit on every slice.

    >>> at = lambda n, v, h: SliceDelta(name=n, samples=9, reference=1, value=1, drop=Interval(value=v, low=v, high=h))
    >>> [part.name for part in reported(tuple(at(str(n), -n, n) for n in range(20)))]
    ['0', '1', '2', '3', '4', '5', '6', '7', '19']
    """
    if not slices:
        return ()
    deciding = {max(slices, key=lambda part: part.drop.high).name, max(slices, key=lambda part: part.drop.low).name}
    return tuple(part for i, part in enumerate(slices) if i < REPORTED or part.name in deciding)


def output_errors(reference: Sequence[Array], subject: Sequence[Array]) -> OutputErrors:
    """How far single samples lie off, over all sides: the tail that a mean hides. Arrays are `[samples, ...]`."""
    shares = []
    for of_reference, of_subject in zip(reference, subject, strict=True):
        first = of_reference.reshape(len(of_reference), -1).astype(np.float64)
        second = of_subject.reshape(len(of_subject), -1).astype(np.float64)
        size = np.linalg.norm(first, axis=1)
        shares.append(np.linalg.norm(second - first, axis=1) / np.where(size > 0, size, 1.0))
    worst = np.nan_to_num(np.max(shares, axis=0), nan=np.inf)
    worst = np.minimum(worst, 1e6)  # an overflow is as wrong as it gets
    position = int(worst.argmax())
    return OutputErrors(
        median=float(np.median(worst)),
        p99=float(np.quantile(worst, 0.99, method="higher")),
        worst=float(worst[position]),
        worst_sample=position,
    )


def _by_value(values: Array, what: str) -> tuple[Part, ...]:
    distinct = np.unique(values)
    return tuple(Part(name=f"{what} {value}", rows=np.flatnonzero(values == value)) for value in distinct)


def _quarters(sides: Sequence[Arrays]) -> tuple[Part, ...]:
    """Quarters by size, named by the sizes they hold; equal sizes stay together, so there may be fewer."""
    measures = [_size(side) for side in sides]
    sizes = np.max([size for size, _ in measures], axis=0)
    return _quarters_of(sizes, "length", "g") if measures[0][1] else _quarters_of(sizes, "magnitude", ".3g")


def _quarters_of(sizes: npt.NDArray[np.float64], what: str, digits: str) -> tuple[Part, ...]:
    quarter = np.searchsorted(np.unique(np.quantile(sizes, (0.25, 0.5, 0.75))), sizes, side="left")
    parts = []
    for index in np.unique(quarter):
        rows = np.flatnonzero(quarter == index)
        least, most = (f"{size:{digits}}" for size in (sizes[rows].min(), sizes[rows].max()))
        parts.append(Part(name=f"{what} {least}" + (f" to {most}" if most != least else ""), rows=rows))
    return tuple(parts)


def _size(side: Mapping[str, Array]) -> tuple[npt.NDArray[np.float64], bool]:
    """The length of each sample, or its magnitude where no input says a length; and which of them it is."""
    masks = [array for name, array in side.items() if "mask" in name.lower() and array.dtype.kind in "iub"]
    tokens = [array for array in side.values() if array.dtype.kind in "iu" and array.ndim == 2]
    for array in (*masks, *tokens):
        return np.count_nonzero(array.reshape(len(array), -1), axis=1).astype(np.float64), True
    floats = [array.reshape(len(array), -1).astype(np.float64) for array in side.values()]
    return np.asarray(np.sqrt(np.mean(np.concatenate(floats, axis=1) ** 2, axis=1))), False
