"""The fast loop for caches that never run out against the engine that knows everything."""

from dataclasses import replace

import numpy as np
import pytest

from infc.ir.candidate import ContinuousBatching
from infc.ir.step_time import StepTimeModel
from infc.sim.continuous_batching.engine import Engine
from infc.sim.continuous_batching.roomy import Served, is_plain, serve

STEPS = StepTimeModel(
    token_knots=(1, 256, 8192),
    token_s=(0.005, 0.006, 0.2),
    sequence_s=2e-5,
    context_s=4e-8,
    pair_s=1e-10,
    fixed_s=0.003,
)
BLOCK_TOKENS = 16
WINDOWED = replace(STEPS, window_tokens=128, window_s=3e-8)
Rows = list[tuple[float, int, int, int]]


def draw(seed: int) -> tuple[Rows, ContinuousBatching]:
    """Requests that come alone, in bursts or together, short or long; and settings for them."""
    rng = np.random.default_rng(seed)
    arrivals_s = np.cumsum(rng.exponential(1 / rng.choice([1.0, 10.0, 40.0]), 150))
    if seed % 3 == 0:
        arrivals_s = np.round(arrivals_s, 1)
    if seed % 10 == 0:
        arrivals_s *= 0.0
    prompts = rng.integers(1, 3000 if seed % 2 else 200, 150)
    outputs = rng.integers(1, 300 if seed % 3 else 4, 150)
    batching = ContinuousBatching(
        max_num_seqs=int(rng.choice([4, 64, 256])), max_num_batched_tokens=int(rng.choice([256, 512, 2048]))
    )
    prefixes = np.minimum(prompts, 300 if seed % 4 == 1 else 0)
    rows = zip(arrivals_s.tolist(), prompts.tolist(), outputs.tolist(), prefixes.tolist(), strict=True)
    return list(rows), batching


def by_engine(
    rows: Rows, batching: ContinuousBatching, kv_blocks: int, *, is_async: bool, steps: StepTimeModel = STEPS
) -> Engine:
    """The engine after it has served the requests."""
    engine = Engine(steps, batching, kv_blocks, BLOCK_TOKENS, has_async_scheduling=is_async)
    for request in rows:
        engine.add(*request)
    engine.run()
    return engine


@pytest.mark.parametrize("is_async", [False, True])
def test_equals_the_engine_bit_by_bit(is_async: bool) -> None:
    """Every time, gap and sum is the very same number, whatever the traffic and the limits."""
    for seed in range(20):
        rows, batching = draw(seed)
        steps = WINDOWED if seed % 5 == 2 else STEPS
        blocks = 100_000 if seed % 2 else 20_000
        served = serve(rows, steps, batching, blocks, BLOCK_TOKENS, has_async_scheduling=is_async)
        assert served is not None
        engine = by_engine(rows, batching, blocks, is_async=is_async, steps=steps)
        for name in Served.__dataclass_fields__:
            assert getattr(served, name) == getattr(engine, name), (seed, name)


def test_a_shared_prefix_is_evicted_as_by_the_engine() -> None:
    """Whatever the size of the cache: where there is a result, the same tokens were found in it."""
    evicted = 0
    for seed in (1, 5, 13, 17, 25, 29):
        rows, batching = draw(seed)
        rows = [
            (at_s * 3, min(prompt, 700), output, prefix if number // 10 % 2 else 0)
            for number, (at_s, prompt, output, prefix) in enumerate(rows)
        ]
        rows = [(at_s, prompt, output, min(prefix, prompt)) for at_s, prompt, output, prefix in rows]
        for blocks in (200, 300, 400, 600, 900, 1500, 2500):
            served = serve(rows, STEPS, batching, blocks, BLOCK_TOKENS, has_async_scheduling=True)
            if served is None:
                continue
            engine = by_engine(rows, batching, blocks, is_async=True)
            assert (served.cached_tokens, served.done_s) == (engine.cached_tokens, engine.done_s), (seed, blocks)
            roomy = serve(rows, STEPS, batching, 100_000, BLOCK_TOKENS, has_async_scheduling=True)
            evicted += roomy is not None and served.cached_tokens < roomy.cached_tokens
    assert evicted


@pytest.mark.parametrize("is_async", [False, True])
def test_gives_up_where_the_cache_binds(is_async: bool) -> None:
    """No result where a sequence was preempted or waited for blocks; the same one wherever there is a result."""
    gave_up = 0
    for seed in range(20):
        rows, batching = draw(seed)
        blocks = 600
        served = serve(rows, STEPS, batching, blocks, BLOCK_TOKENS, has_async_scheduling=is_async)
        engine = by_engine(rows, batching, blocks, is_async=is_async)
        if served is None:
            gave_up += 1
            continue
        assert engine.preemptions == 0
        assert served.done_s == engine.done_s
    assert 0 < gave_up < 20


def test_knows_what_it_does_not_do() -> None:
    """Capped prefills and whole prompts are left to the engine."""
    batching = ContinuousBatching(max_num_seqs=8, max_num_batched_tokens=512)
    assert is_plain(batching)
    assert not is_plain(replace(batching, long_prefill_tokens=64))
    assert not is_plain(replace(batching, has_chunked_prefill=False))
