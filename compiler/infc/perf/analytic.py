"""The analytic model: time of one execution from FLOPs and bytes of its kernels.

Per kernel `max(flops / (peak * efficiency), bytes / (bandwidth * efficiency)) + cycles / clock`, summed, plus a
floor. The cycles term is why a small batch cannot fill a large device: it does not shrink with the peak, so
utilisation at batch 1 falls as 1/peak.
"""

from dataclasses import dataclass

import numpy as np

from infc.ir.model_profile import OperatorClass
from infc.ir.precision import Precision
from infc.perf.coefficients import DeviceCoefficients
from infc.perf.device import DeviceLimits
from infc.perf.work import MATRIX_CLASSES, FloatArray, KernelWork

REFERENCE_CLOCK_HZ = 1.5e9
"""Clock at which a device runs whose clock the catalogue does not know: the middle of the GPUs in it."""

CACHE_HIT = 0.8
"""Share of the accesses that hit when a kernel's activations fit into the L2.

Its bandwidth is several times memory's.
"""


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
    factor = fitted.device_factor.get(device.hardware_id, 1.0) * sustained_share(device, fitted)
    rate = np.array([_flops_rate(c, device, precision, fitted) for c in work.classes]) * factor
    compute = work.flops(batches) / rate[:, None]
    activations = work.traffic(batches) * precision.activation_bytes
    moved = uncached(activations, device.l2_bytes, fitted.cache_reach) + work.weights[:, None] * precision.weight_bytes
    memory = moved / (device.bandwidth_bytes_per_s * fitted.bandwidth_efficiency)
    clock = device.clock_hz or REFERENCE_CLOCK_HZ
    other = fitted.kernel_cycles["other"]
    fixed = np.array([fitted.kernel_cycles.get(c.value, other) for c in work.classes]) / clock
    bound = np.maximum(compute, memory).sum(axis=0)
    return StepTime(seconds=bound + float(fixed.sum()) + fitted.floor_s, device_s=bound)


def uncached(activations: FloatArray, l2_bytes: float | None, reach: float) -> FloatArray:
    """Bytes of each kernel's activations that go to memory; those that fit into `reach` of the L2 mostly do not.

    Cards with tens of megabytes of L2 keep small activations on the chip from one kernel to the next.
    """
    if not l2_bytes:
        return activations
    resident = np.minimum(1.0, reach * l2_bytes / np.maximum(activations, 1.0))
    return activations * (1.0 - CACHE_HIT * resident)


def sustained_share(device: DeviceLimits, fitted: DeviceCoefficients) -> float:
    """Share of the boost-clock peak that the power cap lets the device keep under matrix work (at most 1).

    Source: T4, L4 and A2 (60-72 W) hold well under their boost clock; the share falls with a power of watts per peak
    FLOP/s.
    """
    needed = fitted.watts_per_flops.get(device.architecture)
    peak = device.peak_flops.get(Precision.FP16)
    if needed is None or peak is None or device.tdp_w is None or device.kind == "jetson":
        return 1.0
    return float(min(1.0, (device.tdp_w / peak / needed) ** fitted.power_exponent))


def large_work_share(step: StepTime) -> FloatArray:
    """How much of the time the device is the limit: near 1 for large work, near 0 when launches and floors dominate."""
    return step.device_s / step.seconds


def _flops_rate(
    operator_class: OperatorClass, device: DeviceLimits, precision: Precision, fitted: DeviceCoefficients
) -> float:
    if operator_class in MATRIX_CLASSES:
        efficiency = fitted.efficiency[operator_class.value] * fitted.precision_factor.get(precision.value, 1.0)
        return device.peak_flops[precision] * efficiency
    return device.peak_flops[Precision.FP32] * fitted.vector_efficiency
