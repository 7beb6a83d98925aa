"""The fitted numbers of the analytic model, read from `coefficients.json`."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

PATH = Path(__file__).with_name("coefficients.json")


@dataclass(frozen=True, kw_only=True)
class DeviceCoefficients:
    """Coefficients of one kind of device (GPU or CPU).

    `efficiency` is the share of the dense peak that large work of an operator class reaches at the reference
    precision (FP16 on a GPU, FP32 on a CPU); `precision_factor` multiplies it for others, `architecture_factor` by
    architecture, or by `architecture/precision`. `vector_efficiency` is the share of the FP32 peak for work outside
    the matrix units. `activation_scale` is by how much the activations that cross memory differ from the bytes of the
    precision. `score_bytes` is what an attention score costs in memory traffic, or in work that takes as long;
    `unfused_scores` multiplies it where attention is not one fused kernel.
    `kernel_cycles` is what a kernel costs however small it is, in device clock cycles, by operator class ("other" for
    the rest), `cycles_factor` multiplies it by architecture; `floor_s` is paid once per execution. `watts_per_flops`
    is the power per FP16 FLOP/s at which an architecture no longer throttles; below it clocks fall with
    `power_exponent`; `power_factor` is what a precision draws against FP16, each at its own peak. `kind_factor` is
    what a kind of device reaches against discrete GPUs (modules share power and memory with their CPU), `device_factor`
    corrects single devices that were measured (1 is none).
    """

    efficiency: Mapping[str, float]
    precision_factor: Mapping[str, float]
    architecture_factor: Mapping[str, float]
    vector_efficiency: float
    bandwidth_efficiency: float
    activation_scale: Mapping[str, float]
    cache_reach: float
    score_bytes: float
    unfused_scores: float
    kernel_cycles: Mapping[str, float]
    cycles_factor: Mapping[str, float]
    floor_s: float
    watts_per_flops: Mapping[str, float]
    power_factor: Mapping[str, float]
    power_exponent: float
    kind_factor: Mapping[str, float]
    device_factor: Mapping[str, float]


@dataclass(frozen=True, kw_only=True)
class Spread:
    """Half-widths of 90% intervals as factors.

    The truth lies within value/factor and value*factor in 9 of 10 held-out cases.

    Keys are `seen` (other models were measured on the device), `unseen`, and `similar` (unseen, corrected by stored
    measurements of other models on the device), then the class: `small` work, `large` work, and `attention` for
    large work with attention in it.
    """

    seen: Mapping[str, float]
    unseen: Mapping[str, float]
    similar: Mapping[str, float]
    calibrated: float
    measured: float


@dataclass(frozen=True, kw_only=True)
class Coefficients:
    """Everything that `coefficients.json` holds but its provenance."""

    gpu: DeviceCoefficients
    cpu: DeviceCoefficients
    gpu_spread: Spread
    cpu_spread: Spread


@lru_cache(maxsize=1)
def coefficients() -> Coefficients:
    """The committed coefficients."""
    return coefficients_from_json(PATH.read_text(encoding="utf-8"))


def coefficients_from_json(text: str) -> Coefficients:
    """Decode the file format that `benchmarks/fit_perf.py` writes."""
    data = json.loads(text)
    return Coefficients(
        gpu=DeviceCoefficients(**data["gpu"]),
        cpu=DeviceCoefficients(**data["cpu"]),
        gpu_spread=Spread(**data["gpu_spread"]),
        cpu_spread=Spread(**data["cpu_spread"]),
    )
