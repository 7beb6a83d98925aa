"""Speculative decoding in the simulator: what a draw yields, and that both loops agree on it."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from infc.ir.candidate import ContinuousBatching
from infc.sim.continuous_batching import Drafting, TokenRequests, TokenResult, expected_tokens, simulate
from infc.sim.continuous_batching.drafting import decode_steps, drafted_of
from infc.sim.continuous_batching.engine import Engine
from infc.sim.continuous_batching.roomy import Served, serve
from tests.sim.continuous_batching.test_roomy import BLOCK_TOKENS, STEPS, WINDOWED, draw

BATCHING = ContinuousBatching(max_num_seqs=64, max_num_batched_tokens=2048)


def requests(rate_rps: float = 5.0, count: int = 400) -> TokenRequests:
    """Independent requests of mixed lengths."""
    rng = np.random.default_rng(3)
    return TokenRequests(
        arrivals_s=np.cumsum(rng.exponential(1 / rate_rps, count)),
        prompt_tokens=rng.integers(10, 800, count),
        output_tokens=rng.integers(1, 200, count),
        prefix_tokens=np.zeros(count, dtype=np.int64),
    )


def served(drafting: Drafting | None, *, is_async: bool = True) -> TokenResult:
    """The requests on one replica."""
    return simulate(requests(), STEPS, BATCHING, 400_000, drafting=drafting, has_async_scheduling=is_async)


@pytest.mark.parametrize(("tokens", "acceptance"), [(1, 0.5), (3, 0.7), (5, 0.9), (4, 0.0), (2, 1.0)])
def test_a_step_yields_what_the_formula_says(tokens: int, acceptance: float) -> None:
    """Over many steps the mean is (1 - a^(k+1)) / (1 - a)."""
    outputs = np.full(200, 2001)
    steps = decode_steps(outputs, Drafting(tokens=tokens, acceptance=acceptance, seed=5))
    assert 2000 / steps.mean() == pytest.approx(expected_tokens(tokens, acceptance), rel=0.01)


def test_more_acceptance_never_takes_more_steps() -> None:
    """With one seed the same numbers decide, so that no request takes a step more."""
    outputs = np.random.default_rng(1).integers(1, 400, 500)
    before = decode_steps(outputs, Drafting(tokens=4, acceptance=0.0, seed=9))
    for acceptance in np.linspace(0.05, 1.0, 20):
        steps = decode_steps(outputs, Drafting(tokens=4, acceptance=float(acceptance), seed=9))
        assert (steps <= before).all()
        before = steps


def test_more_acceptance_never_makes_a_server_slower() -> None:
    """Mean times to the first and to the last token fall as more is accepted."""
    results = [served(Drafting(tokens=3, acceptance=a)) for a in (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)]
    for name in ("e2e_s", "ttft_s"):
        means = [float(getattr(result, name).mean()) for result in results]
        assert all(later <= earlier * 1.001 for earlier, later in pairwise(means)), (name, means)


def test_drafting_gains_or_costs_as_its_acceptance_says() -> None:
    """All accepted: nearly four tokens a step. None accepted: slower than without, for more tokens are checked."""
    plain = served(None)
    every, none = served(Drafting(tokens=3, acceptance=1.0)), served(Drafting(tokens=3, acceptance=0.0))
    assert np.nanmean(every.tpot_s) < np.nanmean(plain.tpot_s) / 2.5
    assert np.nanmean(none.tpot_s) > np.nanmean(plain.tpot_s)
    costly = served(Drafting(tokens=3, acceptance=0.6, steps=replace(STEPS, fixed_s=0.001)))
    assert np.nanmean(costly.tpot_s) > np.nanmean(served(Drafting(tokens=3, acceptance=0.6)).tpot_s)


def test_every_token_has_its_gap() -> None:
    """Tokens that come together have a gap of nothing between them; none is lost."""
    result = served(Drafting(tokens=3, acceptance=0.7))
    assert int(result.gaps.counts.sum()) == int((result.output_tokens - 1).sum())
    assert result.gaps.percentiles_s((50.0,)) == (0.0,)


def test_same_seed_same_result() -> None:
    """A draw is repeated bit by bit; another seed gives another one."""
    drafting = Drafting(tokens=3, acceptance=0.7, seed=4)
    assert (served(drafting).e2e_s == served(drafting).e2e_s).all()
    assert (served(drafting).e2e_s != served(replace(drafting, seed=5)).e2e_s).any()


@pytest.mark.parametrize("is_async", [False, True])
def test_both_loops_agree(is_async: bool) -> None:
    """The fast loop and the engine give the very same numbers with drafting, too."""
    for seed in range(12):
        rows, batching = draw(seed)
        drafting = Drafting(tokens=1 + seed % 3, acceptance=0.6, seed=seed, steps=STEPS if seed % 2 else None)
        batching = replace(batching, max_num_seqs=min(batching.max_num_seqs, 256 // drafting.width))
        outputs = np.array([row[2] for row in rows])
        drafted = drafted_of(outputs, drafting, batching)
        steps = WINDOWED if seed % 5 == 2 else STEPS
        changed = [
            (at_s, prompt + shift, 1 + taken, prefix)
            for (at_s, prompt, _, prefix), taken, shift in zip(rows, drafted.steps, drafted.shifts, strict=True)
        ]
        fast = serve(changed, steps, batching, 50_000, BLOCK_TOKENS, has_async_scheduling=is_async, drafted=drafted)
        assert fast is not None
        engine = Engine(steps, batching, 50_000, BLOCK_TOKENS, has_async_scheduling=is_async, drafted=drafted)
        for row in changed:
            engine.add(*row)
        engine.run()
        for name in Served.__dataclass_fields__:
            assert getattr(fast, name) == getattr(engine, name), (seed, name)


def test_a_budget_that_cannot_check_the_drafts_is_refused() -> None:
    """Every admitted sequence has its drafted tokens in a step."""
    batching = ContinuousBatching(max_num_seqs=64, max_num_batched_tokens=128)
    with pytest.raises(ValueError, match="drafted tokens"):
        simulate(requests(), STEPS, batching, 400_000, drafting=Drafting(tokens=3, acceptance=0.5))
