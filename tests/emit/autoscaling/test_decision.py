"""Bounds, thresholds and windows of an autoscaler are those that a simulation of the plan asks for."""

from dataclasses import replace
from functools import cache

import pytest

from infc.emit.autoscaling import Decision, decide, planned_figures
from infc.emit.autoscaling.course import course_of
from infc.emit.autoscaling.day import Scaling, replay
from infc.emit.autoscaling.replica import replica_of
from infc.emit.monitoring.signals import QUEUE_WINDOW_S
from infc.ir.arrival import DiurnalArrival, PoissonArrival, TraceArrival
from infc.ir.problem import Traffic
from infc.ir.spec import Autoscale
from infc.plan.sizing import UTILIZATION_LIMIT

from .plans import planned, served


@cache
def decided(**options: str | int) -> Decision:
    """The decision for the plan under these options of a spec."""
    problem, plan = planned()
    return decide(served(problem, plan), problem, plan, Autoscale(**options))  # type: ignore[arg-type]


def test_the_threshold_lies_between_noise_and_the_edge() -> None:
    """Chance does not reach it at the given load, and the goals are kept where it is crossed; both are simulated."""
    problem, plan = planned()
    found = decided().thresholds
    assert found.target.backlog < found.target.backlog_noise < found.backlog < found.edge.backlog
    assert found.target.worst < found.edge.worst <= 1.0
    replica = replica_of(problem, plan, QUEUE_WINDOW_S)
    beyond = replica.at(found.edge.rate_rps * 1.05)
    assert beyond.worst > 1.0 or beyond.rate_rps > UTILIZATION_LIMIT * replica.capacity_rps
    assert planned_figures(problem, plan).most_backlog == found.edge.backlog


def test_the_replayed_day_carries_every_minute_with_fewer_replicas_than_the_peak_needs() -> None:
    """No replica ever has more than it bears, none is taken away in vain, the mean is below the plan's count."""
    problem, plan = planned()
    decision = decided()
    assert decision.day.overloaded_s == 0.0
    assert decision.day.flaps == 0
    assert decision.day.mean_replicas < plan.candidate.replicas
    assert (decision.day.fewest, decision.day.most) == (decision.fewest, decision.most)
    assert decision.most == plan.candidate.replicas
    assert decision.fewest == 1 + problem.limits.redundancy


def test_a_scaler_that_ignores_starts_lets_replicas_be_overloaded() -> None:
    """The same course with the edge itself as the target: what the lower target is for shows in the replay."""
    problem, _ = planned()
    decision = decided()
    scaling = Scaling(
        target_rps=decision.thresholds.edge.rate_rps,
        redundancy=1,
        fewest=decision.fewest,
        most=decision.most,
        start_s=900.0,
        metric_s=QUEUE_WINDOW_S,
        window_s=300.0,
    )
    course = course_of(problem.traffic)
    assert replay(course, scaling, decision.thresholds.edge.rate_rps).overloaded_s > 0.0


def test_slower_starts_get_lower_targets() -> None:
    """The rate rises further while a replica starts."""
    quick, slow = (decided(start_time=each).thresholds for each in ("60s", "3000s"))
    assert slow.target.rate_rps < quick.target.rate_rps
    assert slow.limited_by == "the rise of the traffic while a replica starts"


def test_the_users_bounds_and_window_hold() -> None:
    """What the spec says goes before what the plan says."""
    decision = decided(min_replicas=3, max_replicas=7, scale_down_window="1200s", target_utilization="30%")
    assert (decision.fewest, decision.most, decision.window_s) == (3, 7, 1200.0)
    assert decision.thresholds.limited_by == "deploy.kubernetes.autoscale.target_utilization"
    capped = decided(max_replicas=1)
    assert (capped.fewest, capped.most) == (1, 1)


def test_rises_that_no_start_can_follow_are_met_by_the_minimum() -> None:
    """Nothing at night, everything at six: the replicas of the morning run all night, rather than come too late."""
    problem, plan = planned()
    hourly = tuple([0.0] * 6 + [4.0 / 3.0] * 18)
    asked = replace(problem, traffic=replace(problem.traffic, hourly=hourly, peak_rps=40_000.0))
    decision = decide(served(asked, plan), asked, plan, Autoscale(start_time="3000s"))
    assert "from nothing" in " ".join(decision.words)
    assert decision.fewest > 1 + problem.limits.redundancy
    assert decision.day.overloaded_s == 0.0
    assert decision.thresholds.target.rate_rps >= decision.thresholds.edge.rate_rps / 3.0 - 1e-6


def test_more_than_ten_replicas_are_given_less() -> None:
    """The controller overlooks a tenth: one more than ten would never be asked for in time."""
    few = decided(max_replicas=9, start_time="3000s")
    many = decided(max_replicas=30, start_time="3000s")
    assert many.thresholds.target.rate_rps == pytest.approx(few.thresholds.target.rate_rps / 1.1, rel=1e-6)


def test_words_hold_the_numbers() -> None:
    """A reader of the manifest sees what was simulated."""
    decision = decided()
    text = " ".join(decision.words)
    for number in (
        f"{decision.thresholds.edge.rate_rps:.4g} requests/s",
        f"{decision.thresholds.target.rate_rps:.4g} requests/s",
        f"a backlog of {decision.thresholds.backlog:.3g}",
        "workload.hourly",
    ):
        assert number in text


def test_courses_come_from_the_spec() -> None:
    """From the hours of a day, a course of the arrivals, a trace; else it is assumed and said so."""
    plain = Traffic(arrival=PoissonArrival(), rate_rps=10.0, peak_rps=20.0, hourly=None, axes={})
    assert "assumed" in course_of(plain).words
    assert course_of(replace(plain, peak_rps=10.0)).growth(300.0) == 1.0
    hourly = course_of(replace(plain, hourly=tuple([0.5] * 12 + [2.0] * 12)))
    assert (hourly.lowest_rps, hourly.highest_rps) == (5.0, 20.0)
    assert hourly.growth(3_600.0) == pytest.approx(4.0, rel=0.01)
    course = course_of(replace(plain, arrival=DiurnalArrival(multipliers=(0.5, 1.5), period_s=7_200.0)))
    assert (course.lowest_rps, course.highest_rps, course.period_s) == (5.0, 20.0, 7_200.0)
    times = [float(i) for i in range(2_000)] + [2_000.0 + i / 3.0 for i in range(2_000)]
    trace = course_of(replace(plain, arrival=TraceArrival(path="t.csv", timestamps_s=tuple(times))))
    assert "t.csv" in trace.words
    assert trace.highest_rps > 1.5 * trace.lowest_rps
    short = TraceArrival(path="t.csv", timestamps_s=tuple(times[:500]))
    assert "assumed" in course_of(replace(plain, arrival=short)).words
