"""What a plan's spare capacity does and costs, in sentences for the reviewer."""

from collections.abc import Iterator

from infc.ir.plan import Plan
from infc.ir.problem import BaseProblem
from infc.plan.capacity import Rollout, availability, needed_replicas, redundancy_usd_per_month, rollout
from infc.plan.words import counted, money_text, month_text

LOW_UTILIZATION = 0.3
"""Below this busy share at the peak a deployment counts as over-provisioned."""


def capacity_sentences(problem: BaseProblem, plan: Plan) -> tuple[str, ...]:
    """Over-provisioning and what forces it, the promised availability, and how an update goes."""
    said = (_excess(problem, plan), *_availability(problem, plan), _rollout(problem, plan, rollout(problem, plan)))
    return tuple(sentence for sentence in said if sentence)


def is_over_provisioned(plan: Plan) -> bool:
    """Whether the devices are mostly idle even at the peak."""
    return plan.estimate.utilization < LOW_UTILIZATION


def _excess(problem: BaseProblem, plan: Plan) -> str:
    """How busy the devices are, and which constraint keeps more of them than the load asks for."""
    lost = problem.limits.redundancy
    price = redundancy_usd_per_month(problem, plan, lost) if lost else None
    cost = f"redundancy {lost} costs {month_text(price)}" if price else ""
    if not is_over_provisioned(plan):
        return cost
    estimate = plan.estimate
    words = f"over-provisioned: busy {estimate.utilization:.0%} of the time at the peak"
    if estimate.mean_utilization is not None:
        words += f", {estimate.mean_utilization:.0%} in the mean"
    needed = needed_replicas(problem, plan)
    if needed > 1:
        words += "; the SLO, not the load, sets the count of replicas"
    elif lost:
        words += "; one replica would carry it"
    else:
        words += f"; no device allowed is {_better(problem)}: --ladder prices the constraints"
    return f"{words}; {cost}" if cost else words


def _better(problem: BaseProblem) -> str:
    match problem.objective:
        case "cost":
            return "cheaper"
        case "energy":
            return "more frugal"
        case "latency":
            return "quicker, which is the objective"


def _availability(problem: BaseProblem, plan: Plan) -> Iterator[str]:
    found = availability(problem, plan)
    if found is None:
        return
    needed, total = needed_replicas(problem, plan), plan.candidate.replicas
    assumed = f"if each is up {_share(found.assumed)} of the time (assumed) and they fail independently"
    who = "its one replica" if total == 1 else f"{total} replicas, of which {needed} must be up,"
    words = f"availability {_share(found.target)}: {who} {'reaches' if total == 1 else 'reach'}"
    words += f" {_share(found.reached)} {assumed}"
    if found.redundancy_needed > problem.limits.redundancy:
        price = redundancy_usd_per_month(problem, plan, found.redundancy_needed)
        words += f"; constraints.redundancy {found.redundancy_needed} would reach it"
        words += f" for {month_text(price)}" if price else ""
    yield words


def _rollout(problem: BaseProblem, plan: Plan, how: Rollout) -> str:
    words = "rolling update: "
    if how.max_surge:
        words += f"{counted(how.max_surge, 'more replica')} while it lasts"
        if how.usd_per_hour:
            words += f" ({money_text(how.usd_per_hour)})"
        elif how.usd_per_hour == 0.0:
            words += " (kept and paid for all the time)"
    if how.max_unavailable:
        words += " and " if how.max_surge else ""
        words += f"{counted(how.max_unavailable, 'replica')} missing at a time"
    if not how.keeps_slo:
        alone = "nothing serves meanwhile" if plan.candidate.replicas == 1 else "the SLO may be missed meanwhile"
        return f"{words}, for no device is spare: {alone}; redundancy 1 or a spare device would keep the SLO"
    words += ", the SLO holds meanwhile"
    if problem.limits.redundancy:
        words += f" and {how.spare_lost or 'none'} more may be lost"
    return words


def _share(value: float) -> str:
    """A share close to one with the digits that tell it from one.

    >>> _share(0.995), _share(0.999975), _share(0.9999999)
    ('99.5%', '99.9975%', '99.99999%')
    """
    return f"{value * 100:.7g}%"
