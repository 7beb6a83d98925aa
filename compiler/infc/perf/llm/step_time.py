"""Step times of a language model on any catalogued device, from the shapes of its layers and the device's data sheet.

The closed form of `StepTimeModel`: a step reads every weight once (of a mixture only the experts that its tokens
chose) or multiplies at the speed of the matrix units, whichever is longer; attention reads the cache; devices exchange
activations; every kernel has a floor; the host adds its part.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from infc.ir.hardware import Hardware
from infc.ir.llm_profile import LlmProfile
from infc.ir.precision import Precision
from infc.ir.step_time import StepTimeModel, StepTimeProfile
from infc.perf.llm.attention import AttentionTimes
from infc.perf.llm.coefficients import Engine, EngineCoefficients, KernelCoefficients, coefficients
from infc.perf.llm.kernels import (
    Array,
    all_reduce_bytes,
    all_reduce_hops,
    chosen_experts,
    elementwise_bytes,
    grouped_products_s,
    prefill_share,
    products_s,
    routed_bytes,
    width_share,
)
from infc.perf.llm.measured import measured_step_time, profiles_of
from infc.perf.llm.place import WEIGHT_BYTES, Place, is_quantizing, place_of, unsupported
from infc.perf.llm.stages import hop_of, pipelined, stage_models
from infc.perf.llm.work import ExpertWork, LlmWork, llm_work
from infc.perf.support import Unsupported

TOKEN_KNOTS = (1, 2, 4, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512, 768, 1024, 2048, 4096, 8192, 16384)
KNOTS = np.array(TOKEN_KNOTS, dtype=np.float64)


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
    pipeline_parallel: int = 1,
) -> StepTimeModel | Unsupported:
    """Seconds of a step of `model` with weights in `precision` on `tensor_parallel` devices.

    With `pipeline_parallel` stages, each on so many devices, it is the time of a batch through all of them while as
    many batches follow each other: see `pipelined`.

    `kv_precision` None keeps the cache in 16 bits. `link_bytes_per_s` is what one device sends to another, one
    direction; None takes it from the data sheet. `measurements` of the same model, precisions, device and number of
    devices (in one stage) correct or replace the result: see `measured_step_time`. Others are ignored.
    """
    refused = unsupported(model, hardware, precision, tensor_parallel, pipeline_parallel)
    if refused is not None:
        return refused
    place = place_of(model, hardware, precision, tensor_parallel=tensor_parallel, power_mode=power_mode)
    if link_bytes_per_s is not None:
        place = replace(place, link_bytes_per_s=link_bytes_per_s)
    if kv_precision is not None:
        place = replace(place, cache_bytes=WEIGHT_BYTES[kv_precision])
    known = coefficients()
    kernels, server = known.kernels(hardware), known.server(engine, hardware)
    stages = [
        analytic_step_time(llm_work(stage, tensor_parallel), place, kernels, server)
        for stage in stage_models(model, pipeline_parallel)
    ]
    spread = known.spread_of(hardware)
    steps = replace(stages[0], decode_spread=spread.decode, prefill_spread=spread.prefill)
    if pipeline_parallel > 1:
        hop = hop_of(hardware, tensor_parallel * pipeline_parallel)
        return pipelined(stages, hop, model.hidden, decode_spread=spread.decode, prefill_spread=spread.prefill)
    own = profiles_of(
        measurements, model, precision, hardware.id, tensor_parallel=tensor_parallel, kv_precision=kv_precision
    )
    return measured_step_time(steps, own)


def analytic_step_time(
    work: LlmWork, place: Place, kernels: KernelCoefficients, server: EngineCoefficients
) -> StepTimeModel:
    """The closed form from counted work; the spreads are 1, as nothing is known here of its error."""
    kernels = server.scaled(kernels, place.limits.architecture)
    tokens_s = _matrices_s(work, place, kernels) + _layers_s(work, place, kernels)
    for experts in work.experts:
        tokens_s += _experts_s(experts, work.hidden, place, kernels)
    if place.tensor_parallel > 1:
        tokens_s += _reduce_s(work, place, kernels)
    attention = AttentionTimes.of(work, place, kernels)
    tokens_s += attention.floor_s + attention.token_s * KNOTS + attention.prefill_s * prefill_share(KNOTS)
    head_s = _head_s(work, place, kernels)
    return StepTimeModel(
        token_knots=TOKEN_KNOTS,
        token_s=tuple(tokens_s.tolist()),
        sequence_s=server.sequence_s + head_s[1] + attention.sequence_s,
        context_s=attention.context_s,
        pair_s=attention.pair_s,
        fixed_s=server.step_s + head_s[0],
        request_s=server.request_s,
        window_tokens=attention.window_tokens,
        window_s=attention.window_s,
    )


def _matrices_s(work: LlmWork, place: Place, kernels: KernelCoefficients) -> Array:
    precision = place.dense_precision
    quantizes = is_quantizing(precision) and not place.is_widened(precision)
    one = kernels.matrix_s + (kernels.quantize_s if quantizes else 0.0)
    one += kernels.block_s if place.is_block_scaled else 0.0
    return work.matrix_kernels * one + products_s(
        KNOTS,
        work.matrix_parameters,
        work.matrix_parameters * WEIGHT_BYTES[precision],
        place.stream(kernels, precision),
        place.compute(kernels, precision) * (width_share(work.hidden, kernels.half_width) if quantizes else 1.0),
        kernels.tile_tokens,
    )


def _experts_s(experts: ExpertWork, hidden: int, place: Place, kernels: KernelCoefficients) -> Array:
    chosen = chosen_experts(KNOTS, experts.experts, experts.experts_per_token)
    rows = KNOTS * experts.experts_per_token
    share = kernels.expert_int4 if place.precision is Precision.INT4 else 1.0
    products = grouped_products_s(
        rows,
        chosen,
        experts.parameters,
        WEIGHT_BYTES[place.precision],
        place.stream(kernels, place.precision) * kernels.expert_stream * share,
        place.compute(kernels, place.precision) * kernels.expert_compute * share,
        kernels.expert_tile_tokens,
    )
    routed = routed_bytes(rows, hidden, experts.intermediate)
    moved_s = routed / (place.limits.bandwidth_bytes_per_s * kernels.route_stream)
    return np.asarray(experts.layers * (kernels.expert_s + products + moved_s))


def _layers_s(work: LlmWork, place: Place, kernels: KernelCoefficients) -> Array:
    moved = elementwise_bytes(KNOTS, work.hidden, work.intermediate)
    bandwidth = place.limits.bandwidth_bytes_per_s * kernels.elementwise_stream
    return np.asarray(work.layers * (kernels.layer_s + moved / bandwidth))


def _reduce_s(work: LlmWork, place: Place, kernels: KernelCoefficients) -> Array:
    is_switched = place.is_switched
    moved = all_reduce_bytes(KNOTS, work.hidden, place.tensor_parallel, is_switched=is_switched)
    floor_s = kernels.reduce_s * all_reduce_hops(place.tensor_parallel, is_switched=is_switched)
    return np.asarray((2 * work.layers + 1) * (floor_s + moved / (place.link_bytes_per_s * kernels.reduce_stream)))


def _head_s(work: LlmWork, place: Place, kernels: KernelCoefficients) -> tuple[float, float]:
    """Seconds of the output head for a step, and for each sequence that a token is drawn for (it stays in 16 bits)."""
    read_s = work.head_parameters * WEIGHT_BYTES[place.wide] / place.stream(kernels, place.wide)
    return read_s + kernels.matrix_s, 2 * work.head_parameters / place.compute(kernels, place.wide)
