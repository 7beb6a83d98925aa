"""Why the chosen place is the best under the objective, in one sentence, whatever the kind of model."""

from collections.abc import Sequence

from infc.ir.estimate import Estimate
from infc.ir.plan import Rejection, RunnerUp
from infc.ir.problem import BaseProblem
from infc.plan.evidence import QUANTISED
from infc.plan.words import money_text

_TIE = 1 + 1e-9


def objective_reason(
    problem: BaseProblem,
    estimate: Estimate,
    runners_up: Sequence[RunnerUp],
    rejections: Sequence[Rejection],
    *,
    is_quantised: bool,
    places: str,
    counted: str,
) -> str:
    """The sentence; `places` says what was compared, `counted` what is counted where nothing has a price.

    `is_quantised` is of the chosen precision: one that is not goes before those of equal cost.
    """
    feasible = 1 + len(runners_up) + sum(1 for r in rejections if r.constraint == "objective")
    others = "" if feasible == 1 else f" of {feasible} {places} the constraints"
    match problem.objective:
        case "cost" if estimate.cost is not None:
            words = f"cheapest{others}: {money_text(estimate.cost.usd_per_hour)}"
            return words + _following(estimate.cost.usd_per_hour, runners_up, is_quantised=is_quantised)
        case "cost":
            unjudged = " and max_cost not judged" if problem.limits.max_usd_per_hour is not None else ""
            return f"fewest {counted}{others}; no price is known, so cost was not compared{unjudged}"
        case "latency":
            return f"lowest latency{others}, each with the fewest replicas that hold the SLO"
        case "energy":
            return f"least power at the peak{others}"


def _following(usd_per_hour: float, runners_up: Sequence[RunnerUp], *, is_quantised: bool) -> str:
    """The next one in cost, or why an equal one lost."""
    for runner_up in runners_up:
        cost = runner_up.estimate.cost
        if cost is None:
            continue
        label = runner_up.candidate.label
        if cost.usd_per_hour > usd_per_hour * _TIE:
            return f", next {money_text(cost.usd_per_hour)} ({label})"
        is_worse = runner_up.candidate.precision in QUANTISED and not is_quantised
        first = "an unquantised precision goes first" if is_worse else "this one leaves as much room or more"
        return f"; {label} costs the same, but {first}"
    return ""
