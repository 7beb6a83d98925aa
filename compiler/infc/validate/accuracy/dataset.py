"""The labelled data of an accuracy test: read from `.npz`, checked against the model and the metric."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from infc.diag import Diagnostic
from infc.ir.model_profile import ModelProfile
from infc.lower.arrays import Array, Arrays, StoredArrays, calibration_share, check_input, model_input, read_arrays

PAIR_METRICS = ("spearman", "pearson")
LABEL_METRICS = ("top1", "top5", "f1", "map")
MIN_SAMPLES = 10


@dataclass(frozen=True, kw_only=True)
class Dataset:
    """Samples as the model takes them.

    `sides` has one entry, or two for pair tasks (`__a`, `__b`); `targets` are labels or scores.

    `others` are the remaining arrays of the file, for metrics written in Python; `digest` is the sha256 of the file.
    """

    digest: str
    samples: int
    sides: tuple[Arrays, ...]
    targets: Array | None
    others: Arrays


def read_dataset(
    path: Path, model: ModelProfile, metric: str, *, is_calibration_source: bool, shown_as: str | None = None
) -> tuple[Dataset | None, tuple[Diagnostic, ...]]:
    """The dataset for a metric; every problem of the file at once.

    With `is_calibration_source` the leading samples that calibrate (`calibration_share`) are left out of the test.
    """
    stored, diagnostics = read_arrays(path, shown_as)
    if stored is None:
        return None, diagnostics
    suffixes = ("__a", "__b") if _is_pairs(stored, model, metric) else ("",)
    problems = [d for spec in model.inputs for side in suffixes for d in check_input(stored, spec, spec.name + side)]
    target_name = "scores" if metric in PAIR_METRICS else "labels"
    problems += _target_problems(stored, target_name, metric)
    if not problems:
        problems += _count_problems(
            stored, [spec.name + side for spec in model.inputs for side in suffixes], target_name
        )
    if problems:
        return None, tuple(problems)
    count = stored.samples(model.inputs[0].name + suffixes[0])
    first = calibration_share(count) if is_calibration_source else 0
    if count - first < MIN_SAMPLES:
        return None, (_too_small(stored, count - first),)
    targets = stored.arrays.get(target_name)
    used = {spec.name + side for spec in model.inputs for side in suffixes} | {target_name}
    return Dataset(
        digest=stored.digest,
        samples=count - first,
        sides=tuple(
            {spec.name: model_input(stored, spec, spec.name + side)[first:] for spec in model.inputs}
            for side in suffixes
        ),
        targets=None if targets is None else targets[first:],
        others={
            name: array[first:]
            for name, array in stored.arrays.items()
            if name not in used and array.ndim and array.shape[0] == count
        },
    ), ()


def data_of_rows(data: Dataset, rows: npt.NDArray[np.intp]) -> Dataset:
    """The same data with some of its samples only."""
    return Dataset(
        digest=data.digest,
        samples=len(rows),
        sides=tuple({name: array[rows] for name, array in side.items()} for side in data.sides),
        targets=None if data.targets is None else data.targets[rows],
        others={name: array[rows] for name, array in data.others.items()},
    )


def _is_pairs(stored: StoredArrays, model: ModelProfile, metric: str) -> bool:
    return metric in PAIR_METRICS or (
        model.inputs[0].name not in stored.arrays and f"{model.inputs[0].name}__a" in stored.arrays
    )


def _target_problems(stored: StoredArrays, name: str, metric: str) -> list[Diagnostic]:
    needed = metric in PAIR_METRICS or metric in LABEL_METRICS
    targets = stored.arrays.get(name)
    if targets is None:
        return [_labels(stored, f"it has no array {name}", _how_to_store(metric))] if needed else []
    if not needed:
        return []
    if name == "scores":
        is_sound = targets.ndim == 1 and targets.dtype.kind in "fiu" and bool(np.isfinite(targets).all())
        return [] if is_sound else [_labels(stored, "scores must be one finite number per pair", _how_to_store(metric))]
    if targets.dtype.kind not in "iub" or targets.ndim not in (1, 2):
        shape = f"{targets.dtype}{list(targets.shape)}"
        return [_labels(stored, f"labels are {shape}, not integers of one or two dimensions", _how_to_store(metric))]
    if targets.ndim == 2 and metric in ("top1", "top5") and not (targets.astype(np.int64) >= 0).any(axis=1).all():
        return [_labels(stored, "a sample has no acceptable class", "every row needs at least one class; pad with -1")]
    if targets.ndim == 2 and metric in ("f1", "map") and not np.isin(targets, (0, 1)).all():
        return [
            _labels(stored, f"{metric} takes 0 or 1 per class where labels have two dimensions", _how_to_store(metric))
        ]
    return []


def _how_to_store(metric: str) -> str:
    match metric:
        case "top1" | "top5":
            return "store labels as int64[samples], or int64[samples, k] padded with -1 for sets of acceptable classes"
        case "f1" | "map":
            return "store labels as int64[samples], or 0/1 per class as int64[samples, classes]"
    return "store scores as float32[pairs], and both sides of every input as <input>__a and <input>__b"


def _count_problems(stored: StoredArrays, names: list[str], target_name: str) -> list[Diagnostic]:
    counts = {name: stored.samples(name) for name in (*names, target_name) if name in stored.arrays}
    if len(set(counts.values())) <= 1:
        return []
    listed = ", ".join(f"{name}: {count}" for name, count in counts.items())
    return [_labels(stored, f"arrays differ in their number of samples ({listed})", "one sample per entry of each")]


def _labels(stored: StoredArrays, message: str, help_text: str) -> Diagnostic:
    return Diagnostic(id="dataset-labels", message=f"{stored.path}: {message}", help=help_text)


def _too_small(stored: StoredArrays, samples: int) -> Diagnostic:
    return Diagnostic(
        id="dataset-too-small",
        message=f"{stored.path} leaves {samples} samples for the test, at least {MIN_SAMPLES} are needed",
        help="add labelled samples, or give calibration data of its own in quantization.calibration",
    )


def check_classes(dataset: Dataset, metric: str, outputs: Array, shown_as: str) -> Diagnostic | None:
    """Whether the labels fit the classes of the model's output, which is only known when it has run."""
    if metric not in LABEL_METRICS or dataset.targets is None:
        return None
    if outputs.ndim != 2:
        message = f"{metric} needs outputs of shape [batch, classes], the first output has {outputs.ndim} dimensions"
        return Diagnostic(id="dataset-labels", message=message, help="use metric cosine or a python: metric")
    classes = outputs.shape[1]
    if metric in ("f1", "map") and dataset.targets.ndim == 2:
        wrong = dataset.targets.shape[1] != classes
        found = f"{dataset.targets.shape[1]} columns"
    else:
        low = -1 if dataset.targets.ndim == 2 else 0
        wrong = bool(dataset.targets.min() < low or dataset.targets.max() >= classes)
        found = f"labels from {dataset.targets.min()} to {dataset.targets.max()}"
    if not wrong:
        return None
    return Diagnostic(
        id="dataset-labels",
        message=f"{shown_as}: {found}, the model has {classes} classes",
        help=f"labels are class numbers from 0 to {classes - 1}",
    )
