"""Fits of traces whose process is known, and of traces that no process here can make."""

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from infc.ir.arrival import (
    DAY_S,
    Arrival,
    BurstyArrival,
    ConstantArrival,
    DiurnalArrival,
    PoissonArrival,
    TraceArrival,
    diurnal_multipliers,
)
from infc.sim.arrivals import Times, arrival_times_s
from infc.sim.trace_fit import ArrivalFit, fit_arrivals
from infc.sim.trace_fit.gamma import distribution
from infc.sim.trace_fit.reference_queue import waits_s


def trace(times_s: Times) -> TraceArrival:
    """The times as a trace."""
    ordered = np.sort(times_s)
    return TraceArrival(path="t.csv", timestamps_s=tuple((ordered - ordered[0]).tolist()))


def fitted(arrival: Arrival, rate_rps: float, count: int, seed: int = 1) -> ArrivalFit:
    """The fit of a run of a process."""
    return fit_arrivals(trace(arrival_times_s(arrival, rate_rps, count, seed)))


def switching(seed: int, rates_rps: tuple[float, float], holds_s: float, count: int) -> Times:
    """A Poisson process whose rate switches between two, each held for an exponential time."""
    generator = np.random.default_rng(seed)
    now_s, found = 0.0, []
    for turn in range(count):
        length_s = generator.exponential(holds_s)
        requests = generator.poisson(rates_rps[turn % 2] * length_s)
        found.append(now_s + length_s * generator.random(requests))
        now_s += length_s
    return np.concatenate(found)


@settings(deadline=None, max_examples=15)
@given(st.floats(0.2, 4.0), st.floats(0.1, 500.0), st.integers(0, 2**31))
def test_the_cv_and_the_rate_of_gamma_gaps_are_found(cv: float, rate_rps: float, seed: int) -> None:
    """Whatever the cv and the rate, on 20,000 requests."""
    fit = fitted(BurstyArrival(cv=cv), rate_rps, 20_000, seed)
    assert fit.cv == pytest.approx(cv, rel=0.03 + 0.04 * cv)
    assert fit.rate_rps == pytest.approx(rate_rps, rel=0.04 * max(1.0, cv))
    if not 0.97 < cv < 1.03:
        assert isinstance(fit.best, BurstyArrival)
        assert fit.best.cv == pytest.approx(fit.cv)


@pytest.mark.parametrize("count", [200, 3_000, 50_000])
def test_a_poisson_trace_is_poisson(count: int) -> None:
    """And the fit is good: a plan may use it, with the mean rate as the peak."""
    fit = fitted(PoissonArrival(), 20.0, count, seed=4)
    assert fit.best == fit.recommended == PoissonArrival()
    assert fit.peak_rps is None
    assert fit.goodness is not None
    assert fit.goodness.is_good
    assert fit.goodness.ks_p_value > 0.01
    assert abs(fit.goodness.queue.ratio - 1.0) < 0.6


def test_even_gaps_are_constant() -> None:
    """With a little jitter too."""
    generator = np.random.default_rng(0)
    times_s = np.arange(2_000) * 0.1 + generator.normal(0.0, 0.002, 2_000)
    fit = fit_arrivals(trace(times_s))
    assert fit.best == fit.recommended == ConstantArrival()
    assert fit.goodness is not None
    assert fit.goodness.is_good


@pytest.mark.parametrize("cv", [1.0, 2.0])
def test_the_course_of_a_day_is_found(cv: float) -> None:
    """From two days of traffic: the hours, and what varies besides."""
    course = DiurnalArrival(multipliers=diurnal_multipliers(2.5), cv=cv)
    fit = fitted(course, 0.4, round(0.4 * 2.01 * DAY_S), seed=2)
    assert isinstance(fit.best, DiurnalArrival)
    assert fit.best.peak_to_mean == pytest.approx(2.5, rel=0.1)
    assert fit.best.cv == pytest.approx(cv, rel=0.1)
    assert fit.goodness is not None
    assert fit.goodness.is_good


def test_half_a_day_shows_no_course() -> None:
    """A course needs a whole period; a rate that moves is said to move."""
    course = DiurnalArrival(multipliers=diurnal_multipliers(2.5))
    fit = fitted(course, 0.5, 30_000, seed=2)
    assert not isinstance(fit.best, DiurnalArrival)
    assert fit.trend.is_significant
    assert isinstance(fit.recommended, TraceArrival)


@pytest.mark.parametrize("holds_s", [5.0, 600.0])
def test_long_bursts_are_replayed(holds_s: float) -> None:
    """Independent gaps cannot make them: the fit says so, by dispersion, correlation and waits."""
    times_s = switching(3, (5.0, 50.0), holds_s, count=round(3000 / holds_s) + 20)
    fit = fit_arrivals(trace(times_s))
    assert fit.goodness is not None
    assert not fit.goodness.is_good
    assert {"bursts", "waits"} <= set(fit.goodness.misses)
    assert fit.recommended == fit.trace
    assert not isinstance(fit.best, DiurnalArrival)


def test_slow_bursts_are_no_course_of_a_day() -> None:
    """Hours that differ by chance, as their ten minutes do, are bursts."""
    times_s = switching(5, (0.1, 1.0), 1200.0, count=160)
    fit = fit_arrivals(trace(times_s))
    assert fit.span_s > DAY_S
    assert not isinstance(fit.best, DiurnalArrival)


def test_few_requests_are_not_judged() -> None:
    """Fewer than a hundred say too little: the trace is replayed."""
    fit = fitted(PoissonArrival(), 10.0, 60)
    assert fit.goodness is None
    assert isinstance(fit.recommended, TraceArrival)


@given(st.lists(st.sampled_from([0.0, 1e-7, 0.5, 1.0, 3600.0]) | st.floats(0.0, 1e5), min_size=1, max_size=300))
@example([5e-324])
@settings(deadline=None, max_examples=40)
def test_any_trace_has_a_fit(gaps_s: list[float]) -> None:
    """Gaps of zero, all equal, or of every order of magnitude: finite figures, no crash."""
    times_s = np.concatenate([[0.0], np.cumsum(gaps_s)])
    if times_s[-1] < 1e-9:
        with pytest.raises(ValueError, match="different times"):
            fit_arrivals(trace(times_s))
        return
    fit = fit_arrivals(trace(times_s))
    assert np.isfinite([fit.rate_rps, fit.cv, fit.trend.ratio]).all()
    if fit.goodness is not None:
        assert np.isfinite([fit.goodness.ks_distance, fit.goodness.queue.trace_s, fit.goodness.queue.model_s]).all()


@pytest.mark.parametrize("cv", [0.05, 0.3, 1.0, 2.5, 10.0])
def test_the_gamma_distribution_is_that_of_its_samples(cv: float) -> None:
    """Its share below a value is the share of drawn gaps below it."""
    shape = 1.0 / cv**2
    drawn = np.sort(np.random.default_rng(0).standard_gamma(shape, 200_000) / shape)
    at = np.array([0.01, 0.5, 0.97, 1.0, 1.1, 3.0, 20.0])
    assert distribution(at, cv) == pytest.approx(np.searchsorted(drawn, at) / len(drawn), abs=0.005)


def test_waits_are_those_of_a_queue() -> None:
    """The mean wait under Poisson arrivals is that of the M/D/1 queue (Pollaczek-Khinchine)."""
    times_s = arrival_times_s(PoissonArrival(), 0.7, 400_000, seed=0)
    assert waits_s(times_s, 1.0).mean() == pytest.approx(0.7 / (2 * 0.3), rel=0.05)
