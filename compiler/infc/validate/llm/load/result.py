"""From a followed run to the measurement: percentiles, goodput, the server's view, verdicts, notes."""

from collections.abc import Iterator, Mapping
from typing import get_args

import numpy as np
from numpy.typing import NDArray

from infc.diag import ToolError
from infc.ir.accuracy import Verdict
from infc.ir.distribution import Curve, curve_of
from infc.ir.interval import Interval
from infc.ir.llm_measurement import LlmMeasurement, ServerView, TokenMetric
from infc.ir.measurement import SloVerdict
from infc.validate.llm.load.client import Outcome
from infc.validate.llm.load.generator import UNANSWERED
from infc.validate.llm.load.latencies import Floats, seconds_of, token_times_s
from infc.validate.llm.load.settings import LlmLoadSettings
from infc.validate.llm.load.subject import LlmSubject, label_of
from infc.validate.llm.load.watch import LlmWatch
from infc.validate.load.result import MIN_TOLD_EFFECT, NOT_TRUSTED
from infc.validate.sequential import overall, samples_needed
from infc.validate.statistics import percentile_summary

TRANSPORT_S = 0.010
"""What may lie between a server's clock and a client's: connection, parsing, the answer's way back."""
DISAGREEMENT = 0.1
"""Relative difference from which on the report speaks of it, beyond transport."""
_LENGTH_TOLERANCE = 0.01
_MOST_TEXTS = 2


def measurement_from(
    watch: LlmWatch, subject: LlmSubject, settings: LlmLoadSettings, timeout_s: float
) -> LlmMeasurement:
    """Everything that a run showed.

    Raises:
        ToolError: nothing was measured, or not one request succeeded.
    """
    generator, first, last = watch.generator, watch.first, watch.last
    outcomes = generator.outcomes[first:last]
    if not np.any(outcomes == Outcome.OK) and watch.stopped_by != "saturated":
        raise _all_failed(watch)
    measured_s = watch.stop_s - watch.start_s
    good = outcomes == Outcome.OK
    summary = _summary(watch, subject, settings, timeout_s)
    verdicts = tuple(_verdicts(watch, subject, settings, summary))
    view = watch.metrics.view(generator)
    token_s, _ = token_times_s(generator)
    firsts_s = generator.first_s[: generator.sent]
    tokens = sum(int(np.count_nonzero((t >= watch.start_s) & (t < watch.stop_s))) for t in (token_s, firsts_s))
    ended_s = generator.last_s[: generator.sent][generator.outcomes[: generator.sent] == Outcome.OK]
    return LlmMeasurement(
        name=subject.name,
        target=subject.target,
        tool="infc",
        offered_rps=len(outcomes) / measured_s,
        completed_rps=int(np.count_nonzero((ended_s >= watch.start_s) & (ended_s < watch.stop_s))) / measured_s,
        goodput_rps=int(np.count_nonzero(_meets_all(watch, subject))) / measured_s,
        output_tokens_per_s=tokens / measured_s,
        requests=len(outcomes),
        errors=int(np.count_nonzero((outcomes != Outcome.OK) & (outcomes != UNANSWERED))),
        duration_s=measured_s,
        percentiles_s=summary,
        predicted_s=subject.predicted_s,
        mean_prompt_tokens=_mean_prompt(watch, good),
        mean_output_tokens=float(generator.tokens[first:last][good].mean()) if np.any(good) else 0.0,
        send_lag_p99_s=watch.send_lag_p99_s(),
        verdicts=verdicts,
        verdict=Verdict.FAIL if watch.stopped_by == "saturated" else overall(each.verdict for each in verdicts),
        stopped_by=watch.stopped_by,
        environment=subject.environment,
        server=view,
        interval_confidence=settings.interval_confidence,
        warmup_s=watch.start_s - float(generator.due_s[0]),
        is_rehearsal=subject.is_rehearsal,
        notes=tuple(_notes(watch, subject, view, timeout_s)),
        curves_s=_curves(watch, timeout_s),
    )


def _summary(
    watch: LlmWatch, subject: LlmSubject, settings: LlmLoadSettings, timeout_s: float
) -> Mapping[TokenMetric, Mapping[str, Interval]]:
    """Percentiles of each metric.

    TTFT and end-to-end times count a failed request as the timeout, and one that was dropped as its age then; TPOT
    and the gaps are those of tokens that came.
    """
    found: dict[TokenMetric, Mapping[str, Interval]] = {}
    for metric in get_args(TokenMetric):
        values, spacing = _gaps(watch) if metric == "itl" else (_waited(watch, metric, timeout_s), watch.spacing_s())
        if len(values):
            found[metric] = percentile_summary(
                values, subject.percentiles, settings.interval_confidence, spacing=spacing
            )
    return found


def _curves(watch: LlmWatch, timeout_s: float) -> Mapping[TokenMetric, Curve]:
    """Whole distributions of what is one value a request."""
    metrics: tuple[TokenMetric, ...] = ("ttft", "tpot", "e2e")
    return {metric: curve_of(np.sort(_waited(watch, metric, timeout_s)).tolist()) for metric in metrics}


def _waited(watch: LlmWatch, metric: TokenMetric, timeout_s: float) -> Floats:
    generator, first, last = watch.generator, watch.first, watch.last
    values, has_failed = seconds_of(generator, metric, first, last)
    if metric == "tpot":
        return values[~np.isnan(values) & ~has_failed]
    age_s = np.minimum(generator.now_s - generator.due_s[first:last], timeout_s)
    return np.where(has_failed, timeout_s, np.where(np.isnan(values), age_s, values))


def _gaps(watch: LlmWatch) -> tuple[Floats, float]:
    """The gaps between tokens in the measured time, in its order, and the mean time from one to the next."""
    when, gaps = token_times_s(watch.generator)
    inside = gaps[(when >= watch.start_s) & (when < watch.stop_s)]
    return inside, (watch.stop_s - watch.start_s) / max(len(inside), 1)


def _meets_all(watch: LlmWatch, subject: LlmSubject) -> NDArray[np.bool_]:
    """Which of the measured requests were answered within every metric's loosest limit."""
    generator, first, last = watch.generator, watch.first, watch.last
    good: NDArray[np.bool_] = generator.outcomes[first:last] == Outcome.OK
    for metric in subject.targets:
        limit_s = subject.limit_s(metric)
        if limit_s is None:
            continue
        values, _ = seconds_of(generator, metric, first, last)
        has_none = generator.requests.output_tokens[first:last] < 2 if metric == "tpot" else np.zeros(1, dtype=np.bool_)
        good = good & (has_none | (values <= limit_s))
    return good


def _mean_prompt(watch: LlmWatch, good: NDArray[np.bool_]) -> float:
    """As the server counted the prompts, or as they were sent where it does not say."""
    generator, first, last = watch.generator, watch.first, watch.last
    if not np.any(good):
        return float(generator.requests.prompt_tokens[first:last].mean())
    counted = generator.prompt_tokens[first:last][good]
    return float(counted.mean() if np.all(counted > 0) else generator.requests.prompt_tokens[first:last][good].mean())


def _verdicts(
    watch: LlmWatch,
    subject: LlmSubject,
    settings: LlmLoadSettings,
    summary: Mapping[TokenMetric, Mapping[str, Interval]],
) -> Iterator[SloVerdict]:
    for metric, target in subject.labelled_targets:
        label = label_of(metric, target)
        result, measured = watch.results[label], summary.get(metric, {}).get(target.label)
        if measured is None:  # no request was to have a second token
            continue
        verdict = result.verdict
        if watch.stopped_by == "saturated" and metric != "tpot":
            verdict = Verdict.FAIL
        yield SloVerdict(
            label=label,
            limit_s=target.limit_s,
            predicted_s=subject.predicted_s.get(metric, {}).get(target.label),
            measured_s=measured,
            confidence=settings.confidence,
            verdict=verdict,
            samples=result.samples,
            overs=result.overs,
            effective_samples=result.effective_samples,
            samples_needed=samples_needed(result, percentile=target.percentile, confidence=settings.confidence),
        )


def _notes(watch: LlmWatch, subject: LlmSubject, view: ServerView | None, timeout_s: float) -> Iterator[str]:
    yield from _doubts(watch)
    yield from _failures(watch, timeout_s)
    yield from _lengths(watch)
    if view is None:
        yield f"the server's own metrics could not be read: {watch.metrics.problem}"
    else:
        yield from _disagreements(view)
        yield from _other_clients(watch, view)
    effects = [r.samples / r.effective_samples for r in watch.results.values() if r.effective_samples]
    if effects and max(effects) > MIN_TOLD_EFFECT:
        yield (
            f"requests that run together depend on each other: up to {max(effects):.1f} samples count as one "
            "independent sample in verdicts and intervals"
        )


def _doubts(watch: LlmWatch) -> Iterator[str]:
    generator, lag_s = watch.generator, watch.send_lag_p99_s()
    if watch.stopped_by == "saturated":
        waiting = int(np.count_nonzero(generator.outcomes[watch.first : watch.last] == UNANSWERED))
        yield (
            "saturated: more and more requests waited for their first token, so percentiles grow with the length of "
            f"the run; {waiting} were still unanswered when the test gave up"
        )
    elif watch.doubtful:
        yield (
            f"{NOT_TRUSTED}: {', '.join(sorted(watch.doubtful))} would fail, but only with requests that the load "
            f"generator sent late (p99 of the lag {lag_s * 1e3:.3g} ms); this machine is too busy for the test"
        )
    elif lag_s > watch.lag_limit_s:
        yield f"the load generator sent late (p99 {lag_s * 1e3:.3g} ms); verdicts count that as latency"


def _failures(watch: LlmWatch, timeout_s: float) -> Iterator[str]:
    counts = _failed(watch)
    if not counts:
        return
    said = "; ".join(text for text, _ in watch.generator.texts.most_common(_MOST_TEXTS))
    yield f"requests failed ({_named(counts)}); each counts as {timeout_s:g} s long and over every limit: {said}"


def _lengths(watch: LlmWatch) -> Iterator[str]:
    """Lengths that are not those that were asked for: the load is then not the spec's."""
    generator, part = watch.generator, slice(watch.first, watch.last)
    good = generator.outcomes[part] == Outcome.OK
    for what, got, asked in (
        ("outputs", generator.tokens[part][good], generator.requests.output_tokens[part][good]),
        ("prompts", generator.prompt_tokens[part][good], generator.requests.prompt_tokens[part][good]),
    ):
        if len(got) and np.all(got > 0) and abs(got.mean() / asked.mean() - 1.0) > _LENGTH_TOLERANCE:
            yield (
                f"the server counts {what} of {got.mean():.4g} tokens on average, {asked.mean():.4g} were asked for: "
                "this is not quite the spec's traffic"
            )


def _disagreements(view: ServerView) -> Iterator[str]:
    """Means that differ by more than the way between the two clocks explains."""
    for metric, theirs in view.mean_s.items():
        ours = view.client_mean_s.get(metric)
        if ours is None:
            continue
        room_s = DISAGREEMENT * theirs + (TRANSPORT_S if metric in ("ttft", "e2e") else TRANSPORT_S / 10)
        if abs(ours - theirs) > room_s:
            yield (
                f"client and server disagree: mean {metric} {ours * 1e3:.4g} ms here, {theirs * 1e3:.4g} ms by the "
                "server's own metrics; the network, a gateway between, or a busy client machine"
            )


def _other_clients(watch: LlmWatch, view: ServerView) -> Iterator[str]:
    generator = watch.generator
    last_s = generator.last_s[: generator.sent][generator.outcomes[: generator.sent] == Outcome.OK]
    ours = int(np.count_nonzero((last_s >= watch.start_s) & (last_s < watch.stop_s)))
    if view.requests > 1.05 * ours + 2:
        yield f"the server answered {view.requests} requests meanwhile, {ours} of them ours: it has other clients"


def _all_failed(watch: LlmWatch) -> ToolError:
    """Why there is nothing to report."""
    if watch.last == watch.first:
        return ToolError(
            "no request was sent in the measured time",
            help="give a longer --budget, or a higher --rate than the spec's",
        )
    counts = _failed(watch)
    if not counts:
        return ToolError("no request was answered in the measured time", help="the server's log says why")
    said = "; ".join(text for text, _ in watch.generator.texts.most_common(_MOST_TEXTS))
    return ToolError(f"every request failed: {_named(counts)}", help=f"the server says: {said}")


def _failed(watch: LlmWatch) -> list[tuple[int, int]]:
    outcomes = watch.generator.outcomes[watch.first : watch.last]
    values, counts = np.unique(outcomes[outcomes > 0], return_counts=True)
    return [(int(value), int(count)) for value, count in zip(values, counts, strict=True)]


def _named(counts: list[tuple[int, int]]) -> str:
    return ", ".join(f"{count} x {outcome_text(outcome)}" for outcome, count in counts)


def outcome_text(outcome: int) -> str:
    """What became of a request, in words.

    >>> outcome_text(503), outcome_text(2)
    ('HTTP 503', 'timeout')
    """
    if outcome >= 100:
        return f"HTTP {outcome}"
    return Outcome(outcome).name.lower().replace("_", " ")
