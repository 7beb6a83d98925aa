"""Many stretches of requests at a time: the very batches of one request after the other."""

import numpy as np
import pytest

from infc.ir.arrival import Arrival, BurstyArrival, ConstantArrival, PoissonArrival
from infc.ir.candidate import DynamicBatching
from infc.sim.arrivals import arrival_times_s
from infc.sim.dynamic_batching import _simulate_textbook
from infc.sim.greedy import serve_greedily
from infc.sim.overhead import NO_OVERHEAD

SUBLINEAR = [0.6 + 0.4 * size for size in range(1, 9)]
SUPERLINEAR = [size**1.3 for size in range(1, 9)]


@pytest.mark.parametrize("arrival", [PoissonArrival(), BurstyArrival(cv=2.5), ConstantArrival()])
@pytest.mark.parametrize("service_s", [SUBLINEAR, SUPERLINEAR])
@pytest.mark.parametrize("rate_rps", [0.1, 0.5, 0.9, 1.0, 1.8])
@pytest.mark.parametrize("grain_s", [None, 0.5])
def test_stretches_change_nothing(
    arrival: Arrival, service_s: list[float], rate_rps: float, grain_s: float | None
) -> None:
    """Starts and sizes are equal to the last bit: rare requests, crowds, several at one instant, any service times."""
    arrivals_s = arrival_times_s(arrival, rate_rps, 3000, seed=3)
    if grain_s is not None:
        arrivals_s = np.round(arrivals_s / grain_s) * grain_s
    starts_s, sizes = serve_greedily(arrivals_s, service_s, 8)
    batching = DynamicBatching(max_batch_size=8)
    expected = _simulate_textbook(arrivals_s.tolist(), service_s, batching, 1, NO_OVERHEAD)
    assert (starts_s.tolist(), sizes.tolist()) == expected
