"""A server whose pace varies, in place of one whose pace is even."""

from dataclasses import replace

import numpy as np
import pytest

from infc.ir.arrival import PoissonArrival
from infc.ir.candidate import ContinuousBatching
from infc.ir.problem import AxisDistribution, TokenTraffic
from infc.ir.step_time import StepTimeModel
from infc.plan.llm.load import Setup, TokenLoader
from infc.sim.continuous_batching import TokenRequests, simulate
from infc.sim.continuous_batching.pace import PACES, paced, paces
from infc.sim.token_traffic import draw_token_requests
from tests.plan.llm.problems import problem

STEPS = StepTimeModel(
    token_knots=(1, 1001), token_s=(0.0, 0.3), sequence_s=1e-3, context_s=0.0, pair_s=0.0, fixed_s=0.01
)
BATCHING = ContinuousBatching(max_num_seqs=16, max_num_batched_tokens=2048)


def drawn(count: int) -> TokenRequests:
    """Requests of one length at 5/s."""
    fixed = [AxisDistribution(percentiles={}, maximum=tokens) for tokens in (64, 32)]
    traffic = TokenTraffic(prompt=fixed[0], output=fixed[1], shared_prefix=0.0)
    return draw_token_requests(PoissonArrival(), traffic, 5.0, count, 1)


def test_each_pace_is_that_of_a_server_that_takes_so_much_longer() -> None:
    """The requests of one pace see what they would see on a server whose every step takes that factor."""
    requests = drawn(100)
    own, each = paced(requests, 1.4)
    [factor] = set(each)
    slow = replace(STEPS, token_s=(0.0, 0.3 * factor), sequence_s=1e-3 * factor, fixed_s=0.01 * factor)
    expected = simulate(requests, slow, BATCHING, 100_000)
    found = simulate(own, STEPS, BATCHING, 100_000)
    assert each * found.ttft_s == pytest.approx(expected.ttft_s, rel=1e-6)
    assert each * found.tpot_s == pytest.approx(expected.tpot_s, rel=1e-6)


def test_paces_lie_around_one_and_nine_of_ten_within_the_spread() -> None:
    """All come equally often; without a spread there is one."""
    factors = paces(1.3)
    assert np.mean(np.log(factors)) == pytest.approx(0.0, abs=1e-9)
    assert max(factors) < 1.3 < 1.3 * max(paces(1.2)) / 1.2 * 1.1
    assert set(paces(1.0)) == {1.0}
    _, each = paced(drawn(100 * PACES), 1.3)
    assert sorted(set(each)) == sorted(factors)


def test_a_plan_counts_on_the_slow_times() -> None:
    """A pace that varies leaves the median where it is and moves the tail."""
    loader = TokenLoader(problem(), 3000, 1)
    even = Setup(steps=STEPS, batching=BATCHING, kv_cache_tokens=2**20)
    uneven = replace(even, steps=replace(STEPS, pace_spread=1.25))
    plain, varied = loader.run(2.0, even), loader.run(2.0, uneven)
    assert varied.percentile_s("tpot", 50.0) == pytest.approx(plain.percentile_s("tpot", 50.0), rel=0.05)
    assert varied.percentile_s("tpot", 99.0) > 1.05 * plain.percentile_s("tpot", 99.0)
