"""What an infeasible spec about an ONNX model would need: the best place of a changed problem, looser percentiles."""

from dataclasses import replace

from infc.ir.candidate import DynamicBatching
from infc.ir.plan import Relaxation
from infc.ir.problem import LatencyTarget, Problem
from infc.plan.assess import candidate_of
from infc.plan.cost import usd_per_hour
from infc.plan.load import Loader
from infc.plan.relax import Best, relaxation
from infc.plan.search import ceiling, search
from infc.plan.sizing import Settings, Sizer
from infc.plan.space import places
from infc.plan.words import duration_text, rounded_up


def best_place(problem: Problem, loader: Loader) -> Best | None:
    """The best feasible place of a problem, None when it has none."""
    found = search(problem, wanted=1, loader=loader).found
    if not found:
        return None
    sized, option = found[0].sized, found[0].place.option
    cap_w = sized.site.power_cap_w
    return Best(
        label=candidate_of(sized).label,
        hardware_id=sized.site.hardware.id,
        precision=sized.site.precision,
        devices=sized.total,
        power_cap_w=None if cap_w is None else cap_w * sized.total,
        usd_per_hour=usd_per_hour(problem, option, sized.needed),
        power_mode=sized.site.power_mode,
    )


def looser_latency(problem: Problem, loader: Loader) -> Relaxation | None:
    """The percentiles of the place that comes closest, rounded up, confirmed by a search with them as limits."""
    targets = _closest(problem, loader)
    if targets is None:
        return None
    changed = tuple(t for t, old in zip(targets, problem.latency, strict=True) if t.limit_s != old.limit_s)
    if not changed:
        return None
    best = best_place(replace(problem, latency=targets), loader)
    if best is None:
        return None
    old = {t.label: t.limit_s for t in problem.latency}
    return relaxation(
        best,
        f"slo.latency.{changed[0].label}" if len(changed) == 1 else "slo.latency",
        ", ".join(f"{t.label} {duration_text(old[t.label])}" for t in changed),
        ", ".join(f"{t.label} {duration_text(t.limit_s)}" for t in changed),
    )


def _closest(problem: Problem, loader: Loader) -> tuple[LatencyTarget, ...] | None:
    """Targets that the place with the smallest excess over the SLO can hold, each only as loose as needed."""
    free = tuple(replace(target, limit_s=1e6) for target in problem.latency)
    unbounded = replace(problem, latency=free)
    sizer = Sizer(unbounded, loader)
    best: tuple[float, str, tuple[LatencyTarget, ...]] | None = None
    for place in places(unbounded, loader.curves)[0]:
        if sizer.fits(place.site) is not None:
            continue
        limit = ceiling(problem, place)
        needed = sizer.fewest(place.site)
        if limit is not None and limit.replicas < needed:
            continue
        replicas = min(limit.replicas, 4 * needed) if limit is not None else 4 * needed
        for batch in (1, place.site.batch_sizes[-1]):
            settings = Settings(batching=DynamicBatching(max_batch_size=batch), instances=1)
            load = sizer.load(place.site, settings, replicas)
            if load is None:
                continue
            targets = tuple(
                replace(t, limit_s=max(t.limit_s, rounded_up(load.percentile_s(t.percentile), 2)))
                for t in problem.latency
            )
            excess = max(new.limit_s / old.limit_s for new, old in zip(targets, problem.latency, strict=True))
            if best is None or (excess, place.site.label) < best[:2]:
                best = (excess, place.site.label, targets)
    return None if best is None else best[2]
