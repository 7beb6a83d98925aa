"""Devices and precisions that a spec rules out before any performance is asked for, whatever the kind of model."""

from infc.ir.accuracy import AccuracyEvidence, Verdict, is_lower_better
from infc.ir.hardware import Hardware
from infc.ir.plan import Rejection
from infc.ir.precision import Precision
from infc.ir.problem import AccuracyGoal, AnyProblem, BaseProblem, HardwareOption
from infc.plan.evidence import judge, refusing_evidence

DLA_CORE = 0
"""The deep learning accelerator that is planned with where a module has several: they are alike, but for the clock of
the second in some power modes.
"""
DLA_PRECISIONS = (Precision.FP16, Precision.INT8)
"""What a deep learning accelerator computes in. Source: "Working with DLA", TensorRT 11.4.1."""


def is_price_needed(problem: BaseProblem) -> bool:
    """Whether a device without a price is out: where money is limited, or another device has a price."""
    return problem.limits.max_usd_per_hour is not None or any(o.price is not None for o in problem.options)


def ruled_out(problem: BaseProblem, option: HardwareOption, *, needs_price: bool) -> Rejection | None:
    """Why a device is out whatever the precision; None when it is not."""
    hardware, limits = option.hardware, problem.limits
    if not hardware.is_emittable:
        return Rejection(
            candidate=hardware.id, constraint="emit", predicted=f"infc emits nothing for {hardware.vendor}", limit=""
        )
    if problem.server == "jetson" and hardware.kind != "jetson":
        words = "deploy.server: jetson makes bundles for Jetson modules, and this is none"
        return Rejection(candidate=hardware.id, constraint="emit", predicted=words, limit="")
    if option.jetson is not None and option.jetson.refusal is not None:
        return Rejection(candidate=hardware.id, constraint="jetpack", predicted=option.jetson.refusal, limit="")
    if option.price is None and needs_price and not option.is_named_target:
        limit = "" if limits.max_usd_per_hour is None else "max_cost needs one"
        return Rejection(
            candidate=hardware.id, constraint="price", predicted="no price in the chosen price books", limit=limit
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


def no_mode(problem: BaseProblem, option: HardwareOption) -> Rejection:
    """No power mode of the device is allowed: none has the wanted name, or all of those draw more than the cap."""
    modes = option.hardware.power_modes
    wanted, cap = problem.limits.power_mode, problem.limits.max_power_w
    names = ", ".join(mode.name for mode in modes)
    predicted = f"its modes are {names}" if modes else "infc has no table of its power modes"
    if wanted is not None and not any(mode.is_named(wanted) for mode in modes):
        return Rejection(
            candidate=option.hardware.id, constraint="power-mode", predicted=predicted, limit=f"mode {wanted}"
        )
    limit = " and ".join(words for words in (wanted and f"mode {wanted}", cap and f"{cap:g} W") if words)
    return Rejection(candidate=option.hardware.id, constraint="max-power", predicted=predicted, limit=limit)


def has_accelerator(option: HardwareOption) -> bool:
    """Whether the spec asks for a deep learning accelerator that the device has and can use."""
    setup = option.jetson
    return setup is not None and setup.is_dla_wanted and setup.dla_refusal is None


def unused_accelerator(option: HardwareOption) -> Rejection | None:
    """That the spec asks for a deep learning accelerator which cannot be used; None where it can, or nobody asks.

    It rules no device out: the plan goes on with the GPU.
    """
    setup = option.jetson
    if setup is None or not setup.is_dla_wanted or setup.dla_refusal is None:
        return None
    candidate = f"{option.hardware.id}/dla{DLA_CORE}"
    return Rejection(candidate=candidate, constraint="dla", predicted=setup.dla_refusal, limit="")


def accuracy_refusal(problem: AnyProblem, hardware: Hardware, precision: Precision) -> Rejection | None:
    """The evidence that stands against a precision on a kind of device; None when none does."""
    refusing = refusing_evidence(problem, hardware, precision)
    if refusing is None or problem.accuracy is None:
        return None
    return Rejection(
        candidate=f"{precision.value}/{hardware.id}",
        constraint="accuracy",
        predicted=_measured_words(refusing, judge(refusing, problem.accuracy)),
        limit=_goal_words(problem.accuracy),
    )


def _measured_words(evidence: AccuracyEvidence, verdict: Verdict) -> str:
    value, drop = evidence.value, evidence.drop
    words = (
        f"{evidence.metric} {value.value:.4g} ({value.low:.4g} to {value.high:.4g}), {_loss(evidence.metric)}"
        f" {drop.value:.2%}"
        f" ({drop.low:.2%} to {drop.high:.2%}) on {evidence.samples} samples, reference {evidence.reference:.4g}"
    )
    if verdict is not Verdict.INCONCLUSIVE:
        return words
    more = f"; about {evidence.samples_needed} samples would settle it" if evidence.samples_needed else ""
    return f"inconclusive: {words}{more}"


def _goal_words(goal: AccuracyGoal) -> str:
    bound = "at most" if is_lower_better(goal.metric) else "floor"
    parts = [] if goal.floor is None else [f"{bound} {goal.floor:g}"]
    if goal.max_drop is not None:
        parts.append(f"{_loss(goal.metric)} at most {goal.max_drop:.2%}")
    return ", ".join(parts)


def _loss(metric: str) -> str:
    """What a worse metric does."""
    return "rise" if is_lower_better(metric) else "drop"
