"""Scores two sets of outputs on the same samples: the metric, its relative drop, both with bounds that fit the metric.

top1 and top5 are counted, so their bounds are exact or score-based (`proportions`); everything else is bootstrapped
(`bootstrap`).
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from infc.diag import Diagnostic
from infc.ir.model_profile import ModelProfile
from infc.lower.arrays import Array
from infc.validate.accuracy import metrics
from infc.validate.accuracy.bootstrap import RESAMPLES, PairedIntervals, paired_intervals
from infc.validate.accuracy.dataset import Dataset, data_of_rows
from infc.validate.accuracy.inference import Outputs
from infc.validate.accuracy.metrics import Statistic
from infc.validate.accuracy.proportions import proportion_interval, relative_drop_interval
from infc.validate.accuracy.python_metric import MetricFunction, checked, statistic_of

RANKING_RESAMPLES = 1000
PYTHON_RESAMPLES = 400
TAIL_RESAMPLES = 25
"""Resamples that lie beyond each bound at least, where several bounds are looked at and each is far out."""
CLASS_METRICS = ("top1", "top5", "f1", "map")
Rows: TypeAlias = npt.NDArray[np.intp]


@dataclass(frozen=True, kw_only=True)
class Predictions:
    """What a model answered: one entry per side of the data (two for pairs), each with every output of the model."""

    sides: tuple[Outputs, ...]

    @property
    def first(self) -> metrics.Floats:
        """The first output of the first side."""
        return self.sides[0][0].astype(np.float64)


@dataclass(frozen=True, kw_only=True)
class Scoring:
    """Everything that a score depends on. `function` is the user's metric, given when `metric` is a `python:` one."""

    metric: str
    function: MetricFunction | None
    reference: Predictions
    subject: Predictions
    data: Dataset
    model: ModelProfile

    def whole(self, confidence: float) -> PairedIntervals | Diagnostic:
        """The subject's metric and drop on all samples."""
        if self.function is not None:
            outputs, data = (
                (_named_outputs(p, self.model) for p in (self.reference, self.subject)),
                _named_data(self.data),
            )
            for named in outputs:
                problem = checked(self.metric, self.function, named, data)
                if problem is not None:
                    return problem
        return self._intervals(confidence)

    def part(self, rows: Rows, confidence: float) -> PairedIntervals | None:
        """The metric and drop on some samples alone; None where the metric has no meaning there.

        F1 and mean average precision of one class are not defined; a class is scored by how many of its samples the
        model recognises. A part that the reference gets wholly wrong has nothing to lose.
        """
        part = replace(
            self,
            reference=_of_rows(self.reference, rows),
            subject=_of_rows(self.subject, rows),
            data=data_of_rows(self.data, rows),
        )
        if self.metric in CLASS_METRICS and self.data.targets is not None and self.data.targets.ndim == 1:
            part = replace(part, metric="top5" if self.metric == "top5" else "top1")
        if self.function is not None and isinstance(part.whole(confidence), Diagnostic):
            return None
        intervals = part._intervals(confidence)
        is_sound = all(np.isfinite((intervals.reference, intervals.drop.low, intervals.drop.high)))
        return intervals if is_sound and intervals.reference != 0.0 else None

    def _intervals(self, confidence: float) -> PairedIntervals:
        samples = self.data.samples
        if self.metric in ("top1", "top5"):
            return self._counted(1 if self.metric == "top1" else 5, confidence)
        if self.function is not None:
            named = _named_data(self.data)
            pair = [
                statistic_of(self.function, _named_outputs(p, self.model), named)
                for p in (self.reference, self.subject)
            ]
            return paired_intervals(pair[0], pair[1], samples, confidence, PYTHON_RESAMPLES)
        pair = [_statistic(self.metric, p, self.reference, self.data) for p in (self.reference, self.subject)]
        resamples = RANKING_RESAMPLES if self.metric == "map" else RESAMPLES
        tail = (1.0 - confidence) / 2.0
        return paired_intervals(pair[0], pair[1], samples, confidence, max(resamples, math.ceil(TAIL_RESAMPLES / tail)))

    def _counted(self, k: int, confidence: float) -> PairedIntervals:
        labels = _labels(self.data)
        right_reference = metrics.hits(self.reference.first, labels, k)
        right_subject = metrics.hits(self.subject.first, labels, k)
        return PairedIntervals(
            reference=float(right_reference.mean()),
            value=proportion_interval(int(right_subject.sum()), self.data.samples, confidence),
            drop=relative_drop_interval(right_reference, right_subject, confidence),
        )


def _of_rows(predictions: Predictions, rows: Rows) -> Predictions:
    return Predictions(sides=tuple(tuple(output[rows] for output in side) for side in predictions.sides))


def _statistic(metric: str, predictions: Predictions, reference: Predictions, dataset: Dataset) -> Statistic:
    targets = np.zeros(0) if dataset.targets is None else dataset.targets.astype(np.float64)
    match metric:
        case "f1":
            return metrics.macro_f1(predictions.first, _labels(dataset))
        case "map":
            return metrics.mean_average_precision(predictions.first, _labels(dataset))
        case "spearman":
            return metrics.spearman(_pair_similarity(predictions), targets)
        case "pearson":
            return metrics.pearson(_pair_similarity(predictions), targets)
    return metrics.weighted_mean(_agreement(predictions, reference))


def _labels(dataset: Dataset) -> metrics.Labels:
    assert dataset.targets is not None  # noqa: S101 - read_dataset requires labels for these metrics
    return dataset.targets.astype(np.int64)


def _pair_similarity(predictions: Predictions) -> metrics.Floats:
    return metrics.cosine_rows(predictions.sides[0][0], predictions.sides[1][0])


def _agreement(predictions: Predictions, reference: Predictions) -> metrics.Floats:
    """Cosine similarity with the reference, all float outputs of a sample side by side; the mean of both sides."""
    sides = [
        metrics.cosine_rows(_joined(side), _joined(other))
        for side, other in zip(predictions.sides, reference.sides, strict=True)
    ]
    return np.asarray(np.mean(sides, axis=0))


def joined_outputs(predictions: Predictions) -> tuple[Array, ...]:
    """All float outputs of a sample side by side, for each side of the data."""
    return tuple(_joined(side) for side in predictions.sides)


def _joined(outputs: Outputs) -> Array:
    floats = [output for output in outputs if output.dtype.kind == "f"] or list(outputs)
    return np.concatenate([output.reshape(len(output), -1).astype(np.float64) for output in floats], axis=1)


def _named_outputs(predictions: Predictions, model: ModelProfile) -> Mapping[str, Array]:
    suffixes = ("",) if len(predictions.sides) == 1 else ("__a", "__b")
    return {
        spec.name + suffix: output
        for suffix, side in zip(suffixes, predictions.sides, strict=True)
        for spec, output in zip(model.outputs, side, strict=True)
    }


def _named_data(dataset: Dataset) -> Mapping[str, Array]:
    """The arrays that are not model inputs; targets under both of their names."""
    targets = {} if dataset.targets is None else {"labels": dataset.targets, "scores": dataset.targets}
    return {**targets, **dataset.others}
