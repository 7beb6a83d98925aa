"""What the simulator promises, whatever the scheduler's details."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from infc.ir.candidate import ContinuousBatching
from infc.ir.step_time import StepTimeModel
from infc.sim.continuous_batching import TokenRequests, TokenResult, simulate, simulate_closed, step_s

STEPS = StepTimeModel(
    token_knots=(1, 64, 512, 8192),
    token_s=(0.010, 0.011, 0.020, 0.180),
    sequence_s=1e-4,
    context_s=1e-7,
    pair_s=1e-9,
    fixed_s=0.001,
    request_s=0.004,
)
BATCHING = ContinuousBatching(max_num_seqs=32, max_num_batched_tokens=2048)
AMPLE = 1_000_000


def poisson(rate_rps: float, count: int, prompt: int = 300, output: int = 50, seed: int = 0) -> TokenRequests:
    """Requests of lengths around `prompt` and `output`."""
    random = np.random.default_rng(seed)
    return TokenRequests(
        arrivals_s=np.cumsum(random.exponential(1 / rate_rps, count)),
        prompt_tokens=random.integers(prompt // 2, 2 * prompt, count),
        output_tokens=random.integers(output // 2, 2 * output, count),
        prefix_tokens=np.zeros(count, dtype=np.int64),
    )


def alone(prompt: int, output: int) -> TokenRequests:
    """One request."""
    return TokenRequests(
        arrivals_s=np.array([1.0]),
        prompt_tokens=np.array([prompt]),
        output_tokens=np.array([output]),
        prefix_tokens=np.array([0]),
    )


def test_a_request_alone_follows_the_formula() -> None:
    """Its first token after the overhead and one prefill step, then one decode step each, on a growing context."""
    result = simulate(alone(700, 30), STEPS, BATCHING, AMPLE)
    assert result.ttft_s[0] == pytest.approx(STEPS.request_s + step_s(STEPS, prefill_tokens=700))
    decode_s = [step_s(STEPS, decode_seqs=1, context_tokens=700 + made) for made in range(29)]
    assert result.tpot_s[0] == pytest.approx(np.mean(decode_s))
    assert result.e2e_s[0] == pytest.approx(result.ttft_s[0] + sum(decode_s))
    assert result.queue_s[0] == pytest.approx(0.0)


def test_a_long_prompt_is_computed_in_chunks_of_the_budget() -> None:
    """Three steps for 5,000 tokens under a budget of 2,048; each attends to what is cached before it."""
    result = simulate(alone(5000, 1), STEPS, BATCHING, AMPLE)
    chunks = [
        step_s(STEPS, prefill_tokens=2048),
        step_s(STEPS, prefill_tokens=2048, prefill_context_tokens=2048),
        step_s(STEPS, prefill_tokens=904, prefill_context_tokens=4096),
    ]
    assert result.ttft_s[0] == pytest.approx(STEPS.request_s + sum(chunks))
    assert np.isnan(result.tpot_s[0])
    assert result.tpot_percentiles_s((50,)) == (0.0,)


def test_little_law_of_the_running_sequences() -> None:
    """Sequences in steps, summed over time, are the times from each request's first step to its last token."""
    requests = poisson(8.0, 1000)
    result = simulate(requests, STEPS, BATCHING, AMPLE)
    stay_s = float((result.e2e_s - result.queue_s - STEPS.request_s).sum())
    assert result.running_sequences * result.utilization * result.end_s == pytest.approx(stay_s)


def test_every_token_is_counted() -> None:
    """As many gaps as tokens after the first ones, and together as long as the requests' decoding."""
    requests = poisson(10.0, 1000)
    result = simulate(requests, STEPS, BATCHING, AMPLE)
    assert int(result.gaps.counts.sum()) == int((requests.output_tokens - 1).sum())
    decoding_s = float((result.e2e_s - result.ttft_s).sum())
    assert float(result.gaps.seconds @ result.gaps.counts) == pytest.approx(decoding_s)


def test_first_come_first_served() -> None:
    """Requests are admitted in order of arrival, and those of equal length finish in it."""
    requests = replace(poisson(30.0, 500), prompt_tokens=np.full(500, 200), output_tokens=np.full(500, 40))
    result = simulate(requests, STEPS, BATCHING, AMPLE)
    assert np.all(np.diff(requests.arrivals_s + result.queue_s) >= -1e-9)
    assert np.all(np.diff(requests.arrivals_s + result.e2e_s) >= -1e-9)


def test_same_arguments_same_result() -> None:
    """Nothing is left of one run for the next."""
    requests = poisson(12.0, 800)
    first, second = (simulate(requests, STEPS, BATCHING, 20_000) for _ in range(2))
    assert np.array_equal(first.e2e_s, second.e2e_s)
    assert first.preemptions == second.preemptions


def test_latency_grows_with_the_load() -> None:
    """At more requests per second, mean TTFT and TPOT are higher."""
    results = [simulate(poisson(rate, 1000), STEPS, BATCHING, AMPLE) for rate in (1.0, 4.0, 8.0, 12.0)]
    ttft = [float(result.ttft_s.mean()) for result in results]
    tpot = [float(result.tpot_s.mean()) for result in results]
    assert ttft == sorted(ttft)
    assert tpot == sorted(tpot)
    assert all(0.0 < result.utilization <= 1.0 for result in results)


def test_a_short_cache_preempts_and_still_serves_all() -> None:
    """With blocks for a few sequences, newer ones are preempted; a request pays for it, and each gets its tokens."""
    requests = poisson(12.0, 600, prompt=100, output=200)
    ample, short = (simulate(requests, STEPS, BATCHING, tokens) for tokens in (AMPLE, 2500))
    assert ample.preemptions == 0
    assert short.preemptions > 20
    assert short.kv_cache_peak <= 1.0
    assert short.kv_cache_utilization > 0.6
    assert short.e2e_s.mean() > ample.e2e_s.mean()
    assert int(short.gaps.counts.sum()) == int((requests.output_tokens - 1).sum())


def test_a_shared_prefix_is_computed_once() -> None:
    """After the first request the cached blocks of the prefix cost nothing, so that prompts are done sooner."""
    requests = poisson(6.0, 400, prompt=600)
    shared = replace(requests, prefix_tokens=np.minimum(requests.prompt_tokens, 250))
    plain, cached = (simulate(each, STEPS, BATCHING, AMPLE) for each in (requests, shared))
    off = simulate(shared, STEPS, replace(BATCHING, has_prefix_caching=False), AMPLE)
    assert cached.cached_tokens == 399 * (250 // 16 * 16)
    assert plain.cached_tokens == off.cached_tokens == 0
    assert cached.ttft_s.mean() < 0.9 * plain.ttft_s.mean()
    assert off.ttft_s.mean() == plain.ttft_s.mean()


def test_a_cap_on_long_prompts_protects_the_others() -> None:
    """With a limit to one prompt's share of a step, the gaps between tokens are shorter, long prompts slower."""
    random = np.random.default_rng(3)
    count = 300
    requests = TokenRequests(
        arrivals_s=np.cumsum(random.exponential(0.2, count)),
        prompt_tokens=np.where(random.random(count) < 0.1, 6000, 100),
        output_tokens=np.full(count, 60),
        prefix_tokens=np.zeros(count, dtype=np.int64),
    )
    free, capped = (simulate(requests, STEPS, replace(BATCHING, long_prefill_tokens=cap), AMPLE) for cap in (0, 256))
    assert capped.gaps.percentiles_s((99,))[0] < free.gaps.percentiles_s((99,))[0]
    is_long = requests.prompt_tokens == 6000
    assert capped.ttft_s[is_long].mean() > free.ttft_s[is_long].mean()


def test_async_scheduling_makes_newcomers_wait_a_step() -> None:
    """A request that comes while steps run is seen a step later; one that is alone waits no longer."""
    requests = poisson(6.0, 600)
    sync, ahead = (simulate(requests, STEPS, BATCHING, AMPLE, has_async_scheduling=each) for each in (False, True))
    assert 0.003 < ahead.ttft_s.mean() - sync.ttft_s.mean() < 0.03
    lone_sync, lone_ahead = (
        simulate(alone(100, 5), STEPS, BATCHING, AMPLE, has_async_scheduling=each) for each in (False, True)
    )
    assert lone_ahead.e2e_s[0] == pytest.approx(lone_sync.e2e_s[0])


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 40), st.integers(1, 60), st.integers(1, 400), st.integers(1, 60), st.booleans())
def test_a_closed_loop_keeps_its_concurrency(
    concurrency: int, count: int, prompt: int, output: int, is_async: bool
) -> None:
    """No more than so many at a time; all are served; the k-th is sent when one before it ends."""
    result = simulate_closed(concurrency, count, prompt, output, STEPS, BATCHING, AMPLE, has_async_scheduling=is_async)
    assert len(result.e2e_s) == count
    assert result.running_sequences <= min(concurrency, BATCHING.max_num_seqs) + 1e-9
    busy_s = float(result.e2e_s.sum())
    assert busy_s <= concurrency * result.end_s * (1 + 1e-9)
    assert np.all(result.ttft_s > 0)


def test_a_closed_loop_of_one_is_a_request_alone() -> None:
    """One at a time: every request takes what it takes alone."""
    result = simulate_closed(1, 10, 200, 20, STEPS, BATCHING, AMPLE)
    single = simulate(alone(200, 20), STEPS, BATCHING, AMPLE)
    assert result.ttft_s == pytest.approx(np.full(10, single.ttft_s[0]))
    assert result.e2e_s == pytest.approx(np.full(10, single.e2e_s[0]))


def test_warm_up_leaves_the_start_out() -> None:
    """All first prompts come at once; without them the mean TTFT is that of a single newcomer."""
    everything, later = (simulate_closed(32, 400, 500, 60, STEPS, BATCHING, AMPLE, warm_up=n) for n in (0, 100))
    assert len(later.ttft_s) == 300
    assert later.ttft_s.mean() < everything.ttft_s.mean()


def test_goodput_counts_what_meets_every_limit() -> None:
    """The share within all SLOs, times what is answered."""
    result = simulate(poisson(10.0, 1000), STEPS, BATCHING, AMPLE)
    p90_s = result.ttft_percentiles_s((90,))[0]
    assert result.good_share(ttft_s=p90_s) == pytest.approx(0.9, abs=0.002)
    assert result.goodput_rps(ttft_s=p90_s, tpot_s=1e-6) == 0.0
    assert result.goodput_rps() == result.throughput_rps


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"arrivals_s": np.zeros(0), "prompt_tokens": np.zeros(0, int)}, "no request"),
        ({"prompt_tokens": np.array([0])}, "at least one prompt token"),
        ({"prompt_tokens": np.array([99_000])}, "does not fit the KV cache"),
        ({"arrivals_s": np.array([-1.0])}, "ascend"),
        ({"prefix_tokens": np.array([101])}, "part of the prompt"),
        ({"output_tokens": np.array([5, 5])}, "as many"),
    ],
)
def test_impossible_requests_are_refused(change: dict[str, np.ndarray], message: str) -> None:
    """What the server could never serve is an error, not a number."""
    with pytest.raises(ValueError, match=message):
        simulate(replace(alone(100, 5), **change), STEPS, BATCHING, 10_000)


def test_impossible_settings_are_refused() -> None:
    """As vLLM: a budget under the number of sequences, or too small for a prompt that may not be cut."""
    with pytest.raises(ValueError, match="max_num_seqs"):
        simulate(alone(100, 5), STEPS, ContinuousBatching(max_num_seqs=64, max_num_batched_tokens=32), AMPLE)
    with pytest.raises(ValueError, match="chunked"):
        simulate(alone(3000, 5), STEPS, replace(BATCHING, has_chunked_prefill=False), AMPLE)
    with pytest.raises(ValueError, match="closed loop"):
        simulate_closed(0, 1, 1, 1, STEPS, BATCHING, AMPLE)


def test_a_windowed_model_stops_growing() -> None:
    """Beyond its window a sequence's context costs no more."""
    windowed = replace(STEPS, context_s=0.0, window_tokens=400, window_s=1e-5)
    result: TokenResult = simulate(alone(300, 500), windowed, BATCHING, AMPLE)
    assert result.gaps.seconds.max() == pytest.approx(step_s(windowed, decode_seqs=1, context_tokens=400))
