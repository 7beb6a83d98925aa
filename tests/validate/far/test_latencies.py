"""A device's own statistics, without NumPy: the same numbers as infc's."""

import math

import numpy as np
import pytest

from infc.validate.far.latencies import bounded_percentile, effect_of_clusters, enclosing_ranks
from infc.validate.statistics import exceedance_design_effect, percentile_interval, percentile_ranks


@pytest.mark.parametrize("confidence", [0.9, 0.99])
@pytest.mark.parametrize("percentile", [50.0, 95.0, 99.0, 99.9])
def test_the_same_ranks_enclose_a_percentile(percentile: float, confidence: float) -> None:
    """For counts from none to more than a long measurement has."""
    for count in (0, 1, 2, 30, 299, 459, 1000, 7200):
        ranks = percentile_ranks(count, percentile, confidence)
        assert enclosing_ranks(count, percentile, confidence) == (ranks.low, ranks.high), count


@pytest.mark.parametrize("seed", range(4))
def test_the_same_intervals_of_dependent_samples(seed: int) -> None:
    """Waiting times of a busy queue come in clusters, and some requests never come back."""
    generator = np.random.default_rng(seed)
    waits, wait = [], 0.0
    for service, gap in zip(generator.exponential(0.8, 3000), generator.exponential(1.0, 3000), strict=True):
        waits.append(wait + service)
        wait = max(0.0, wait + service - gap)
    samples = np.array(waits)
    samples[:: 700 + seed] = math.inf
    for percentile, limit in ((50.0, None), (99.0, 8.0)):
        effect = effect_of_clusters(samples.tolist(), percentile, limit, 1.0)
        assert effect == pytest.approx(exceedance_design_effect(samples, percentile, limit=limit, spacing=1.0))
        ordered = np.sort(samples)
        expected = percentile_interval(ordered, percentile, 0.95, effect)
        found = bounded_percentile(ordered.tolist(), percentile, 0.95, effect)
        assert (found["value"], found["low"], found["high"]) == (expected.value, expected.low, expected.high)
