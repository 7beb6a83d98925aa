"""`deploy.shadow` resolved: what a comparison costs a request, and whether anybody would notice.

Triton captures a sampled request by writing its tensors as text, inside the request. Requests that are not sampled pay
nothing; a sampled one pays for each value. A large tensor makes that visible, and then the sampled share must be so
small that no percentile of the objective moves: this is where that is settled.
"""

import math
from collections.abc import Iterator, Mapping

from infc.diag import Diagnostic
from infc.ir.model_profile import ModelProfile, TensorSpec
from infc.ir.problem import ShadowGoal, Traffic
from infc.ir.spec import Spec
from infc.spec import LoadedSpec

CAPTURE_S: Mapping[str, float] = {
    **dict.fromkeys(("float32", "float64"), 0.75e-6),
    **dict.fromkeys(("int16", "int32", "int64", "uint16", "uint32", "uint64"), 0.15e-6),
    **dict.fromkeys(("int8", "uint8", "bool"), 0.1e-6),
}
"""Seconds that capturing one value takes, by data type.

Source: measured on tritonserver 2.51 with tensors of 20,000 values, captured or not (medians, one core of a virtual
machine): 0.71 to 0.74 us a float, 0.10 to 0.14 us an integer, 0.09 us a byte.
"""
NOTICEABLE_SHARE = 0.05
"""A capture that takes at most this share of a latency target does not show in it."""
BUDGET_SHARE = 0.1
"""Requests slowed by captures may use at most this share of those that a percentile allows to be slower."""


def shadow_goal(
    loaded: LoadedSpec, spec: Spec, model: ModelProfile, traffic: Traffic
) -> tuple[ShadowGoal | None, tuple[Diagnostic, ...]]:
    """The quality shadow of a spec (None without one), or what keeps it from being neutral."""
    asked = spec.deploy.shadow
    if asked is None:
        return None, ()
    problems = tuple(_type_problems(loaded, model))
    if problems:
        return None, problems
    goal = ShadowGoal(
        one_in=one_in(asked.sample),
        min_agreement=asked.min_agreement,
        tolerance=asked.tolerance,
        capture_s=capture_s(model, traffic),
    )
    latency = dict(spec.slo.latency or {})
    least = neutral_one_in(goal.capture_s, latency, traffic.peak_rps)
    if goal.one_in >= least:
        return goal, ()
    return None, (_noticeable(loaded, goal, least),)


def one_in(sample: float) -> int:
    """Of how many requests one is compared, so that the share is at most `sample`: Triton samples every N-th.

    >>> one_in(0.01), one_in(0.03), one_in(1.0)
    (100, 34, 1)
    """
    return math.ceil(round(1.0 / sample, 6))


def capture_s(model: ModelProfile, traffic: Traffic) -> float:
    """Seconds that capturing a request of one row takes, at the largest sizes of its dynamic axes."""
    return sum(_values(tensor, model, traffic) * CAPTURE_S[tensor.dtype] for tensor in (*model.inputs, *model.outputs))


def neutral_one_in(capture: float, latency: Mapping[float, float], peak_rps: float) -> int:
    """The smallest N with which no target notices that one request in every N takes `capture` seconds longer.

    A target does not notice when that is a small part of it, or when the requests that are slowed - the captured one
    and those that arrive meanwhile - are few among those which the percentile leaves out.

    Args:
        capture: seconds.
        latency: percentile -> seconds that it must not exceed.
        peak_rps: requests per second, at worst all at one server.

    >>> neutral_one_in(0.0004, {50.0: 0.008, 99.0: 0.025}, 800.0)
    1
    >>> neutral_one_in(0.1, {99.0: 0.04}, 500.0)  # 1 + 50 requests of 1,000 that may be slower
    51000
    """
    slowed = 1.0 + peak_rps * capture
    needed = [
        slowed / (BUDGET_SHARE * (1.0 - percentile / 100.0))
        for percentile, limit_s in latency.items()
        if capture > NOTICEABLE_SHARE * limit_s
    ]
    return math.ceil(round(max(needed, default=1.0), 6))


def _values(tensor: TensorSpec, model: ModelProfile, traffic: Traffic) -> int:
    sizes = [axis if isinstance(axis, int) else _size(axis, model, traffic) for axis in tensor.shape]
    return math.prod(sizes)


def _size(axis: str, model: ModelProfile, traffic: Traffic) -> int:
    if axis == model.batch_axis:
        return 1
    known = traffic.axes.get(axis)
    return known.maximum if known is not None else 1


def _type_problems(loaded: LoadedSpec, model: ModelProfile) -> Iterator[Diagnostic]:
    for tensor in (*model.inputs, *model.outputs):
        if tensor.dtype not in CAPTURE_S:
            yield Diagnostic(
                id="shadow-tensor-type",
                message=f"a quality shadow cannot see tensor {tensor.name!r}: Triton's trace leaves {tensor.dtype} out",
                span=loaded.span("deploy.shadow"),
                help="export the model with inputs and outputs of 32 or 64 bits or bytes, or leave deploy.shadow out",
            )


def _noticeable(loaded: LoadedSpec, goal: ShadowGoal, least: int) -> Diagnostic:
    # Rounded down, so that the share that is offered is really neutral.
    digits = max(0, math.ceil(math.log10(least / 100.0)) + 1)
    share = math.floor(100.0 / least * 10**digits) / 10**digits
    return Diagnostic(
        id="shadow-noticeable",
        message=f"one request in every {goal.one_in:,} would take up to {goal.capture_s * 1e3:.3g} ms longer, "
        "which the latency objective would notice",
        span=loaded.span("deploy.shadow.sample"),
        notes=("Triton writes every value of a sampled request as text; the others pay nothing",),
        help=f"write sample: {share:.{digits}f}% or less",
    )
