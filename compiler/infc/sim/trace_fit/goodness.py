"""How well a process with independent gaps describes a trace."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from infc.sim.arrivals import Times
from infc.sim.trace_fit.gamma import SMALLEST_GAP, distribution

WINDOWS_S = (1.0, 10.0, 60.0, 600.0, 3600.0)
_FEWEST_WINDOWS = 30
_FEWEST_PER_WINDOW = 1.0
_POINTS = 20_000
_RESAMPLED = 1000
_RESAMPLES = 99


@dataclass(frozen=True, kw_only=True)
class Dispersion:
    """Variance over mean of the number of requests in windows of `window_s`: 1 for a Poisson process.

    `trace` is measured, `model` that of the fitted process over as many requests, `noise` the relative error that the
    number of windows leaves.
    """

    window_s: float
    trace: float
    model: float
    noise: float


def ks_distance(gaps: Times, cv: float) -> float:
    """Kolmogorov-Smirnov distance between gaps, as multiples of their mean, and a gamma distribution.

    Gaps that are too short for the clock of a trace are not told apart.
    """
    ordered = np.sort(gaps)
    count = len(ordered)
    rows = np.arange(count) if count <= _POINTS else np.linspace(0, count - 1, _POINTS).astype(np.intp)
    rows = rows[np.searchsorted(ordered[rows], SMALLEST_GAP) :]
    if len(rows) == 0:
        return 1.0
    expected = distribution(ordered[rows], cv)
    above, below = (rows + 1) / count - expected, expected - rows / count
    return float(max(above.max(), below.max()))


def ks_p_value(gaps: Times, cv: float, seed: int) -> float:
    """Share of samples of the fitted process that lie further from their own fit than the trace does from its fit.

    A parametric bootstrap over at most 1,000 of the gaps, evenly chosen: the usual table would be too kind, as `cv` is
    fitted on the same gaps, and among a million gaps every real trace is refused.
    """
    rows = np.linspace(0, len(gaps) - 1, min(len(gaps), _RESAMPLED)).astype(np.intp)
    sample = gaps[rows] / gaps[rows].mean()
    is_poisson = cv == 1.0
    distance = ks_distance(sample, 1.0 if is_poisson else gap_cv(sample))
    generator = np.random.default_rng(seed)
    shape = 1.0 / cv**2
    further = 0
    for _ in range(_RESAMPLES):
        drawn = generator.standard_gamma(shape, len(sample))
        drawn /= drawn.mean()
        further += ks_distance(drawn, 1.0 if is_poisson else gap_cv(drawn)) >= distance
    return (1 + further) / (1 + _RESAMPLES)


def gap_cv(gaps: Times) -> float:
    """Coefficient of variation, at least 1%."""
    mean = float(gaps.mean())
    return max(0.01, float(gaps.std()) / mean) if mean > 0.0 else 1.0


def autocorrelation(gaps: Times, lag: int = 1) -> float:
    """Correlation of gaps with those `lag` later: 0 for independent gaps."""
    centred = gaps - gaps.mean()
    variance = float((centred**2).sum())
    return float((centred[:-lag] * centred[lag:]).sum()) / variance if variance > 0.0 else 0.0


def dispersion(times_s: Times, window_s: float) -> float:
    """Variance over mean of the counts in successive windows."""
    counts = window_counts(times_s, window_s)
    return float(counts.var(ddof=1) / counts.mean())


def window_counts(times_s: Times, window_s: float) -> Times:
    """Requests in each whole window from the first request on."""
    windows = int(times_s[-1] // window_s)
    return np.diff(np.searchsorted(times_s, np.arange(windows + 1) * window_s)).astype(np.float64)


def dispersions(times_s: Times, simulated: Callable[[int], Times], seeds: int) -> tuple[Dispersion, ...]:
    """The dispersion of a trace and of its model, at every window that the trace can tell something about."""
    rate_rps, span_s = len(times_s) / times_s[-1], float(times_s[-1])
    windows_s = [w for w in WINDOWS_S if w * _FEWEST_WINDOWS <= span_s and w * rate_rps >= _FEWEST_PER_WINDOW]
    if not windows_s:
        return ()
    runs = [simulated(seed) for seed in range(seeds)]
    return tuple(
        Dispersion(
            window_s=window_s,
            trace=dispersion(times_s, window_s),
            model=float(np.mean([dispersion(run, window_s) for run in runs])),
            noise=math.sqrt(2.0 * window_s / span_s),
        )
        for window_s in windows_s
    )
