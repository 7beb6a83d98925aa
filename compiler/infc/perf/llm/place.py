"""What a language model gets of a device: its limits, the precisions it can run, the links between devices."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

from infc.ir.hardware import Hardware
from infc.ir.llm_profile import AttentionKind, LayerPart, LlmProfile
from infc.ir.precision import Precision
from infc.perf.device import DeviceLimits, device_limits
from infc.perf.llm.coefficients import KernelCoefficients
from infc.perf.llm.kernels import ACTIVATION_BYTES
from infc.perf.support import Unsupported, unsupported_reason
from infc.resolve.served_models import has_float16

WEIGHT_BYTES: Mapping[Precision, float] = {
    Precision.FP32: 4.0,
    Precision.TF32: 4.0,
    Precision.BF16: 2.0,
    Precision.FP16: 2.0,
    Precision.FP8: 1.0,
    Precision.INT8: 1.0,
    Precision.INT4: 0.5 + 2.0 / 128,
    Precision.FP4: 0.5 + 1.0 / 16,
}
"""Bytes that reading one weight costs, scales included.

Source: AWQ and GPTQ checkpoints keep a 16-bit scale for 128 weights; NVFP4 keeps an 8-bit scale for 16 weights.
"""
_WEIGHT_ONLY_CAPABILITY = (7, 5)
_FP4_WEIGHT_ONLY_CAPABILITY = (8, 0)
_FP8_ACTIVATION_CAPABILITY = (9, 0)
_LATE_FP8_METHODS = ("modelopt", "fbgemm_fp8")
_LATE_FP8_CAPABILITY = (8, 0)
_FLASH_ATTENTION_CAPABILITY = (8, 0)
_FP8_CAPABILITY = (8, 9)
_FLASHINFER_HEADS = (64, 128, 256, 512)
_NO_INT8_CAPABILITY = (10, 0)
_BLOCKED = (Precision.FP8, Precision.INT4)
_PCIE_LANE_BYTES_PER_S = {"3.0": 0.985e9, "4.0": 1.969e9, "5.0": 3.938e9, "6.0": 7.563e9}
_DEFAULT_LINK_BYTES_PER_S = 16 * 1.969e9
FASTEST_SLOT_BYTES_PER_S = 130e9
"""More than PCIe 6.0 x16 carries: links above it are NVLink."""
TENSOR_PARALLEL = (1, 2, 4, 8)


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where a step runs: one device's limits and how the model lies on the group.

    `precision` is that of the experts of a mixture and of all products of another model; `dense_precision` that of a
    mixture's other products. `link_bytes_per_s` is what one device sends to another, one direction; `cache_bytes` one
    element of the KV cache.
    """

    limits: DeviceLimits
    tensor_parallel: int
    link_bytes_per_s: float
    precision: Precision
    dense_precision: Precision
    is_weight_only: bool
    is_block_scaled: bool
    cache_bytes: float

    def stream(self, kernels: KernelCoefficients, precision: Precision) -> float:
        """Bytes per second at which weights are read."""
        return self.limits.bandwidth_bytes_per_s * kernels.stream[precision]

    def compute(self, kernels: KernelCoefficients, precision: Precision) -> float:
        """Operations per second of large products."""
        peaks = self.limits.peak_flops
        is_widened = self.is_widened(precision)
        peak = peaks.get(wide_precision(peaks) if is_widened else precision) or peaks[Precision.FP32]
        if is_widened and precision in (Precision.FP8, Precision.INT8):
            precision = Precision.INT4  # one family of kernels widens them all (Marlin); those for INT4 were timed
        return peak * kernels.compute[precision]

    def is_widened(self, precision: Precision) -> bool:
        """Whether products in this precision are made in 16 bits, after their weights were widened."""
        return self.is_weight_only and precision is self.precision

    @property
    def is_switched(self) -> bool:
        """Whether devices exchange over a switch (NVLink between all), not a ring of slots."""
        return self.link_bytes_per_s > FASTEST_SLOT_BYTES_PER_S

    @property
    def wide(self) -> Precision:
        """The 16-bit format that attention and the output head use."""
        return wide_precision(self.limits.peak_flops)


def place_of(
    model: LlmProfile,
    hardware: Hardware,
    precision: Precision,
    *,
    tensor_parallel: int = 1,
    power_mode: str | None = None,
) -> Place:
    """The place of a supported model, with the device's own links and a cache in 16 bits."""
    limits = whole_device(hardware, power_mode)
    return Place(
        limits=limits,
        tensor_parallel=tensor_parallel,
        link_bytes_per_s=link_speed(hardware, tensor_parallel),
        precision=precision,
        dense_precision=dense_precision(model, limits.peak_flops, precision),
        is_weight_only=is_weight_only(model, precision, limits.peak_flops),
        is_block_scaled=is_block_scaled(model, precision),
        cache_bytes=ACTIVATION_BYTES,
    )


def dense_precision(model: LlmProfile, peak_flops: Mapping[Precision, float], precision: Precision) -> Precision:
    """The precision of the products outside experts.

    As the checkpoint has it; else, as most checkpoints of mixtures quantise only experts to four bits, 16 bits there.
    Source: published MXFP4, NVFP4 and INT4 checkpoints of gpt-oss, DeepSeek-R1 and Kimi-K2.5 list their attention
    layers among the modules that are not converted.
    """
    stored = model.quantization
    if stored is not None and stored.weight_precision is precision:
        return wide_precision(peak_flops) if LayerPart.ATTENTION in stored.unquantized else precision
    is_mixture = any(group.feed_forward.experts for group in model.groups)
    if is_mixture and precision in (Precision.FP4, Precision.INT4):
        return wide_precision(peak_flops)
    return precision


def whole_device(hardware: Hardware, power_mode: str | None) -> DeviceLimits:
    """The limits of all of a device: a language model uses every core of a CPU."""
    limits = device_limits(hardware, power_mode)
    if hardware.kind != "cpu":
        return limits
    return replace(limits, peak_flops=hardware.peak_flops, parallel=1)


def unsupported(
    model: LlmProfile,
    hardware: Hardware,
    precision: Precision,
    tensor_parallel: int = 1,
    pipeline_parallel: int = 1,
) -> Unsupported | None:
    """Why there is no step time of this model there; None when there is one."""
    reason = (
        precision_reason(model, hardware, precision)
        or _attention_reason(model, hardware)
        or _parallel_reason(model, hardware, tensor_parallel)
        or _pipeline_reason(model, hardware, pipeline_parallel)
    )
    return Unsupported(reason=reason) if reason is not None else None


def precision_reason(model: LlmProfile, hardware: Hardware, precision: Precision) -> str | None:
    """Why vLLM does not run weights of this precision on the device; None when it does.

    Source: vLLM 0.32, `get_min_capability` of its quantisation schemes and the pages on INT8 and FP8: INT4 (AWQ, GPTQ,
    compressed-tensors), INT8 and FP8 as weights alone from 7.5 (FP8 of ModelOpt and FBGEMM from 8.0), INT4 weights with
    FP8 activations from 9.0, FP8 arithmetic from 8.9, INT8 arithmetic from 7.5 and not from 10.0 on, NVFP4 arithmetic
    from 10.0, four-bit floating-point weights with 16-bit arithmetic from 8.0; and config/model.py
    (`_check_valid_dtype`) for models that it does not start in float16.
    """
    if hardware.kind == "other":
        return f"infc has no performance model for {hardware.vendor} accelerators; they are listed to compare prices"
    if hardware.kind == "gpu" and computes_in_float16(model, hardware, precision) and not has_float16(model):
        name = model.architecture
        if precision is Precision.FP16 and Precision.BF16 in hardware.peak_flops:
            return f"vLLM does not start {name} in float16, whose range is too small for it; bf16 takes its place"
        return (
            f"vLLM does not start {name} in float16, whose range is too small for it, and {hardware.name} has no BF16"
        )
    if hardware.kind == "cpu":
        if precision is Precision.INT8 and is_weight_only(model, precision):
            return f"vLLM has no kernels for 8-bit weights with 16-bit activations on {hardware.name}"
        if precision in hardware.peak_flops or precision is Precision.BF16:
            return None
        name = precision.value.upper()
        if precision is Precision.INT4:
            return f"vLLM computes INT4 weights on CPUs with AVX-512 only, which infc does not know of {hardware.name}"
        return f"vLLM has no {name} kernels for {hardware.name}; it runs FP32, BF16 and INT8 there"
    if precision is Precision.INT4 and _activation(model, precision) is Precision.FP8:
        return _weight_only_reason(hardware, precision, _FP8_ACTIVATION_CAPABILITY)
    is_widened_fp8 = precision is Precision.FP8 and precision not in hardware.peak_flops
    if (
        precision is Precision.INT4
        or is_widened_fp8
        or (precision is Precision.INT8 and is_weight_only(model, precision))
    ):
        is_late = is_widened_fp8 and model.quantization is not None and model.quantization.method in _LATE_FP8_METHODS
        return _weight_only_reason(hardware, precision, _LATE_FP8_CAPABILITY if is_late else _WEIGHT_ONLY_CAPABILITY)
    if precision is Precision.FP4 and is_weight_only(model, precision):
        return _weight_only_reason(hardware, precision, _FP4_WEIGHT_ONLY_CAPABILITY)
    if precision is Precision.INT8 and _capability(hardware) >= _NO_INT8_CAPABILITY:
        return f"vLLM has no INT8 kernels for compute capability {hardware.compute_capability}; FP8 takes its place"
    return unsupported_reason(hardware, precision)


def computes_in_float16(model: LlmProfile, hardware: Hardware, precision: Precision) -> bool:
    """Whether what is not quantised is computed in FP16: as asked, or because the device has no BF16."""
    if precision in (Precision.FP32, Precision.TF32, Precision.BF16):
        return False
    return precision is Precision.FP16 or (
        model.dtype is not Precision.FP32 and Precision.BF16 not in hardware.peak_flops
    )


def _capability(hardware: Hardware) -> tuple[int, int]:
    major, _, minor = (hardware.compute_capability or "0.0").partition(".")
    return int(major), int(minor or 0)


def _weight_only_reason(hardware: Hardware, precision: Precision, needed: tuple[int, int]) -> str | None:
    if _capability(hardware) >= needed:
        return None
    return (
        f"{hardware.name} has compute capability {hardware.compute_capability};"
        f" {precision.value.upper()} weights need {needed[0]}.{needed[1]}"
    )


def _attention_reason(model: LlmProfile, hardware: Hardware) -> str | None:
    """Why vLLM has no attention kernels for the model on the device; None when it has.

    Source: vLLM 0.32, v1/attention/backends: prompts of latent attention run in FlashAttention, from 8.0; an FP8 cache
    is read by FlashInfer from 8.0 on for some sizes of heads, by Triton from 8.9 on, and by nothing on 7.5.
    """
    if hardware.kind != "gpu":
        return None
    capability, name = _capability(hardware), f"{hardware.name} has compute capability {hardware.compute_capability}"
    mixers = [group.attention for group in model.groups]
    if capability < _FLASH_ATTENTION_CAPABILITY and any(mixer.kind is AttentionKind.LATENT for mixer in mixers):
        return f"{name}; vLLM computes prompts of latent attention from 8.0 on"
    stored = model.quantization
    if stored is None or stored.kv_precision is not Precision.FP8 or capability >= _FP8_CAPABILITY:
        return None
    if capability < _FLASH_ATTENTION_CAPABILITY:
        return f"{name}; vLLM reads the checkpoint's FP8 cache from 8.0 on"
    sizes = {mixer.head_dim for mixer in mixers if mixer.kind is AttentionKind.GROUPED}
    odd = sorted(sizes.difference(_FLASHINFER_HEADS))
    return f"{name}; vLLM reads an FP8 cache of heads of {odd[0]} from 8.9 on" if odd else None


def _parallel_reason(model: LlmProfile, hardware: Hardware, tensor_parallel: int) -> str | None:
    """Why the layers cannot be divided over so many devices; None when they can.

    Source: vLLM 0.32 refuses query heads that do not divide, and asserts the same of key-value heads (or that they are
    copied evenly), of the width of feed-forward parts, and of the blocks of FP8 and INT4 weights that share a scale.
    """
    if tensor_parallel not in TENSOR_PARALLEL:
        return f"a model is divided over 1, 2, 4 or 8 devices, not {tensor_parallel}"
    if tensor_parallel > 1 and hardware.kind in ("jetson", "cpu"):
        return f"{hardware.name} is one device; a model cannot be divided over {tensor_parallel} of them"
    stored = model.quantization
    for group in model.groups:
        mixer, width = group.attention, group.feed_forward.intermediate
        if mixer.kind is not AttentionKind.LINEAR and mixer.query_heads % tensor_parallel:
            return f"{mixer.query_heads} attention heads cannot be divided over {tensor_parallel} devices"
        if mixer.kind is AttentionKind.GROUPED and max(mixer.kv_heads, tensor_parallel) % min(
            mixer.kv_heads, tensor_parallel
        ):
            return f"{mixer.kv_heads} key-value heads cannot be divided over {tensor_parallel} devices"
        if width % tensor_parallel:
            return f"a feed-forward width of {width} cannot be divided over {tensor_parallel} devices"
        part = LayerPart.EXPERTS if group.feed_forward.experts else LayerPart.DENSE
        if stored is None or stored.weight_precision not in _BLOCKED or part in stored.unquantized:
            continue
        block = stored.group_size or 1
        block = math.isqrt(block) if stored.weight_precision is Precision.FP8 else block  # square blocks
        if (width // tensor_parallel) % block:
            return (
                f"a feed-forward width of {width} divided by {tensor_parallel} is no multiple of the {block} weights"
                " that share a scale"
            )
    return None


def _pipeline_reason(model: LlmProfile, hardware: Hardware, pipeline_parallel: int) -> str | None:
    if pipeline_parallel == 1:
        return None
    if hardware.kind in ("jetson", "cpu"):
        return f"{hardware.name} is one device; a model cannot be divided over {pipeline_parallel} of them"
    if pipeline_parallel > model.layers:
        return f"{model.layers} layers make no {pipeline_parallel} stages"
    return None


def is_weight_only(
    model: LlmProfile, precision: Precision, peak_flops: Mapping[Precision, float] | None = None
) -> bool:
    """Whether weights are widened to 16 bits before they are multiplied.

    Always for INT4; for FP4 and INT8 where the checkpoint leaves activations in 16 bits (MXFP4, GPTQ of 8 bits), for
    FP8 where the device has no FP8 arithmetic.
    """
    if precision is Precision.FP8:
        return peak_flops is not None and Precision.FP8 not in peak_flops
    is_own = model.quantization is not None and model.quantization.weight_precision is precision
    is_left_wide = is_own and _activation(model, precision) is None
    return precision is Precision.INT4 or (precision in (Precision.FP4, Precision.INT8) and is_left_wide)


def _activation(model: LlmProfile, precision: Precision) -> Precision | None:
    """What the checkpoint quantises activations to, where its weights are in that precision."""
    stored = model.quantization
    return stored.activation_precision if stored is not None and stored.weight_precision is precision else None


def is_block_scaled(model: LlmProfile, precision: Precision) -> bool:
    """Whether FP8 weights have a scale for each block, which needs slower products than one scale for a matrix.

    So are the FP8 checkpoints that say so, and those that the makers of mixtures publish: a mixture whose config is
    not quantised is taken for one of them.
    """
    if precision is not Precision.FP8:
        return False
    if model.quantization is not None:
        return model.quantization.group_size is not None
    return any(group.feed_forward.experts for group in model.groups)


def is_quantizing(precision: Precision) -> bool:
    """Whether activations are quantised before a product, which costs a kernel."""
    return precision in (Precision.FP8, Precision.INT8, Precision.FP4)


def wide_precision(peak_flops: Mapping[Precision, float]) -> Precision:
    """The 16-bit format that attention and weight-only products run in; FP32 where there is none."""
    return next((p for p in (Precision.BF16, Precision.FP16) if p in peak_flops), Precision.FP32)


def link_speed(hardware: Hardware, devices: int) -> float:
    """Bytes per second that one of so many devices sends to another, one direction.

    Over NVLink where it joins all of them, else over its PCIe slot: a bridge joins a pair of cards, or four, and a ring
    through more of them is as fast as its slowest part.

    Source: NVLink figures of data sheets sum both directions; PCI-SIG: rate of a lane after encoding. Offline runs of
    TensorRT-LLM 0.14 on four and eight A100 cards (Llama 3 70B, Mixtral 8x7B) took 1.3 to 3.5 times as long as NVLink
    between all of them would have it, and 0.6 to 1.0 times as long as the slots.
    """
    details = hardware.details
    if details.nvlink_bytes_per_s and devices <= (details.nvlink_devices or devices):
        return details.nvlink_bytes_per_s / 2
    generation, _, lanes = (details.pcie or "").partition(" ")
    lane = _PCIE_LANE_BYTES_PER_S.get(generation)
    if lane is None:
        return _DEFAULT_LINK_BYTES_PER_S
    return lane * float(lanes.removeprefix("x") or 16)
