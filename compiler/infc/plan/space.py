"""The search space: every site that the spec's constraints leave, and those they rule out."""

from collections.abc import Sequence
from dataclasses import dataclass

from infc.ir.accuracy import AccuracyEvidence, Verdict
from infc.ir.hardware import Hardware
from infc.ir.plan import Rejection
from infc.ir.precision import Precision
from infc.ir.problem import AccuracyGoal, HardwareOption, Origin, Problem
from infc.perf import kernel_work
from infc.plan.evidence import QUANTISED, judge, refusing_evidence
from infc.plan.site import Site, planned_axes, power_modes

LOWERABLE = frozenset({Precision.FP32, Precision.FP16, Precision.BF16, Precision.INT8})
"""Precisions that `infc.lower` makes of an ONNX model."""


@dataclass(frozen=True, kw_only=True)
class Place:
    """A site with the option (device and price) it belongs to."""

    option: HardwareOption
    site: Site


def places(problem: Problem) -> tuple[tuple[Place, ...], tuple[Rejection, ...]]:
    """Every site by ascending label, and the rejections of those that need no model of performance to be ruled out.

    The order of `problem.options` and of the precisions does not matter.
    """
    axes = planned_axes(problem)
    work = kernel_work(problem.model, axes)
    is_price_needed = problem.limits.max_usd_per_hour is not None or any(o.price is not None for o in problem.options)
    found: list[Place] = []
    rejected: list[Rejection] = []
    for option in sorted(problem.options, key=lambda o: o.hardware.id):
        hardware = option.hardware
        reason = _ruled_out(problem, option, is_price_needed=is_price_needed)
        if reason is not None:
            rejected.append(reason)
            continue
        modes = power_modes(hardware, problem.limits.max_power_w, problem.limits.power_mode)
        if not modes:
            rejected.append(_no_mode(problem, option))
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
                )
                found.append(Place(option=option, site=site))
    return tuple(sorted(found, key=lambda p: p.site.label)), tuple(rejected)


def _precisions(problem: Problem, is_cpu: bool) -> Sequence[Precision]:
    """The allowed precisions; by default those worth trying on the kind of device."""
    if problem.origins.get("constraints.precision") is not Origin.DEFAULT:
        return sorted(set(problem.limits.precisions))
    wanted = {Precision.FP32, Precision.INT8} if is_cpu else {Precision.FP16, Precision.INT8}
    return sorted(wanted.intersection(problem.limits.precisions))


def _ruled_out(problem: Problem, option: HardwareOption, *, is_price_needed: bool) -> Rejection | None:
    hardware, limits = option.hardware, problem.limits
    if not hardware.is_emittable:
        return Rejection(
            candidate=hardware.id, constraint="emit", predicted=f"infc emits nothing for {hardware.vendor}", limit=""
        )
    if option.price is None and is_price_needed:
        return Rejection(
            candidate=hardware.id, constraint="price", predicted="no price in the chosen price books", limit=""
        )
    if limits.max_power_w is not None and not hardware.power_modes:
        if hardware.tdp_w is None:
            return Rejection(
                candidate=hardware.id,
                constraint="max-power",
                predicted="its power is not known",
                limit=f"{limits.max_power_w:g} W",
            )
        if hardware.tdp_w > limits.max_power_w:
            return Rejection(
                candidate=hardware.id,
                constraint="max-power",
                predicted=f"{hardware.tdp_w:g} W",
                limit=f"{limits.max_power_w:g} W",
            )
    return None


def _no_mode(problem: Problem, option: HardwareOption) -> Rejection:
    names = ", ".join(mode.name for mode in option.hardware.power_modes)
    wanted, cap = problem.limits.power_mode, problem.limits.max_power_w
    limit = " and ".join(words for words in (wanted and f"mode {wanted}", cap and f"{cap:g} W") if words)
    return Rejection(
        candidate=option.hardware.id, constraint="max-power", predicted=f"its modes are {names}", limit=limit
    )


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
    refusing = refusing_evidence(problem, hardware, precision)
    if refusing is None or problem.accuracy is None:
        return None
    return Rejection(
        candidate=candidate,
        constraint="accuracy",
        predicted=_measured_words(refusing, judge(refusing, problem.accuracy)),
        limit=_goal_words(problem.accuracy),
    )


def _measured_words(evidence: AccuracyEvidence, verdict: Verdict) -> str:
    value, drop = evidence.value, evidence.drop
    words = (
        f"{evidence.metric} {value.value:.4g} ({value.low:.4g} to {value.high:.4g}), drop {drop.value:.2%}"
        f" ({drop.low:.2%} to {drop.high:.2%}) on {evidence.samples} samples, reference {evidence.reference:.4g}"
    )
    if verdict is not Verdict.INCONCLUSIVE:
        return words
    more = f"; about {evidence.samples_needed} samples would settle it" if evidence.samples_needed else ""
    return f"inconclusive: {words}{more}"


def _goal_words(goal: AccuracyGoal) -> str:
    parts = [] if goal.floor is None else [f"floor {goal.floor:g}"]
    if goal.max_drop is not None:
        parts.append(f"drop at most {goal.max_drop:.2%}")
    return ", ".join(parts)
