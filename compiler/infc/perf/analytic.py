"""The analytic model: time of one execution from FLOPs and bytes of its kernels.

Per kernel `max(busy FLOPs / (peak * efficiency), bytes / (bandwidth * efficiency)) + cycles / clock`, summed, plus a
floor. Busy FLOPs count what the device could have done while tiles leave multiprocessors idle (`tiles`), so small
batches do not fill large devices; the cycles term does not shrink with the peak either.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from infc.ir.hardware import HardwareKind
from infc.ir.model_profile import OperatorClass
from infc.ir.precision import Precision
from infc.perf.coefficients import DeviceCoefficients
from infc.perf.device import DeviceLimits
from infc.perf.support import arithmetic
from infc.perf.tiles import busy_flops
from infc.perf.work import MATRIX_CLASSES, FloatArray, KernelWork

REFERENCE_CLOCK_HZ = 1.5e9
"""Clock at which a device runs whose clock the catalogue does not know: the middle of the GPUs in it."""
REFERENCE_MULTIPROCESSORS = 80.0
"""Multiprocessors of a device whose number the catalogue does not know."""

CACHE_HIT = 0.8
"""Share of the accesses that hit when a kernel's activations fit into the L2.

Its bandwidth is several times memory's.
"""
TILED = (OperatorClass.CONV, OperatorClass.GEMM)
QUANTISED = (*TILED, OperatorClass.GROUPED_CONV, OperatorClass.DEPTHWISE_CONV, OperatorClass.REDUCTION)
"""Classes that a quantised engine runs on quantised activations."""
WEIGHT_ONLY_COMPUTE = 0.59
"""Share of the FP16 rate that large products with INT4 weights reach.

Source: perf/llm/coefficients.json, `compute` of int4 over bf16 (0.4718 / 0.8012), fitted to timed products.
"""
HALF_BYTES = 2.0
HEAD_STEP = 8.0


@dataclass(frozen=True, kw_only=True)
class StepTime:
    """Seconds per execution, one entry per batch size.

    `device_s` is the part in which the device itself is the limit: concurrent instances cannot overlap it, only the
    rest.
    """

    seconds: FloatArray
    device_s: FloatArray


def step_time(
    work: KernelWork, device: DeviceLimits, precision: Precision, batches: FloatArray, fitted: DeviceCoefficients
) -> StepTime:
    """Time of one execution for each of `batches`, copies and server not included."""
    flops = work.flops(batches)
    busy, fill = flops, np.ones_like(flops)
    if device.kind != "cpu":
        busy = _busy_flops(work, batches, multiprocessors_of(device))
        fill = np.where(busy > 0.0, flops / np.maximum(busy, 1.0), 1.0)
    kernels = list(zip(work.classes, kernel_precisions(work, device.kind, precision), strict=True))
    kinds = dict.fromkeys(kernels)  # a model has hundreds of kernels of a few kinds
    rates = {(c, p): _flops_rate(c, device, p, fitted) for c, p in kinds}
    shares = {p: sustained_share(device, arithmetic(p), fitted) for _, p in kinds}
    elements = {(c, p): activation_bytes(c, p, fitted) for c, p in kinds}
    rate = np.array([rates[kernel] for kernel in kernels])
    sustained = np.array([shares[p] for _, p in kernels])
    compute = busy / (rate[:, None] * sustained[:, None] ** fill)
    element = np.array([elements[kernel] for kernel in kernels])
    activations = work.traffic(batches) * element[:, None]
    stored = work.weights * np.array([p.weight_bytes for _, p in kernels])
    moved = uncached(activations, device.l2_bytes, fitted.cache_reach) + stored[:, None]
    is_attention = np.array([c is OperatorClass.ATTENTION for c in work.classes])
    scores = work.outputs(batches)
    scores *= np.where(has_odd_heads(flops, scores), fitted.unfused_scores, 1.0) * fitted.score_bytes
    moved += np.where(is_attention[:, None], scores, 0.0)
    memory = moved / (device.bandwidth_bytes_per_s * fitted.bandwidth_efficiency)
    clock = device.clock_hz or REFERENCE_CLOCK_HZ
    other = fitted.kernel_cycles["other"]
    fixed = np.array([fitted.kernel_cycles.get(c.value, other) for c in work.classes]) / clock
    fixed *= fitted.cycles_factor.get(device.architecture, 1.0)
    factor = fitted.device_factor.get(device.hardware_id, 1.0) * fitted.kind_factor.get(device.kind, 1.0)
    bound = np.maximum(compute, memory).sum(axis=0) / factor
    return StepTime(seconds=bound + float(fixed.sum()) + fitted.floor_s, device_s=bound)


@lru_cache(maxsize=64)
def kernel_precisions(work: KernelWork, kind: HardwareKind, precision: Precision) -> tuple[Precision, ...]:
    """The precision of each kernel in an engine of `precision`: operators that are kept have the remainder's.

    INT4 is for the weights of matrix products; everything else of such an engine is FP16.
    """
    remainder = Precision.FP32 if kind == "cpu" else Precision.FP16
    found = []
    for operator_class, is_kept in zip(work.classes, work.is_kept, strict=True):
        is_left = precision is Precision.INT4 and operator_class is not OperatorClass.GEMM
        is_raised = is_kept and precision.weight_bytes < remainder.weight_bytes
        found.append(remainder if is_left or is_raised else precision)
    return tuple(found)


def _busy_flops(work: KernelWork, batches: FloatArray, multiprocessors: float) -> FloatArray:
    """FLOPs that the device could have done, by kernel and batch: the same at every precision."""
    tiled = np.array([c in TILED for c in work.classes])
    weights = np.where(tiled, work.weights, 0.0)
    columns = (work.flops_fixed, work.flops_per_item, weights, work.outputs_fixed, work.outputs_per_item)
    return _known_busy_flops(np.stack(columns).tobytes(), batches.tobytes(), multiprocessors)


@lru_cache(maxsize=64)
def _known_busy_flops(columns: bytes, batches: bytes, multiprocessors: float) -> FloatArray:
    """`busy_flops` of columns of `KernelWork`, remembered: it is most of what a prediction costs. Read-only."""
    sizes = np.frombuffer(batches)
    fixed, per_item, weights, outputs_fixed, outputs_per_item = np.frombuffer(columns).reshape(5, -1)
    flops = fixed[:, None] + per_item[:, None] * sizes
    busy = busy_flops(flops, weights, outputs_fixed[:, None] + outputs_per_item[:, None] * sizes, multiprocessors)
    busy.flags.writeable = False
    return busy


def has_odd_heads(flops: FloatArray, scores: FloatArray) -> npt.NDArray[np.bool_]:
    """Whether attention's heads have a size that fused kernels do not take, so that its scores go through memory.

    Each score costs two products of the head's size: 4 FLOPs per element of it.

    Source: FlashAttention's documentation and the kernels like it: head sizes are multiples of 8.

    >>> has_odd_heads(np.array([4.0 * 64, 4.0 * 26]), np.array([1.0, 1.0])).tolist()
    [False, True]
    """
    size = flops / (4.0 * np.maximum(scores, 1.0))
    is_odd: npt.NDArray[np.bool_] = np.abs(size - HEAD_STEP * np.round(size / HEAD_STEP)) > 0.5
    return is_odd


def activation_bytes(operator_class: OperatorClass, precision: Precision, fitted: DeviceCoefficients) -> float:
    """Bytes of an activation element between kernels.

    Quantised engines keep FP16 around everything that is not a convolution, a matrix product or a pooling.
    """
    if precision.activation_bytes < HALF_BYTES and operator_class not in QUANTISED:
        return HALF_BYTES
    return precision.activation_bytes * fitted.activation_scale.get(precision.value, 1.0)


def uncached(activations: FloatArray, l2_bytes: float | None, reach: float) -> FloatArray:
    """Bytes of each kernel's activations that go to memory; those that fit into `reach` of the L2 mostly do not.

    Cards with tens of megabytes of L2 keep small activations on the chip from one kernel to the next.
    """
    if not l2_bytes:
        return activations
    resident = np.minimum(1.0, reach * l2_bytes / np.maximum(activations, 1.0))
    return activations * (1.0 - CACHE_HIT * resident)


def sustained_share(device: DeviceLimits, precision: Precision, fitted: DeviceCoefficients) -> float:
    """Share of the boost-clock peak that the power cap lets the device keep under full matrix work (at most 1).

    A kernel that leaves multiprocessors idle draws less: its share is this to the power of how full the device is.

    Source: T4, L4 and A2 (60-72 W) hold well under their boost clock; the share falls with a power of watts per peak
    FLOP/s.
    """
    needed = fitted.watts_per_flops.get(device.architecture)
    peak = device.peak_flops.get(Precision.FP16)
    if needed is None or peak is None or device.tdp_w is None or device.kind == "jetson":
        return 1.0
    needed *= fitted.power_factor.get(precision.value, 1.0)
    return float(min(1.0, (device.tdp_w / peak / needed) ** fitted.power_exponent))


def large_work_share(step: StepTime) -> FloatArray:
    """How much of the time the device is the limit: near 1 for large work, near 0 when launches and floors dominate."""
    return step.device_s / step.seconds


def multiprocessors_of(device: DeviceLimits) -> float:
    """Multiprocessors of a GPU, a typical number where the catalogue has none."""
    return device.multiprocessors or REFERENCE_MULTIPROCESSORS


def matrix_peak(device: DeviceLimits, precision: Precision) -> float:
    """Dense peak of the matrix units at `precision`.

    FP32 runs as TF32 on GPUs that have it: TensorRT and PyTorch allow it unless they are told not to.
    """
    if precision is Precision.FP32 and device.kind != "cpu":
        return device.peak_flops.get(Precision.TF32, device.peak_flops[precision])
    return device.peak_flops[precision]


def _flops_rate(
    operator_class: OperatorClass, device: DeviceLimits, precision: Precision, fitted: DeviceCoefficients
) -> float:
    if operator_class in MATRIX_CLASSES:
        widening = WEIGHT_ONLY_COMPUTE if precision is not arithmetic(precision) else 1.0
        precision = arithmetic(precision)
        efficiency = (
            fitted.efficiency[operator_class.value] * fitted.precision_factor.get(precision.value, 1.0) * widening
        )
        efficiency *= fitted.architecture_factor.get(device.architecture, 1.0)
        efficiency *= fitted.architecture_factor.get(f"{device.architecture}/{precision.value}", 1.0)
        return matrix_peak(device, precision) * efficiency
    return device.peak_flops[Precision.FP32] * fitted.vector_efficiency
