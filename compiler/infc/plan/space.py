"""The search space: every site that the spec's constraints leave, and those they rule out."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

from infc.ir.engine_choice import refused_engine
from infc.ir.hardware import Hardware
from infc.ir.plan import Rejection
from infc.ir.precision import Precision
from infc.ir.problem import HardwareOption, Origin, Problem
from infc.ir.service_time import ServiceTimeCurve
from infc.perf import KernelWork, Unsupported, kernel_work
from infc.plan.built import builder_refusal, built_engines
from infc.plan.devices import (
    DLA_CORE,
    DLA_PRECISIONS,
    accuracy_refusal,
    has_accelerator,
    is_price_needed,
    no_mode,
    ruled_out,
    unused_accelerator,
)
from infc.plan.evidence import QUANTISED, kept_operators
from infc.plan.gain import gain_refusal
from infc.plan.site import Site, planned_axes, power_modes

LOWERABLE = frozenset({Precision.FP32, Precision.FP16, Precision.BF16, Precision.INT8, Precision.FP8, Precision.INT4})
"""Precisions that `infc.lower` makes of an ONNX model."""

_NOT_LOWERED = {
    Precision.FP4: "infc does not lower ONNX models to FP4: its activations need block scales that are computed while"
    " the engine runs, and ONNX has no operator for that",
    Precision.TF32: "TF32 is how a GPU with TF32 units runs an FP32 engine: allow fp32",
}

Curves: TypeAlias = dict[
    tuple[str, str | None, Precision, tuple[str, ...], int | None], dict[int, ServiceTimeCurve | Unsupported]
]
"""Service times by number of instances, for each device, power mode, precision, operators left unquantised, DLA."""


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
    works: dict[tuple[str, ...], KernelWork] = {}
    needs_price = is_price_needed(problem)
    found: list[Place] = []
    rejected: list[Rejection] = []
    for option in sorted(problem.options, key=lambda o: o.hardware.id):
        hardware = option.hardware
        reason = ruled_out(problem, option, needs_price=needs_price)
        if reason is not None:
            rejected.append(reason)
            continue
        unused = unused_accelerator(option)
        if unused is not None:
            rejected.append(unused)
        modes = power_modes(hardware, problem.limits.max_power_w, problem.limits.power_mode)
        if not modes:
            rejected.append(no_mode(problem, option))
        allowed = allowed_precisions(problem, is_cpu=hardware.kind == "cpu")
        for precision in allowed:
            refusal = _precision_refusal(problem, hardware, precision)
            if refusal is not None:
                rejected.append(refusal)
                continue
            kept = kept_operators(problem, hardware, precision)
            if kept not in works:
                works[kept] = kernel_work(problem.model, axes, kept)
            work = works[kept]
            for mode in modes:
                gainless = gain_refusal(problem, hardware, mode, precision, allowed, work, axes)
                if gainless is not None:
                    rejected.append(gainless)
                    continue
                site = Site(
                    problem=problem,
                    hardware=hardware,
                    price=option.price,
                    power_mode=mode,
                    precision=precision,
                    work=work,
                    axes=axes,
                    engines=built_engines(problem, hardware, precision, axes),
                    _curves=curves.setdefault((hardware.id, mode, precision, kept, None), {}),
                )
                found.append(Place(option=option, site=site))
                if has_accelerator(option) and precision in DLA_PRECISIONS:
                    known = curves.setdefault((hardware.id, mode, precision, kept, DLA_CORE), {})
                    beside = replace(site, dla_core=DLA_CORE, engines=(), _curves=known)
                    found.append(Place(option=option, site=beside))
    return tuple(sorted(found, key=lambda p: p.site.label)), tuple(rejected)


def allowed_precisions(problem: Problem, *, is_cpu: bool) -> Sequence[Precision]:
    """The allowed precisions; by default those worth trying on the kind of device."""
    if problem.origins.get("constraints.precision") is not Origin.DEFAULT:
        return sorted(set(problem.limits.precisions))
    wanted = {Precision.FP32, Precision.INT8} if is_cpu else {Precision.FP16, Precision.INT8}
    return sorted(wanted.intersection(problem.limits.precisions))


def _precision_refusal(problem: Problem, hardware: Hardware, precision: Precision) -> Rejection | None:
    candidate = f"{precision.value}/{hardware.id}"
    unserved = refused_engine(hardware, problem.engine, precision)
    if unserved is not None:
        return Rejection(
            candidate=candidate, constraint="engine", predicted=unserved, limit=f"build.engine is {problem.engine}"
        )
    if precision not in LOWERABLE:
        return Rejection(
            candidate=candidate,
            constraint="emit",
            predicted=_NOT_LOWERED.get(precision, f"infc does not lower ONNX models to {precision.value.upper()}"),
            limit="",
        )
    if precision in QUANTISED and not problem.has_calibration_data:
        return Rejection(
            candidate=candidate,
            constraint="accuracy",
            predicted="no data to calibrate with: set quantization.calibration or accuracy.dataset",
            limit="",
        )
    return accuracy_refusal(problem, hardware, precision) or builder_refusal(problem, hardware, precision)
