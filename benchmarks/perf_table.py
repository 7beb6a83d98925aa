"""The measured rows as flat arrays, and the analytic model evaluated for all of them at once (used by fit_perf.py)."""

import csv
import json
import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from infc.ir.hardware import Hardware
from infc.ir.model_profile import OperatorClass
from infc.ir.precision import Precision
from infc.perf.analytic import CACHE_HIT, REFERENCE_CLOCK_HZ
from infc.perf.device import DeviceLimits, device_limits
from infc.perf.work import KernelWork
from infc.resolve.targets import load_catalogue

HERE = Path(__file__).parent
TUNED_BATCHES = (8, 32, 128)
"""Batches of an Offline run: submitters tune them, so the fastest predicted one counts."""
Array: TypeAlias = npt.NDArray[np.float64]

CLASSES = ("conv", "gemm", "attention", "depthwise-conv", "other", "data-movement")
ARCHITECTURES = ("Turing", "Ampere", "Ada Lovelace", "Hopper", "Blackwell 2.0")
PRIORS: dict[str, tuple[float, float]] = {
    # name: (typical value, spread as a factor); Source: kernel tables and datasheets, see benchmarks/data/README.md
    "efficiency.conv": (0.55, 1.6),
    "efficiency.gemm": (0.65, 1.4),
    "efficiency.attention": (0.35, 1.8),
    "precision.int8": (0.8, 1.4),
    "precision.fp8": (0.75, 1.3),
    "vector_efficiency": (0.3, 2.0),
    "bandwidth_efficiency": (0.75, 1.12),
    "cache_reach": (0.5, 1.8),
    "cycles.conv": (9000.0, 2.0),
    "cycles.gemm": (8000.0, 1.5),
    "cycles.other": (6000.0, 1.3),
    "cycles.data-movement": (4000.0, 1.15),
    "detector_launch_s": (5e-6, 2.0),
    "floor_s": (3e-5, 2.0),
    "watts.Turing": (1.8e-12, 1.5),
    "watts.Ampere": (1.4e-12, 1.5),
    "watts.Ada Lovelace": (1.1e-12, 1.5),
    "watts.Hopper": (0.7e-12, 1.5),
    "watts.Blackwell 2.0": (1.1e-12, 1.5),
    "power_exponent": (0.5, 1.3),
    "eager.compute": (1.2, 1.4),
    "eager.memory": (1.2, 1.5),
    "compile.compute": (1.15, 1.4),
    "compile.memory": (1.1, 1.5),
}


@dataclass(frozen=True)
class Row:
    """One measured row with its kernels and device."""

    model: str
    hardware: str
    precision: Precision
    batches: tuple[int, ...]
    framework: str
    seconds: float
    work: KernelWork
    times: Array
    eager_elements: float
    device: DeviceLimits
    structure: list[list[float | str]]

    @property
    def pair(self) -> tuple[str, str]:
        """What is held out together."""
        return (self.model, self.hardware)


def read_rows() -> list[Row]:
    """Rows whose model was traced and whose device has the precision; seconds are per item."""
    catalogue = load_catalogue(None)
    structures = json.loads((HERE / "data/model_structures.json").read_text())
    rows = []
    for raw in csv.DictReader((HERE / "data/perf_rows.csv").open()):
        structure = structures.get(f"{raw['model']}@{raw['input']}")
        hardware = catalogue.find(raw["hardware"])
        precision = Precision(raw["precision"])
        if structure is None or hardware is None or precision not in hardware.peak_flops:
            continue
        is_tuned = raw["version"].startswith("MLPerf") and raw["kind"] == "throughput"
        batches = TUNED_BATCHES if is_tuned else (int(raw["batch"]),)
        seconds = float(raw["seconds"]) / (int(raw["batch"]) if raw["kind"] == "latency" else 1)
        rows.append(
            Row(
                model=raw["model"],
                hardware=hardware.id,
                precision=precision,
                batches=batches,
                framework=raw["framework"],
                seconds=seconds,
                work=work_of(structure["rows"]),
                times=np.array([float(r[4]) for r in structure["rows"] if r[0] != "fused-operand"]),
                eager_elements=structure["eager"][0],
                device=device_limits(*as_run(hardware, raw["power_mode"])),
                structure=structure["rows"],
            )
        )
    return rows


def as_run(hardware: Hardware, power_mode: str) -> tuple[Hardware, str | None]:
    """A module in the named mode; without one at the clocks of its catalogue row, before Jetson's Super modes came."""
    if power_mode:
        return hardware, power_mode
    return replace(hardware, power_modes=()), None


def work_of(rows: Sequence[Sequence[float | str]], *, is_expanded: bool = False) -> KernelWork:
    """Kernels from a traced structure; fused operands add their elements to all kernels evenly.

    One entry per distinct kernel, or with `is_expanded` as many as run.
    """
    plain = [r for r in rows if r[0] != "fused-operand"]
    operands = sum(float(r[3]) * float(r[4]) for r in rows if r[0] == "fused-operand")
    count = sum(int(r[4]) for r in plain)
    classes, flops, traffic, weights = [], [], [], []
    for kind, work, constants, moved, times in plain:
        for _ in range(int(times) if is_expanded else 1):
            classes.append(OperatorClass(kind))
            flops.append(float(work))
            traffic.append(float(moved) + operands / count)
            weights.append(float(constants))
    zeros = np.zeros(len(classes))
    return KernelWork(
        classes=tuple(classes),
        flops_fixed=zeros,
        flops_per_item=np.array(flops),
        traffic_fixed=zeros,
        traffic_per_item=np.array(traffic),
        weights=np.array(weights),
        input_bytes=0.0,
        output_bytes=0.0,
        parameter_elements=float(sum(weights)),
        peak_fixed=0.0,
        peak_per_item=0.0,
    )


class Table:
    """All kernels of all rows as flat arrays."""

    def __init__(self, rows: Sequence[Row]) -> None:
        self.rows = rows
        self.hardware = sorted({r.hardware for r in rows})
        runs = [(number, batch) for number, row in enumerate(rows) for batch in row.batches]
        self.run_row = np.array([number for number, _ in runs])
        self.run_batch = np.array([float(batch) for _, batch in runs])
        self.first_run = np.flatnonzero(np.diff(self.run_row, prepend=-1))
        index, flops, activations, constants, kind, times = [], [], [], [], [], []
        for number, (at, size) in enumerate(runs):
            row, batch = rows[at], np.array([float(size)])
            index.append(np.full(len(row.work.classes), number))
            flops.append(row.work.flops(batch)[:, 0])
            activations.append(row.work.traffic(batch)[:, 0] * row.precision.activation_bytes)
            constants.append(row.work.weights * row.precision.weight_bytes)
            kind.append(
                [CLASSES.index(c.value) if c.value in CLASSES else CLASSES.index("other") for c in row.work.classes]
            )
            times.append(row.times)
        self.times = np.concatenate(times)
        self.run = np.concatenate(index)
        self.index = self.run_row[self.run]
        self.flops = np.concatenate(flops)
        self.activations = np.concatenate(activations)
        self.constants = np.concatenate(constants)
        self.kind = np.concatenate([np.array(k) for k in kind])
        self.l2 = np.array([r.device.l2_bytes or 0.0 for r in rows])
        self.seconds = np.array([r.seconds for r in rows])
        self.peak = np.array([r.device.peak_flops[r.precision] for r in rows])
        self.fp32 = np.array([r.device.peak_flops[Precision.FP32] for r in rows])
        self.bandwidth = np.array([r.device.bandwidth_bytes_per_s for r in rows])
        self.clock = np.array([r.device.clock_hz or REFERENCE_CLOCK_HZ for r in rows])
        self.architecture = np.array(
            [ARCHITECTURES.index(r.device.architecture) if r.device.kind != "jetson" else -1 for r in rows]
        )
        self.watts = np.array([(r.device.tdp_w or 0.0) / r.device.peak_flops[Precision.FP16] for r in rows])
        self.precision = np.array([{"int8": 1, "fp8": 2}.get(r.precision.value, 0) for r in rows])
        self.framework = np.array([("tensorrt", "eager", "compile").index(r.framework) for r in rows])
        self.eager_bytes = np.array([r.eager_elements * 2.0 for r in rows])
        self.is_detector = np.array([r.framework == "tensorrt" and r.model.startswith("yolo") for r in rows])
        self.device = np.array([self.hardware.index(r.hardware) for r in rows])
        groups: dict[tuple[str, str, str], int] = defaultdict(int)
        for r in rows:
            groups[r.model, r.hardware, r.framework] += 1
        weight = [
            (3.0 if r.framework == "tensorrt" else 1.0) / math.sqrt(groups[r.model, r.hardware, r.framework])
            for r in rows
        ]
        self.weight = np.array(weight)


NAMES = list(PRIORS)


def predict(theta: Array, table: Table) -> tuple[Array, Array]:
    """Seconds per item of every row, and the share of the time in which the device is the limit."""
    value = dict(zip(NAMES, np.exp(theta[: len(NAMES)]), strict=True))
    device = np.exp(theta[len(NAMES) :])[table.device]
    needed = np.array([value[f"watts.{a}"] for a in ARCHITECTURES])
    share = np.where(
        table.architecture >= 0,
        np.minimum(1.0, (table.watts / needed[table.architecture]) ** value["power_exponent"]),
        1.0,
    )
    factor = device * share
    precision = np.array([1.0, value["precision.int8"], value["precision.fp8"]])[table.precision]
    slow = np.array([1.0, value["eager.compute"], value["compile.compute"]])[table.framework]
    heavy = np.array([1.0, value["eager.memory"], value["compile.memory"]])[table.framework]
    row = table.index
    matrix = np.array(
        [value["efficiency.conv"], value["efficiency.gemm"], value["efficiency.attention"], 1.0, 1.0, 1.0]
    )
    rate = (table.peak * precision)[row] * matrix[table.kind]
    rate = np.where(table.kind == 3, (table.fp32 * value["vector_efficiency"])[row], rate) * factor[row]
    compute = table.flops / rate * slow[row]
    resident = np.minimum(1.0, value["cache_reach"] * table.l2[row] / np.maximum(table.activations, 1.0))
    moved = table.activations * (1.0 - CACHE_HIT * resident) + table.constants
    bandwidth = table.bandwidth * value["bandwidth_efficiency"]
    memory = moved * heavy[row] / bandwidth[row]
    cycles = np.array([value[f"cycles.{name}"] for name in ("conv", "gemm", "gemm", "conv", "other", "data-movement")])
    count = len(table.run_row)
    extra = np.where(table.framework == 1, table.eager_bytes / bandwidth, 0.0)
    bound = (
        np.bincount(table.run, np.maximum(compute, memory) * table.times, count)
        + extra[table.run_row] * table.run_batch
    )
    fixed = np.bincount(table.run, cycles[table.kind] * table.times / table.clock[row], count) + value["floor_s"]
    # Detectors were timed without CUDA graphs: the host pays for every launch, more so on a Jetson's cores.
    launched = np.bincount(table.run, table.times, count) * value["detector_launch_s"]
    fixed = fixed + np.where(table.is_detector[table.run_row], launched, 0.0)
    per_item = (bound + fixed) / table.run_batch
    best = np.minimum.reduceat(per_item, table.first_run)
    share = np.maximum.reduceat(bound / (bound + fixed), table.first_run)
    return best, share
