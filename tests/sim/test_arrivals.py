"""Arrival processes: mean rate, variability, determinism."""

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from infc.ir.arrival import (
    Arrival,
    BurstyArrival,
    ConstantArrival,
    DiurnalArrival,
    PoissonArrival,
    TraceArrival,
    at_peak,
    diurnal_multipliers,
)
from infc.sim.arrivals import PERIODS_IN_PHASE, arrival_times_s, replayed_rows, replayed_sizes

TRACE = TraceArrival(path="traffic.csv", timestamps_s=(0.0, 0.1, 0.1, 4.0, 9.0))
DAY = DiurnalArrival(multipliers=diurnal_multipliers(2.5), period_s=60.0)
CAMERAS = ConstantArrival(streams=3)
PROCESSES = [ConstantArrival(), CAMERAS, PoissonArrival(), BurstyArrival(cv=2.5), BurstyArrival(cv=0.3), DAY, TRACE]


@pytest.mark.parametrize("arrival", PROCESSES)
@pytest.mark.parametrize("rate_rps", [0.5, 300.0])
def test_mean_rate_is_the_asked_one(arrival: Arrival, rate_rps: float) -> None:
    """Whatever the process, the asked number of requests comes at the asked rate, in order."""
    times_s = arrival_times_s(arrival, rate_rps, 100_000, seed=3)
    assert times_s.dtype == np.float64
    assert len(times_s) == 100_000
    assert times_s[0] >= 0.0
    assert np.all(np.diff(times_s) >= 0.0)
    if not isinstance(arrival, DiurnalArrival):  # its mean rate is that of whole periods: see below
        assert len(times_s) / times_s[-1] == pytest.approx(rate_rps, rel=0.03)


@pytest.mark.parametrize(
    ("arrival", "cv"), [(PoissonArrival(), 1.0), (BurstyArrival(cv=2.5), 2.5), (BurstyArrival(cv=0.3), 0.3)]
)
def test_gaps_vary_as_asked(arrival: Arrival, cv: float) -> None:
    """The coefficient of variation of the gaps is that of the process."""
    gaps_s = np.diff(arrival_times_s(arrival, 10.0, 200_000, seed=0))
    assert gaps_s.std() / gaps_s.mean() == pytest.approx(cv, rel=0.03)


def test_a_trace_keeps_its_shape() -> None:
    """The gaps of a trace are replayed in proportion, round after round, with its mean gap between rounds."""
    times_s = arrival_times_s(TRACE, 5.0, 12, seed=0)
    gaps = np.diff(times_s) / times_s[1]
    assert gaps == pytest.approx([1, 0, 39, 50, 22.5, 1, 0, 39, 50, 22.5, 1])


def test_simultaneous_requests_come_as_bursts() -> None:
    """A trace that spans no time is a burst, repeated at the asked mean rate."""
    times_s = arrival_times_s(TraceArrival(path="t.csv", timestamps_s=(0.0, 0.0)), 4.0, 6, seed=0)
    assert times_s.tolist() == [0.0, 0.0, 0.5, 0.5, 1.0, 1.0]


@given(st.sampled_from(PROCESSES), st.integers(0, 2**32))
def test_same_seed_same_times_and_a_longer_run_begins_alike(arrival: Arrival, seed: int) -> None:
    """Deterministic; asking for more requests does not change the first ones."""
    first = arrival_times_s(arrival, 7.0, 50, seed)
    assert np.array_equal(first, arrival_times_s(arrival, 7.0, 50, seed))
    assert np.allclose(first, arrival_times_s(arrival, 7.0, 80, seed)[:50])


def test_seeds_differ() -> None:
    """Another seed is another run."""
    assert not np.array_equal(*(arrival_times_s(PoissonArrival(), 1.0, 10, seed) for seed in (0, 1)))


def test_each_camera_is_evenly_spaced_in_a_phase_of_its_own() -> None:
    """Three cameras at 30 frames a second in all: each sends every 100 ms, none when another does."""
    times_s = arrival_times_s(CAMERAS, 30.0, 3 * PERIODS_IN_PHASE, seed=4)
    frames = times_s.reshape(PERIODS_IN_PHASE, 3)
    assert np.diff(frames, axis=0) == pytest.approx(np.full((PERIODS_IN_PHASE - 1, 3), 0.1))
    assert len(np.unique(frames[0].round(9))) == 3


def test_cameras_take_all_phases_in_a_long_run() -> None:
    """A percentile is over all phases, not over one draw: offsets of two cameras are uniform over a period."""
    count = 2 * PERIODS_IN_PHASE * 2_000
    frames = arrival_times_s(ConstantArrival(streams=2), 2.0, count, seed=1).reshape(-1, 2)[::PERIODS_IN_PHASE]
    apart = np.minimum(frames[:, 1] - frames[:, 0], 1.0 - (frames[:, 1] - frames[:, 0]))
    assert np.quantile(apart, [0.25, 0.5, 0.75]) == pytest.approx([0.125, 0.25, 0.375], abs=0.02)


def test_many_cameras_come_like_independent_users() -> None:
    """The superposition of many periodic senders is close to Poisson over short times (Palm-Khintchine)."""
    times_s = arrival_times_s(ConstantArrival(streams=1000), 1000.0, 100_000, seed=2)
    gaps_s = np.diff(times_s)
    assert gaps_s.std() / gaps_s.mean() == pytest.approx(1.0, rel=0.05)


@pytest.mark.parametrize("rate_rps", [0.0, -1.0, float("nan")])
def test_a_rate_must_be_positive(rate_rps: float) -> None:
    """No arrivals at no rate."""
    with pytest.raises(ValueError, match="positive"):
        arrival_times_s(PoissonArrival(), rate_rps, 10, seed=0)


def test_an_empty_trace_is_refused() -> None:
    """There is nothing to replay."""
    with pytest.raises(ValueError, match="timestamp"):
        arrival_times_s(TraceArrival(path="t.csv", timestamps_s=()), 1.0, 10, seed=0)


@pytest.mark.parametrize("cv", [1.0, 2.0])
def test_a_diurnal_rate_runs_its_course(cv: float) -> None:
    """Over whole periods the mean rate is the asked one; the peak comes first, so that a short run sees it."""
    course = DiurnalArrival(multipliers=(0.5, 0.0, 2.5, 1.0), period_s=40.0, cv=cv)
    times_s = arrival_times_s(course, 50.0, 400_000, seed=1)
    periods = int(times_s[-1] // 40.0)
    whole = times_s[times_s < periods * 40.0]
    counts = np.bincount((whole % 40.0 // 10.0).astype(int), minlength=4) / (periods * 10.0 * 50.0)
    assert counts == pytest.approx([2.5, 1.0, 0.5, 0.0], abs=0.03)


@given(st.floats(1.0, 20.0))
def test_a_course_has_the_asked_peak(peak_to_mean: float) -> None:
    """Twenty-four multipliers of the mean, none negative, with one peak of the asked size."""
    multipliers = diurnal_multipliers(peak_to_mean)
    assert len(multipliers) == 24
    assert min(multipliers) >= 0.0
    assert np.mean(multipliers) == pytest.approx(1.0)
    assert max(multipliers) == pytest.approx(peak_to_mean)


def test_at_its_peak_a_diurnal_rate_is_steady() -> None:
    """What an SLO is judged under: Poisson, or bursty, at the rate of the peak. Others stay as they are."""
    assert at_peak(DAY) == PoissonArrival()
    assert at_peak(DiurnalArrival(multipliers=(1.0, 1.0), cv=3.0)) == BurstyArrival(cv=3.0)
    assert at_peak(TRACE) is TRACE


def test_of_a_long_trace_the_busiest_part_is_replayed() -> None:
    """At the mean rate of the whole trace, with the sizes of those very requests."""
    times_s = (0.0, 10.0, 20.0, 20.5, 21.0, 40.0)
    trace = TraceArrival(path="t.csv", timestamps_s=times_s, sizes={"batch": (1, 2, 3, 4, 5, 6)})
    assert replayed_rows(trace, 3).tolist() == [2, 3, 4]
    assert arrival_times_s(trace, 6 / 48, 3, seed=0) == pytest.approx([0.0, 0.5, 1.0])
    sizes = replayed_sizes(trace, "batch", 3)
    assert sizes is not None
    assert sizes.tolist() == [3, 4, 5]
    assert replayed_sizes(trace, "sequence", 3) is None
    assert replayed_sizes(PoissonArrival(), "batch", 3) is None


@given(st.lists(st.floats(0.0, 100.0), min_size=2, max_size=30), st.integers(1, 80))
@example([0.0, 5e-324], 1)
def test_replayed_sizes_belong_to_the_replayed_times(gaps_s: list[float], count: int) -> None:
    """Whatever part of a trace is replayed, how often: rows are successive, times ascend from 0."""
    times_s = np.cumsum(gaps_s) - gaps_s[0]
    trace = TraceArrival(path="t.csv", timestamps_s=tuple(times_s), sizes={"batch": tuple(range(1, len(gaps_s) + 1))})
    rows = replayed_rows(trace, count)
    assert len(rows) == count
    assert np.all(np.diff(rows) % len(gaps_s) == 1 % len(gaps_s))
    replayed = arrival_times_s(trace, 3.0, count, seed=0)
    assert replayed[0] == 0.0
    assert np.all(np.diff(replayed) >= 0.0)
