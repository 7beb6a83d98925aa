"""Requests that differ: laws that hold for any, known effects of the real server, equality with the fast simulation."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from infc.ir.arrival import PoissonArrival
from infc.ir.candidate import DynamicBatching
from infc.sim.arrivals import arrival_times_s
from infc.sim.dynamic_batching import simulate
from infc.sim.ensemble import simulate_ensemble
from infc.sim.model_requests import is_plain, simulate_requests
from infc.sim.overhead import ServerOverhead
from infc.sim.queue_policy import NO_RULES, QueuePolicy, QueueRules
from infc.sim.requests import Requests, drawn, padded
from infc.sim.service_times import ServiceTable
from infc.sim.step import InstanceGroup, RequestsResult, Step

HEAVY = ServiceTable.of_batch([0.0125 + 0.001 * size for size in range(1, 9)])
ONE = (InstanceGroup(service=HEAVY),)
EIGHT = DynamicBatching(max_batch_size=8)
TWO_LEVELS = QueueRules(levels=2, default_level=2)


def poisson(rate_rps: float, count: int = 8000, seed: int = 1) -> np.ndarray:
    """Poisson arrivals."""
    return arrival_times_s(PoissonArrival(), rate_rps, count, seed)


def queued_share(result: RequestsResult, arrivals_s: np.ndarray) -> tuple[float, float]:
    """Mean number in the system by Little's law, and by counting it over time."""
    ends_s = arrivals_s + result.latency_s
    events = np.concatenate((arrivals_s, ends_s))
    steps = np.concatenate((np.ones(len(arrivals_s)), -np.ones(len(ends_s))))
    order = np.argsort(events, kind="stable")
    inside = np.cumsum(steps[order])[:-1]
    counted = float((inside * np.diff(events[order])).sum() / result.end_s)
    return len(arrivals_s) / result.end_s * float(result.latency_s.mean()), counted


@st.composite
def rules(draw: st.DrawFn) -> QueueRules:
    """Any levels and policies."""
    levels = draw(st.integers(0, 3))
    policy = st.builds(
        QueuePolicy,
        timeout_s=st.sampled_from([0.0, 0.5, 2.0]),
        timeout_action=st.sampled_from(["reject", "delay"]),
        allows_own_timeout=st.booleans(),
        max_queue_size=st.sampled_from([0, 1, 4]),
    )
    by_level = draw(st.dictionaries(st.integers(1, levels), policy)) if levels else {}
    return QueueRules(
        policy=draw(policy),
        levels=levels,
        default_level=draw(st.integers(1, levels)) if levels else 0,
        by_level=by_level,
    )


@st.composite
def requests(draw: st.DrawFn) -> Requests:
    """Up to 40 requests of up to four rows, three sizes and three priorities."""
    gaps = draw(st.lists(st.floats(0.001, 2.0), min_size=1, max_size=40))
    count = len(gaps)

    def column(low: int, high: int) -> np.ndarray:
        return np.array(draw(st.lists(st.integers(low, high), min_size=count, max_size=count)), dtype=np.int64)

    return Requests(
        arrivals_s=np.cumsum(np.array(gaps)),
        rows=column(1, 4),
        axis_sizes=column(1, 3) * 10,
        priorities=column(0, 4),
        timeouts_s=column(0, 3) * 0.25,
    )


@st.composite
def batchings(draw: st.DrawFn) -> DynamicBatching:
    """Any dynamic batcher that takes requests of four rows."""
    maximum = draw(st.integers(4, 7))
    return DynamicBatching(
        max_batch_size=maximum,
        max_queue_delay_s=draw(st.sampled_from([0.0, 0.25, 1.0])),
        preferred_batch_sizes=tuple(draw(st.sets(st.integers(1, maximum), max_size=3))),
        has_prefetch=draw(st.booleans()),
    )


TABLE = ServiceTable(
    axis_sizes=(10, 30),
    seconds=(tuple(0.5 + 0.1 * rows for rows in range(1, 8)), tuple(0.8 + 0.2 * rows for rows in range(1, 8))),
)


@given(requests(), batchings(), rules(), st.integers(1, 3), st.booleans())
@settings(max_examples=120, deadline=None)
def test_every_request_is_served_once_or_rejected(
    asked: Requests, batching: DynamicBatching, queue_rules: QueueRules, instances: int, is_dynamic: bool
) -> None:
    """Nothing is lost: rows executed are those of the requests served, batches fit, nothing is early or negative."""
    groups = (InstanceGroup(service=TABLE, count=instances),)
    result = simulate_requests(asked, groups, batching, rules=queue_rules, has_dynamic_shapes=is_dynamic)
    step = result.steps[0]
    assert asked.rows is not None
    assert sum(rows * count for rows, count in step.batch_sizes.items()) == int(asked.rows[~result.is_rejected].sum())
    assert max(step.batch_sizes, default=0) <= batching.max_batch_size
    assert np.array_equal(np.isnan(step.queue_s), result.is_rejected)
    assert np.all(result.latency_s >= 0.0)
    assert np.all(result.served_latency_s >= result.queue_s)
    assert step.utilization <= 1.0 + 1e-9
    by_law, counted = queued_share(result, asked.arrivals_s)
    assert by_law == pytest.approx(counted, rel=1e-9, abs=1e-9)


@given(
    requests(), batchings(), st.sampled_from([0.0, 0.25]), st.sampled_from([0.0, 0.3]), st.integers(1, 3), st.booleans()
)
@settings(max_examples=120, deadline=None)
def test_equal_requests_are_served_as_in_the_fast_simulation(
    asked: Requests, batching: DynamicBatching, idle_s: float, dispatch_s: float, instances: int, is_dynamic: bool
) -> None:
    """Event by event and fast: the same latencies and batches, wherever both apply."""
    overhead = ServerOverhead(dispatch_s=dispatch_s, idle_s=idle_s, response_s=0.01, transport_s=0.125)
    curve = TABLE.seconds[0]
    fast = simulate(asked.arrivals_s, curve, batching, instances, has_dynamic_shapes=is_dynamic, overhead=overhead)
    group = InstanceGroup(service=ServiceTable.of_batch(curve), count=instances)
    step = Step(name="model", groups=(group,), batching=batching, has_dynamic_shapes=is_dynamic, overhead=overhead)
    slow = simulate_ensemble(Requests(arrivals_s=asked.arrivals_s), [step])
    assert slow.latency_s == pytest.approx(fast.latency_s)
    assert slow.steps[0].batch_sizes == fast.batch_sizes
    assert slow.steps[0].utilization == pytest.approx(fast.utilization)


def test_plain_requests_take_the_fast_simulation() -> None:
    """One row, one curve, no rules: the same result as `simulate`."""
    asked = Requests(arrivals_s=poisson(280))
    assert is_plain(asked, ONE, NO_RULES)
    fast = simulate(asked.arrivals_s, HEAVY.seconds[0], EIGHT, 1)
    assert np.array_equal(simulate_requests(asked, ONE, EIGHT).latency_s, fast.latency_s)


def test_without_a_batcher_requests_go_one_by_one_to_the_instance_that_is_free_for_longest() -> None:
    """Mean wait of M/D/1 (Pollaczek-Khinchine), from the event simulation."""
    load = 0.7
    step = Step(name="model", groups=(InstanceGroup(service=ServiceTable.of_batch([1.0])),))
    result = simulate_ensemble(Requests(arrivals_s=poisson(load, 60_000)), [step])
    assert float(result.queue_s.mean()) == pytest.approx(load / (2.0 * (1.0 - load)), rel=0.05)


def test_a_mix_of_sizes_is_an_mg1_queue() -> None:
    """Without batching, service times of two sizes wait as Pollaczek-Khinchine says for their second moment."""
    asked = Requests(arrivals_s=poisson(0.5, 60_000), axis_sizes=drawn({1: 0.5, 3: 0.5}, 60_000, seed=3))
    table = ServiceTable(axis_sizes=(1, 3), seconds=((0.5,), (1.5,)))
    step = Step(name="model", groups=(InstanceGroup(service=table),))
    expected_s = 0.5 * (0.5 * 0.25 + 0.5 * 2.25) / (2.0 * (1.0 - 0.5))
    assert float(simulate_ensemble(asked, [step]).queue_s.mean()) == pytest.approx(expected_s, rel=0.05)


def test_high_priority_waits_less_and_the_total_work_is_the_same() -> None:
    """Nobody of level 1 is overtaken by level 2; a level 2 request is starved while level 1 fills every batch."""
    arrivals_s = poisson(330)
    asked = Requests(arrivals_s=arrivals_s, priorities=drawn({1: 0.2, 2: 0.8}, len(arrivals_s), seed=2))
    result = simulate_requests(asked, ONE, EIGHT, rules=TWO_LEVELS)
    plain = simulate_requests(Requests(arrivals_s=arrivals_s), ONE, EIGHT)
    assert asked.priorities is not None
    high, low = (result.latency_s[asked.priorities == level] for level in (1, 2))
    assert np.percentile(high, 99) < 0.75 * np.percentile(low, 99)
    assert result.latency_s.mean() == pytest.approx(plain.latency_s.mean(), rel=0.1)
    one_low = np.where(np.arange(2000) == 100, 2, 1)
    flood = Requests(arrivals_s=poisson(600, 2000), priorities=one_low)
    flooded = simulate_requests(flood, ONE, EIGHT, rules=TWO_LEVELS)
    assert flooded.latency_s[100] == flooded.latency_s.max()


def test_a_timeout_bounds_the_wait_and_rejects_the_excess() -> None:
    """Nobody waits beyond the timeout; the instance stays busy, and what is over its capacity is rejected."""
    asked = Requests(arrivals_s=poisson(450))
    result = simulate_requests(asked, ONE, EIGHT, rules=QueueRules(policy=QueuePolicy(timeout_s=0.03)))
    assert float(result.queue_s.max()) <= 0.03
    assert float(result.is_rejected.mean()) == pytest.approx(0.13, abs=0.04)
    assert result.throughput_rps == pytest.approx(8 / HEAVY.at(8, 1), rel=0.04)
    assert result.goodput_rps(0.04) < result.throughput_rps


def test_delay_serves_everyone_and_lengthens_the_tail() -> None:
    """A timeout that delays rejects nobody: whoever is late is served after all who are not."""
    asked = Requests(arrivals_s=poisson(330))
    delayed = QueueRules(policy=QueuePolicy(timeout_s=0.02, timeout_action="delay"))
    result = simulate_requests(asked, ONE, EIGHT, rules=delayed)
    plain = simulate_requests(asked, ONE, EIGHT)
    assert not result.is_rejected.any()
    assert result.percentiles_s((99,))[0] > 1.2 * plain.percentiles_s((99,))[0]


def test_a_queue_limit_rejects_at_once() -> None:
    """Whoever finds the queue full gets an error without any wait."""
    asked = Requests(arrivals_s=poisson(450))
    result = simulate_requests(asked, ONE, EIGHT, rules=QueueRules(policy=QueuePolicy(max_queue_size=4)))
    assert result.is_rejected.any()
    assert np.all(result.latency_s[result.is_rejected] == 0.0)


def test_a_request_that_does_not_fit_is_not_overtaken() -> None:
    """Rows 3, 3, 1 with batches up to 4: the single row waits behind the second three."""
    asked = Requests(arrivals_s=np.array([0.0, 0.1, 0.2, 0.3]), rows=np.array([1, 3, 3, 1]))
    group = InstanceGroup(service=ServiceTable.of_batch([1.0] * 4))
    result = simulate_requests(asked, (group,), DynamicBatching(max_batch_size=4))
    assert dict(result.steps[0].batch_sizes) == {1: 1, 3: 1, 4: 1}
    assert result.queue_s.tolist() == pytest.approx([0.0, 0.9, 1.8, 1.7])


def test_shapes_that_differ_do_not_share_a_batch() -> None:
    """Sizes 1, 1, 2, 1 run as three batches; where shapes may differ they share one, as slow as the largest."""
    asked = Requests(arrivals_s=np.array([0.0, 0.1, 0.2, 0.3, 0.4]), axis_sizes=np.array([1, 1, 1, 2, 1]))
    table = ServiceTable(axis_sizes=(1, 2), seconds=((1.0,) * 4, (2.0,) * 4))
    batching = DynamicBatching(max_batch_size=4)
    split = simulate_requests(asked, (InstanceGroup(service=table),), batching, has_dynamic_shapes=True)
    shared = simulate_requests(asked, (InstanceGroup(service=table),), batching)
    assert split.queue_s.tolist() == pytest.approx([0.0, 0.9, 0.8, 1.7, 3.6])
    assert shared.queue_s.tolist() == pytest.approx([0.0, 0.9, 0.8, 0.7, 0.6])
    assert shared.latency_s[1] == pytest.approx(2.9)


def test_padding_to_buckets_brings_batches_back() -> None:
    """Many sizes hardly share batches; two buckets do."""
    count = 8000
    sizes = np.random.default_rng(5).integers(1, 128, count)
    table = ServiceTable(axis_sizes=(1, 128), seconds=((0.004,) * 8, (0.008,) * 8))
    group = (InstanceGroup(service=table),)
    arrivals_s = poisson(180, count)
    own = simulate_requests(Requests(arrivals_s=arrivals_s, axis_sizes=sizes), group, EIGHT, has_dynamic_shapes=True)
    in_two = Requests(arrivals_s=arrivals_s, axis_sizes=padded(sizes, [64, 128]))
    bucketed = simulate_requests(in_two, group, EIGHT, has_dynamic_shapes=True)
    assert own.steps[0].mean_batch_size < 1.1
    assert bucketed.steps[0].mean_batch_size > 1.3
    assert bucketed.percentiles_s((99,))[0] < own.percentiles_s((99,))[0]


def test_a_slower_group_takes_its_share() -> None:
    """Instances of both groups are taken by whoever is free for longest, so that some requests are slow at low load."""
    fast, slow = (InstanceGroup(service=ServiceTable.of_batch([seconds])) for seconds in (0.01, 0.03))
    asked = Requests(arrivals_s=np.arange(1, 11) * 1.0)
    result = simulate_requests(asked, (fast, slow), DynamicBatching(max_batch_size=1))
    assert sorted(np.round(result.latency_s, 6).tolist()) == [0.01] * 5 + [0.03] * 5


@pytest.mark.parametrize(
    "fields",
    [
        {"rows": np.array([0])},
        {"rows": np.array([1, 1])},
        {"axis_sizes": np.array([0])},
        {"priorities": np.array([-1])},
        {"timeouts_s": np.array([-1.0])},
        {"arrivals_s": np.array([])},
        {"arrivals_s": np.array([-1.0])},
    ],
)
def test_requests_that_no_client_sends_are_refused(fields: dict[str, np.ndarray]) -> None:
    """A caller's mistake is an error, not a number."""
    with pytest.raises(ValueError, match=r"\w"):
        Requests(**{"arrivals_s": np.array([0.0]), **fields})


@pytest.mark.parametrize(
    ("axis_sizes", "seconds"),
    [((1, 2), ((1.0,),)), ((2, 1), ((1.0,), (1.0,))), ((1,), ((),)), ((1,), ((0.0,),)), ((), ())],
)
def test_tables_that_are_no_function_are_refused(
    axis_sizes: tuple[int, ...], seconds: tuple[tuple[float, ...], ...]
) -> None:
    """Sizes ascend, each has its times, and times are positive."""
    with pytest.raises(ValueError, match=r"\w"):
        ServiceTable(axis_sizes=axis_sizes, seconds=seconds)


def test_a_request_larger_than_a_batch_is_refused() -> None:
    """As the real server refuses it."""
    with pytest.raises(ValueError, match="5 rows"):
        simulate_requests(
            Requests(arrivals_s=np.array([0.0]), rows=np.array([5])), ONE, DynamicBatching(max_batch_size=4)
        )


@pytest.mark.parametrize("instances", [1, 3])
@pytest.mark.parametrize("dispatch_s", [0.0, 0.3])
def test_one_by_one_is_the_same_in_both_simulations(instances: int, dispatch_s: float) -> None:
    """Without a batcher too, the fast and the event simulation agree, overheads included."""
    arrivals_s = poisson(0.7 * instances, 2000)
    overhead = ServerOverhead(dispatch_s=dispatch_s, idle_s=0.1, transport_s=0.2)
    fast = simulate(arrivals_s, [1.0], DynamicBatching(max_batch_size=1), instances, overhead=overhead)
    group = InstanceGroup(service=ServiceTable.of_batch([1.0]), count=instances)
    slow = simulate_ensemble(Requests(arrivals_s=arrivals_s), [Step(name="model", groups=(group,), overhead=overhead)])
    assert slow.latency_s == pytest.approx(fast.latency_s)
