"""The autoscaler of a plan: bounds, thresholds and windows, with what they rest on in words."""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

from infc.emit.autoscaling.course import Course, course_of
from infc.emit.autoscaling.day import WINDOWS_S, Day, Scaling, replay
from infc.emit.autoscaling.replica import replica_of
from infc.emit.autoscaling.thresholds import Thresholds, thresholds
from infc.emit.kubernetes.served import Served
from infc.emit.monitoring.rules import EVALUATION_S
from infc.emit.monitoring.scope import SCRAPE_S
from infc.emit.monitoring.signals import QUEUE_WINDOW_S
from infc.ir.plan import Plan
from infc.ir.problem import AnyProblem
from infc.ir.spec import Autoscale

POLL_S = 15
"""How often KEDA asks for the metrics."""
SYNC_S = 15
"""How often the controller acts on them. Source: --horizontal-pod-autoscaler-sync-period."""


@dataclass(frozen=True, kw_only=True)
class Decision:
    """What the autoscaler is told. `day` is the course replayed with it; `words` say where each number is from."""

    fewest: int
    most: int
    redundancy: int
    thresholds: Thresholds
    window_s: float
    day: Day
    words: tuple[str, ...]


def decide(served: Served, problem: AnyProblem, plan: Plan, options: Autoscale) -> Decision:
    """The autoscaler for a plan, within the user's bounds; same values, same decision."""
    course = course_of(problem.traffic)
    start_s = options.start_time if options.start_time is not None else served.start_s
    metric_s = QUEUE_WINDOW_S / 2 + SCRAPE_S + EVALUATION_S
    reaction_s = metric_s + POLL_S + SYNC_S + start_s
    replica = replica_of(problem, plan, QUEUE_WINDOW_S)
    redundancy = problem.limits.redundancy
    most = options.max_replicas or max(plan.candidate.replicas, options.min_replicas or 1)
    found = thresholds(replica, course, reaction_s, most, options.target_utilization)
    fewest = min(options.min_replicas or found.fewest + redundancy, most)
    scaling = Scaling(
        target_rps=found.target.rate_rps,
        redundancy=redundancy,
        fewest=fewest,
        most=most,
        start_s=start_s,
        metric_s=QUEUE_WINDOW_S,
        window_s=options.scale_down_window or WINDOWS_S[0],
    )
    window_s, day = _settled(course, scaling, found, options.scale_down_window)
    decision = Decision(
        fewest=fewest,
        most=most,
        redundancy=redundancy,
        thresholds=found,
        window_s=window_s,
        day=day,
        words=(),
    )
    return replace(decision, words=tuple(_words(served, decision, course, options, start_s)))


def _settled(course: Course, scaling: Scaling, found: Thresholds, asked_s: float | None) -> tuple[float, Day]:
    """The asked window, or the shortest of those with the fewest replicas that go and come back within the hour."""
    days: list[tuple[float, Day]] = []
    for window_s in WINDOWS_S if asked_s is None else (asked_s,):
        day = replay(course, replace(scaling, window_s=window_s), found.edge.rate_rps)
        days.append((window_s, day))
        if not day.flaps:
            break
    return min(days, key=lambda each: (each[1].flaps, each[0]))


def _words(served: Served, decision: Decision, course: Course, options: Autoscale, start_s: float) -> Iterator[str]:
    found, day = decision.thresholds, decision.day
    edge, target = found.edge, found.target
    rises = f"up to {found.growth:.3g} times" if math.isfinite(found.growth) else "from nothing"
    held = "requests wait for it" if served.server == "triton" else "requests are in its hands, running or waiting"
    yield (
        f"Simulated, a replica bears {edge.rate_rps:.4g} requests/s: {edge.worst:.0%} of its tightest latency limit, "
        f"and {edge.backlog:.3g} {held} on average."
    )
    yield (
        f"Each is given {target.rate_rps:.4g} requests/s ({target.worst:.0%} of the limit), set by {found.limited_by}. "
        f"The rate rises {rises} in the {found.reaction_s:.0f} s until a new one serves, of which its start takes "
        f"{start_s:.0f} s ({course.words})."
    )
    yield (
        f"Another is started from a backlog of {found.backlog:.3g} each: at the given load it is {target.backlog:.3g}, "
        f"by chance {target.backlog_noise:.3g} in a {QUEUE_WINDOW_S}-second mean."
    )
    bounds = "deploy.kubernetes.autoscale"
    low = f"{bounds}.min_replicas" if options.min_replicas else f"{course.lowest_rps:.4g} requests/s"
    high = f"{bounds}.max_replicas" if options.max_replicas else f"{course.highest_rps:.4g} requests/s, as planned"
    redundant = f"{decision.redundancy} of them redundant"
    yield f"From {decision.fewest} ({low}) to {decision.most} replicas ({high}), {redundant}."
    if decision.fewest == decision.most:
        yield f"The two bounds leave nothing to scale: set {bounds}.max_replicas for more than was planned for."
    yield (
        f"Replayed: {day.fewest} to {day.most} replicas, {day.mean_replicas:.3g} on average, "
        f"{day.overloaded_s:.0f} s with more load than they carry, {day.flaps} taken away and needed again within an "
        f"hour; fewer must do for {decision.window_s:.0f} s before one goes."
    )
