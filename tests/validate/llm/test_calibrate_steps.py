"""Step times and overheads from what bursts of requests show."""

from collections import deque
from dataclasses import dataclass, replace

import numpy as np
import pytest

from infc.ir.candidate import ContinuousBatching
from infc.ir.interval import Basis
from infc.ir.precision import Precision
from infc.ir.step_time import StepTimeModel, StepTimeProfile
from infc.perf.llm.measured import measured_step_time, outside_measured
from infc.perf.llm.step_fit import fit
from infc.sim.continuous_batching import step_s
from infc.validate.llm.burst import TimedAnswer
from infc.validate.llm.calibrate import BurstRun, calibration_from
from infc.validate.llm.design import Burst, ServerLimits, design, replay
from infc.validate.llm.step_comparison import compare_steps
from infc.validate.llm.step_log import LoggedStep

LIMITS = ServerLimits(max_num_seqs=16, max_num_batched_tokens=1024, max_model_len=1500, kv_cache_tokens=40_000)
TRUE = StepTimeModel(
    token_knots=(1, 1024),
    token_s=(0.0, 0.2),
    sequence_s=2e-4,
    context_s=4e-7,
    pair_s=3e-8,
    fixed_s=5e-3,
)
OVERHEAD_S, SEQUENCE_OVERHEAD_S, REQUEST_S = 1.2e-3, 1.5e-4, 6e-3


@dataclass
class _Request:
    left: int
    output: int
    cached: int = 0
    sent_s: float = 0.0


def run_of(burst: Burst, random: np.random.Generator, noise: float, others: float = 0.0, slow: float = 1.0) -> BurstRun:
    """A burst as a scheduler with known step times answers it: first come, first served, within the budget."""
    waiting = deque(_Request(left=burst.prompt_tokens, output=burst.output_tokens) for _ in range(burst.requests))
    everything = list(waiting)
    joining = deque(burst.joining)
    tokens: dict[int, list[float]] = {}
    running: list[_Request] = []
    logged: list[LoggedStep] = []
    now_s = REQUEST_S
    while waiting or running or joining:
        if joining and not waiting and len(running) == burst.requests and all(not each.left for each in running):
            waiting.append(_Request(left=joining.popleft(), output=1, sent_s=now_s - REQUEST_S))
            everything.append(waiting[-1])
        decoding = [each for each in running if not each.left]
        budget = LIMITS.max_num_batched_tokens - len(decoding)
        chunks = []
        for each in [*(each for each in running if each.left), *waiting]:
            if budget > 0:
                chunks.append((each, min(each.left, budget)))
                budget -= chunks[-1][1]
        seconds = slow * step_s(
            TRUE,
            decode_seqs=len(decoding),
            context_tokens=sum(each.cached for each in decoding),
            prefill_tokens=sum(count for _, count in chunks),
            prefill_seqs=len(chunks),
            prefill_context_tokens=sum(each.cached for each, _ in chunks),
        )
        seconds *= float(np.exp(random.normal(0.0, noise)))
        logged.append(
            LoggedStep(
                engine=0,
                index=len(logged),
                prefill_seqs=len(chunks),
                prefill_tokens=sum(count for _, count in chunks),
                decode_seqs=len(decoding),
                decode_tokens=len(decoding),
                seconds=seconds,
                cache_usage=None,
            )
        )
        now_s += seconds + OVERHEAD_S + SEQUENCE_OVERHEAD_S * (len(decoding) + len(chunks))
        for each in decoding:
            each.cached += 1
        for each, count in chunks:
            each.left -= count
            each.cached += count
            if each in waiting:
                waiting.remove(each)
                running.append(each)
        for each in [*decoding, *(each for each, _ in chunks if not each.left)]:
            tokens.setdefault(id(each), []).append(now_s)
        running = [each for each in running if len(tokens.get(id(each), ())) < each.output]
    return BurstRun(
        burst=burst,
        steps=tuple(replay(burst, logged)),
        answers=tuple(TimedAnswer(sent_s=each.sent_s, token_s=tuple(tokens[id(each)])) for each in everything),
        others=others,
    )


def runs_of(noise: float, rounds: int = 4) -> dict[Burst, list[BurstRun]]:
    """The whole design, several times over."""
    random = np.random.default_rng(1)
    return {burst: [run_of(burst, random, noise) for _ in range(rounds)] for burst in design(LIMITS)}


@pytest.mark.parametrize(("noise", "within"), [(0.0, 0.005), (0.1, 0.05)])
def test_a_known_server_is_recovered(noise: float, within: float) -> None:
    """Step times of shapes that were not measured, and what comes around them, despite noise."""
    measured = calibration_from(runs_of(noise), rounds=4)
    assert measured.overhead_s == pytest.approx(OVERHEAD_S, rel=0.02, abs=2e-5)
    assert measured.sequence_overhead_s == pytest.approx(SEQUENCE_OVERHEAD_S, rel=0.02, abs=2e-6)
    assert measured.request_s == pytest.approx(REQUEST_S, rel=0.02, abs=2e-4)
    found = fit(measured.points)
    for decoding, context, prefill in ((1, 100, 0), (6, 2400, 0), (16, 8000, 0), (0, 0, 300), (5, 900, 120)):
        asked = {"decode_seqs": decoding, "context_tokens": float(context), "prefill_tokens": prefill}
        assert step_s(found.model, **asked) == pytest.approx(step_s(TRUE, **asked), rel=within)  # type: ignore[arg-type]
    assert found.p90_error < 2 * within
    compared = compare_steps(profile(), found, TRUE)
    assert len(compared.steps) == len(profile().points)


def test_disturbed_repetitions_do_not_count() -> None:
    """Runs in which other programs had more of the cores than in the middle one are left out."""
    random = np.random.default_rng(1)
    runs = {
        burst: [
            *(run_of(burst, random, 0.0, others=0.02) for _ in range(2)),
            *(run_of(burst, random, 0.0, others=0.6, slow=3.0) for _ in range(2)),
        ]
        for burst in design(LIMITS)
    }
    measured = calibration_from(runs, rounds=4)
    assert measured.others == 0.02
    assert fit(measured.points).p90_error < 0.01
    assert measured.pace_spread == pytest.approx(1.0)


def test_a_machine_whose_pace_varies_gives_the_mean_and_says_so() -> None:
    """Every quiet repetition counts, the slow ones too; how far they lie apart widens the steps' intervals."""
    random = np.random.default_rng(1)
    runs = {
        burst: [run_of(burst, random, 0.0, others=0.01 * index, slow=slow) for index, slow in enumerate((1.2, 0.8) * 2)]
        for burst in design(LIMITS)
    }
    measured = calibration_from(runs, rounds=4)
    found = fit(measured.points)
    asked = {"decode_seqs": 6, "context_tokens": 2400.0}
    assert step_s(found.model, **asked) == pytest.approx(step_s(TRUE, **asked), rel=0.02)  # type: ignore[arg-type]
    assert measured.pace_spread == pytest.approx(1.27, abs=0.03)  # 20% around the mean, known from four repetitions
    unsteady = replace(profile(), pace_spread=measured.pace_spread)
    steady, wide = (measured_step_time(TRUE, [each]) for each in (profile(), unsteady))
    assert wide.decode_spread == pytest.approx(steady.decode_spread * measured.pace_spread, rel=0.02)
    assert wide.prefill_spread > measured.pace_spread > steady.prefill_spread


def test_one_round_is_enough() -> None:
    """A budget for one repetition gives points of one sample."""
    measured = calibration_from(runs_of(0.0, rounds=1), rounds=1)
    assert fit(measured.points).p90_error < 0.01


def profile() -> StepTimeProfile:
    """What is stored of a quiet run."""
    measured = calibration_from(runs_of(0.0, rounds=2), rounds=2)
    return StepTimeProfile(
        model_digest="0" * 64,
        precision=Precision.BF16,
        hardware_id="cpu",
        tensor_parallel=1,
        points=measured.points,
        environment={},
        overhead_s=measured.overhead_s,
        sequence_overhead_s=measured.sequence_overhead_s,
        request_s=measured.request_s,
    )


def test_a_plan_takes_the_server_with_its_overheads() -> None:
    """Measured steps and what is around them; what lies beyond them is said, in words."""
    steps = measured_step_time(TRUE, [profile()])
    assert steps.basis is Basis.MEASURED
    assert steps.request_s == pytest.approx(REQUEST_S, rel=0.02)
    whole_s = step_s(TRUE, decode_seqs=8, context_tokens=4000) + OVERHEAD_S + 8 * SEQUENCE_OVERHEAD_S
    assert step_s(steps, decode_seqs=8, context_tokens=4000) == pytest.approx(whole_s, rel=0.01)
    inside = ContinuousBatching(max_num_seqs=16, max_num_batched_tokens=1024)
    assert outside_measured(steps, inside, 1400) is None
    beyond = ContinuousBatching(max_num_seqs=64, max_num_batched_tokens=1024)
    assert outside_measured(steps, beyond, 1400) == "64 sequences in a step (measured up to 16)"
    assert outside_measured(TRUE, beyond, 1400) is None


def test_large_steps_are_never_free() -> None:
    """Beyond the largest measured step each token costs at least what it cost on average."""
    steps = measured_step_time(TRUE, [profile()])
    once, twice = (step_s(steps, prefill_tokens=tokens) for tokens in (1024, 2048))
    assert twice - once >= 0.9 * (step_s(TRUE, prefill_tokens=2048) - step_s(TRUE, prefill_tokens=1024))
