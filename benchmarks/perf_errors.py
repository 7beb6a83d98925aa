"""How wrong the performance model is: half-widths of intervals, and the tables that the fit prints."""

import math
from collections.abc import Callable, Sequence
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from infc.ir.model_profile import OperatorClass
from perf_table import Row, Table

Array: TypeAlias = npt.NDArray[np.float64]
Mask: TypeAlias = npt.NDArray[np.bool_]
Names: TypeAlias = npt.NDArray[np.str_]

SMALL = 0.35
"""Below this share of device-bound time an execution counts as small work when its interval is chosen."""
FEW = 15


def half_width(errors: Array, groups: int | None = None) -> float:
    """The factor that holds nine of ten held-out rows, with the finite-sample correction.

    Rows that share a device or a pair err together: they are only as many independent cases as there are `groups`.
    """
    ordered = np.sort(np.abs(errors))
    count = min(len(ordered), groups or len(ordered))
    level = min(1.0, math.ceil(0.9 * (count + 1)) / count)
    return float(np.exp(ordered[min(len(ordered), math.ceil(level * len(ordered))) - 1]))


def report(name: str, errors: Array, covered: float | None = None) -> None:
    """One line of a table: median absolute error, 90th percentile, bias, coverage."""
    if not len(errors):
        return
    absolute = np.exp(np.abs(errors)) - 1
    middle, most = np.median(absolute), np.quantile(absolute, 0.9)
    bias = np.exp(np.median(errors)) - 1
    tail = "" if covered is None else f"  covered {covered:5.1%}"
    print(f"{name:<46}{len(errors):>5} rows  median error {middle:6.1%}  p90 {most:6.1%}  bias {bias:+6.1%}{tail}")


def interval_classes(rows: Sequence[Row], share: Array) -> Names:
    """The class of each row whose residuals set the width of its interval: small work, large work, large attention."""
    has_attention = np.array([OperatorClass.ATTENTION in row.work.classes for row in rows])
    return np.where(share < SMALL, "small", np.where(has_attention, "attention", "large"))


def widths(errors: Array, classes: Names, chosen: Mask, group: Names) -> dict[str, float]:
    """Half-width by class, of the chosen rows; a class with few of them takes all rows' if that is wider.

    `group` is what each row was held out with: its pair or its device.
    """
    everything = half_width(errors[chosen], len(np.unique(group[chosen])))
    found = {}
    for name in ("small", "large", "attention"):
        mask = chosen & (classes == name)
        own = half_width(errors[mask], len(np.unique(group[mask]))) if mask.any() else everything
        found[name] = round(own if mask.sum() >= FEW else max(own, everything), 3)
    return found


def nested_coverage(errors: Array, classes: Names, chosen: Mask, fold: Array, group: Names) -> Mask:
    """Which rows an interval holds whose width comes from the other folds alone."""
    inside = np.zeros(len(errors), dtype=bool)
    for number in np.unique(fold):
        width = widths(errors, classes, chosen & (fold != number), group)
        limit = np.array([width[name] for name in classes])
        here = fold == number
        inside[here] = (np.abs(errors) <= np.log(limit))[here]
    return inside


def print_tables(rows: Sequence[Row], table: Table, errors: Array, inside: Mask, label: str) -> None:
    """Held-out errors of engine rows by batch, model class, precision, hardware and source."""

    def each(title: str, key: Callable[[Row], str]) -> None:
        print(f"{label}, by {title}")
        names = [key(row) for row in rows]
        for name in sorted(set(names)):
            mask = table.is_engine & np.array([n == name for n in names])
            if mask.any():
                report(f"  {name}", errors[mask], float(np.mean(inside[mask])))

    each("batch", regime_of)
    each("model class and batch", lambda row: f"{class_of(row)}, {regime_of(row)}")
    each("precision", lambda row: row.precision.value)
    each("hardware and batch", lambda row: f"{row.hardware}, {regime_of(row)}")
    each("source", lambda row: row.harness)
    each("precision and model class", lambda row: f"{row.precision.value}, {class_of(row)}")


def regime_of(row: Row) -> str:
    """Batch 1, 2 to 7, from 8; a tuned batch is large."""
    if row.batch is None or row.batch >= 8:
        return "batch >= 8"
    return "batch 1" if row.batch == 1 else "batch 2-7"


def class_of(row: Row) -> str:
    """What kind of network a model is."""
    if row.model.startswith(("bert", "vit")):
        return "encoder"
    return "detector" if row.model.startswith(("yolo", "retinanet")) else "classifier"
