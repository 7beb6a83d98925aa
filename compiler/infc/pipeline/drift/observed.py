"""What a plan would be if what was observed were the spec's workload."""

from collections.abc import Mapping
from dataclasses import replace

from infc.ir.plan import Decision, Infeasible
from infc.ir.problem import AnyProblem, LlmProblem, Problem, TokenTraffic, Traffic
from infc.lock.drift import DriftReport, ObservedPlan, Window, observed_peak_rps, observed_tokens
from infc.pipeline.drift.locked import Deployed
from infc.plan import solve

_LENGTHS = ("prompt-tokens-", "output-tokens-", "axis-")
_OTHER = ("arrival-rate", "peak-rate", "burstiness", "hourly-shape", "shared-prefix")


def still_fits(report: DriftReport) -> bool:
    """Whether lengths, rate and pattern are still those that the plan was made for."""
    ids = [item.id for item in report.drifted if item.area == "workload"]
    return not any(id.startswith(_LENGTHS) or id in _OTHER for id in ids)


def plan_for_observed(deployed: Deployed[LlmProblem], window: Window) -> ObservedPlan:
    """What would be planned if the observed lengths and rate were the spec's."""
    problem, entry = deployed.problem, deployed.entry
    peak_rps = max(problem.traffic.peak_rps, observed_peak_rps(entry, window) or 0.0)
    return planned_for(deployed, with_peak(problem.traffic, peak_rps), observed_tokens(problem.tokens, window))


def with_peak(traffic: Traffic, peak_rps: float) -> Traffic:
    """The same traffic, all of it scaled to another peak."""
    growth = peak_rps / traffic.peak_rps
    return replace(traffic, peak_rps=peak_rps, rate_rps=traffic.rate_rps * growth)


def planned_for(
    deployed: Deployed[Problem] | Deployed[LlmProblem], traffic: Traffic, tokens: TokenTraffic | None = None
) -> ObservedPlan:
    """The decision for this traffic (and these lengths), beside the locked one."""
    problem, entry = deployed.problem, deployed.entry
    workload = {"peak": f"{traffic.peak_rps:.4g}/s"}
    changed: AnyProblem
    if isinstance(problem, LlmProblem):
        tokens = tokens or problem.tokens
        changed = replace(problem, traffic=traffic, tokens=tokens, alternatives=())
        workload["prompt_tokens"] = lengths_words(tokens.prompt.percentiles, tokens.prompt.maximum)
        workload["output_tokens"] = lengths_words(tokens.output.percentiles, tokens.output.maximum)
        if problem.tokens.shared_prefix:
            workload["shared_prefix"] = f"{tokens.shared_prefix:.0%}"
    else:
        changed = replace(problem, traffic=traffic)
        for axis, sizes in sorted(traffic.axes.items()):
            workload[axis] = lengths_words(sizes.percentiles, sizes.maximum)
    locked = entry.choice.candidate()
    candidate, choice, replicas, cost = _decided(solve(changed))
    return ObservedPlan(
        workload=workload,
        candidate=candidate,
        choice=choice,
        replicas=replicas,
        usd_per_month=cost,
        locked_candidate=locked.label,
        locked_replicas=locked.replicas,
        locked_usd_per_month=entry.predicted.usd_per_month,
    )


def lengths_words(percentiles: Mapping[float, int], maximum: int) -> str:
    """`p50: 24, p90: 80, max: 128`."""
    return ", ".join([*(f"p{p:g}: {size}" for p, size in sorted(percentiles.items())), f"max: {maximum}"])


def _decided(decision: Decision) -> tuple[str | None, str, int | None, float | None]:
    if isinstance(decision, Infeasible):
        binding = ", ".join(decision.binding) or "no candidate is left"
        return None, f"nothing allowed meets the SLO under it ({binding})", None, None
    cost = decision.estimate.cost.usd_per_month if decision.estimate.cost else None
    return decision.candidate.label, decision.reasons[0] if decision.reasons else "", decision.candidate.replicas, cost
