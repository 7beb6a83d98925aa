"""Paired bootstrap: both models on the same resamples, with bias-corrected and accelerated bounds.

Source: Efron, "Better bootstrap confidence intervals", JASA 82 (1987); the acceleration from a grouped jackknife.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from infc.ir.interval import Interval
from infc.validate.accuracy.metrics import Floats, Statistic

RESAMPLES = 2000
JACKKNIFE_GROUPS = 200
SEED = 20_261
_CHUNK_ELEMENTS = 4_000_000


@dataclass(frozen=True, kw_only=True)
class PairedIntervals:
    """The subject's metric, and its relative drop against the reference, with bounds."""

    reference: float
    value: Interval
    drop: Interval


def paired_intervals(
    reference: Statistic, subject: Statistic, samples: int, confidence: float, resamples: int = RESAMPLES
) -> PairedIntervals:
    """Bounds for the subject's metric and for `1 - subject / reference`; same arguments, same numbers.

    A reference of zero has no relative drop: then the drop is the absolute difference.
    """
    ones = np.ones((1, samples))
    reference_value, subject_value = float(reference(ones)[0]), float(subject(ones)[0])
    resampled = _evaluate(reference, subject, _resamples(samples, resamples))
    jackknifed = _evaluate(reference, subject, _jackknife(samples))

    def drop(values: tuple[Floats, Floats]) -> Floats:
        return _relative_drop(*values)

    point = float(_relative_drop(np.array([reference_value]), np.array([subject_value]))[0])
    return PairedIntervals(
        reference=reference_value,
        value=_bca(subject_value, resampled[1], jackknifed[1], confidence),
        drop=_bca(point, drop(resampled), drop(jackknifed), confidence),
    )


def _relative_drop(reference: Floats, subject: Floats) -> Floats:
    scale = np.where(reference == 0.0, 1.0, np.abs(reference))
    return np.asarray((reference - subject) / scale)


def _evaluate(reference: Statistic, subject: Statistic, weights: Iterator[Floats]) -> tuple[Floats, Floats]:
    pairs = [(reference(part), subject(part)) for part in weights]
    return np.concatenate([first for first, _ in pairs]), np.concatenate([second for _, second in pairs])


def _resamples(samples: int, resamples: int) -> Iterator[Floats]:
    """Rows of counts: how often each sample was drawn."""
    random = np.random.default_rng(SEED)
    rows = max(1, min(resamples, _CHUNK_ELEMENTS // samples))
    for start in range(0, resamples, rows):
        count = min(rows, resamples - start)
        drawn = random.integers(0, samples, size=(count, samples)) + np.arange(count)[:, None] * samples
        yield np.bincount(drawn.ravel(), minlength=count * samples).reshape(count, samples).astype(np.float64)


def _jackknife(samples: int) -> Iterator[Floats]:
    """Rows that leave one group of samples out each."""
    groups = min(JACKKNIFE_GROUPS, samples)
    member = np.arange(samples) % groups
    rows = max(1, _CHUNK_ELEMENTS // samples)
    for start in range(0, groups, rows):
        left_out = np.arange(start, min(start + rows, groups))
        yield (member[None, :] != left_out[:, None]).astype(np.float64)


def _bca(point: float, resampled: Floats, jackknifed: Floats, confidence: float) -> Interval:
    if np.ptp(resampled) == 0.0:
        return Interval(value=point, low=min(point, float(resampled[0])), high=max(point, float(resampled[0])))
    normal = NormalDist()
    below = (np.sum(resampled < point) + 0.5 * np.sum(resampled == point)) / len(resampled)
    limit = 0.5 / len(resampled)
    bias = normal.inv_cdf(float(np.clip(below, limit, 1.0 - limit)))
    deviation = jackknifed.mean() - jackknifed
    spread = float((deviation**2).sum())
    acceleration = float((deviation**3).sum()) / (6.0 * spread**1.5) if spread > 0.0 else 0.0
    bounds = []
    for tail in ((1.0 - confidence) / 2.0, (1.0 + confidence) / 2.0):
        z = bias + normal.inv_cdf(tail)
        adjusted = normal.cdf(bias + z / (1.0 - acceleration * z))
        bounds.append(float(np.quantile(resampled, adjusted)))
    return Interval(value=point, low=bounds[0], high=bounds[1])
