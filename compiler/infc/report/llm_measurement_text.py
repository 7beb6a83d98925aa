"""A measured language-model server for people: predicted beside measured, goodput, the server's view, the verdict."""

import math
import textwrap
from collections.abc import Iterator, Sequence
from typing import get_args

from infc.ir.accuracy import Verdict
from infc.ir.interval import Interval
from infc.ir.llm_measurement import LlmMeasurement, TokenMetric
from infc.ir.measurement import SloVerdict
from infc.report.layout import WIDTH, Style, style_for, table, wrapped_row
from infc.validate.load.result import NOT_TRUSTED

_COLORS = {Verdict.PASS: "green", Verdict.FAIL: "red", Verdict.INCONCLUSIVE: "yellow"}
_REHEARSAL = "rehearsal: the real server with the plan's step times; no accelerator ran"
_SHOWN = ("p50", "p90", "p99")
_NAMES: dict[TokenMetric, str] = {"ttft": "TTFT", "tpot": "TPOT", "itl": "ITL", "e2e": "end to end"}
_TOOLS = {"infc": "infc", "aiperf": "AIPerf", "guidellm": "guidellm", "vllm-bench": "vllm bench serve"}
_STOPS = {
    "settled": "the verdict was settled",
    "budget": "the budget was spent",
    "saturated": "the server fell behind for good",
    "imported": "measured by another tool",
}


def render_llm_measurement_text(measurement: LlmMeasurement, *, color: bool = False) -> str:
    """The report as text, without a final newline."""
    style = style_for(color=color)
    lines = [
        f"{measurement.name} on {measurement.target}: {_verdict(measurement.verdict, style)}",
        *([f"({_REHEARSAL})"] if measurement.is_rehearsal else []),
        "",
        *table(llm_percentile_rows(measurement, style)),
        "",
    ]
    for name, words in llm_measurement_facts(measurement):
        lines += wrapped_row(name, words, style)
    notes = llm_measurement_notes(measurement)
    if notes:
        lines.append("")
    for note in notes:
        lines += _sentence("note", note)
    for help in _help(measurement):
        lines += _sentence("help", help)
    return "\n".join(lines)


def _verdict(verdict: Verdict, style: Style) -> str:
    return style("bold", style(_COLORS[verdict], verdict.value))


def llm_percentile_rows(measurement: LlmMeasurement, style: Style) -> list[list[str]]:
    """The names of the columns, then one row a percentile: limit, predicted, measured, verdict; milliseconds."""
    judged = {each.label: each for each in measurement.verdicts}
    sure = max((each.confidence for each in measurement.verdicts), default=0.0)
    word = f"verdict ({sure:.0%} sure)" if sure else "verdict"
    measured_at = f"measured ({measurement.interval_confidence:.0%})"
    rows = [["ms", "", "limit", "predicted (90%)", measured_at, word]]
    for metric in get_args(TokenMetric):
        measured = measurement.percentiles_s.get(metric, {})
        predicted = measurement.predicted_s.get(metric, {})
        name = _NAMES[metric]
        for label, interval in measured.items():
            each = judged.get(f"{metric} {label}")
            if each is None and label not in _SHOWN:
                continue
            expected = predicted.get(label)
            rows.append(
                [
                    name,
                    label,
                    _ms(each.limit_s) if each else "",
                    _range(expected) if expected else "",
                    _range(interval),
                    _verdict_words(each, style) if each else "",
                ]
            )
            name = ""
    return rows


def _verdict_words(each: SloVerdict, style: Style) -> str:
    over = f"{each.overs} of {each.samples} over" if each.samples else "over the limit" if each.overs else ""
    return f"{_verdict(each.verdict, style)}{', ' + over if over else ''}"


def llm_measurement_facts(measurement: LlmMeasurement) -> Iterator[tuple[str, str]]:
    """Names with words: goodput, tokens, the load, the server's own view, what ran, why it ended."""
    facts = {
        "goodput": _goodput(measurement),
        "tokens": f"{measurement.output_tokens_per_s:.4g}/s out; {measurement.mean_prompt_tokens:.4g} a prompt and "
        f"{measurement.mean_output_tokens:.4g} an output on average",
        "load": _load(measurement),
        "server": _server(measurement),
        "step times": _steps(measurement),
        "environment": "; ".join(f"{name} {value}" for name, value in measurement.environment.items()),
        "stopped": _STOPS.get(measurement.stopped_by, measurement.stopped_by),
    }
    yield from ((name, text) for name, text in facts.items() if text)


def llm_measurement_notes(measurement: LlmMeasurement) -> tuple[str, ...]:
    """What a reader must know beside the figures."""
    return (*_surprises(measurement), *measurement.notes)


def _goodput(measurement: LlmMeasurement) -> str:
    if not measurement.verdicts:
        return ""
    share = measurement.goodput_rps / measurement.offered_rps if measurement.offered_rps else 0.0
    return f"{measurement.goodput_rps:.4g} requests/s within every target: {_share(share)} of those offered"


def _load(measurement: LlmMeasurement) -> str:
    errors = f"{measurement.errors} error{'' if measurement.errors == 1 else 's'}"
    tool = "" if measurement.tool == "infc" else f" by {_TOOLS[measurement.tool]}"
    return (
        f"{measurement.offered_rps:.4g}/s offered open loop{tool}, {measurement.completed_rps:.4g}/s answered, "
        f"{measurement.requests} requests in {measurement.duration_s:.1f} s after {measurement.warmup_s:.1f} s of "
        f"warm-up, {errors}, send lag p99 {_ms(measurement.send_lag_p99_s)} ms"
    )


def _server(measurement: LlmMeasurement) -> str:
    """The server's means beside ours."""
    view = measurement.server
    if view is None:
        return ""
    means = ", ".join(
        f"{_NAMES[metric]} {_ms(theirs)} ms (client {_ms(view.client_mean_s[metric])})"
        for metric, theirs in view.mean_s.items()
        if metric in view.client_mean_s
    )
    cache = "" if view.kv_cache_usage is None else f", KV cache up to {view.kv_cache_usage:.0%} full"
    return f"means by its own metrics: {means}; {view.preemptions} preemptions{cache}"


def _steps(measurement: LlmMeasurement) -> str:
    if measurement.step_times is None:
        return ""
    return f"{len(measurement.step_times.points)} shapes of steps from the server's log"


def _surprises(measurement: LlmMeasurement) -> Iterator[str]:
    """Percentiles whose intervals do not meet: what a reader of the plan did not expect."""
    judged = {each.label for each in measurement.verdicts}
    found: list[str] = []
    for metric, values in measurement.percentiles_s.items():
        predicted = measurement.predicted_s.get(metric, {})
        outside = [
            label
            for label, measured in values.items()
            if (label in _SHOWN or f"{metric} {label}" in judged)
            and label in predicted
            and (measured.low > predicted[label].high or measured.high < predicted[label].low)
        ]
        if outside:
            found.append(f"{_NAMES[metric]} {', '.join(outside)}")
    if found and measurement.stopped_by != "saturated":
        yield f"outside the predicted interval: {'; '.join(found)}"


def _help(measurement: LlmMeasurement) -> Iterator[str]:
    open_tests = [each for each in measurement.verdicts if each.verdict is Verdict.INCONCLUSIVE]
    if not open_tests or measurement.stopped_by in ("saturated", "imported"):
        return
    if any(note.startswith(NOT_TRUSTED) for note in measurement.notes):
        yield "run it on an idle machine, or with a longer --budget"
        return
    needed = [each.samples_needed for each in open_tests if each.samples_needed is not None]
    if len(needed) < len(open_tests):
        yield "a percentile lies too close to its limit for any test to settle it; relax it or add capacity"
    elif measurement.offered_rps > 0:
        seconds = math.ceil(1.2 * max(needed) / measurement.offered_rps + measurement.warmup_s)
        yield f"about {max(needed)} requests would settle it: --budget {seconds}s"


def _sentence(kind: str, text: str) -> Sequence[str]:
    return textwrap.wrap(f"{kind}: {text}", WIDTH, subsequent_indent=" " * (len(kind) + 2), break_on_hyphens=False)


def _range(interval: Interval) -> str:
    if interval.low == interval.high:
        return _ms(interval.value)
    high = "?" if math.isinf(interval.high) else _ms(interval.high)
    return f"{_ms(interval.value)} ({_ms(interval.low)} to {high})"


def _share(share: float) -> str:
    """A share in percent; all of it only where it is all.

    >>> _share(0.9996), _share(1.0)
    ('99.9%', '100%')
    """
    return "100%" if share >= 1.0 else f"{math.floor(share * 1000) / 10:.3g}%"


def _ms(seconds: float) -> str:
    """Milliseconds with three significant digits, without an exponent."""
    value = seconds * 1e3
    digits = 0 if value >= 99.5 else 1 if value >= 9.95 else 2
    return f"{value:.{digits}f}"
