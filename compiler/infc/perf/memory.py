"""Device memory of one replica: what has to fit before anything else matters."""

from functools import lru_cache

from infc.ir.estimate import MemoryBreakdown
from infc.ir.hardware import Hardware, HardwareKind
from infc.ir.precision import Precision
from infc.perf.analytic import kernel_precisions
from infc.perf.work import KernelWork

GIB = 2.0**30
CUDA_CONTEXT_BYTES = 0.45 * GIB
"""A CUDA context with the TensorRT libraries loaded, per process.

Source: recalled from nvidia-smi readings of 400-500 MiB.
"""
CPU_PROCESS_BYTES = 0.08 * GIB
"""Resident size of one server process per instance: 67-113 MiB measured for tritonserver 2.51 with ONNX Runtime."""
WORKSPACE_BYTES = 0.06 * GIB
"""Scratch of a tactic per instance.

TensorRT asks for tens of MiB (26 MiB measured for EfficientNet-Lite0 at batch 8).
"""
ACTIVATION_SLACK = 1.2
"""The liveness peak misses alignment and requantise buffers.

Within 20% of the builder's own figure for FP16 and FP32.
"""
QUANTISED_ACTIVATION_BYTES = 4.0
"""Quantised convolutions may emit FP32 between Q and DQ (321 MB measured against 120 MB in FP16).

Planned for the worse case.
"""


def device_memory(
    work: KernelWork, hardware: Hardware, precision: Precision, batch: int, instances: int
) -> MemoryBreakdown:
    """Memory of one device with `instances` instances at `batch`.

    Every instance is counted with its own process and weights, which is what python-based backends need; the C++
    TensorRT backend shares the engine between instances and needs less.
    """
    element_bytes = (
        QUANTISED_ACTIVATION_BYTES
        if precision.activation_bytes < 2.0 and hardware.kind != "cpu"
        else precision.activation_bytes
    )
    peak = (work.peak_fixed + work.peak_per_item * batch) * element_bytes * ACTIVATION_SLACK
    copies = batch * (work.input_bytes + work.output_bytes)
    wider = _wider_bytes(work, hardware.kind, precision)
    process = CPU_PROCESS_BYTES if hardware.kind == "cpu" else CUDA_CONTEXT_BYTES + WORKSPACE_BYTES
    return MemoryBreakdown(
        weights_bytes=instances * (work.parameter_elements * precision.weight_bytes + wider),
        activations_bytes=instances * (peak + copies),
        kv_cache_bytes=0.0,
        runtime_bytes=instances * process,
    )


@lru_cache(maxsize=64)
def _wider_bytes(work: KernelWork, kind: HardwareKind, precision: Precision) -> float:
    """What the weights of kernels at another precision take beyond `precision`; remembered, for setups share it."""
    at = kernel_precisions(work, kind, precision)
    return sum(float(w) * (p.weight_bytes - precision.weight_bytes) for w, p in zip(work.weights, at, strict=True))


def shadow_memory(work: KernelWork, batch: int) -> float:
    """Host memory in bytes of a quality shadow: the FP32 reference at the largest request, and the program beside it.

    The captures that wait have a folder of a fixed size, which is not counted here.
    """
    peak = (work.peak_fixed + work.peak_per_item * batch) * 4.0 * ACTIVATION_SLACK
    copies = batch * (work.input_bytes + work.output_bytes)
    return work.parameter_elements * 4.0 + peak + copies + 2 * CPU_PROCESS_BYTES


def usable_memory_bytes(hardware: Hardware, reserved_bytes: float | None = None) -> float:
    """What a deployment may fill of one device.

    92% of a card; a Jetson shares its memory with the system, which keeps `reserved_bytes` (None: 2.5 GiB, at least a
    quarter).
    """
    if hardware.kind == "jetson":
        system = max(2.5 * GIB, 0.25 * hardware.memory_bytes) if reserved_bytes is None else reserved_bytes
        return hardware.memory_bytes - system
    return 0.92 * hardware.memory_bytes
