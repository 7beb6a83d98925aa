"""Deep learning accelerators of a Jetson module: what they add to its GPU for a convolutional network."""

from infc.ir.hardware import Hardware
from infc.ir.interval import Interval
from infc.ir.model_profile import OperatorClass
from infc.ir.precision import Precision
from infc.perf.device import find_power_mode
from infc.perf.support import Unsupported
from infc.perf.work import KernelWork

DLA_EFFICIENCY = 0.42
"""Share of the dense INT8 peak of all DLAs together that large convolutional networks reach.

Source: MLPerf Inference v3.1, Jetson AGX Orin at MAXN: Offline (GPU and two DLAs) less eight samples at a time on the
GPU alone: 2,750 ResNet-50 images/s (43% of 52.5 TOPS) and 52 RetinaNet images/s (40%).
"""
DLA_SPREAD = 1.5
"""Half-width of the 90% interval as a factor: an estimate from two networks on one module."""
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
    if hardware.dla is None or mode is None or mode.dla_int8_flops <= 0.0:
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
    value = mode.dla_int8_flops * DLA_EFFICIENCY / flops
    return Interval(value=value, low=value / DLA_SPREAD, high=value * DLA_SPREAD)
