"""How long an engine would take whose bytes and layers the builder has stated: to compare two engines of one model.

The plan's own roofline over the model's kernels, with two things replaced: the activations that cross memory are
scaled to the bytes that the engine's layers move, and every layer beyond the model's kernels costs a launch. What both
engines have in common (device, efficiencies, floors) is the same on both sides, so that their ratio is better known
than either time.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from infc.ir.hardware import Hardware
from infc.ir.precision import Precision
from infc.perf.analytic import REFERENCE_CLOCK_HZ, activation_bytes, kernel_precisions, step_time
from infc.perf.coefficients import coefficients
from infc.perf.device import device_limits
from infc.perf.work import FloatArray, KernelWork


@dataclass(frozen=True, kw_only=True)
class BuiltEngine:
    """What a builder says of an engine: activations that its layers read and write at `batch`, and how many layers."""

    precision: Precision
    batch: int
    moved_bytes: float
    layers: int


def built_seconds(
    work: KernelWork,
    hardware: Hardware,
    power_mode: str | None,
    engine: BuiltEngine,
    batches: Sequence[int],
    *,
    has_cache: bool = True,
) -> FloatArray:
    """Seconds of one execution for each batch size, copies and server not included.

    Bytes at other batch sizes than the engine's are in proportion. `has_cache` False sends every byte to memory.
    """
    fitted = coefficients().gpu
    device = device_limits(hardware, power_mode)
    if not has_cache:
        device = replace(device, l2_bytes=None)
    kernels = zip(work.classes, kernel_precisions(work, device.kind, engine.precision), strict=True)
    element = np.array([activation_bytes(c, p, fitted) for c, p in kernels])
    modelled = float((work.traffic(np.array([float(engine.batch)]))[:, 0] * element).sum())
    scale = engine.moved_bytes / modelled if modelled else 1.0
    scaled = replace(work, traffic_fixed=work.traffic_fixed * scale, traffic_per_item=work.traffic_per_item * scale)
    step = step_time(scaled, device, engine.precision, np.array(batches, dtype=np.float64), fitted)
    launch_s = fitted.kernel_cycles["other"] * fitted.cycles_factor.get(device.architecture, 1.0)
    launch_s /= device.clock_hz or REFERENCE_CLOCK_HZ
    more_s: FloatArray = step.seconds + (engine.layers - len(work.classes)) * launch_s
    return more_s
