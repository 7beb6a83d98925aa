"""The engine against the plain implementation of the same scheduler."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from infc.ir.candidate import ContinuousBatching
from infc.ir.step_time import StepTimeModel
from infc.sim.continuous_batching import TokenRequests, TokenResult, simulate
from tests.sim.continuous_batching.reference import Outcome, serve

BLOCK = 4


@st.composite
def step_models(draw: st.DrawFn) -> StepTimeModel:
    """Models with every term, among them ones without growth and with an attention window."""
    seconds = st.floats(0.0, 0.01)
    return StepTimeModel(
        token_knots=(1, 8, 40),
        token_s=(0.01, 0.01 + draw(seconds), 0.03 + draw(seconds)),
        sequence_s=draw(seconds) / 10,
        context_s=draw(st.sampled_from([0.0, 1e-5, 3e-4])),
        pair_s=draw(st.sampled_from([0.0, 1e-6])),
        fixed_s=draw(seconds),
        request_s=draw(st.sampled_from([0.0, 0.003])),
        window_tokens=draw(st.sampled_from([None, 7, 20])),
        window_s=1e-4,
    )


@st.composite
def cases(draw: st.DrawFn) -> tuple[TokenRequests, StepTimeModel, ContinuousBatching, int, bool]:
    """A few requests through a small server, often short of blocks, places or budget."""
    seed, count = draw(st.integers(0, 2**32)), draw(st.integers(1, 25))
    random = np.random.default_rng(seed)
    longest_prompt, longest_output = draw(st.sampled_from([(10, 30), (60, 12), (30, 60)]))
    prompts = random.integers(1, longest_prompt, count, endpoint=True)
    outputs = random.integers(1, longest_output, count, endpoint=True)
    common, is_roomy = draw(st.sampled_from([(0, False), (0, False), (9, True), (24, True), (10, False)]))
    has_cap = draw(st.booleans())
    if common and not is_roomy:
        # Two copies of a block of the prefix, of which one is evicted, are not followed: none come up here.
        prompts, has_cap = prompts + common + BLOCK, False
    longest = int((prompts + outputs).max())
    is_chunked = draw(st.booleans())
    budget = draw(st.integers(8, 40)) if is_chunked else longest + draw(st.integers(0, 20))
    batching = ContinuousBatching(
        max_num_seqs=draw(st.integers(1, min(12, budget))),
        max_num_batched_tokens=budget,
        has_prefix_caching=draw(st.booleans()),
        has_chunked_prefill=is_chunked,
        long_prefill_tokens=draw(st.sampled_from([5, 16])) if has_cap else 0,
    )
    requests = TokenRequests(
        arrivals_s=np.cumsum(random.exponential(draw(st.sampled_from([0.01, 0.1, 1.0])), count)),
        prompt_tokens=prompts,
        output_tokens=outputs,
        prefix_tokens=np.minimum(prompts, common) if not is_roomy or draw(st.booleans()) else prompts // 2,
    )
    kv_cache_tokens = longest + BLOCK + (10_000 if is_roomy else draw(st.integers(0, 200)))
    return requests, draw(step_models()), batching, kv_cache_tokens, draw(st.booleans())


@settings(max_examples=150, deadline=None)
@given(cases())
def test_stretches_equal_single_steps(
    case: tuple[TokenRequests, StepTimeModel, ContinuousBatching, int, bool],
) -> None:
    """Same times of every request, same gaps, preemptions, cache hits and steps, under any shortage and both modes."""
    requests, steps, batching, kv_cache_tokens, is_async = case
    fast = simulate(requests, steps, batching, kv_cache_tokens, block_tokens=BLOCK, has_async_scheduling=is_async)
    slow = serve(requests, steps, batching, kv_cache_tokens, BLOCK, is_async)
    assert_equal(fast, slow, requests, steps, batching)


def assert_equal(
    fast: TokenResult, slow: Outcome, requests: TokenRequests, steps: StepTimeModel, batching: ContinuousBatching
) -> None:
    """All that both report."""
    arrivals_s = requests.arrivals_s
    np.testing.assert_allclose(fast.ttft_s, np.asarray(slow.first_s) - arrivals_s, atol=1e-7)
    np.testing.assert_allclose(fast.e2e_s, np.asarray(slow.done_s) - arrivals_s, atol=1e-7)
    np.testing.assert_allclose(fast.queue_s, np.asarray(slow.start_s) - arrivals_s - steps.request_s, atol=1e-7)
    assert fast.preemptions == slow.preemptions
    assert fast.cached_tokens == slow.cached
    assert int(fast.gaps.counts.sum()) == len(slow.gaps)
    np.testing.assert_allclose(fast.gaps.mean_s, np.mean(slow.gaps) if slow.gaps else 0.0, atol=1e-7)
    sequences = [running for _, running in slow.steps]
    np.testing.assert_allclose(fast.running_sequences, slow.sequence_seconds / slow.busy_s)
    np.testing.assert_allclose(fast.utilization * fast.end_s, slow.busy_s, rtol=1e-6)
    assert max(tokens for tokens, _ in slow.steps) <= batching.max_num_batched_tokens
    assert max(sequences) <= batching.max_num_seqs
    assert fast.kv_cache_peak <= 1.0
