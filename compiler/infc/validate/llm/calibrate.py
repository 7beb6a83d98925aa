"""Measures the steps of a running vLLM server, and what it does around them.

The server logs every step. Bursts of requests (`design`) are sent several times over; what the log says of a step and
when the client saw its tokens tell apart how long the step took, what the server takes between two, and what a request
takes outside of steps. Where this machine runs the server, repetitions beside other work do not count. All others do:
the same steps take longer at one time than at another, and it is their mean that a server keeps up.
"""

import math
import statistics
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from infc.diag import Diagnostic
from infc.ir.step_time import StepTimePoint
from infc.perf.llm.nonnegative import fit_nonnegative
from infc.serve.other_work import others_share
from infc.validate.llm.burst import BurstClient, TimedAnswer
from infc.validate.llm.design import Burst, ReplayedStep, ServerLimits, design, replay
from infc.validate.llm.step_log import LoggedStep, logged_steps, usual_s
from infc.validate.realtime import realtime

_WARM_UP_SHARE = 0.25
"""Part of the time that the first round may take: it prepares the server for each shape and is not counted."""
_LOG_PATIENCE_S = 5.0
_LOG_POLL_S = 0.02
_SAME_SHARE = 0.05
_FEW_STEPS = 8
"""Steps of like sequences that tell the time between two."""


@dataclass(frozen=True, kw_only=True)
class StepCalibration:
    """What was measured: step times by shape, and the server's part around them (see `StepTimeProfile`).

    `pace_spread` is the factor within which nine of ten repetitions of the same steps stay around their mean, None with
    one repetition. `others` is the share of the machine's cores that others had in what was counted (0 where the server
    runs elsewhere), `skipped` the bursts for which no time was left, `rounds` how often the others were sent.
    """

    points: tuple[StepTimePoint, ...]
    overhead_s: float
    sequence_overhead_s: float
    request_s: float
    pace_spread: float | None
    others: float
    rounds: int
    skipped: tuple[Burst, ...]


@dataclass(frozen=True, kw_only=True)
class BurstRun:
    """A burst, sent once: what the server computed, what the client saw, and what share of the cores others had."""

    burst: Burst
    steps: tuple[ReplayedStep, ...]
    answers: tuple[TimedAnswer, ...]
    others: float


def measure_steps(
    client: BurstClient,
    log: Path,
    limits: ServerLimits,
    budget_s: float,
    progress: Callable[[str], None],
    *,
    processes: Sequence[int] = (),
) -> StepCalibration | Diagnostic:
    """Measure a server that writes its steps to `log`, for about `budget_s`; a diagnostic where that cannot be.

    Nobody else may use the server meanwhile. `processes` are the server's where they run on this machine.

    Raises:
        ToolError: the server refuses requests, or ends.
    """
    end_s = time.monotonic() + budget_s
    measurement = StepMeasurement(client, log, limits, progress, processes=processes)
    problem = measurement.warm_up(_WARM_UP_SHARE * budget_s) or measurement.go_on(end_s - time.monotonic())
    return problem or measurement.result()


class StepMeasurement:
    """Sends the bursts of a design in turn, for as long as it is told to, and says what they show.

    See `measure_steps` for the arguments; every method may raise ToolError as it does.
    """

    def __init__(
        self,
        client: BurstClient,
        log: Path,
        limits: ServerLimits,
        progress: Callable[[str], None],
        *,
        processes: Sequence[int] = (),
    ) -> None:
        self._client, self._log, self._progress = client, log, progress
        self._processes = tuple(processes)
        self._planned = design(limits)
        self._used: list[Burst] = []
        self._runs: defaultdict[Burst, list[BurstRun]] = defaultdict(list)
        self._sent = 0

    def warm_up(self, limit_s: float) -> Diagnostic | None:
        """Prepare the server for each shape, the cheap ones first; what no time is left for will not be measured."""
        end_s = time.monotonic() + limit_s
        for burst in self._planned:
            has_decoding = any(each.output_tokens > _FEW_STEPS for each in self._used)
            if has_decoding and time.monotonic() > end_s:
                break  # whatever the budget, some prompts and some steps that only decode are measured
            self._progress(f"warm-up {len(self._used) + 1} of {len(self._planned)}: {_text(burst)}")
            first = self._run(burst)
            if isinstance(first, Diagnostic):
                return first
            self._used.append(burst)
        return None

    def go_on(self, seconds: float) -> Diagnostic | None:
        """Measure for so long, from where the last time ended, and until each burst was sent once."""
        end_s = time.monotonic() + seconds
        while self._sent < len(self._used) or time.monotonic() < end_s:
            rounds, place = divmod(self._sent, len(self._used))
            if not place:
                left_s = max(end_s - time.monotonic(), 0.0)
                self._progress(f"round {rounds + 1}: {len(self._used)} bursts, {left_s:.0f} s left")
            burst = self._used[place]
            run = self._run(burst)
            if isinstance(run, Diagnostic):
                return run
            self._runs[burst].append(run)
            self._sent += 1
        return None

    def result(self) -> StepCalibration:
        """What all bursts show that were sent so far but for the warm-up."""
        rounds = math.ceil(self._sent / len(self._used))
        return calibration_from(self._runs, rounds, self._planned[len(self._used) :])

    def _run(self, burst: Burst) -> BurstRun | Diagnostic:
        """Send a burst, and read what the server logged of it."""
        offset = self._log.stat().st_size
        with realtime(), others_share(self._processes) as share:
            answers = self._client.send(burst)
        logged, steps = self._steps(burst, offset)
        if not logged:
            return _nothing_logged(self._log)
        if not _is_whole(burst, steps):
            return _not_alone(burst, len(steps), len(logged))
        return BurstRun(burst=burst, steps=steps, answers=answers, others=share.value)

    def _steps(self, burst: Burst, offset: int) -> tuple[tuple[LoggedStep, ...], tuple[ReplayedStep, ...]]:
        """The steps of a burst, as soon as the log has all of them: it is written a little later than the answers."""
        end_s = time.monotonic() + _LOG_PATIENCE_S
        while True:
            with self._log.open("rb") as lines:
                lines.seek(offset)
                logged = logged_steps(lines.read().decode("utf-8", errors="replace"))
            steps = tuple(replay(burst, logged))
            if _is_whole(burst, steps) or time.monotonic() > end_s:
                return logged, steps
            time.sleep(_LOG_POLL_S)


def _is_whole(burst: Burst, steps: Sequence[ReplayedStep]) -> bool:
    prefilled = sum(each.step.prefill_tokens for each in steps)
    decoded = sum(each.step.decode_tokens for each in steps)
    return prefilled == burst.requests * burst.prompt_tokens + sum(burst.joining) and decoded == burst.requests * (
        burst.output_tokens - 1
    )


def _undisturbed(runs: Sequence[BurstRun]) -> tuple[BurstRun, ...]:
    """The runs in which others had no more of the cores than in the middle one, or hardly more."""
    middle = statistics.median_low(sorted(run.others for run in runs))
    return tuple(run for run in runs if run.others <= middle + _SAME_SHARE)


def calibration_from(
    runs: Mapping[Burst, Sequence[BurstRun]], rounds: int, skipped: tuple[Burst, ...] = ()
) -> StepCalibration:
    """What bursts show that were sent `rounds` times: of each, the runs without other work count."""
    runs = {burst: _undisturbed(each) for burst, each in runs.items()}
    around = _between(runs)
    return StepCalibration(
        points=_points(runs, least=2 if rounds > 1 else 1),
        overhead_s=around[0],
        sequence_overhead_s=around[1],
        request_s=_request_s(runs, sum(around)),
        pace_spread=_pace_spread(runs),
        others=statistics.median(run.others for each in runs.values() for run in each),
        rounds=rounds,
        skipped=skipped,
    )


def _points(runs: Mapping[Burst, Sequence[BurstRun]], least: int) -> tuple[StepTimePoint, ...]:
    """A point for each shape that came `least` times."""
    shapes: defaultdict[tuple[object, ...], list[ReplayedStep]] = defaultdict(list)
    for each in runs.values():
        for run in each:
            for shape, row in _shapes(run):
                shapes[shape].append(row)
    found = [_point(rows) for rows in shapes.values() if len(rows) >= least]
    return tuple(sorted(found, key=lambda p: (p.prefill_tokens, p.prefill_seqs, p.decode_seqs, p.context_tokens)))


def _shapes(run: BurstRun) -> Iterator[tuple[tuple[object, ...], ReplayedStep]]:
    """The steps that only decode, in two halves, and those with prompts, each with what makes them alike."""
    burst = run.burst
    steady = [row for row in run.steps if not row.step.prefill_seqs and row.step.decode_seqs == burst.requests]
    if burst.output_tokens > _FEW_STEPS:
        for index, row in enumerate(steady):
            yield (burst, 2 * index // len(steady)), row
    for row in run.steps:
        step = row.step
        if step.prefill_seqs and not (step.decode_seqs and row.prefill_context_tokens):
            decoding = (burst.prompt_tokens, step.decode_seqs) if step.decode_seqs else ()
            yield (step.prefill_tokens, step.prefill_seqs, row.prefill_context_tokens, *decoding), row


def _point(rows: Sequence[ReplayedStep]) -> StepTimePoint:
    step = rows[0].step
    return StepTimePoint(
        prefill_tokens=step.prefill_tokens,
        decode_seqs=step.decode_seqs,
        context_tokens=round(statistics.fmean(row.context_tokens + row.prefill_context_tokens for row in rows)),
        seconds=usual_s(row.step.seconds for row in rows),
        samples=len(rows),
        prefill_seqs=step.prefill_seqs,
    )


def _between(runs: Mapping[Burst, Sequence[BurstRun]]) -> tuple[float, float]:
    """Seconds that clients see between steps, over the logged ones: for any step, and for each of its sequences."""
    by_count: defaultdict[int, list[float]] = defaultdict(list)
    for burst, each in runs.items():
        by_count[burst.requests] += [found for run in each if (found := _between_s(run)) is not None]
    counts = sorted(count for count, found in by_count.items() if found)
    if not counts:
        return 0.0, 0.0
    seconds = np.array([statistics.median(by_count[count]) for count in counts])
    features = np.stack([np.ones(len(counts)), np.array(counts, dtype=np.float64)], axis=1)
    constant, slope = fit_nonnegative(features, np.maximum(seconds, 0.0)).tolist()
    return constant, slope


def _between_s(run: BurstRun) -> float | None:
    """Of the request that came last to the steps: what its tokens took longer than the steps that made them."""
    if run.burst.joining:
        return None
    last = max(index for index, row in enumerate(run.steps) if row.step.prefill_seqs)
    following = run.steps[last + 1 :]
    steady = [row.step.seconds for row in following if row.step.decode_seqs == run.burst.requests]
    answer = max(run.answers, key=lambda each: each.token_s[0])
    count = min(len(steady), len(answer.token_s) - 1)
    if count < _FEW_STEPS:
        return None
    return (answer.token_s[count] - answer.token_s[0] - sum(steady[:count])) / count


def _request_s(runs: Mapping[Burst, Sequence[BurstRun]], overhead_s: float) -> float:
    """What a request that is alone takes outside of steps before its first token."""
    found = []
    for burst, each in runs.items():
        if burst.requests == 1 and not burst.joining:
            prefills = [[row.step.seconds for row in run.steps if row.step.prefill_seqs] for run in each]
            found.append(
                statistics.median(
                    run.answers[0].ttft_s - sum(seconds) - overhead_s * len(seconds)
                    for run, seconds in zip(each, prefills, strict=True)
                )
            )
    return max(statistics.median(found), 0.0) if found else 0.0


def _pace_spread(runs: Mapping[Burst, Sequence[BurstRun]]) -> float | None:
    """The factor around their mean within which nine of ten repetitions of a burst's steps stay."""
    found = []
    for burst, each in runs.items():
        if len(each) > 1 and burst.output_tokens > _FEW_STEPS and not burst.joining:
            seconds = np.array([sum(row.step.seconds for row in run.steps) for run in each])
            own = math.sqrt(len(each) / (len(each) - 1))  # a mean of few follows each of them
            found += (own * np.abs(np.log(seconds / seconds.mean()))).tolist()
    return float(np.exp(np.quantile(found, 0.9))) if found else None


def _text(burst: Burst) -> str:
    plural = "s" if burst.requests > 1 else ""
    joining = f", {len(burst.joining)} joining" if burst.joining else ""
    return f"{burst.requests} request{plural} of {burst.prompt_tokens} tokens{joining}"


def _nothing_logged(log: Path) -> Diagnostic:
    return Diagnostic(
        id="calibrate-no-steps",
        message="the server answers, and its log has no steps",
        notes=(f"log: {log}",),
        help="start vllm serve with --enable-logging-iteration-details, and name the file that its output goes to",
    )


def _not_alone(burst: Burst, followed: int, logged: int) -> Diagnostic:
    return Diagnostic(
        id="calibrate-foreign-steps",
        message="the server's steps are not those of the requests that were sent",
        notes=(f"{_text(burst)}: {followed} of {logged} logged steps could be followed",),
        help="keep other clients away while it is measured, with speculative decoding off and one engine per log",
    )
