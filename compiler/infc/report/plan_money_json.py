"""Money, energy and spare capacity of a plan as JSON."""

from infc.ir.estimate import CostEstimate, EnergyEstimate
from infc.ir.plan import Plan
from infc.ir.problem import BaseProblem
from infc.plan.capacity import availability, redundancy_usd_per_month, rollout
from infc.plan.capacity_words import capacity_sentences, is_over_provisioned
from infc.report.json_values import Json, interval_json, number, optional


def cost_json(cost: CostEstimate) -> dict[str, Json]:
    """Money of the whole deployment at the mean rate."""
    tokens = cost.usd_per_million_tokens
    return {
        "usd_per_hour": number(cost.usd_per_hour),
        "usd_per_month": number(cost.usd_per_month),
        "usd_per_million_requests": number(cost.usd_per_million_requests),
        "usd_per_million_tokens": optional(tokens),
        "usd_per_million_all_tokens": optional(cost.usd_per_million_all_tokens),
        "requests_per_usd": number(1e6 / cost.usd_per_million_requests) if cost.usd_per_million_requests else None,
        "tokens_per_usd": number(1e6 / tokens) if tokens else None,
        "interval_usd_per_month": interval_json(cost.scaled_interval(cost.usd_per_month)),
        "interval_usd_per_million_requests": interval_json(cost.scaled_interval(cost.usd_per_million_requests)),
        "parts": [
            {"name": p.name, "devices": number(p.devices), "usd_per_hour": number(p.usd_per_hour)} for p in cost.parts
        ],
        "notes": list(cost.notes),
        "price_source": cost.price_source,
    }


def energy_json(energy: EnergyEstimate) -> dict[str, Json]:
    """Energy of all devices at the mean rate."""
    return {
        "power_w": interval_json(energy.power_w),
        "joules_per_request": interval_json(energy.joules_per_request),
        "joules_per_token": None if energy.joules_per_token is None else interval_json(energy.joules_per_token),
        "kwh_per_month": interval_json(energy.kwh_per_month),
    }


def capacity_json(problem: BaseProblem, plan: Plan) -> dict[str, Json]:
    """Rolling updates, availability and what redundancy costs."""
    how, promised = rollout(problem, plan), availability(problem, plan)
    redundancy = problem.limits.redundancy
    return {
        "redundancy": redundancy,
        "redundancy_usd_per_month": optional(redundancy_usd_per_month(problem, plan, redundancy)),
        "is_over_provisioned": is_over_provisioned(plan),
        "rollout": {
            "max_surge": how.max_surge,
            "max_unavailable": how.max_unavailable,
            "keeps_slo": how.keeps_slo,
            "spare_lost": how.spare_lost,
            "usd_per_hour": optional(how.usd_per_hour),
        },
        "availability": None
        if promised is None
        else {
            "target": promised.target,
            "assumed_of_one_replica": promised.assumed,
            "reached": float(f"{promised.reached:.9g}"),
            "redundancy_needed": promised.redundancy_needed,
        },
        "notes": list(capacity_sentences(problem, plan)),
    }
