"""Why a candidate was not chosen, or was: every constraint with what is predicted for it."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from infc.ir.candidate import Candidate, DynamicBatching
from infc.ir.estimate import Estimate
from infc.ir.plan import Rejection
from infc.ir.problem import AnyProblem, BaseProblem, LlmProblem, Problem
from infc.plan.assess import assess, candidate_of
from infc.plan.load import loader_for
from infc.plan.objective import achieved, objective_words
from infc.plan.search import ceiling
from infc.plan.site import Setup
from infc.plan.sizing import Settings, Sized, Sizer
from infc.plan.space import Place, places
from infc.plan.words import duration_text, money_text, size_text

_LABEL = re.compile(
    r"(?P<precision>[a-z0-9]+)/(?P<hardware>[^/]+(?:/dla[0-9])?)"
    r"(?:/b(?P<batch>[0-9]{1,4}))?(?:/i(?P<instances>[0-9]{1,3}))?(?:/d(?P<delay>[0-9]{1,7})us)?(?P<np>/np)?"
)


@dataclass(frozen=True, kw_only=True)
class Check:
    """One constraint on the candidate."""

    constraint: str
    predicted: str
    limit: str
    holds: bool


@dataclass(frozen=True, kw_only=True)
class Why:
    """The answer about one label: its constraints, and its estimate where one can be made."""

    label: str
    checks: tuple[Check, ...]
    candidate: Candidate | None
    estimate: Estimate | None
    objective: str | None


def why(problem: AnyProblem, label: str) -> Why | None:
    """What is known of the candidate with this label, `int8/l4` or in full `int8/l4/b8/i2/d500us`.

    None when the spec's constraints leave no such device and precision. Without settings the planner's own are taken.
    """
    if isinstance(problem, LlmProblem):
        from infc.plan.llm.why import why_llm  # the search for an ONNX model needs none of it

        return why_llm(problem, label)
    match = _LABEL.fullmatch(label)
    if match is None:
        return None
    every, rejected = places(problem)
    name = f"{match['precision']}/{match['hardware']}"
    place = next((p for p in every if p.site.label == name), None)
    if place is None:
        module, _, accelerator = match["hardware"].partition("/")
        device = module.partition("@")[0]
        found = [r for r in rejected if r.candidate in (name, device, f"{device}/{accelerator}")]
        return (
            Why(label=label, checks=failed_checks(found), candidate=None, estimate=None, objective=None)
            if found
            else None
        )
    sizer = Sizer(problem, loader_for(problem))
    rejection = sizer.fits(place.site)
    if rejection is not None:
        return Why(label=label, checks=failed_checks([rejection]), candidate=None, estimate=None, objective=None)
    settings = _settings(match, place, sizer)
    if settings is None:
        limit = size_text(sizer.memory_limit_bytes(place.site))
        check = Check(
            constraint="memory", predicted="does not fit with this batch and instances", limit=limit, holds=False
        )
        return Why(label=label, checks=(check,), candidate=None, estimate=None, objective=None)
    sized = (
        sizer.size(place.site, ceiling(problem, place)) if settings == () else _held(problem, sizer, place, settings[0])
    )
    if isinstance(sized, Rejection):
        return Why(label=label, checks=failed_checks([sized]), candidate=None, estimate=None, objective=None)
    return _answer(problem, label, place, sized, sizer)


def _settings(match: re.Match[str], place: Place, sizer: Sizer) -> tuple[Settings, ...] | None:
    """The settings of a full label, nothing for a short one, None when they do not fit into memory."""
    if match["batch"] is None:
        return ()
    batch = min(int(match["batch"]), place.site.batch_sizes[-1])
    instances = int(match["instances"] or 1)
    setup = Setup(max_batch_size=max(1, batch), instances=max(1, instances))
    if place.site.memory(setup).total_bytes > sizer.memory_limit_bytes(place.site):
        return None
    batching = DynamicBatching(
        max_batch_size=setup.max_batch_size,
        max_queue_delay_s=int(match["delay"] or 0) / 1e6,
        has_prefetch=match["np"] is None,
    )
    return (Settings(batching=batching, instances=setup.instances),)


def _held(problem: Problem, sizer: Sizer, place: Place, settings: Settings) -> Sized | Rejection:
    """These very settings with the fewest replicas that carry the load, whether or not the SLO holds."""
    needed = sizer.fewest(place.site)
    load = sizer.load(place.site, settings, needed)
    while load is None:
        needed = max(needed + 1, round(needed * 1.2))
        load = sizer.load(place.site, settings, needed)
    total = needed + problem.limits.redundancy
    return Sized(site=place.site, settings=settings, needed=needed, total=total, load=load)


def _answer(problem: Problem, label: str, place: Place, sized: Sized, sizer: Sizer) -> Why:
    loader = loader_for(problem)
    estimate = assess(problem, place.option, sized, loader)
    checks = [
        Check(
            constraint=f"slo.latency.{target.label}",
            predicted=duration_text(sized.load.percentile_s(target.percentile)),
            limit=duration_text(target.limit_s),
            holds=sized.load.percentile_s(target.percentile) <= target.limit_s,
        )
        for target in problem.latency
    ]
    usable = sizer.memory_limit_bytes(place.site)
    checks.append(
        Check(
            constraint="memory",
            predicted=size_text(estimate.memory.total_bytes),
            limit=size_text(usable),
            holds=estimate.memory.total_bytes <= usable,
        )
    )
    checks += limit_checks(problem, sized.total, estimate, place.site.power_cap_w)
    return Why(
        label=label,
        checks=tuple(checks),
        candidate=candidate_of(sized),
        estimate=estimate,
        objective=objective_words(problem, achieved(problem, place.option, sized, loader)),
    )


def limit_checks(problem: BaseProblem, devices: int, estimate: Estimate, power_cap_w: float | None) -> Iterator[Check]:
    """The hard limits on the whole deployment of so many devices, each drawing `power_cap_w` at most."""
    limits = problem.limits
    if limits.max_accelerators is not None:
        yield Check(
            constraint="max-accelerators",
            predicted=str(devices),
            limit=str(limits.max_accelerators),
            holds=devices <= limits.max_accelerators,
        )
    if limits.max_usd_per_hour is not None and estimate.cost is not None:
        yield Check(
            constraint="max-cost",
            predicted=money_text(estimate.cost.usd_per_hour),
            limit=money_text(limits.max_usd_per_hour),
            holds=estimate.cost.usd_per_hour <= limits.max_usd_per_hour,
        )
    if limits.max_power_w is not None and power_cap_w is not None:
        yield Check(
            constraint="max-power",
            predicted=f"{devices * power_cap_w:g} W at full draw",
            limit=f"{limits.max_power_w:g} W",
            holds=devices * power_cap_w <= limits.max_power_w,
        )


def failed_checks(rejections: Sequence[Rejection]) -> tuple[Check, ...]:
    """What ruled a candidate out."""
    return tuple(Check(constraint=r.constraint, predicted=r.predicted, limit=r.limit, holds=False) for r in rejections)
