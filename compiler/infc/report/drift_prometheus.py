"""`infc drift` as metrics in Prometheus' text format, for a cron job: a textfile collector, or a Pushgateway.

Values are what was found, nothing else: without `--at` the text has no time in it, and same findings are same bytes.
Source: "Exposition formats" of the Prometheus documentation (text format 0.0.4).
"""

import math
from collections.abc import Iterator, Mapping, Sequence

from infc.lock.drift import DriftItem, DriftReport, DriftVerdict, ObjectiveItem, Observed
from infc.lock.drift.fleet import WORST_FIRST, FleetDrift
from infc.lock.drift.values import AREAS

_HELP: Mapping[str, str] = {
    "infc_drift_verdict": "What a run of infc drift came to: 1 for its verdict, 0 for the others.",
    "infc_drift_items": "Comparisons of a run, by what they are of and what came out.",
    "infc_drift_item": "Whether what was locked or expected differs from what was seen: 1 drifted, 0 the same.",
    "infc_drift_objective": "An objective of the SLO against what was seen: 1 for its verdict, 0 for the others.",
    "infc_drift_objective_limit_seconds": "The limit of an objective.",
    "infc_drift_observed_to_predicted_ratio": "A bound of what was seen over the locked prediction.",
    "infc_drift_plan_fits": "Whether the locked plan still fits the observed traffic.",
    "infc_drift_last_run_timestamp_seconds": "Unix time of the run.",
}
_Sample = tuple[str, Mapping[str, str], float]


def render_drift_prometheus(found: DriftReport | FleetDrift, *, at_s: float | None = None) -> str:
    """The metrics without a final newline; items that are not visible have no line of their own."""
    samples: dict[str, list[str]] = {name: [] for name in _HELP}
    for name, labels, value in _samples(found, at_s):
        samples[name].append(f"{name}{{{_labels(labels)}}} {_number(value)}")
    lines = []
    for name, text in _HELP.items():
        if samples[name]:
            lines += [f"# HELP {name} {text}", f"# TYPE {name} gauge", *samples[name]]
    return "\n".join(lines)


def _samples(found: DriftReport | FleetDrift, at_s: float | None) -> Iterator[_Sample]:
    if isinstance(found, DriftReport):
        yield from _of_report(found, _own(found))
        own: Mapping[str, str] = _own(found)
    else:
        own = {"spec": found.spec, "name": found.name}
        for device in found.devices:
            labels = {**own, "endpoint": device.address}
            yield from _one_of("infc_drift_verdict", labels, "verdict", device.verdict, WORST_FIRST)
            if device.report is not None:
                yield from _details(device.report, _own(device.report))
    if at_s is not None:
        yield "infc_drift_last_run_timestamp_seconds", own, at_s


def _own(report: DriftReport) -> Mapping[str, str]:
    own = {"spec": report.spec, "name": report.name, "target": report.target, "subject": report.subject}
    return own | ({"endpoint": report.endpoint} if report.subject in ("server", "device") else {})


def _of_report(report: DriftReport, own: Mapping[str, str]) -> Iterator[_Sample]:
    verdicts = [each for each in WORST_FIRST if each != "no-answer"]
    yield from _one_of("infc_drift_verdict", own, "verdict", report.verdict, verdicts)
    yield from _details(report, own)


def _details(report: DriftReport, own: Mapping[str, str]) -> Iterator[_Sample]:
    for area in AREAS:
        items = report.of_area(area)
        for verdict in DriftVerdict:
            count = sum(item.verdict is verdict for item in items)
            labels = {**own, "area": area, "verdict": verdict.value.replace(" ", "-")}
            yield "infc_drift_items", labels, count
    for item in report.items:
        if item.verdict is not DriftVerdict.NOT_VISIBLE:
            labels = {**own, "area": item.area, "id": item.id}
            yield "infc_drift_item", labels, float(item.verdict is DriftVerdict.DRIFTED)
        yield from _ratios(item, own)
    for each in report.objectives:
        yield from _objective(each, own)
    if report.subject in ("server", "trace"):
        yield "infc_drift_plan_fits", own, float(report.plan is None)


def _ratios(item: DriftItem, own: Mapping[str, str]) -> Iterator[_Sample]:
    """Both bounds of what was seen, as multiples of the prediction."""
    if item.area != "prediction" or not isinstance(item.expected, int | float) or not item.expected > 0:
        return
    for bound, value in (("low", item.low), ("high", item.high)):
        if value is not None and math.isfinite(value):
            labels = {**own, "id": item.id, "bound": bound}
            yield "infc_drift_observed_to_predicted_ratio", labels, float(f"{value / item.expected:.6g}")


def _objective(each: ObjectiveItem, own: Mapping[str, str]) -> Iterator[_Sample]:
    labels = {**own, "metric": each.metric, "percentile": each.label}
    verdicts = [verdict.value for verdict in Observed]
    yield from _one_of("infc_drift_objective", labels, "verdict", each.verdict.value, verdicts)
    yield "infc_drift_objective_limit_seconds", labels, each.limit_s


def _one_of(name: str, own: Mapping[str, str], label: str, value: str, values: Sequence[str]) -> Iterator[_Sample]:
    """One line for each value that there is, 1 for the one that holds."""
    for each in values:
        yield name, {**own, label: each.replace(" ", "-")}, float(each == value)


def _labels(labels: Mapping[str, str]) -> str:
    return ",".join(f'{name}="{_escaped(value)}"' for name, value in labels.items())


def _escaped(text: str) -> str:
    r"""A label's value as the format wants it; what is not text of UTF-8 is replaced.

    >>> print(_escaped('a"b\\c\nd'))
    a\"b\\c\nd
    """
    clean = text.encode("utf-8", errors="replace").decode()
    return clean.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def _number(value: float) -> str:
    """Whole numbers as such.

    >>> _number(1.0), _number(0.25), _number(1763800000.0), _number(1763800000.5)
    ('1', '0.25', '1763800000', '1763800000.5')
    """
    return str(int(value)) if float(value).is_integer() else repr(float(value))
