"""Ensembles: steps in sequence and side by side, rejection in the middle, cores that are shared."""

import numpy as np
import pytest

from infc.ir.arrival import PoissonArrival
from infc.ir.candidate import DynamicBatching
from infc.sim.arrivals import arrival_times_s
from infc.sim.capacity import capacity_rps
from infc.sim.dynamic_batching import simulate
from infc.sim.ensemble import simulate_ensemble
from infc.sim.host import HostCores
from infc.sim.queue_policy import QueuePolicy, QueueRules
from infc.sim.requests import Requests
from infc.sim.service_times import ServiceTable
from infc.sim.step import InstanceGroup, Step


def step(name: str, *service_s: float, count: int = 1, **fields: object) -> Step:
    """A step of equal instances; a batcher where there are times for several rows."""
    group = InstanceGroup(service=ServiceTable.of_batch(service_s), count=count)
    batching = DynamicBatching(max_batch_size=len(service_s)) if len(service_s) > 1 else None
    return Step(**{"name": name, "groups": (group,), "batching": batching, **fields})  # type: ignore[arg-type]


def poisson(rate_rps: float, count: int = 20_000, seed: int = 1) -> Requests:
    """Poisson arrivals."""
    return Requests(arrivals_s=arrival_times_s(PoissonArrival(), rate_rps, count, seed))


def test_a_step_with_instances_to_spare_only_shifts_what_follows() -> None:
    """Behind pre-processing that never queues, a model sees the same arrivals later."""
    asked = poisson(250, 4000)
    curve = [0.005, 0.006, 0.007, 0.008]
    result = simulate_ensemble(asked, [step("pre", 0.002, count=100), step("model", *curve, after=("pre",))])
    alone = simulate(asked.arrivals_s + 0.002, curve, DynamicBatching(max_batch_size=4), 1)
    assert result.latency_s == pytest.approx(alone.latency_s + 0.002)
    assert result.steps[1].batch_sizes == alone.batch_sizes


def test_tandem_queues_of_equal_times_wait_only_in_the_first() -> None:
    """Two single instances of the same time: whoever left the first finds the second free."""
    result = simulate_ensemble(poisson(0.8, 5000), [step("a", 1.0), step("b", 1.0, after=("a",))])
    assert np.nanmax(result.steps[1].queue_s) == pytest.approx(0.0, abs=1e-9)


def test_a_step_after_two_waits_for_the_later() -> None:
    """Steps that take the request itself run side by side; one after both starts with the slower one's answer."""
    steps = [step("a", 1.0), step("b", 3.0), step("c", 0.5, after=("a", "b"))]
    result = simulate_ensemble(Requests(arrivals_s=np.array([0.0, 10.0])), steps)
    assert result.latency_s.tolist() == [3.5, 3.5]


def test_an_answer_needs_every_last_step() -> None:
    """Two outputs of one ensemble: the later one ends it."""
    result = simulate_ensemble(
        Requests(arrivals_s=np.array([0.0])),
        [step("a", 1.0), step("b", 1.0, after=("a",)), step("c", 4.0, after=("a",))],
    )
    assert result.latency_s.tolist() == [5.0]


def test_a_rejection_in_the_middle_ends_the_request() -> None:
    """What the second step rejects never reaches the third, and has its first step's time in its latency."""
    full = QueueRules(policy=QueuePolicy(max_queue_size=1))
    steps = [
        step("pre", 0.001, count=10),
        step("model", 0.1, 0.1, after=("pre",), rules=full),
        step("post", 0.001, count=10, after=("model",)),
    ]
    asked = poisson(50, 500)
    result = simulate_ensemble(asked, steps)
    assert result.is_rejected.any()
    assert sum(result.steps[0].batch_sizes.values()) == 500
    assert sum(result.steps[2].batch_sizes.values()) == int((~result.is_rejected).sum())
    assert result.latency_s[result.is_rejected] == pytest.approx(0.001)


def test_shared_cores_are_a_processor_sharing_queue() -> None:
    """Many instances on one core: mean latency is service / (1 - load) whatever the service times (M/G/1-PS)."""
    load = 0.6
    result = simulate_ensemble(poisson(load, 20_000), [step("pre", 1.0, count=500, shares_host=True)], host_cores=1)
    assert float(result.latency_s.mean()) == pytest.approx(1.0 / (1.0 - load), rel=0.07)


def test_enough_cores_are_as_good_as_own_ones() -> None:
    """With a core for every instance nothing is shared."""
    steps = [step("pre", 0.01, count=3, shares_host=True), step("post", 0.005, shares_host=True, after=("pre",))]
    asked = poisson(150, 2000)
    shared, own = simulate_ensemble(asked, steps, host_cores=4), simulate_ensemble(asked, steps)
    assert shared.latency_s == pytest.approx(own.latency_s)


def test_cores_are_divided_equally() -> None:
    """Two jobs of one second on one core: the one that starts half a second earlier ends at 1.5, the other at 2."""
    host: HostCores[str] = HostCores(1)
    host.start(0.0, 1.0, "first")
    host.start(0.5, 1.0, "second")
    assert host.next_event_s() == pytest.approx(1.5)
    assert host.finish(1.5) == "first"
    assert host.next_event_s() == pytest.approx(2.0)
    with pytest.raises(ValueError, match="core"):
        HostCores(0)


def test_capacity_is_that_of_the_tightest_step_or_of_the_host() -> None:
    """Pre-processing of 10 ms on 2 instances allows 200/s, on one core 100/s; the model 500/s."""
    steps = [
        step("pre", 0.01, count=2, shares_host=True),
        step("model", 0.005, 0.006, 0.007, 0.008, after=("pre",)),
    ]
    asked = Requests(arrivals_s=np.array([0.0]))
    assert capacity_rps(asked, steps[1:]) == pytest.approx(500.0)
    assert capacity_rps(asked, steps) == pytest.approx(200.0)
    assert capacity_rps(asked, steps, host_cores=1) == pytest.approx(100.0)
    busy = simulate_ensemble(poisson(1000, 4000), steps, host_cores=1)
    assert busy.throughput_rps == pytest.approx(100.0, rel=0.02)


@pytest.mark.parametrize(
    "steps",
    [
        [],
        [step("a", 1.0), step("a", 1.0)],
        [step("a", 1.0, after=("b",)), step("b", 1.0)],
        [step("a", 1.0, count=0)],
        [step("a", 1.0, batching=DynamicBatching(max_batch_size=2))],
        [step("a", 1.0, 1.0, batching=DynamicBatching(max_batch_size=2, preferred_batch_sizes=(3,)))],
    ],
)
def test_ensembles_that_cannot_be_are_refused(steps: list[Step]) -> None:
    """No step, two of one name, a step after a later one, no instance, no time for a batch."""
    with pytest.raises(ValueError, match=r"\w"):
        simulate_ensemble(Requests(arrivals_s=np.array([0.0])), steps)
