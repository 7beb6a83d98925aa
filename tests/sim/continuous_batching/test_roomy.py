"""The fast loop for caches that never run out against the engine that knows everything."""

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
Columns = tuple[list[float], list[int], list[int]]


def draw(seed: int) -> tuple[Columns, ContinuousBatching]:
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
    return (arrivals_s.tolist(), prompts.tolist(), outputs.tolist()), batching


def by_engine(columns: Columns, batching: ContinuousBatching, kv_blocks: int, *, is_async: bool) -> Engine:
    """The engine after it has served the requests."""
    engine = Engine(STEPS, batching, kv_blocks, BLOCK_TOKENS, has_async_scheduling=is_async)
    for at_s, prompt, output in zip(*columns, strict=True):
        engine.add(at_s, prompt, output, 0)
    engine.run()
    return engine


@pytest.mark.parametrize("is_async", [False, True])
def test_equals_the_engine_bit_by_bit(is_async: bool) -> None:
    """Every time, gap and sum is the very same number, whatever the traffic and the limits."""
    for seed in range(20):
        columns, batching = draw(seed)
        served = serve(*columns, STEPS, batching, 100_000, BLOCK_TOKENS, has_async_scheduling=is_async)
        assert served is not None
        engine = by_engine(columns, batching, 100_000, is_async=is_async)
        for name in Served.__dataclass_fields__:
            assert getattr(served, name) == getattr(engine, name), (seed, name)


@pytest.mark.parametrize("is_async", [False, True])
def test_gives_up_where_the_cache_binds(is_async: bool) -> None:
    """No result where a sequence was preempted or waited for blocks; the same one wherever there is a result."""
    gave_up = 0
    for seed in range(20):
        columns, batching = draw(seed)
        blocks = 600
        served = serve(*columns, STEPS, batching, blocks, BLOCK_TOKENS, has_async_scheduling=is_async)
        engine = by_engine(columns, batching, blocks, is_async=is_async)
        if served is None:
            gave_up += 1
            continue
        assert engine.preemptions == 0
        assert served.done_s == engine.done_s
    assert 0 < gave_up < 20


def test_knows_what_it_does_not_do() -> None:
    """Shared prefixes that are cached, capped prefills and whole prompts are left to the engine."""
    batching = ContinuousBatching(max_num_seqs=8, max_num_batched_tokens=512)
    assert is_plain(STEPS, batching, 0)
    assert not is_plain(STEPS, batching, 64)
