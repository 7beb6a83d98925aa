"""The simulated dynamic batcher: laws of queueing, independent implementations, known effects of the real one."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from infc.ir.arrival import PoissonArrival
from infc.ir.candidate import DynamicBatching
from infc.sim.arrivals import arrival_times_s
from infc.sim.dynamic_batching import BatchingResult, ServerOverhead, _fifo_starts_s, is_textbook, simulate
from infc.sim.overhead import NO_OVERHEAD
from infc.sim.prefetching import simulate_prefetching

from .reference import Reference

LIGHT = [0.0045 + 0.0005 * size for size in range(1, 9)]
HEAVY = [0.0125 + 0.001 * size for size in range(1, 9)]


@st.composite
def batchings(draw: st.DrawFn) -> DynamicBatching:
    """Any dynamic batching block."""
    maximum = draw(st.integers(2, 6))
    return DynamicBatching(
        max_batch_size=maximum,
        max_queue_delay_s=draw(st.sampled_from([0.0, 0.25, 1.0, 4.0])),
        preferred_batch_sizes=tuple(draw(st.sets(st.integers(1, maximum), max_size=3))),
        has_prefetch=draw(st.booleans()),
    )


# Multiples of 1/4 are exact, so that events often fall on the same instant; the third kind never ties.
GAPS = st.one_of(
    st.lists(st.integers(0, 8).map(lambda n: n / 4), min_size=1, max_size=60),
    st.lists(st.integers(0, 40).map(lambda n: n / 4), min_size=1, max_size=60),
    st.lists(st.floats(0.001, 3.0), min_size=1, max_size=60),
)
ARRIVALS = GAPS.map(lambda gaps: np.cumsum(np.array(gaps)))
SERVICE = st.lists(st.integers(1, 12).map(lambda n: n / 4), min_size=6, max_size=6)
INSTANCES = st.integers(1, 3)


def poisson(rate_rps: float, count: int = 20_000, seed: int = 1) -> np.ndarray:
    """Poisson arrivals."""
    return arrival_times_s(PoissonArrival(), rate_rps, count, seed)


def run(rate_rps: float, service_s: list[float], delay_s: float, **changes: object) -> BatchingResult:
    """20,000 Poisson requests with batches up to 8 on one instance."""
    batching = DynamicBatching(**{"max_batch_size": 8, "max_queue_delay_s": delay_s, **changes})  # type: ignore[arg-type]
    return simulate(poisson(rate_rps), service_s, batching, 1)


@given(ARRIVALS, SERVICE, batchings(), INSTANCES)
@settings(max_examples=200, deadline=None)
def test_every_request_is_served_once_and_in_order(
    arrivals_s: np.ndarray, service_s: list[float], batching: DynamicBatching, instances: int
) -> None:
    """No request is lost, none overtakes, no batch is too large, and each takes its service time."""
    result = simulate(arrivals_s, service_s, batching, instances)
    starts_s = arrivals_s + result.queue_s
    assert sum(size * count for size, count in result.batch_sizes.items()) == len(arrivals_s)
    assert max(result.batch_sizes) <= batching.max_batch_size
    assert np.all(result.queue_s >= 0.0)
    assert np.all(np.diff(starts_s) >= -1e-12)
    times = set(np.round(result.latency_s - result.queue_s, 9).tolist())
    assert times == {round(service_s[size - 1], 9) for size in result.batch_sizes}


@given(ARRIVALS, SERVICE, batchings(), INSTANCES, st.booleans())
@settings(max_examples=200, deadline=None)
def test_agrees_with_the_literal_reference(
    arrivals_s: np.ndarray, service_s: list[float], batching: DynamicBatching, instances: int, is_dynamic: bool
) -> None:
    """Whichever implementation is chosen, it forms the very batches of a literal transcription of the rules."""
    batches = Reference(arrivals_s.tolist(), service_s, batching, instances, is_dynamic).run()
    starts_s, sizes = simulate_prefetching(arrivals_s.tolist(), service_s, batching, instances, NO_OVERHEAD, is_dynamic)
    assert [(start_s, len(requests)) for start_s, requests in batches] == list(zip(starts_s, sizes, strict=True))
    assert [request for _, requests in batches for request in requests] == list(range(len(arrivals_s)))


@given(ARRIVALS, SERVICE, batchings().filter(is_textbook), INSTANCES, st.sampled_from([0.0, 0.25]), st.booleans())
@settings(max_examples=200, deadline=None)
def test_textbook_path_equals_the_event_simulation(
    arrivals_s: np.ndarray,
    service_s: list[float],
    batching: DynamicBatching,
    instances: int,
    idle_s: float,
    is_dynamic: bool,
) -> None:
    """Where the batcher is the textbook one, the fast path and the event simulation agree to the last batch."""
    fast = simulate(arrivals_s, service_s, batching, instances, overhead=ServerOverhead(idle_s=idle_s))
    starts_s, sizes = simulate_prefetching(
        arrivals_s.tolist(), service_s, batching, instances, ServerOverhead(idle_s=idle_s), is_dynamic
    )
    assert np.array_equal(fast.queue_s, np.repeat(starts_s, sizes) - arrivals_s)


@given(ARRIVALS, SERVICE, batchings(), INSTANCES)
@settings(max_examples=100, deadline=None)
def test_littles_law_and_utilization(
    arrivals_s: np.ndarray, service_s: list[float], batching: DynamicBatching, instances: int
) -> None:
    """Mean requests in the system are rate x mean latency, counted event by event; busy times add up."""
    result = simulate(arrivals_s, service_s, batching, instances)
    events_s = np.concatenate([arrivals_s, arrivals_s + result.latency_s])
    changes = np.repeat([1, -1], len(arrivals_s))
    order = np.argsort(events_s, kind="stable")
    in_system = np.cumsum(changes[order])[:-1]
    area = float(np.sum(in_system * np.diff(events_s[order])))
    assert area / result.end_s == pytest.approx(result.throughput_rps * float(result.latency_s.mean()))
    busy_s = sum(service_s[size - 1] * count for size, count in result.batch_sizes.items())
    assert result.utilization == pytest.approx(busy_s / (instances * result.end_s))
    assert 0.0 < result.utilization <= 1.0 + 1e-9


@pytest.mark.parametrize("load", [0.3, 0.6, 0.8])
def test_without_batching_it_is_an_md1_queue(load: float) -> None:
    """Mean wait of M/D/1: load x service / (2 (1 - load)) (Pollaczek-Khinchine)."""
    result = simulate(poisson(load, 400_000), [1.0], DynamicBatching(max_batch_size=1), 1)
    assert float(result.queue_s.mean()) == pytest.approx(load / (2.0 * (1.0 - load)), rel=0.04)
    assert result.utilization == pytest.approx(load, rel=0.01)


@pytest.mark.parametrize("load", [0.3, 0.6, 0.8])
def test_exponential_service_gives_an_mm1_queue(load: float) -> None:
    """Latency of M/M/1 is exponential with mean 1 / (service rate - arrival rate)."""
    arrivals_s = poisson(load, 400_000)
    service_s = np.random.default_rng(7).standard_exponential(len(arrivals_s))
    latency_s = _fifo_starts_s(arrivals_s, service_s, 1) + service_s - arrivals_s
    assert float(latency_s.mean()) == pytest.approx(1.0 / (1.0 - load), rel=0.06)
    assert float(np.median(latency_s)) == pytest.approx(np.log(2.0) / (1.0 - load), rel=0.06)


def test_many_instances_without_batching_never_wait_below_their_number() -> None:
    """Four instances serve four simultaneous requests at once; the fifth waits for the first answer."""
    result = simulate(np.zeros(5), [2.0], DynamicBatching(max_batch_size=1), 4)
    assert result.latency_s.tolist() == [2.0, 2.0, 2.0, 2.0, 4.0]


@given(ARRIVALS, SERVICE, INSTANCES)
@settings(max_examples=100, deadline=None)
def test_batch_size_one_ignores_the_batching_block(
    arrivals_s: np.ndarray, service_s: list[float], instances: int
) -> None:
    """With a maximum of 1 there is no dynamic batching: delay and prefetch change nothing."""
    plain = simulate(arrivals_s, service_s, DynamicBatching(max_batch_size=1), instances)
    delayed = DynamicBatching(max_batch_size=1, max_queue_delay_s=1.0, has_prefetch=False)
    assert np.array_equal(plain.latency_s, simulate(arrivals_s, service_s, delayed, instances).latency_s)


def test_a_lone_request_waits_out_the_queue_delay() -> None:
    """An idle instance does not take a request before its delay has passed, or before a preferred size is reached."""
    batching = DynamicBatching(max_batch_size=4, max_queue_delay_s=0.5)
    assert simulate(np.array([1.0]), [1.0] * 4, batching, 1).latency_s.tolist() == [1.5]
    four = simulate(np.array([1.0, 1.1, 1.2, 1.3]), [1.0] * 4, batching, 1)
    assert dict(four.batch_sizes) == {4: 1}
    assert four.queue_s.tolist() == pytest.approx([0.3, 0.2, 0.1, 0.0])


def test_a_small_queue_delay_is_worse_than_none() -> None:
    """Measured on the real server at 250/s: p99 12.9 ms without delay, 17.8 ms with 1 ms, 13.2 ms with 5 ms."""
    none, small, large = (run(250, LIGHT, delay_s).percentiles_s((99,))[0] for delay_s in (0.0, 0.001, 0.005))
    assert small > 1.25 * none
    assert small > 1.2 * large


def test_a_policy_that_never_fires_removes_the_penalty() -> None:
    """Measured on the real server at 300/s with a delay of 2 ms: p99 81 ms, and 57 ms with such a policy."""
    with_prefetch = run(300, HEAVY, 0.002).percentiles_s((99,))[0]
    without = run(300, HEAVY, 0.002, has_prefetch=False).percentiles_s((99,))[0]
    assert without < 0.8 * with_prefetch


def test_dynamic_shapes_remove_most_of_the_penalty() -> None:
    """Measured on the real server at 230/s with a delay of 1 ms: p50 11.1 ms with fixed shapes, 9.7 ms with dynamic."""
    batching = DynamicBatching(max_batch_size=8, max_queue_delay_s=0.001)
    fixed, dynamic = (
        simulate(poisson(230), LIGHT, batching, 1, has_dynamic_shapes=is_dynamic).percentiles_s((50, 99))
        for is_dynamic in (False, True)
    )
    assert dynamic[0] < 0.9 * fixed[0]
    assert dynamic[1] < 0.85 * fixed[1]


def test_preferred_sizes_split_a_greedy_batch() -> None:
    """Three waiting requests with preferred sizes 2 and 4 run as 2 + 1, where the default runs 3 at once."""
    arrivals_s = np.array([0.0, 0.1, 0.2, 0.3])
    preferred = DynamicBatching(max_batch_size=4, preferred_batch_sizes=(2, 4))
    assert dict(simulate(arrivals_s, [1.0] * 4, preferred, 1).batch_sizes) == {1: 2, 2: 1}
    assert dict(simulate(arrivals_s, [1.0] * 4, DynamicBatching(max_batch_size=4), 1).batch_sizes) == {1: 1, 3: 1}


def test_overheads_are_where_they_are_said_to_be() -> None:
    """Execution and request keep the instance busy, idle keeps it from the next batch, transport adds latency."""
    batching = DynamicBatching(max_batch_size=2)
    overhead = ServerOverhead(execution_s=0.5, request_s=0.25, idle_s=1.0, transport_s=0.125)
    result = simulate(np.array([0.0, 0.5, 0.6]), [1.0, 2.0], batching, 1, overhead=overhead)
    assert result.queue_s.tolist() == pytest.approx([0.0, 2.25, 2.15])
    assert result.latency_s.tolist() == pytest.approx([1.875, 2.25 + 3.125, 2.15 + 3.125])
    assert result.utilization == pytest.approx((1.75 + 3.0) / result.end_s)


def test_no_state_leaks_between_runs() -> None:
    """The same arguments give the same bytes, whatever ran before."""
    first = run(250, LIGHT, 0.001)
    run(300, HEAVY, 0.002)
    second = run(250, LIGHT, 0.001)
    assert first.latency_s.tobytes() == second.latency_s.tobytes()
    assert first.batch_sizes == second.batch_sizes


def test_overload_reports_the_capacity() -> None:
    """Far more requests than can be answered: the throughput is the capacity and every instance is busy."""
    result = run(5000, LIGHT, 0.0)
    assert result.throughput_rps == pytest.approx(8 / LIGHT[7], rel=0.02)
    assert result.utilization == pytest.approx(1.0, abs=0.01)
    assert result.mean_batch_size == pytest.approx(8.0, abs=0.1)


@pytest.mark.parametrize(
    ("arrivals_s", "service_s", "batching", "instances"),
    [
        (np.array([]), [1.0], DynamicBatching(max_batch_size=1), 1),
        (np.array([1.0, 0.5]), [1.0], DynamicBatching(max_batch_size=1), 1),
        (np.array([-1.0]), [1.0], DynamicBatching(max_batch_size=1), 1),
        (np.array([0.0]), [1.0], DynamicBatching(max_batch_size=2), 1),
        (np.array([0.0]), [0.0], DynamicBatching(max_batch_size=1), 1),
        (np.array([0.0]), [1.0], DynamicBatching(max_batch_size=1), 0),
        (np.array([0.0]), [1.0, 1.0], DynamicBatching(max_batch_size=2, preferred_batch_sizes=(3,)), 1),
    ],
)
def test_nonsense_is_refused(
    arrivals_s: np.ndarray, service_s: list[float], batching: DynamicBatching, instances: int
) -> None:
    """A caller's mistake is an error, not a number."""
    with pytest.raises(ValueError, match=r"\w"):
        simulate(arrivals_s, service_s, batching, instances)
