"""Arrival processes: mean rate, variability, determinism."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from infc.ir.arrival import Arrival, BurstyArrival, ConstantArrival, PoissonArrival, TraceArrival
from infc.sim.arrivals import arrival_times_s

TRACE = TraceArrival(path="traffic.csv", timestamps_s=(0.0, 0.1, 0.1, 4.0, 9.0))
PROCESSES = [ConstantArrival(), PoissonArrival(), BurstyArrival(cv=2.5), BurstyArrival(cv=0.3), TRACE]


@pytest.mark.parametrize("arrival", PROCESSES)
@pytest.mark.parametrize("rate_rps", [0.5, 300.0])
def test_mean_rate_is_the_asked_one(arrival: Arrival, rate_rps: float) -> None:
    """Whatever the process, the asked number of requests comes at the asked rate, in order."""
    times_s = arrival_times_s(arrival, rate_rps, 100_000, seed=3)
    assert times_s.dtype == np.float64
    assert len(times_s) == 100_000
    assert times_s[0] >= 0.0
    assert np.all(np.diff(times_s) >= 0.0)
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


@pytest.mark.parametrize("rate_rps", [0.0, -1.0, float("nan")])
def test_a_rate_must_be_positive(rate_rps: float) -> None:
    """No arrivals at no rate."""
    with pytest.raises(ValueError, match="positive"):
        arrival_times_s(PoissonArrival(), rate_rps, 10, seed=0)


def test_an_empty_trace_is_refused() -> None:
    """There is nothing to replay."""
    with pytest.raises(ValueError, match="timestamp"):
        arrival_times_s(TraceArrival(path="t.csv", timestamps_s=()), 1.0, 10, seed=0)
