"""Every alert fires when it should and is quiet when it should: promtool runs the emitted rules on made-up traffic."""

from pathlib import Path

import pytest

from infc.emit.kubernetes.served import Served

from . import deployments
from .scenarios import Phase, alert, run

TRITON, VLLM = deployments.triton(goals=deployments.triton().goals[1:]), deployments.vllm()
BOTH = pytest.mark.parametrize("served", [TRITON, VLLM], ids=["triton", "vllm"])
FAST = 'window="1h"'


def budget(served: Served) -> float:
    """The share of requests that may be late."""
    return 1.0 - served.goals[0].percentile / 100.0


def burn(served: Served, severity: str, window: str) -> list[str]:
    """The latency alert of every goal."""
    return [alert("InfcLatencySloBurn", goal.label, severity, window) for goal in served.goals]


def traffic(served: Served, minutes: float, **changes: float | bool) -> Phase:
    """Traffic at an eighth of the planned peak."""
    return Phase(minutes=minutes, rate=served.peak_rps / 8.0, **changes)  # type: ignore[arg-type]


@BOTH
def test_kept_promises_are_quiet(served: Served, tmp_path: Path) -> None:
    """Late and failed requests within the budgets, on one replica or several."""
    calm = traffic(served, 70.0, late=0.4 * budget(served), failed=0.0005)
    run(served, [calm], {5.0: [], 30.0: [], 69.0: []}, tmp_path, replicas=2)


@BOTH
def test_a_fast_burn_pages_within_the_hour_and_stops_when_it_ends(served: Served, tmp_path: Path) -> None:
    """At twenty times the budget the page comes once the hour's share is reached, and goes minutes after the end."""
    late = min(20.0 * budget(served), 0.9)
    phases = [traffic(served, 60.0), traffic(served, 50.0, late=late), traffic(served, 15.0)]
    expected = {59.0: [], 90.0: [], 106.0: burn(served, "critical", "1h"), 124.0: []}
    run(served, phases, expected, tmp_path, among=FAST)


@BOTH
def test_an_outage_pages_in_minutes(served: Served, tmp_path: Path) -> None:
    """All late: of a tight goal ten minutes after an hour in which all was well; all failing: in two."""
    phases = [traffic(served, 60.0), traffic(served, 45.0, late=1.0)]
    minutes = 71.0 if budget(served) < 0.02 else 95.0
    run(served, phases, {60.0: [], minutes: burn(served, "critical", "1h")}, tmp_path / "late", among=FAST)
    failing = [traffic(served, 60.0), traffic(served, 10.0, failed=1.0)]
    page = [alert("InfcAvailabilitySloBurn", "availability", "critical", "1h")]
    run(served, failing, {60.0: [], 63.0: page}, tmp_path / "failed", among=FAST)


@BOTH
def test_a_slow_burn_makes_a_ticket_and_no_page(served: Served, tmp_path: Path) -> None:
    """Twice the budget is none of the pager's business."""
    phases = [traffic(served, 45.0, late=2.0 * budget(served) + 1e-6)]
    run(served, phases, {40.0: burn(served, "warning", "3d")}, tmp_path)


@BOTH
def test_no_traffic_is_quiet(served: Served, tmp_path: Path) -> None:
    """Nobody asks: no share to judge, and no alert."""
    run(served, [Phase(minutes=30.0, rate=0.0, waiting=0.0)], {10.0: [], 29.0: []}, tmp_path)


@BOTH
def test_a_few_late_requests_of_a_service_that_few_use_are_no_page(served: Served, tmp_path: Path) -> None:
    """Six requests an hour, all late: a large share of almost nothing."""
    run(served, [Phase(minutes=61.0, rate=1.0 / 600.0, late=1.0)], {30.0: [], 60.0: []}, tmp_path, among=FAST)


@BOTH
def test_gaps_and_restarts_are_quiet_and_silence_is_not(served: Served, tmp_path: Path) -> None:
    """A reading lost, minutes lost, counters that begin anew: nothing; five minutes without metrics: a page."""
    phases = [
        traffic(served, 20.0),
        traffic(served, 0.25, is_scraped=False),
        traffic(served, 5.0),
        traffic(served, 3.0, is_scraped=False),
        traffic(served, 10.0),
        traffic(served, 10.0, is_restarted=True),
    ]
    run(served, phases, {float(minute): [] for minute in range(18, 48, 3)}, tmp_path / "quiet")
    silent = [traffic(served, 10.0), traffic(served, 15.0, is_up=False)]
    page = [alert("InfcMetricsAbsent", severity="critical")]
    run(served, silent, {9.0: [], 24.0: page}, tmp_path / "silent", among='alertname="InfcMetricsAbsent"')


@BOTH
def test_requests_that_nothing_times_are_told(served: Served, tmp_path: Path) -> None:
    """A server that was started without what the SLO is judged by."""
    expected = [alert("InfcLatencyNotMeasured", goal.label, "warning") for goal in served.goals]
    run(served, [traffic(served, 20.0, is_measured=False)], {9.0: [], 19.0: expected}, tmp_path)


@BOTH
def test_a_backlog_beyond_what_a_replica_bears_is_told(served: Served, tmp_path: Path) -> None:
    """On average, over the replicas, for ten minutes."""
    assert served.planned is not None
    assert served.planned.most_backlog is not None
    least = served.planned.most_backlog - (0.0 if served is TRITON else 4.0)
    phases = [traffic(served, 12.0, waiting=0.9 * least), traffic(served, 20.0, waiting=1.1 * least)]
    run(served, phases, {11.0: [], 31.0: [alert("InfcQueueSaturated", severity="warning")]}, tmp_path, replicas=2)


@BOTH
def test_traffic_above_the_planned_peak_is_told(served: Served, tmp_path: Path) -> None:
    """A quarter of an hour on average, and as long again: a burst is none."""
    peak = served.peak_rps
    phases = [
        Phase(minutes=20.0, rate=0.9 * peak),
        Phase(minutes=3.0, rate=1.5 * peak),
        Phase(minutes=20.0, rate=0.9 * peak),
    ]
    run(served, phases, {minute: [] for minute in (19.0, 30.0, 42.0)}, tmp_path / "burst")
    higher = [Phase(minutes=50.0, rate=1.1 * peak)]
    run(served, higher, {10.0: [], 49.0: [alert("InfcTrafficAbovePlan", severity="warning")]}, tmp_path / "more")


def test_a_shadow_that_disagrees_is_told(tmp_path: Path) -> None:
    """From a hundred comparisons on, below the spec's share."""
    said = [alert("InfcShadowDisagrees", severity="warning", output="scores")]
    agrees, disagrees = traffic(TRITON, 20.0, agreed=0.99), traffic(TRITON, 40.0, agreed=0.95)
    run(TRITON, [agrees], {19.0: []}, tmp_path / "agrees")
    run(TRITON, [disagrees], {39.0: said}, tmp_path / "disagrees")
    run(TRITON, [traffic(TRITON, 40.0, compared=0.01, agreed=0.0)], {39.0: []}, tmp_path / "few")
    silent = [traffic(TRITON, 40.0, compared=0.0, agreed=0.0)]
    run(TRITON, silent, {39.0: [alert("InfcShadowSilent", severity="warning")]}, tmp_path / "silent")


@pytest.mark.slow
def test_a_burn_just_over_the_budget_makes_a_ticket_after_hours(tmp_path: Path) -> None:
    """Three times the budget after half a day in which all was well: a ticket, and never a page."""
    phases = [traffic(TRITON, 720.0), traffic(TRITON, 610.0, late=0.021)]
    ticket = burn(TRITON, "warning", "3d")
    run(TRITON, phases, {719.0: [], 840.0: [], 1320.0: ticket}, tmp_path)
