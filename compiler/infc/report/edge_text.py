"""A release on a device, for people: predicted beside measured, its engine, power and heat, and what came of it."""

import math
import textwrap
from collections.abc import Iterator

from infc.ir.accuracy import Verdict
from infc.ir.edge_acceptance import EdgeAcceptance, EdgeVerdictWord, MetricVerdict
from infc.ir.edge_release import EdgeTarget
from infc.ir.edge_validation import EdgeOutcome, EdgeValidation
from infc.ir.interval import Interval
from infc.report.layout import INDENT, WIDTH, Style, bullets, style_for, table, wrapped_row

_COLORS = {"pass": "green", "fail": "red", "inconclusive": "yellow"}
_MOST_DIGITS = 6
_HELP = {
    EdgeOutcome.ROLLED_BACK: "relax the SLO, or allow a faster module or power mode; then compile again",
    EdgeOutcome.NOTHING_IN_SERVICE: "relax the SLO, or allow a faster module or power mode; then compile again",
    EdgeOutcome.NOT_SETTLED: "end what else runs on the device and run it again, or relax a limit that is so close",
}


def render_edge_text(validation: EdgeValidation, *, color: bool = False) -> str:
    """The report as text, without a final newline."""
    style = style_for(color=color)
    release, target = validation.release, validation.target
    lines = [f"{release.name} {release.version} on {target.title}: {_headline(validation, style)}"]
    acceptance = validation.acceptance
    if acceptance is not None:
        lines += ["", *table(acceptance_rows(acceptance, target, style)), ""]
        for name, words in acceptance_facts(acceptance, target):
            lines += wrapped_row(name, words, style)
    lines += [*wrapped_row("device", _device(validation), style), *wrapped_row("outcome", _outcome(validation), style)]
    if acceptance is None and validation.code != 0:
        lines += bullets(validation.words)
    lines += _notes(validation)
    return "\n".join(lines)


def _headline(validation: EdgeValidation, style: Style) -> str:
    if validation.verdict is None:
        return style("red" if validation.outcome is EdgeOutcome.REFUSED else "green", validation.outcome.value)
    return style(_COLORS[validation.verdict.value], validation.verdict.value)


def acceptance_rows(acceptance: EdgeAcceptance, target: EdgeTarget, style: Style) -> list[list[str]]:
    """The names of the columns, then one row a metric: limit, predicted, measured, verdict."""
    rows = [["", "limit", "predicted", "measured", "verdict"]]
    judged = {each.metric: each for each in acceptance.verdicts}
    for label, measured in acceptance.latency_s.items():
        each = judged.pop(label, None)
        predicted = target.predicted.latency_s.get(label)
        limit = f"{_ms(each.limit)} ms" if each else ""
        verdict = _verdict(each.verdict, style) if each else ""
        rows.append([label, limit, _range(predicted) if predicted else "", _range(measured), verdict])
    rows += [_other_row(each, target, style) for each in judged.values()]
    return rows


def _other_row(each: MetricVerdict, target: EdgeTarget, style: Style) -> list[str]:
    unit = {"power": "W", "temperature": "C"}.get(each.metric)
    predicted = target.predicted.power_w if each.metric == "power" else None
    if unit is None:  # a time that no percentile of the latency is, such as a language model's first token
        value = None if each.value is None else Interval(value=each.value, low=each.low or 0.0, high=_high(each))
        return [
            each.metric,
            f"{_ms(each.limit)} ms",
            "",
            _range(value) if value else "-",
            _verdict(each.verdict, style),
        ]
    shown = "" if predicted is None else f"{predicted.value:.1f} {unit} ({predicted.low:.1f} to {predicted.high:.1f})"
    measured = "-" if each.value is None else f"{each.value:.1f} {unit}"
    return [each.metric, f"{each.limit:g} {unit}", shown, measured, _verdict(each.verdict, style)]


def _high(each: MetricVerdict) -> float:
    return math.inf if each.high is None else each.high


def _verdict(word: EdgeVerdictWord, style: Style) -> str:
    return style(_COLORS[word], word)


def acceptance_facts(acceptance: EdgeAcceptance, target: EdgeTarget) -> Iterator[tuple[str, str]]:
    """Names with words: the load, the engine and its outputs, power and heat."""
    load, engine = acceptance.load, acceptance.engine
    offered = f"{load.rate_rps:.4g}/s offered to the {load.what}, {load.requests} requests in {load.seconds:.1f} s"
    yield "load", f"{offered}, {load.failed} failed"
    if engine is not None:
        made = "taken from the device's cache" if engine.is_reused else f"built there in {_span(engine.seconds)}"
        alone = ", ".join(f"{label} {_range(each)}" for label, each in (acceptance.engine_latency_s or {}).items())
        words = f"{made}, {engine.size_bytes / 1e6:.1f} MB, key {engine.key[:12]}"
        yield "engine", f"{words}; alone {alone}" if alone else words
    if acceptance.outputs is not None:
        yield "outputs", _outputs(acceptance)
    yield "power", _power(acceptance, target)
    yield "temperature", _heat(acceptance)


def _outputs(acceptance: EdgeAcceptance) -> str:
    outputs = acceptance.outputs
    assert outputs is not None  # noqa: S101 - the caller looked
    parts = []
    for name, error in outputs.worst.items():
        same = "" if error.argmax_agreement is None else f", {error.argmax_agreement:.0%} with the same largest element"
        parts.append(f"{name} at most {error.max_absolute:.3g} off, {error.mean_absolute:.3g} in the mean{same}")
    count = f"{outputs.samples} sample{'' if outputs.samples == 1 else 's'}"
    return f"{outputs.verdict} on {count}: {'; '.join(parts)}"


def _power(acceptance: EdgeAcceptance, target: EdgeTarget) -> str:
    mode = "" if acceptance.power_mode is None else f", mode {acceptance.power_mode}"
    predicted = target.predicted.power_w
    expected = "" if predicted is None else f"; predicted {predicted.value:.1f} W"
    if acceptance.power_w is None:
        return f"the device has no sensor for it{mode}{expected}"
    return f"{acceptance.power_w.mean:.1f} W in the mean, {acceptance.power_w.max:.1f} W at most{mode}{expected}"


def _heat(acceptance: EdgeAcceptance) -> str:
    heat = acceptance.temperature_c
    if heat is None:
        return "the device has no sensor for it"
    slowed = {True: ", the module slowed itself down", False: ", not slowed down", None: ""}[acceptance.is_throttled]
    return f"{heat.mean:.1f} C in the mean, {heat.max:.1f} C at most{slowed}"


def _device(validation: EdgeValidation) -> str:
    if validation.acceptance is None:
        return f"{validation.device}, {validation.target.hardware_id}"
    device = validation.acceptance.device
    facts = [device.model, device.module, f"L4T {device.l4t}", f"TensorRT {device.tensorrt}"]
    return f"{validation.device}, {', '.join(fact for fact in facts if fact is not None)}"


def _outcome(validation: EdgeValidation) -> str:
    if validation.was_in_service:
        since = validation.acceptance.accepted_at if validation.acceptance is not None else None
        return f"in service already{f' since {since}' if since else ''}; these are the figures of then"
    return validation.outcome.value if validation.code == 0 else f"{validation.outcome.value} (code {validation.code})"


def _notes(validation: EdgeValidation) -> Iterator[str]:
    acceptance = validation.acceptance
    notes = [] if acceptance is None else [f"note: {note}" for note in acceptance_notes(acceptance, validation.target)]
    help = _HELP.get(validation.outcome)
    if acceptance is not None and help is not None and validation.verdict is not Verdict.PASS:
        notes.append(f"help: {help}")
    for note in notes:
        yield from textwrap.wrap(note, WIDTH, initial_indent=INDENT, subsequent_indent=INDENT * 2)


def acceptance_notes(acceptance: EdgeAcceptance, target: EdgeTarget) -> tuple[str, ...]:
    """What a reader of the plan did not expect: percentiles whose intervals do not meet."""
    outside = [
        label
        for label, measured in acceptance.latency_s.items()
        if (each := target.predicted.latency_s.get(label)) is not None
        and (measured.low > each.high or measured.high < each.low)
    ]
    return (f"outside the predicted interval: {', '.join(outside)}",) if outside else ()


def _range(interval: Interval) -> str:
    if interval.low == interval.high:
        return f"{_ms(interval.value)} ms"
    high = "?" if math.isinf(interval.high) else _ms(interval.high)
    return f"{_ms(interval.value)} ms ({_ms(interval.low)} to {high})"


def _ms(seconds: float) -> str:
    """Milliseconds with three significant digits, without an exponent.

    >>> _ms(0.00412), _ms(0.0333), _ms(1.5), _ms(0.000125)
    ('4.12', '33.3', '1500', '0.125')
    """
    value = seconds * 1e3
    digits = 2 - math.floor(math.log10(value)) if value > 0.0 else 0
    return f"{value:.{max(0, min(digits, _MOST_DIGITS))}f}"


def _span(seconds: float) -> str:
    """`45 s`, `3.5 min`.

    >>> _span(45.2), _span(210)
    ('45 s', '3.5 min')
    """
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.1f} min"
