"""The search space: every site that the spec's constraints leave, and those they rule out."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

from infc.ir.hardware import Hardware
from infc.ir.plan import Rejection
from infc.ir.precision import Precision
from infc.ir.problem import HardwareOption, Origin, Problem
from infc.ir.service_time import ServiceTimeCurve
from infc.perf import Unsupported, kernel_work
from infc.plan.devices import accuracy_refusal, is_price_needed, no_mode, ruled_out
from infc.plan.evidence import QUANTISED
from infc.plan.site import Site, planned_axes, power_modes

LOWERABLE = frozenset({Precision.FP32, Precision.FP16, Precision.BF16, Precision.INT8})
"""Precisions that `infc.lower` makes of an ONNX model."""


Curves: TypeAlias = dict[tuple[str, str | None, Precision], dict[int, ServiceTimeCurve | Unsupported]]
"""Service times by number of instances, for each device, power mode and precision."""


@dataclass(frozen=True, kw_only=True)
class Place:
    """A site with the option (device and price) it belongs to."""

    option: HardwareOption
    site: Site


def places(problem: Problem, curves: Curves | None = None) -> tuple[tuple[Place, ...], tuple[Rejection, ...]]:
    """Every site by ascending label, and the rejections of those that need no model of performance to be ruled out.

    The order of `problem.options` and of the precisions does not matter. `curves` are remembered between problems that
    differ in nothing that service times depend on.
    """
    curves = {} if curves is None else curves
    axes = planned_axes(problem)
    work = kernel_work(problem.model, axes)
    needs_price = is_price_needed(problem)
    found: list[Place] = []
    rejected: list[Rejection] = []
    for option in sorted(problem.options, key=lambda o: o.hardware.id):
        hardware = option.hardware
        reason = ruled_out(problem, option, needs_price=needs_price)
        if reason is not None:
            rejected.append(reason)
            continue
        modes = power_modes(hardware, problem.limits.max_power_w, problem.limits.power_mode)
        if not modes:
            rejected.append(no_mode(problem, option))
        for precision in _precisions(problem, hardware.kind == "cpu"):
            refusal = _precision_refusal(problem, hardware, precision)
            if refusal is not None:
                rejected.append(refusal)
                continue
            for mode in modes:
                site = Site(
                    problem=problem,
                    hardware=hardware,
                    price=option.price,
                    power_mode=mode,
                    precision=precision,
                    work=work,
                    axes=axes,
                    _curves=curves.setdefault((hardware.id, mode, precision), {}),
                )
                found.append(Place(option=option, site=site))
    return tuple(sorted(found, key=lambda p: p.site.label)), tuple(rejected)


def _precisions(problem: Problem, is_cpu: bool) -> Sequence[Precision]:
    """The allowed precisions; by default those worth trying on the kind of device."""
    if problem.origins.get("constraints.precision") is not Origin.DEFAULT:
        return sorted(set(problem.limits.precisions))
    wanted = {Precision.FP32, Precision.INT8} if is_cpu else {Precision.FP16, Precision.INT8}
    return sorted(wanted.intersection(problem.limits.precisions))


def _precision_refusal(problem: Problem, hardware: Hardware, precision: Precision) -> Rejection | None:
    candidate = f"{precision.value}/{hardware.id}"
    if precision not in LOWERABLE:
        return Rejection(
            candidate=candidate,
            constraint="emit",
            predicted=f"infc does not lower ONNX models to {precision.value.upper()}",
            limit="",
        )
    if precision in QUANTISED and not problem.has_calibration_data:
        return Rejection(
            candidate=candidate,
            constraint="accuracy",
            predicted="no data to calibrate with: set quantization.calibration or accuracy.dataset",
            limit="",
        )
    return accuracy_refusal(problem, hardware, precision)
