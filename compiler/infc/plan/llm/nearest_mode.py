"""Which power modes come nearest to a power cap that no mode meets together with all else, for a language model."""

import math
from collections.abc import Callable, Iterator
from dataclasses import replace

from infc.ir.plan import NearestMode
from infc.ir.problem import LlmProblem
from infc.plan.nearest_mode import TriedMode, nearest_of, power_miss
from infc.plan.relax import Best


def nearest_modes(problem: LlmProblem, search: Callable[[LlmProblem], Best | None]) -> tuple[NearestMode, ...]:
    """The mode that draws least, and the one that comes nearest; empty without a power cap or power modes.

    A mode in which a plan is found is as far away as its watts are over the cap; the others are farther than all those.
    """
    cap_w = problem.limits.max_power_w
    return () if cap_w is None else nearest_of(tuple(_tried(problem, search, cap_w)))


def _tried(problem: LlmProblem, search: Callable[[LlmProblem], Best | None], cap_w: float) -> Iterator[TriedMode]:
    limits = problem.limits
    for option in sorted(problem.options, key=lambda o: o.hardware.id):
        for mode in option.hardware.power_modes:
            watts = mode.watts or option.hardware.tdp_w
            if watts is None:
                continue
            in_it = replace(limits, max_power_w=None, power_mode=mode.name)
            best = search(replace(problem, options=(option,), limits=in_it))
            devices = best.devices if best is not None else 1 + limits.redundancy + limits.surge
            over = power_miss(watts * devices, cap_w)
            misses = [] if over is None else [over]
            if best is None:
                misses.append("no plan meets the SLO in it, whatever it draws")
            if misses:
                yield TriedMode(
                    label=best.label if best is not None else f"{option.hardware.id}@{mode.name}",
                    hardware_id=option.hardware.id,
                    power_mode=mode.name,
                    devices=devices,
                    power_w=watts * devices,
                    excess=max(1.0, watts * devices / cap_w) if best is not None else math.inf,
                    misses=tuple(misses),
                )
