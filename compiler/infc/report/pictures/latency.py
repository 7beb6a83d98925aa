"""Latency in pictures: each objective as a share of its limit, whole distributions, and where the time goes."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from infc.ir.accuracy import Verdict
from infc.ir.distribution import Behaviour, LatencyMetric
from infc.ir.estimate import Estimate
from infc.ir.interval import Interval
from infc.ir.llm_measurement import LlmMeasurement
from infc.ir.measurement import LatencyLayers, Measurement
from infc.ir.plan import Plan
from infc.ir.problem import AnyProblem, LatencyTarget, Problem
from infc.plan.words import counted, duration_text
from infc.report.charts.drawing import Absent, DataTable, Key, Picture
from infc.report.charts.interval_rows import IntervalRow, Mark, interval_rows, state_of
from infc.report.charts.latency_curve import DOT, Measured, latency_curve, range_text
from infc.report.charts.stacked_bars import Bar, Part, stacked_bars

NAMES: dict[LatencyMetric, str] = {"latency": "Latency", "ttft": "TTFT", "tpot": "TPOT", "e2e": "End-to-end"}
VERDICT_STATES = {Verdict.PASS: "ok", Verdict.FAIL: "missed", Verdict.INCONCLUSIVE: "uncertain"}
MOST_SHARE = 2.0
"""Shares of a limit beyond twice it are cut off: how far beyond does not matter to whoever reads the picture."""
MEASURED_LATENCY = "Measured latency"
"""Title of what says that nothing was measured."""
_HOW_TO_MEASURE = "`infc compile SPEC --validate` or `infc validate BUNDLE` load-tests it on the real server"
_ON_A_DEVICE = "`infc validate BUNDLE ssh://DEVICE` measures it on a device"


@dataclass(frozen=True, kw_only=True)
class Judged:
    """An objective with what is predicted and measured of it."""

    label: str
    limit_s: float
    predicted: Interval | None
    measured: Interval | None
    verdict: Verdict | None

    @property
    def state(self) -> str:
        """ok, uncertain or missed: the load test's verdict where there is one, which knows more than the interval."""
        if self.verdict is not None:
            return VERDICT_STATES[self.verdict]
        return state_of(self.measured or self.predicted or Interval.exact(0.0), self.limit_s)


def slo_picture(problem: AnyProblem, plan: Plan, measurement: Measurement | LlmMeasurement | None) -> Picture | None:
    """Every objective as a share of its limit; None where the spec has none that is predicted."""
    judged = [each for each in _judged(problem, plan.estimate, measurement) if each.predicted or each.measured]
    return objectives_picture(judged, measurement) if judged else None


def objectives_picture(judged: Sequence[Judged], measurement: Measurement | LlmMeasurement | None) -> Picture:
    """These objectives, of which there is one at least, as shares of their limits."""
    word = measured_word(measurement)
    rows: list[IntervalRow] = []
    for each in judged:
        limit = duration_text(each.limit_s)
        for name, value in (("predicted", each.predicted), (word, each.measured)):
            if value is None:
                continue
            said = f"{duration_text(value.value)} of {limit}"
            label = f"{each.label} {name}" if measurement is not None else each.label
            kind = each.state if name != "predicted" else state_of(value, each.limit_s)
            kind += " hollow" if name == "predicted" and measurement is not None else ""
            rows.append(IntervalRow(label=label, value=value.scaled(1 / each.limit_s), said=said, kind=kind))
    states = [each.state for each in judged]
    return Picture(
        title="Each objective as a share of its limit",
        sentence=_sentence(states, said=word if measurement is not None else "predicted"),
        drawing=interval_rows(rows, _percent, marks=(Mark(name="limit", value=1.0),), most=MOST_SHARE),
        legend=_slo_legend([row.kind for row in rows], has_measurement=measurement is not None),
        table=DataTable(
            columns=("objective", "limit", "predicted (90% interval)", word),
            rows=tuple(
                (each.label, duration_text(each.limit_s), _range(each.predicted), _range(each.measured))
                for each in judged
            ),
        ).without_empty(),
    )


def distribution_pictures(
    problem: AnyProblem,
    plan: Plan,
    behaviour: Behaviour | None,
    measurement: Measurement | LlmMeasurement | None,
) -> Iterator[Picture | Absent]:
    """The distribution of every metric that the spec limits, and a word where nothing was measured yet."""
    for metric, targets in targets_of(problem).items():
        if not targets:
            continue
        predicted = next((d for d in behaviour.distributions if d.metric == metric), None) if behaviour else None
        title = f"{NAMES[metric]} distribution at the peak"
        picture = latency_curve(title, predicted, measured_curve(measurement, metric), targets)
        if picture is not None:
            yield picture
    if measurement is None or measurement.is_rehearsal:
        how = _ON_A_DEVICE if plan.candidate.server == "jetson" else _HOW_TO_MEASURE
        yield Absent(title=MEASURED_LATENCY, sentence=f"Nothing measured on the planned device is at hand: {how}.")


def layers_picture(behaviour: Behaviour | None, measurement: Measurement | LlmMeasurement | None) -> Picture | Absent:
    """The mean request by layer, predicted and measured."""
    bars = [] if behaviour is None else [_bar("predicted", [(each.name, each.seconds) for each in behaviour.layers])]
    measured = _measured_layers(measurement)
    bars += [_bar(measured_word(measurement), measured)] if measured else []
    title = "Where the time of a mean request goes"
    if not bars:
        return Absent(title=title, sentence="The simulator does not serve this plan, and nothing was measured.")
    parts = []
    for bar in bars:
        largest = max(bar.parts, key=lambda part: part.value)
        share = largest.value / bar.total if bar.total else 0.0
        parts.append(f"{bar.label} {duration_text(bar.total)}, {share:.0%} of it {largest.name}")
    missing = "" if measured else " Measured layers come with a load test."
    sentence = f"Mean: {'; '.join(parts)}.{missing}"
    return stacked_bars(title, bars, duration_text, sentence=sentence)


def measured_word(measurement: Measurement | LlmMeasurement | None) -> str:
    """What a load test's figures are called: without an accelerator the server was real, but not its times."""
    return "rehearsed" if measurement is not None and measurement.is_rehearsal else "measured"


def targets_of(problem: AnyProblem) -> Mapping[LatencyMetric, tuple[LatencyTarget, ...]]:
    """The objectives of a problem by what they are about."""
    if isinstance(problem, Problem):
        return {"latency": problem.latency}
    return {"ttft": problem.ttft, "tpot": problem.tpot, "e2e": problem.e2e}


def _judged(
    problem: AnyProblem, estimate: Estimate, measurement: Measurement | LlmMeasurement | None
) -> Iterator[Judged]:
    for metric, targets in targets_of(problem).items():
        predicted, measured = _predicted(estimate, metric), _percentiles(measurement, metric)
        for target in targets:
            yield Judged(
                label=target.label if metric == "latency" else f"{metric.upper()} {target.label}",
                limit_s=target.limit_s,
                predicted=predicted.get(target.label),
                measured=measured.get(target.label),
                verdict=_verdict_of(measurement, metric, target.label),
            )


def _verdict_of(measurement: Measurement | LlmMeasurement | None, metric: LatencyMetric, label: str) -> Verdict | None:
    name = label if metric == "latency" else f"{metric} {label}"
    every = () if measurement is None else measurement.verdicts
    return next((each.verdict for each in every if each.label == name), None)


def _predicted(estimate: Estimate, metric: LatencyMetric) -> Mapping[str, Interval]:
    if metric in ("latency", "e2e"):
        return estimate.e2e_s
    if estimate.tokens is None:
        return {}
    return estimate.tokens.ttft_s if metric == "ttft" else estimate.tokens.tpot_s


def _percentiles(measurement: Measurement | LlmMeasurement | None, metric: LatencyMetric) -> Mapping[str, Interval]:
    match measurement:
        case Measurement() if metric == "latency":
            return measurement.e2e_s
        case LlmMeasurement() if metric != "latency":
            return measurement.percentiles_s.get(metric, {})
        case _:
            return {}


def measured_curve(measurement: Measurement | LlmMeasurement | None, metric: LatencyMetric) -> Measured | None:
    """What a load test showed of a metric; None without a load test, or where it is no metric of such a model."""
    percentiles = _percentiles(measurement, metric)
    match measurement:
        case Measurement():
            curve = measurement.curve_s
        case LlmMeasurement() if metric != "latency":
            curve = measurement.curves_s.get(metric, ())
        case _:
            return None
    return Measured(curve=curve, percentiles=percentiles, word=measured_word(measurement))


def _measured_layers(measurement: Measurement | LlmMeasurement | None) -> list[tuple[str, float]]:
    match measurement:
        case Measurement():
            return _triton_layers(measurement.layers)
        case LlmMeasurement():
            return _llm_layers(measurement)
        case _:
            return []


def _triton_layers(layers: LatencyLayers) -> list[tuple[str, float]]:
    return [
        ("transport", layers.transport_s),
        ("queue", layers.queue_s),
        ("compute input", layers.compute_input_s),
        ("compute", layers.compute_s),
        ("compute output", layers.compute_output_s),
    ]


def _llm_layers(measurement: LlmMeasurement) -> list[tuple[str, float]]:
    """What vLLM's metrics tell apart: the way to the server and back, until the first token, and the others."""
    means = {metric: known["mean"].value for metric, known in measurement.percentiles_s.items() if "mean" in known}
    ttft_s, e2e_s, view = means.get("ttft"), means.get("e2e"), measurement.server
    if ttft_s is None or e2e_s is None:
        return []
    transport_s = 0.0
    if view is not None and "ttft" in view.mean_s and "ttft" in view.client_mean_s:
        transport_s = min(max(view.client_mean_s["ttft"] - view.mean_s["ttft"], 0.0), ttft_s)
    return [
        ("transport", transport_s),
        ("queue and prefill", ttft_s - transport_s),
        ("decode", max(e2e_s - ttft_s, 0.0)),
    ]


def _bar(label: str, layers: Sequence[tuple[str, float]]) -> Bar:
    parts = tuple(Part(kind=f"layer-{name.replace(' ', '-')}", name=name, value=seconds) for name, seconds in layers)
    return Bar(label=label, parts=parts)


def _slo_legend(kinds: Sequence[str], *, has_measurement: bool) -> tuple[Key, ...]:
    words = {
        "ok": "holds for certain",
        "uncertain": "may hold: its interval crosses the limit",
        "missed": "missed",
    }
    seen = {kind.split()[0] for kind in kinds}
    keys = [Key(kind=f"dot {kind}", text=text, shape=DOT) for kind, text in words.items() if kind in seen]
    return (*keys, Key(kind="dot hollow", text="predicted", shape=DOT)) if has_measurement else tuple(keys)


def _sentence(states: Sequence[str], *, said: str) -> str:
    """What the picture says: of a measurement the verdicts, of a prediction whether the intervals stay below."""
    count, open_ones, missed = len(states), states.count("uncertain"), states.count("missed")
    is_measured = said != "predicted"
    if missed:
        return f"{missed} of {counted(count, 'objective')} {said} to be missed."
    if not open_ones:
        return f"{counted(count, 'objective')} {said} to hold{'' if is_measured else ', with the whole interval'}."
    if is_measured:
        settled = count - open_ones
        return f"The load test settled {settled} of {counted(count, 'objective')}; it was too short for the rest."
    return f"{counted(count, 'objective')} {said} to hold, {open_ones} of them not for certain: the interval is wide."


def _range(interval: Interval | None) -> str:
    return "" if interval is None else range_text(interval)


def _percent(share: float) -> str:
    return f"{share:.0%}"
