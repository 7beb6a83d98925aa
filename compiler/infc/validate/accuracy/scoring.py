"""Scores two sets of outputs on the same samples: the metric, its relative drop, both with bounds that fit the metric.

top1 and top5 are counted, so their bounds are exact or score-based (`proportions`); everything else is bootstrapped
(`bootstrap`).
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from infc.diag import Diagnostic
from infc.ir.model_profile import ModelProfile
from infc.lower.arrays import Array
from infc.validate.accuracy import metrics
from infc.validate.accuracy.bootstrap import RESAMPLES, PairedIntervals, paired_intervals
from infc.validate.accuracy.dataset import Dataset
from infc.validate.accuracy.inference import Outputs
from infc.validate.accuracy.metrics import Statistic
from infc.validate.accuracy.proportions import proportion_interval, relative_drop_interval
from infc.validate.accuracy.python_metric import MetricFunction, checked, statistic_of

RANKING_RESAMPLES = 1000
PYTHON_RESAMPLES = 400


@dataclass(frozen=True, kw_only=True)
class Predictions:
    """What a model answered: one entry per side of the data (two for pairs), each with every output of the model."""

    sides: tuple[Outputs, ...]

    @property
    def first(self) -> metrics.Floats:
        """The first output of the first side."""
        return self.sides[0][0].astype(np.float64)


def score(
    metric: str,
    function: MetricFunction | None,
    reference: Predictions,
    subject: Predictions,
    dataset: Dataset,
    model: ModelProfile,
    confidence: float,
) -> PairedIntervals | Diagnostic:
    """The subject's metric and drop. `function` is the user's metric, given when `metric` is a `python:` one."""
    if metric in ("top1", "top5"):
        return _counted(1 if metric == "top1" else 5, reference, subject, dataset, confidence)
    if function is not None:
        data = _named_data(dataset)
        named = [_named_outputs(predictions, model) for predictions in (reference, subject)]
        for outputs in named:
            problem = checked(metric, function, outputs, data)
            if problem is not None:
                return problem
        pair = [statistic_of(function, outputs, data) for outputs in named]
        return paired_intervals(pair[0], pair[1], dataset.samples, confidence, PYTHON_RESAMPLES)
    of_reference, of_subject = (_statistic(metric, p, reference, dataset) for p in (reference, subject))
    resamples = RANKING_RESAMPLES if metric == "map" else RESAMPLES
    return paired_intervals(of_reference, of_subject, dataset.samples, confidence, resamples)


def _counted(
    k: int, reference: Predictions, subject: Predictions, dataset: Dataset, confidence: float
) -> PairedIntervals:
    labels = _labels(dataset)
    right_reference = metrics.hits(reference.first, labels, k)
    right_subject = metrics.hits(subject.first, labels, k)
    return PairedIntervals(
        reference=float(right_reference.mean()),
        value=proportion_interval(int(right_subject.sum()), dataset.samples, confidence),
        drop=relative_drop_interval(right_reference, right_subject, confidence),
    )


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
