"""The smallest hardware that holds a language model at all, whatever it costs and however fast it is."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

from infc.ir.plan import Relaxation, SmallestHardware
from infc.ir.problem import LlmProblem
from infc.ir.quantity import HOURS_PER_MONTH
from infc.perf.llm.stages import HOST_DEVICES
from infc.plan.cost import least_usd_per_hour
from infc.plan.llm.site import LlmSite
from infc.plan.llm.space import sites
from infc.plan.relax import Market, Search, relaxation


def smallest_hardware(problem: LlmProblem, market: Market) -> LlmSite | None:
    """Where the weights and the longest request fit, where no allowed host holds them; else None.

    One host before several, then the least memory in all, then the fewest devices, of all that is allowed and all that
    is rented out.
    """
    own = _smallest(problem)
    most = problem.limits.max_accelerators
    if own is not None and own.devices <= HOST_DEVICES and (most is None or own.devices <= most):
        return None
    allowed = {option.hardware.id for option in problem.options}
    others = tuple(option for option in market() if option.hardware.id not in allowed)
    return _smallest(replace(problem, options=(*problem.options, *others)))


def described(problem: LlmProblem, site: LlmSite) -> SmallestHardware:
    """The place with what one replica costs there."""
    one = replace(problem, limits=replace(problem.limits, redundancy=0, surge=0))
    hourly = least_usd_per_hour(one, site.option, 1, devices=site.devices)
    return SmallestHardware(
        candidate=site.label,
        hardware_id=site.hardware.id,
        devices=site.devices,
        precision=site.precision,
        memory_bytes=site.devices * site.hardware.memory_bytes,
        usd_per_month=None if hourly is None else hourly * HOURS_PER_MONTH,
    )


def with_smallest(
    problem: LlmProblem, site: LlmSite, known: Sequence[Relaxation], search: Search[LlmProblem]
) -> Iterator[Relaxation]:
    """The change of hardware and count together that makes the spec feasible there, where neither alone does."""
    most = problem.limits.max_accelerators
    if most is None or any(each.path.startswith(("constraints.hardware", "constraints.max_acc")) for each in known):
        return
    options = (*(o for o in problem.options if o.hardware.id != site.hardware.id), site.option)
    best = search(replace(problem, options=options, limits=replace(problem.limits, max_accelerators=None)))
    if best is not None:
        allowed = ", ".join(sorted(option.hardware.id for option in problem.options))
        needed = f"also {best.hardware_id}, max_accelerators {best.devices}"
        yield relaxation(best, "constraints.hardware", f"{allowed}, max_accelerators {most}", needed)


def _smallest(problem: LlmProblem) -> LlmSite | None:
    free = replace(problem, limits=replace(problem.limits, max_usd_per_hour=None, max_power_w=None), drafter=None)
    able = [site for site in sites(free)[0] if site.is_supported and site.holds_longest]
    return min(able, key=_size, default=None)


def _size(site: LlmSite) -> tuple[bool, float, int, str]:
    return (site.devices > HOST_DEVICES, site.devices * site.hardware.memory_bytes, site.devices, site.label)
