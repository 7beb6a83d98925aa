"""Averages of a replica: against the simulator at light load, and as bounds."""

from dataclasses import replace

import numpy as np
import pytest

from infc.ir.candidate import ContinuousBatching
from infc.ir.step_time import StepTimeModel
from infc.plan.llm.assess import spread
from infc.plan.llm.steady import alone_s, mean_work, steady_states
from infc.sim.continuous_batching import TokenRequests, simulate

STEPS = StepTimeModel(
    token_knots=(1, 256, 2048),
    token_s=(0.008, 0.010, 0.06),
    sequence_s=2e-5,
    context_s=6e-8,
    pair_s=1e-9,
    fixed_s=0.001,
    request_s=0.02,
    decode_spread=1.2,
    prefill_spread=1.5,
)
BATCHING = ContinuousBatching(max_num_seqs=256, max_num_batched_tokens=2048)


def poisson(rate_rps: float, count: int, prompt: int, output: int) -> TokenRequests:
    """Equal requests."""
    gaps = np.random.default_rng(3).standard_exponential(count) / rate_rps
    return TokenRequests(
        arrivals_s=np.cumsum(gaps),
        prompt_tokens=np.full(count, prompt),
        output_tokens=np.full(count, output),
        prefix_tokens=np.zeros(count, dtype=np.int64),
    )


def test_a_request_alone_takes_what_the_simulator_says() -> None:
    """TTFT and TPOT without any other request equal a simulation with gaps longer than a request."""
    requests = replace(poisson(1.0, 5, 700, 30), arrivals_s=np.arange(5) * 100.0)
    ttft_s, tpot_s = alone_s(requests, STEPS, 2048)
    result = simulate(requests, STEPS, BATCHING, 100_000)
    assert ttft_s == pytest.approx(result.ttft_s, rel=1e-9)
    assert tpot_s == pytest.approx(result.tpot_s, rel=0.01)


@pytest.mark.parametrize("rate_rps", [2.0, 6.0, 10.0])
def test_the_mean_step_is_what_the_simulator_shows(rate_rps: float) -> None:
    """At a steady load the mean gap between tokens lies close to the mean step, and not below it by more than noise."""
    requests = poisson(rate_rps, 1500, 500, 100)
    states = steady_states(mean_work(requests, None), STEPS)
    step_s = float(np.interp(rate_rps, states.rate_rps, states.step_s))
    result = simulate(requests, STEPS, BATCHING, 400_000)
    assert result.gaps.mean_s == pytest.approx(step_s, rel=0.2)
    assert float(np.quantile(result.known_tpot_s, 0.95)) >= step_s


def test_no_load_above_the_largest_rate_is_sustained() -> None:
    """Above the rate of full batches the queue grows with the run."""
    requests = poisson(1.0, 1200, 500, 100)
    states = steady_states(mean_work(requests, None), STEPS)
    most = states.largest_rate_rps(sequences=64)
    crowded = replace(requests, arrivals_s=requests.arrivals_s / (1.3 * most))
    result = simulate(crowded, STEPS, replace(BATCHING, max_num_seqs=64), 400_000)
    assert result.ttft_s[-100:].mean() > 3 * result.ttft_s[:100].mean()


def test_a_window_bounds_what_decoding_reads() -> None:
    """Tokens beyond the window are not read."""
    requests = poisson(1.0, 10, 1000, 50)
    work = mean_work(requests, 128)
    assert work.windowed_tokens == pytest.approx(49 * 128)
    assert work.context_tokens > work.windowed_tokens


def test_the_ends_of_the_interval_scale_decoding_and_prefilling_by_their_own_spread() -> None:
    """Few tokens follow the spread of decoding, many that of prefilling."""
    slow, fast = spread(STEPS, 1.0), spread(STEPS, -1.0)
    assert slow.token_s[0] == pytest.approx(STEPS.token_s[0] * 1.2)
    assert slow.token_s[-1] == pytest.approx(STEPS.token_s[-1] * 1.5)
    assert fast.pair_s == pytest.approx(STEPS.pair_s / 1.5)
    assert spread(STEPS, 0.0) is STEPS
