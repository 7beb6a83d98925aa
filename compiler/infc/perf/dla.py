"""Deep learning accelerators of a Jetson module: what they add to its GPU for a convolutional network."""

import numpy as np

from infc.ir.hardware import Hardware, PowerMode
from infc.ir.interval import Basis, Interval
from infc.ir.model_profile import OperatorClass
from infc.ir.precision import Precision
from infc.ir.service_time import ServiceTimeCurve
from infc.perf.device import find_power_mode
from infc.perf.server_cost import copy_s, server_s
from infc.perf.support import Unsupported
from infc.perf.work import KernelWork

DLA_EFFICIENCY = 0.42
"""Share of the dense INT8 peak of all DLAs together that large convolutional networks reach.

Source: MLPerf Inference v3.1, Jetson AGX Orin at MAXN: Offline (GPU and two DLAs) less eight samples at a time on the
GPU alone: 2,750 ResNet-50 images/s (43% of 52.5 TOPS) and 52 RetinaNet images/s (40%).
"""
DLA_SPREAD = 1.5
"""Half-width of the 90% interval as a factor: an estimate from two networks on one module."""
CORE_SPREAD = 2.0
"""The same for one item on one core.

An assumption: the measured throughput is of full batches on all cores, a single item leaves gaps between its layers.
"""
_RUNNABLE = frozenset(
    (
        OperatorClass.CONV,
        OperatorClass.GROUPED_CONV,
        OperatorClass.DEPTHWISE_CONV,
        OperatorClass.REDUCTION,
        OperatorClass.ELEMENTWISE,
        OperatorClass.GEMM,
        OperatorClass.DATA_MOVEMENT,
    )
)
"""Of data movement a DLA has concatenation, slicing and resizing; what is left to the GPU at the ends of a network was
part of the measured RetinaNet runs.
"""
LEAST_FLOPS = 1e9
"""Below this work per item a DLA's cost per task counts, of which there is no measurement."""


def dla_throughput_per_s(
    work: KernelWork, hardware: Hardware, precision: Precision, power_mode: str | None = None
) -> Interval | Unsupported:
    """Items per second that the DLAs of `hardware` add to its GPU at INT8, all of them busy.

    Unsupported on modules and in power modes without a DLA, in other precisions (no measurement to go by), and for
    networks with operators that a DLA leaves to the GPU (attention, normalisation, softmax) or with too little work.
    """
    mode = find_power_mode(hardware, power_mode)
    flops = _flops(work, hardware, precision, mode, 0.0 if mode is None else mode.dla_int8_flops)
    if isinstance(flops, Unsupported):
        return flops
    assert mode is not None  # noqa: S101 - without a mode there is no figure of its accelerators
    value = mode.dla_int8_flops * DLA_EFFICIENCY / flops
    return Interval(value=value, low=value / DLA_SPREAD, high=value * DLA_SPREAD)


def dla_service_time(
    work: KernelWork, hardware: Hardware, precision: Precision, power_mode: str | None = None
) -> ServiceTimeCurve | Unsupported:
    """Seconds of one item on the first DLA of `hardware` alone, copies and the server's own cost included.

    A batch of one: an engine for a DLA has fixed shapes, and its items follow each other. Unsupported as
    `dla_throughput_per_s`, and where no source tells the accelerators of a mode apart.
    """
    mode = find_power_mode(hardware, power_mode)
    core_flops = 0.0 if mode is None else mode.dla_core0_int8_flops
    flops = _flops(work, hardware, precision, mode, core_flops)
    if isinstance(flops, Unsupported):
        return flops
    device_s = flops / (core_flops * DLA_EFFICIENCY)
    copies_s = float(copy_s(work, hardware, np.ones(1))[0])
    server = server_s(1)
    seconds = Interval(
        value=device_s + copies_s + server.value,
        low=device_s / CORE_SPREAD + copies_s + server.low,
        high=device_s * CORE_SPREAD + copies_s + server.high,
    )
    return ServiceTimeCurve(seconds=(seconds,), basis=Basis.ANALYTIC)


def _flops(
    work: KernelWork, hardware: Hardware, precision: Precision, mode: PowerMode | None, peak_flops: float
) -> float | Unsupported:
    """Operations of one item, or why accelerators of this peak have no known time for it."""
    if hardware.dla is None or mode is None or peak_flops <= 0.0:
        if hardware.dla is not None and mode is None:
            return Unsupported(reason=f"infc has no clocks of the deep learning accelerators of {hardware.name}")
        where = f" in mode {mode.name}" if mode is not None and hardware.dla is not None else ""
        return Unsupported(reason=f"{hardware.name} has no deep learning accelerator{where}")
    if precision is not Precision.INT8:
        return Unsupported(reason=f"infc knows DLA times at INT8 only, not {precision.value.upper()}")
    left = sorted({c.value for c in work.classes} - {c.value for c in _RUNNABLE})
    if left:
        return Unsupported(reason=f"a DLA leaves operators of this model to the GPU: {', '.join(left)}")
    flops = float(work.flops_fixed.sum() + work.flops_per_item.sum())
    if flops < LEAST_FLOPS:
        return Unsupported(
            reason=f"infc knows DLA times from {LEAST_FLOPS / 1e9:.0f} GFLOP per item, not {flops / 1e9:.2g}"
        )
    return flops
