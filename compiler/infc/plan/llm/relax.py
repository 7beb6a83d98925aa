"""What an infeasible spec about a language model would need: the best place of a changed problem, looser targets."""

from collections.abc import Mapping
from dataclasses import replace

from infc.ir.plan import Relaxation
from infc.ir.problem import LatencyTarget, LlmProblem
from infc.plan.cost import usd_per_hour
from infc.plan.llm.assess import candidate_of
from infc.plan.llm.load import Metric, TokenLoaders, targets_of
from infc.plan.llm.search import ceiling, search
from infc.plan.llm.sizing import SAFETY, SHORT_RUN_EXCESS, LlmSizer
from infc.plan.llm.space import sites
from infc.plan.relax import Best, relaxation
from infc.plan.words import duration_text, rounded_up

_CLOSEST = 6
"""Sites that are simulated to find what the SLO would have to be: those with the shortest times without any load."""
_MANY = 4


def best_site(problem: LlmProblem, loaders: TokenLoaders) -> Best | None:
    """The best feasible site of a problem on short runs, None when it has none."""
    found = search(problem, wanted=1, loaders=loaders, is_quick=True).found
    if not found:
        return None
    sized, site = found[0].sized, found[0].place
    devices, cap_w = site.devices, site.power_cap_w
    return Best(
        label=candidate_of(sized).label,
        hardware_id=site.hardware.id,
        precision=site.precision,
        devices=sized.total * devices,
        power_cap_w=None if cap_w is None else cap_w * sized.total * devices,
        usd_per_hour=usd_per_hour(problem, site.option, sized.needed, devices=devices),
        power_mode=site.power_mode,
    )


def looser_slo(problem: LlmProblem, loaders: TokenLoaders) -> Relaxation | None:
    """The percentiles of the site that comes closest, rounded up, confirmed by a search with them as limits."""
    looser = _closest(problem, loaders)
    if looser is None:
        return None
    old = targets_of(problem)
    changed = [
        (metric, before, after)
        for metric, targets in looser.items()
        for before, after in zip(old[metric], targets, strict=True)
        if after.limit_s != before.limit_s
    ]
    best = best_site(_with(problem, looser), loaders) if changed else None
    if best is None:
        return None
    metrics = {metric for metric, _, _ in changed}
    path = f"slo.{changed[0][0]}" if len(metrics) == 1 else "slo"
    if len(changed) == 1:
        path += f".{changed[0][1].label}"
    return relaxation(
        best,
        path,
        ", ".join(f"{metric} {before.label} {duration_text(before.limit_s)}" for metric, before, _ in changed),
        ", ".join(f"{metric} {after.label} {duration_text(after.limit_s)}" for metric, _, after in changed),
    )


def _closest(problem: LlmProblem, loaders: TokenLoaders) -> Mapping[Metric, tuple[LatencyTarget, ...]] | None:
    """Targets that the site with the smallest excess over the SLO can hold, each only as loose as needed."""
    free = _with(
        problem, {m: tuple(replace(t, limit_s=1e6) for t in targets) for m, targets in targets_of(problem).items()}
    )
    sizer = LlmSizer(free, loaders)
    promising = []
    for site in sites(free)[0]:
        if sizer.ruled_out(site) is not None:
            continue
        limit, needed = ceiling(problem, site), sizer.fewest(site)
        if limit is not None and limit.replicas < needed:
            continue
        replicas = _MANY * needed if limit is None else min(limit.replicas, _MANY * needed)
        ttft_s, tpot_s = sizer.alone_s(site)
        least = {"ttft": float(ttft_s.mean()), "tpot": float(tpot_s.mean())}
        least["e2e"] = least["ttft"] + sizer.work(site).decode_steps * least["tpot"]
        excess = max(least[m] / t.limit_s for m, targets in targets_of(problem).items() for t in targets)
        promising.append((excess, site.label, site, replicas))
    best: tuple[float, Mapping[Metric, tuple[LatencyTarget, ...]]] | None = None
    for _, _, site, replicas in sorted(promising, key=lambda entry: entry[:2])[:_CLOSEST]:
        trial = sizer.quick_trial(site, replicas)
        if trial is None:
            continue
        targets = {
            metric: tuple(_held(t, trial.load.percentile_s(metric, t.percentile)) for t in asked)
            for metric, asked in targets_of(problem).items()
        }
        excess = max(
            new.limit_s / old.limit_s
            for metric, asked in targets_of(problem).items()
            for new, old in zip(targets[metric], asked, strict=True)
        )
        if best is None or excess < best[0]:
            best = (excess, targets)
    return None if best is None else best[1]


def _held(target: LatencyTarget, value_s: float) -> LatencyTarget:
    """The target, loosened if the value of a short run does not keep it with the planner's safety."""
    least_s = value_s * SHORT_RUN_EXCESS / SAFETY
    return target if least_s <= target.limit_s else replace(target, limit_s=rounded_up(least_s, 2))


def _with(problem: LlmProblem, targets: Mapping[Metric, tuple[LatencyTarget, ...]]) -> LlmProblem:
    return replace(problem, ttft=targets["ttft"], tpot=targets["tpot"], e2e=targets["e2e"])
