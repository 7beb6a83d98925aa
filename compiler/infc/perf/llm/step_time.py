"""Step times of a language model on any catalogued device, from the shapes of its layers and the device's data sheet.

The closed form of `StepTimeModel`: a step reads every weight once (of a mixture only the experts that its tokens
chose) or multiplies at the speed of the matrix units, whichever is longer; attention reads the cache; devices exchange
activations; every kernel has a floor; the host adds its part.
"""

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from infc.ir.hardware import Hardware
from infc.ir.llm_profile import LlmProfile
from infc.ir.precision import Precision
from infc.ir.step_time import StepTimeModel, StepTimeProfile
from infc.perf.llm.attention import AttentionTimes
from infc.perf.llm.coefficients import Engine, EngineCoefficients, KernelCoefficients, coefficients
from infc.perf.llm.correction import corrected
from infc.perf.llm.place import (
    ACTIVATION_BYTES,
    WEIGHT_BYTES,
    Place,
    is_weight_only,
    link_speed,
    unsupported,
    whole_device,
    wide_precision,
)
from infc.perf.llm.work import ExpertWork, LlmWork, llm_work
from infc.perf.support import Unsupported

TOKEN_KNOTS = (1, 2, 4, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512, 768, 1024, 2048, 4096, 8192, 16384)
GRAPH_TOKENS = 512
"""Most tokens of a step that runs as one CUDA graph (vLLM captures up to 512)."""
SHARPNESS = 4.0
"""How sharply a kernel changes from bound by memory to bound by arithmetic: the norm that joins both times."""
_KNOTS = np.array(TOKEN_KNOTS, dtype=np.float64)

Array = NDArray[np.float64]


def step_time(
    model: LlmProfile,
    hardware: Hardware,
    precision: Precision,
    *,
    tensor_parallel: int = 1,
    kv_precision: Precision | None = None,
    measurements: Sequence[StepTimeProfile] = (),
    power_mode: str | None = None,
    engine: Engine = "vllm",
    link_bytes_per_s: float | None = None,
) -> StepTimeModel | Unsupported:
    """Seconds of a step of `model` with weights in `precision` on `tensor_parallel` devices.

    `kv_precision` None keeps the cache in 16 bits. `link_bytes_per_s` is what one device sends to another, one
    direction; None takes it from the data sheet. `measurements` of the same model, precision, device and number of
    devices correct the result; others are ignored.
    """
    refused = unsupported(model, hardware, precision, tensor_parallel)
    if refused is not None:
        return refused
    link = link_bytes_per_s if link_bytes_per_s is not None else link_speed(hardware)
    place = Place(
        limits=whole_device(hardware, power_mode),
        tensor_parallel=tensor_parallel,
        link_bytes_per_s=link,
        precision=precision,
        weight_only=is_weight_only(model, hardware, precision),
        cache_bytes=WEIGHT_BYTES[kv_precision] if kv_precision is not None else ACTIVATION_BYTES,
    )
    known = coefficients()
    steps = analytic_step_time(llm_work(model, tensor_parallel), place, known.kernels(hardware), known.engines[engine])
    spread = known.spread_of(hardware)
    steps = replace(steps, decode_spread=spread.decode, prefill_spread=spread.prefill)
    points = [
        point
        for profile in measurements
        if profile.model_digest == model.digest
        and profile.precision is precision
        and profile.hardware_id == hardware.id
        and profile.tensor_parallel == tensor_parallel
        for point in profile.points
    ]
    return corrected(steps, points) if points else steps


def analytic_step_time(
    work: LlmWork, place: Place, kernels: KernelCoefficients, server: EngineCoefficients
) -> StepTimeModel:
    """The closed form from counted work; the spreads are 1, as nothing is known here of its error."""
    tokens_s = _matrices_s(work, place, kernels) + _layers_s(work, place, kernels)
    for experts in work.experts:
        tokens_s += _experts_s(experts, place, kernels)
    if place.tensor_parallel > 1:
        tokens_s += _reduce_s(work, place, kernels)
    attention = AttentionTimes.of(work, place, kernels)
    tokens_s += attention.floor_s + attention.token_s * _KNOTS
    eager_s = np.where(_KNOTS > GRAPH_TOKENS, server.eager_layer_s * work.layers, 0.0)
    tokens_s = np.maximum.accumulate(np.maximum(tokens_s * server.kernel_factor, eager_s))
    head_s = _head_s(work, place, kernels)
    factor = server.kernel_factor
    return StepTimeModel(
        token_knots=TOKEN_KNOTS,
        token_s=tuple(tokens_s.tolist()),
        sequence_s=server.sequence_s + factor * (head_s[1] + attention.sequence_s),
        context_s=factor * attention.context_s,
        pair_s=factor * attention.pair_s,
        fixed_s=server.step_s + factor * head_s[0],
        request_s=server.request_s,
        window_tokens=attention.window_tokens,
        window_s=factor * attention.window_s,
    )


def joined(memory_s: Array | float, compute_s: Array | float) -> Array:
    """The time of a kernel that needs both times alone: a smooth maximum.

    >>> round(float(joined(1.0, 0.1)), 3), round(float(joined(1.0, 1.0)), 3)
    (1.0, 1.189)
    """
    return np.asarray((np.power(memory_s, SHARPNESS) + np.power(compute_s, SHARPNESS)) ** (1 / SHARPNESS))


def _matrices_s(work: LlmWork, place: Place, kernels: KernelCoefficients) -> Array:
    memory_s = work.matrix_parameters * place.weight_bytes / place.stream(kernels)
    compute_s = 2 * work.matrix_parameters * (_KNOTS + kernels.tile_tokens) / place.compute(kernels)
    return joined(memory_s, compute_s) + work.matrix_kernels * kernels.matrix_s


def _experts_s(experts: ExpertWork, place: Place, kernels: KernelCoefficients) -> Array:
    """Source: expected number of distinct experts when each token draws `experts_per_token` of them evenly."""
    share = experts.experts_per_token / experts.experts
    chosen = experts.experts * (1 - (1 - share) ** _KNOTS)
    memory_s = chosen * experts.parameters * place.weight_bytes / (place.stream(kernels) * kernels.expert_stream)
    rows = _KNOTS * experts.experts_per_token + chosen * kernels.expert_tile_tokens
    compute_s = 2 * rows * experts.parameters / (place.compute(kernels) * kernels.expert_compute)
    return experts.layers * (joined(memory_s, compute_s) + kernels.expert_s)


def _layers_s(work: LlmWork, place: Place, kernels: KernelCoefficients) -> Array:
    moved = ACTIVATION_BYTES * (8 * work.hidden + 3 * work.intermediate) * _KNOTS
    per_layer = kernels.layer_s + moved / (place.limits.bandwidth_bytes_per_s * kernels.elementwise_stream)
    return np.asarray(work.layers * per_layer)


def _reduce_s(work: LlmWork, place: Place, kernels: KernelCoefficients) -> Array:
    devices = place.tensor_parallel
    moved = 2 * (devices - 1) / devices * ACTIVATION_BYTES * work.hidden * _KNOTS
    one = kernels.reduce_s * math.log2(devices) + moved / (place.link_bytes_per_s * kernels.reduce_stream)
    return np.asarray((2 * work.layers + 1) * one)


def _head_s(work: LlmWork, place: Place, kernels: KernelCoefficients) -> tuple[float, float]:
    """Seconds of the output head for a step, and for each sequence that a token is drawn for (it stays in 16 bits)."""
    wide = wide_precision(place.limits.peak_flops)
    bandwidth = place.limits.bandwidth_bytes_per_s * kernels.stream[wide]
    peak = place.limits.peak_flops[wide] * kernels.compute[wide]
    return work.head_parameters * ACTIVATION_BYTES / bandwidth + kernels.matrix_s, 2 * work.head_parameters / peak
