"""Drift as metrics: readable by a strict parser whatever names hold, complete, and the same for the same findings."""

from hypothesis import given, settings
from hypothesis import strategies as st

from infc.diag import Diagnostic
from infc.lock.drift import DriftItem, DriftReport, DriftVerdict, ObjectiveItem, Observed
from infc.lock.drift.fleet import DeviceDrift, FleetDrift
from infc.report.drift_prometheus import render_drift_prometheus
from infc.serve.prometheus import parse_metrics


def report(name: str = "chat", endpoint: str = "http://here:8000") -> DriftReport:
    """A report of a server with one item of each verdict and an objective."""

    def item(id: str, verdict: DriftVerdict) -> DriftItem:
        return DriftItem(
            id=id, area="prediction", name=id, expected=2.0, observed=3, verdict=verdict, low=2.5, high=5.0
        )

    objective = ObjectiveItem(
        metric="e2e",
        label="p99",
        limit_s=0.08,
        predicted_s=None,
        low_s=0.1,
        high_s=0.2,
        requests=9,
        fewest_within=0,
        most_within=1,
        confidence=0.95,
        verdict=Observed.MISSED,
    )
    return DriftReport(
        name=name,
        target="l4",
        spec=f"{name}.infc.yaml",
        endpoint=endpoint,
        server="Triton",
        requests=9,
        duration_s=3.0,
        is_since_start=False,
        items=(
            item("one", DriftVerdict.SAME),
            item("two", DriftVerdict.DRIFTED),
            item("three", DriftVerdict.NOT_VISIBLE),
        ),
        objectives=(objective,),
    )


def test_every_finding_is_a_sample() -> None:
    """Counts by verdict, items that were seen, bounds over the prediction, the objective; no time of its own."""
    page = parse_metrics(render_drift_prometheus(report()) + "\n")
    assert page.total("infc_drift_items", area="prediction", verdict="drifted") == 1
    assert page.total("infc_drift_item", id="two") == 1
    assert page.total("infc_drift_item", id="one") == 0
    assert page.total("infc_drift_item", id="three") is None
    assert page.total("infc_drift_observed_to_predicted_ratio", id="two", bound="high") == 2.5
    assert page.total("infc_drift_objective", percentile="p99", verdict="missed") == 1
    assert page.total("infc_drift_verdict", verdict="slo-missed") == 1
    assert page.total("infc_drift_last_run_timestamp_seconds") is None
    assert page.total("infc_drift_plan_fits") == 1


@settings(max_examples=40)
@given(st.text(max_size=30))
def test_names_are_inert(name: str) -> None:
    """Quotes, backslashes, line ends, braces: a parser reads back the very name, and no line more."""
    text = render_drift_prometheus(report(name), at_s=1.5)
    plain = render_drift_prometheus(report("x"), at_s=1.5)
    page = parse_metrics(text + "\n")
    (sample,) = page.samples["infc_drift_plan_fits"]
    assert sample.label("name") == name
    assert text.count("\n") == plain.count("\n")


def test_devices_have_their_addresses() -> None:
    """A fleet: the verdict of each device, also of one that does not answer, and the items of the others."""
    silent = Diagnostic(id="drift-server", message="no answer")
    fleet = FleetDrift(
        name="chat",
        spec="chat.infc.yaml",
        devices=(
            DeviceDrift(address="ssh://a", report=report(endpoint="ssh://a")),
            DeviceDrift(address="ssh://b", report=None, problem=silent),
        ),
    )
    page = parse_metrics(render_drift_prometheus(fleet, at_s=1763800000.0) + "\n")
    assert page.total("infc_drift_verdict", endpoint="ssh://b", verdict="no-answer") == 1
    assert page.total("infc_drift_item", endpoint="ssh://a", id="two") == 1
    assert page.total("infc_drift_last_run_timestamp_seconds") == 1763800000.0
