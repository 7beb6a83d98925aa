"""What measurements of other models on a device say about the device: one factor, shrunk toward 1 by their number."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from infc.ir.model_profile import ModelProfile, OperatorClass
from infc.ir.service_time import NeighbourMeasurement, ServiceTimePoint, ServiceTimeProfile

PRIOR_MODELS = 1.0
"""As many models as the analytic prediction itself counts for.

About the variance of one model's error on a device over the variance between devices, of held-out rows
(benchmarks/fit_perf.py prints what the correction gains).
"""
UNLIKE_WEIGHT = 0.5
"""What a model of the other kind counts for: with and without attention."""


@dataclass(frozen=True, kw_only=True)
class DeviceCorrection:
    """Multiply predicted seconds by `factor`; it rests on `models` other models."""

    factor: float
    models: int


def device_correction(
    model: ModelProfile,
    hardware_id: str,
    neighbours: Sequence[NeighbourMeasurement],
    ratio_of: Callable[[ModelProfile, ServiceTimeProfile, ServiceTimePoint], float | None],
) -> DeviceCorrection | None:
    """The correction for `model`, None when no other model was measured on the device.

    `ratio_of` gives measured over predicted seconds of a point, None where the model cannot be predicted.
    """
    logs: dict[str, list[float]] = {}
    weights: dict[str, float] = {}
    for neighbour in neighbours:
        other, profile = neighbour.model, neighbour.profile
        if profile.hardware_id != hardware_id or other.digest == model.digest:
            continue
        ratios = [ratio_of(other, profile, point) for point in profile.points]
        known = [math.log(ratio) for ratio in ratios if ratio is not None and ratio > 0.0]
        if known:
            logs.setdefault(other.digest, []).append(sum(known) / len(known))
            weights[other.digest] = 1.0 if has_attention(other) is has_attention(model) else UNLIKE_WEIGHT
    if not logs:
        return None
    means = {digest: sum(values) / len(values) for digest, values in logs.items()}
    return DeviceCorrection(factor=shrunk(list(means.values()), [weights[d] for d in means]), models=len(means))


def shrunk(logs: Sequence[float], weights: Sequence[float]) -> float:
    """The factor that weighted log ratios give, drawn toward 1 by `PRIOR_MODELS`.

    >>> round(shrunk([math.log(1.5)], [1.0]), 3), round(shrunk([math.log(1.5)] * 9, [1.0] * 9), 3)
    (1.225, 1.44)
    """
    total = sum(weight * value for weight, value in zip(weights, logs, strict=True))
    return math.exp(total / (sum(weights) + PRIOR_MODELS))


def has_attention(model: ModelProfile) -> bool:
    """Whether a model computes attention: a softmax in one kernel with matrix products, or an attention operator."""
    products = {o.fusion_group for o in model.operators if o.operator_class is OperatorClass.GEMM}
    return any(
        o.operator_class is OperatorClass.ATTENTION
        or (o.operator_class is OperatorClass.SOFTMAX and o.fusion_group in products)
        for o in model.operators
    )
