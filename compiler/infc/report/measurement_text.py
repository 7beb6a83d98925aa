"""A measurement for people: predicted beside measured, where the time went, the load, the verdict."""

import math
from collections.abc import Iterator, Sequence

import click

from infc.ir.accuracy import Verdict
from infc.ir.interval import Interval
from infc.ir.measurement import Measurement, SloVerdict
from infc.validate.load.result import NOT_TRUSTED

_COLORS = {Verdict.PASS: "green", Verdict.FAIL: "red", Verdict.INCONCLUSIVE: "yellow"}
_BAR_WIDTH = 30
_REHEARSAL = "rehearsal: scheduling only, with the plan's service times; no accelerator ran"


def render_measurement_text(measurement: Measurement, *, color: bool = False) -> str:
    """The report as text, without a final newline."""
    lines = [
        _headline(measurement, color=color),
        "",
        *_aligned(percentile_rows(measurement, color=color)),
        "",
        *_layers(measurement),
        "",
        *(f"{name:<12} {words}" for name, words in measurement_facts(measurement)),
        *(f"note: {note}" for note in measurement_notes(measurement)),
        *_help(measurement),
    ]
    return "\n".join(lines)


def _headline(measurement: Measurement, *, color: bool) -> str:
    verdict = _styled(measurement.verdict, color=color)
    suffix = f" ({_REHEARSAL})" if measurement.is_rehearsal else ""
    return f"{measurement.name} on {measurement.target}: {verdict}{suffix}"


def _styled(verdict: Verdict, *, color: bool) -> str:
    return click.style(verdict.value, fg=_COLORS[verdict], bold=True) if color else verdict.value


def percentile_rows(measurement: Measurement, *, color: bool = False) -> list[list[str]]:
    """The names of the columns, then one row a percentile: limit, predicted, measured, verdict."""
    judged = {each.label: each for each in measurement.verdicts}
    word = "verdict (rehearsal)" if measurement.is_rehearsal else "verdict"
    rows = [["", "limit", "predicted (90%)", f"measured ({measurement.interval_confidence:.0%})", word]]
    for label, measured in measurement.e2e_s.items():
        each = judged.get(label)
        predicted = measurement.predicted_s.get(label)
        rows.append(
            [
                label,
                f"{_ms(each.limit_s)} ms" if each else "",
                _range(predicted) if predicted else "",
                _range(measured),
                _verdict_words(each, color=color) if each else "",
            ]
        )
    return rows


def _verdict_words(each: SloVerdict, *, color: bool) -> str:
    words = _styled(each.verdict, color=color)
    if each.verdict is Verdict.INCONCLUSIVE:
        return f"{words} ({each.overs} of {each.samples} over)"
    return f"{words} ({each.overs} of {each.samples} over, {each.confidence:.0%} sure)"


def _aligned(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]) - 1)]
    for row in rows:
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=False)]
        yield "  " + "   ".join([*cells, row[-1]]).rstrip()


def _layers(measurement: Measurement) -> Iterator[str]:
    layers = measurement.layers
    parts = {
        "transport": layers.transport_s,
        "queue": layers.queue_s,
        "compute input": layers.compute_input_s,
        "compute": layers.compute_s,
        "compute output": layers.compute_output_s,
    }
    total_s = sum(parts.values())
    yield f"where an answered request's time goes (mean {_ms(total_s)} ms)"
    widest = max(parts.values())
    for name, seconds in parts.items():
        bar = "#" * round(_BAR_WIDTH * seconds / widest) if widest else ""
        yield f"  {name:<14} {_ms(seconds):>7} ms {seconds / total_s:>4.0%}  {bar}".rstrip()


def measurement_facts(measurement: Measurement) -> Iterator[tuple[str, str]]:
    """Names with words: the load, the batches, the service time, what ran, why it ended."""
    errors = f"{measurement.errors} error{'' if measurement.errors == 1 else 's'}"
    yield (
        "load",
        f"{measurement.offered_rps:.4g}/s offered open loop, {measurement.completed_rps:.4g}/s answered, "
        f"{measurement.requests} requests in {measurement.duration_s:.1f} s after {measurement.warmup_s:.1f} s "
        f"of warm-up, {errors}, send lag p99 {_ms(measurement.send_lag_p99_s)} ms",
    )
    executions = sum(measurement.batch_sizes.values())
    shares = ", ".join(
        f"{size}: {count / executions:.0%}" for size, count in sorted(measurement.batch_sizes.items()) if count
    )
    yield "batches", f"mean {measurement.mean_batch_size:.2f} ({shares})"
    if measurement.service_time is not None:
        points = ", ".join(f"{p.batch_size}: {_ms(p.seconds.value)}" for p in measurement.service_time.points)
        yield "service time", f"ms by batch size {points}"
    yield "environment", "; ".join(f"{name} {value}" for name, value in measurement.environment.items())
    stops = {
        "settled": "the verdict was settled",
        "budget": "the budget was spent",
        "saturated": "the server fell behind for good",
    }
    yield "stopped", stops.get(measurement.stopped_by, measurement.stopped_by)


def measurement_notes(measurement: Measurement) -> tuple[str, ...]:
    """What a reader must know beside the figures."""
    return (*_surprises(measurement), *measurement.notes)


def _surprises(measurement: Measurement) -> Iterator[str]:
    """Percentiles whose intervals do not meet: what a reader of the plan did not expect."""
    outside = [
        label
        for label, measured in measurement.e2e_s.items()
        if (predicted := measurement.predicted_s.get(label)) is not None
        and (measured.low > predicted.high or measured.high < predicted.low)
    ]
    if outside and measurement.stopped_by != "saturated":
        yield f"outside the predicted interval: {', '.join(outside)}"


def _help(measurement: Measurement) -> Iterator[str]:
    open_tests = [each for each in measurement.verdicts if each.verdict is Verdict.INCONCLUSIVE]
    if not open_tests:
        return
    if any(note.startswith(NOT_TRUSTED) for note in measurement.notes):
        yield "help: run it on an idle machine, as root (for real-time priority), or with a longer --budget"
        return
    needed = [each.samples_needed for each in open_tests if each.samples_needed is not None]
    if len(needed) < len(open_tests):
        yield "help: a percentile lies too close to its limit for any test to settle it; relax it or add capacity"
    elif measurement.offered_rps > 0:
        seconds = math.ceil(1.2 * max(needed) / measurement.offered_rps + measurement.warmup_s)
        yield f"help: about {max(needed)} samples would settle it: --budget {seconds}s"


def _range(interval: Interval) -> str:
    if interval.low == interval.high:
        return f"{_ms(interval.value)} ms"
    high = "?" if math.isinf(interval.high) else _ms(interval.high)
    return f"{_ms(interval.value)} ms ({_ms(interval.low)} to {high})"


def _ms(seconds: float) -> str:
    """Milliseconds with three significant digits, without an exponent."""
    value = seconds * 1e3
    digits = 0 if value >= 99.5 else 1 if value >= 9.95 else 2
    return f"{value:.{digits}f}"
