"""Percentiles and intervals: exact where that is known, coverage measured where not. All seeds are fixed."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from infc.validate.statistics import (
    binomial_cdf,
    design_effect,
    exceedance_design_effect,
    mean_interval,
    nearest_rank,
    percentile_interval,
    percentile_ranks,
    percentile_summary,
)

latencies = st.lists(st.floats(1e-4, 10.0), min_size=1, max_size=300)


def mm1_sojourns_s(count: int, utilization: float, rng: np.random.Generator) -> NDArray[np.float64]:
    """Time in system of successive requests of an M/M/1 queue with mean service time 1, after its start has faded."""
    gaps = rng.exponential(1.0 / utilization, count + 2000)
    services = rng.exponential(1.0, count + 2000)
    walk = np.concatenate(([0.0], np.cumsum(services[:-1] - gaps[1:])))
    return ((walk - np.minimum.accumulate(walk)) + services)[2000:]


@given(latencies, st.floats(0.1, 100.0))
def test_nearest_rank_is_the_smallest_sample_that_enough_samples_do_not_exceed(values, percentile):
    """Nearest rank is the smallest sample that enough samples do not exceed."""
    ordered = np.sort(np.array(values))
    found = nearest_rank(ordered, percentile)
    share = percentile / 100.0
    assert np.count_nonzero(ordered <= found) >= share * len(values) - 1e-6
    assert np.count_nonzero(ordered < found) < share * len(values) + 1e-6


def test_nearest_rank_of_a_tail_is_not_moved_by_rounding():
    """Nearest rank of a tail is not moved by rounding."""
    ordered = np.arange(1.0, 1001.0)
    assert nearest_rank(ordered, 99.9) == 999.0
    assert nearest_rank(ordered, 99.0) == 990.0


@pytest.mark.parametrize(("count", "probability"), [(1, 0.3), (20, 0.5), (60, 0.99), (300, 0.01)])
def test_binomial_cdf_equals_the_exact_sum(count, probability):
    """Binomial cdf equals the exact sum."""
    exact = np.cumsum(
        [math.comb(count, k) * probability**k * (1.0 - probability) ** (count - k) for k in range(count + 1)]
    )
    assert binomial_cdf(count, probability) == pytest.approx(exact, abs=1e-9)


def test_a_p99_has_an_upper_bound_from_the_sample_count_of_the_binomial_tail():
    """The largest of n samples is above the p99 with 99.5% confidence from 0.99^n < 0.005 on: n = 528."""
    assert percentile_ranks(527, 99, 0.99).high is None
    assert percentile_ranks(528, 99, 0.99).high == 528


@given(latencies, st.sampled_from([50.0, 90.0, 99.0]), st.floats(1.0, 20.0))
def test_an_interval_holds_its_value_and_widens_with_dependence(values, percentile, effect):
    """An interval holds its value and widens with dependence."""
    ordered = np.sort(np.array(values))
    independent = percentile_interval(ordered, percentile, 0.95)
    dependent = percentile_interval(ordered, percentile, 0.95, effect)
    for interval in (independent, dependent):
        assert interval.low <= interval.value <= interval.high
    assert dependent.high >= independent.value


@pytest.mark.parametrize("percentile", [50.0, 95.0, 99.0])
@pytest.mark.parametrize("shape", ["exponential", "lognormal", "two humps"])
def test_intervals_of_independent_samples_cover_the_true_percentile(percentile, shape):
    """At least 95% of 200 intervals (with three standard errors of leeway), whatever the distribution."""
    rng = np.random.default_rng(7)
    draw = {
        "exponential": lambda n: rng.exponential(1.0, n),
        "lognormal": lambda n: rng.lognormal(0.0, 1.0, n),
        "two humps": lambda n: np.where(rng.random(n) < 0.7, rng.normal(5, 1, n), rng.normal(20, 2, n)),
    }[shape]
    true = nearest_rank(np.sort(draw(400_000)), percentile)
    covered = 0
    for _ in range(200):
        interval = percentile_interval(np.sort(draw(1000)), percentile, 0.95)
        covered += interval.low <= true <= interval.high
    assert covered / 200 >= 0.95 - 3 * math.sqrt(0.95 * 0.05 / 200)


@pytest.mark.parametrize(("utilization", "percentile"), [(0.5, 99.0), (0.7, 95.0), (0.7, 99.0), (0.8, 50.0)])
def test_intervals_of_a_queue_cover_the_true_percentile(utilization, percentile):
    """Sojourns of an M/M/1 queue are exponential and strongly dependent: ignoring that would cover far less often."""
    rng = np.random.default_rng(11)
    true = -math.log(1.0 - percentile / 100.0) / (1.0 - utilization)
    covered = naive = 0
    for _ in range(60):
        samples = mm1_sojourns_s(8000, utilization, rng)
        effect = exceedance_design_effect(samples, percentile, spacing=1.0 / utilization)
        ordered = np.sort(samples)
        interval = percentile_interval(ordered, percentile, 0.95, effect)
        covered += interval.low <= true <= interval.high
        unaware = percentile_interval(ordered, percentile, 0.95)
        naive += unaware.low <= true <= unaware.high
    assert covered >= 54
    assert covered > naive


def test_design_effect_of_independent_samples_is_near_one():
    """Design effect of independent samples is near one."""
    effects = [design_effect(np.random.default_rng(seed).random(4000)) for seed in range(20)]
    assert 1.0 <= np.median(effects) < 1.6


def test_design_effect_of_an_autoregression_is_its_autocorrelation_time():
    """x[t] = 0.8 x[t-1] + noise has the integrated autocorrelation time (1 + 0.8) / (1 - 0.8) = 9."""
    effects = []
    for seed in range(10):
        noise = np.random.default_rng(seed).standard_normal(20_000)
        samples = np.zeros(20_000)
        for index in range(1, len(samples)):
            samples[index] = 0.8 * samples[index - 1] + noise[index]
        effects.append(design_effect(samples))
    assert 7.0 < np.median(effects) < 16.0


def test_a_slow_drift_of_the_bulk_does_not_blur_the_tail():
    """Latencies around 2 ms that slowly rise and fall by 20% say nothing of clusters far above them."""
    count = 4000
    wave = 1.0 + 0.2 * np.sin(np.arange(count) / 200.0)
    samples = 0.002 * wave * np.random.default_rng(3).lognormal(0.0, 0.2, count)
    assert exceedance_design_effect(samples, 99.0, limit=0.03, spacing=0.01) < 6.0
    assert design_effect(samples) > 40.0


def test_constant_samples_are_independent():
    """Constant samples are independent."""
    assert design_effect(np.ones(100)) == 1.0
    assert exceedance_design_effect(np.ones(100), 99.0, limit=0.5) == 1.0


def test_mean_of_dependent_samples_is_covered():
    """Mean of dependent samples is covered."""
    rng = np.random.default_rng(5)
    covered = 0
    for _ in range(60):
        interval = mean_interval(mm1_sojourns_s(6000, 0.5, rng), 0.95)
        covered += interval.low <= 2.0 <= interval.high
    assert covered >= 53


def test_summary_names_the_mean_and_every_percentile():
    """Summary names the mean and every percentile."""
    summary = percentile_summary(np.random.default_rng(0).random(500), (50.0, 99.9), 0.95)
    assert list(summary) == ["mean", "p50", "p99.9"]
    assert math.isinf(summary["p99.9"].high)
