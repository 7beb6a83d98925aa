"""The smallest hardware that holds a language model at all, whatever it costs and however fast it is."""

from dataclasses import replace

from infc.ir.plan import Relaxation
from infc.ir.problem import LlmProblem
from infc.ir.quantity import HOURS_PER_MONTH
from infc.perf.llm.stages import HOST_DEVICES
from infc.plan.cost import least_usd_per_hour
from infc.plan.llm.site import LlmSite
from infc.plan.llm.space import sites
from infc.plan.relax import Market
from infc.plan.words import size_text


def smallest_hardware(problem: LlmProblem, market: Market) -> tuple[Relaxation, ...]:
    """What would hold the weights and the longest request, where no allowed host does; else empty.

    One host before several, then the least memory in all, then the fewest devices, of all that is allowed and all that
    is rented out. Where that is an allowed device, `max_accelerators` stands in the way.
    """
    own = _smallest(problem)
    most = problem.limits.max_accelerators
    if own is not None and own.devices <= HOST_DEVICES and (most is None or own.devices <= most):
        return ()
    allowed = {option.hardware.id for option in problem.options}
    others = tuple(option for option in market() if option.hardware.id not in allowed)
    found = _smallest(replace(problem, options=(*problem.options, *others)))
    if found is None:
        return ()
    is_too_many = most is not None and found.devices > most
    if found.hardware.id not in allowed:
        needed = f"also {found.hardware.id}" + (f", max_accelerators {found.devices}" if is_too_many else "")
        return (_relaxation(problem, found, "constraints.hardware", ", ".join(sorted(allowed)), needed),)
    if is_too_many:
        return (_relaxation(problem, found, "constraints.max_accelerators", str(most), str(found.devices)),)
    return ()


def _smallest(problem: LlmProblem) -> LlmSite | None:
    free = replace(problem, limits=replace(problem.limits, max_usd_per_hour=None, max_power_w=None), drafter=None)
    able = [site for site in sites(free)[0] if site.is_supported and site.holds_longest]
    return min(able, key=_size, default=None)


def _size(site: LlmSite) -> tuple[bool, float, int, str]:
    return (site.devices > HOST_DEVICES, site.devices * site.hardware.memory_bytes, site.devices, site.label)


def _relaxation(problem: LlmProblem, site: LlmSite, path: str, current: str, needed: str) -> Relaxation:
    one = replace(problem, limits=replace(problem.limits, redundancy=0, surge=0))
    hourly = least_usd_per_hour(one, site.option, 1, devices=site.devices)
    held = size_text(site.devices * site.hardware.memory_bytes)
    return Relaxation(
        path=path,
        current=current,
        needed=f"{needed} (the least that holds the model and its longest request: {site.devices} x"
        f" {site.hardware.id} in {site.precision.value}, {held})",
        candidate=site.label,
        usd_per_month=None if hourly is None else hourly * HOURS_PER_MONTH,
    )
