"""The measured rows as flat arrays, and the analytic model evaluated for all of them at once (used by fit_perf.py)."""

import csv
import json
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from infc.ir.hardware import Hardware
from infc.ir.model_profile import OperatorClass
from infc.ir.precision import Precision
from infc.perf.analytic import (
    CACHE_HIT,
    HALF_BYTES,
    QUANTISED,
    REFERENCE_CLOCK_HZ,
    has_odd_heads,
    matrix_peak,
    multiprocessors_of,
)
from infc.perf.device import DeviceLimits, device_limits
from infc.perf.tiles import busy_flops
from infc.perf.work import KernelWork
from infc.resolve.targets import load_catalogue

HERE = Path(__file__).parent
TUNED_BATCHES = (16, 64, 256)
"""Batches of a run whose batch is tuned and not published: the fastest predicted one counts."""
Array: TypeAlias = npt.NDArray[np.float64]

CLASSES = ("conv", "gemm", "attention", "grouped-conv", "depthwise-conv", "data-movement", "other")
CYCLES = ("conv", "gemm", "gemm", "conv", "conv", "data-movement", "other")
ARCHITECTURES = ("Turing", "Ampere", "Ada Lovelace", "Hopper", "Blackwell 2.0")
PRECISIONS = ("fp16", "int8", "fp8", "fp32")
ENGINE_HARNESSES = ("mlperf", "triton", "yolo", "yolo-cls", "yolo-benchmark", "mmdeploy", "jetson-lab")
"""Harnesses that run TensorRT engines on the GPU alone."""
HARNESSES = (*ENGINE_HARNESSES, "mlperf-dla", "eager", "compile")
EAGER = HARNESSES.index("eager")
TRUST = {"eager": 0.4, "compile": 0.8, "yolo-benchmark": 1.5, "mlperf-dla": 0.0, "yolo-cls": 0.0}
"""How much a row of a harness counts where it is not 3. Classifiers of Ultralytics are judged and not fitted."""
PRIORS: dict[str, tuple[float, float]] = {
    # name: (typical value, spread as a factor); Source: kernel tables and datasheets, see benchmarks/data/README.md
    "efficiency.conv": (0.7, 1.4),
    "efficiency.gemm": (0.75, 1.3),
    "efficiency.attention": (0.35, 1.6),
    "efficiency.grouped-conv": (0.15, 2.0),
    "precision.int8": (0.8, 1.3),
    "precision.fp8": (0.75, 1.3),
    "precision.fp32": (0.85, 1.3),
    **{f"architecture.{name}": (1.0, 1.15) for name in ARCHITECTURES},
    **{f"int8.{name}": (1.0, 1.2) for name in ARCHITECTURES},
    "fp8.Ada Lovelace": (0.8, 1.25),
    "vector_efficiency": (0.3, 2.0),
    "bandwidth_efficiency": (0.75, 1.12),
    "activations.int8": (1.0, 1.2),
    "cache_reach": (0.5, 1.8),
    "score_bytes": (2.0, 1.6),
    "cycles.conv": (5000.0, 1.6),
    "cycles.gemm": (5000.0, 1.6),
    "cycles.other": (5000.0, 1.4),
    "cycles.data-movement": (4000.0, 1.3),
    "cycles.Turing": (1.3, 1.3),
    "floor_s": (3e-5, 1.7),
    "host.yolo-benchmark": (1.5e-3, 1.6),
    "unfused_scores": (2.0, 1.6),
    "power.int8": (0.85, 1.2),
    **{f"watts.{name}": (1.2e-12, 1.5) for name in ARCHITECTURES},
    "watts.Turing": (2.4e-12, 1.3),  # cards of that process at full power: 2080 Ti 2.3e-12, V100 2.4e-12
    "jetson": (1.0, 1.2),
    "power_exponent": (0.4, 1.4),
    "eager.compute": (1.15, 1.15),
    "eager.memory": (1.7, 1.3),
    "eager.grouped": (2.0, 1.5),
    "compile.compute": (1.1, 1.1),
    "compile.memory": (1.5, 1.3),
    "compile.grouped": (1.5, 1.5),
}
NAMES = list(PRIORS)


@dataclass(frozen=True)
class Row:
    """One measured row with its kernels and device. `seconds` are per item; no batch means that it was tuned."""

    model: str
    hardware: str
    precision: Precision
    batch: int | None
    harness: str
    kind: str
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

    @property
    def batches(self) -> tuple[int, ...]:
        """The batch sizes to try."""
        return TUNED_BATCHES if self.batch is None else (self.batch,)


def read_rows() -> list[Row]:
    """Rows whose model was traced and whose device has the precision."""
    catalogue = load_catalogue(None)
    structures = json.loads((HERE / "data/model_structures.json").read_text())
    works = {key: work_of(value["rows"]) for key, value in structures.items()}
    rows = []
    for raw in csv.DictReader((HERE / "data/perf_rows.csv").open()):
        key = f"{raw['model']}@{raw['input']}"
        hardware = catalogue.find(raw["hardware"])
        precision = Precision(raw["precision"])
        if key not in structures or hardware is None or precision not in hardware.peak_flops:
            continue
        batch = int(raw["batch"]) if raw["batch"] else None
        seconds = float(raw["seconds"]) / (batch if raw["kind"] == "latency" and batch else 1)
        rows.append(
            Row(
                model=raw["model"],
                hardware=hardware.id,
                precision=precision,
                batch=batch,
                harness=raw["harness"],
                kind=raw["kind"],
                seconds=seconds,
                work=works[key],
                times=np.array([float(r[5]) for r in structures[key]["rows"]]),
                eager_elements=structures[key]["eager"][0],
                device=device_limits(*as_run(hardware, raw["power_mode"])),
                structure=structures[key]["rows"],
            )
        )
    return rows


def as_run(hardware: Hardware, power_mode: str) -> tuple[Hardware, str | None]:
    """A module in the named mode; without one at the clocks of its catalogue row, before Jetson's Super modes came."""
    if power_mode:
        return hardware, power_mode
    return replace(hardware, power_modes=()), None


def work_of(rows: Sequence[Sequence[float | str]], *, is_expanded: bool = False) -> KernelWork:
    """Kernels from a structure (class, FLOPs, weights, elements moved, elements made, count), all for one item.

    One entry per distinct kernel, or with `is_expanded` as many as run.
    """
    classes = tuple(OperatorClass(str(r[0])) for r in rows for _ in range(int(r[5]) if is_expanded else 1))
    table = np.array(
        [[float(v) for v in r[1:5]] for r in rows for _ in range(int(r[5]) if is_expanded else 1)], dtype=np.float64
    )
    zeros = np.zeros(len(classes))
    return KernelWork(
        classes=classes,
        flops_fixed=zeros,
        flops_per_item=table[:, 0],
        traffic_fixed=zeros,
        traffic_per_item=table[:, 2],
        weights=table[:, 1],
        outputs_fixed=zeros,
        outputs_per_item=table[:, 3],
        input_bytes=0.0,
        output_bytes=0.0,
        parameter_elements=float(table[:, 1].sum()),
        peak_fixed=0.0,
        peak_per_item=0.0,
        is_kept=np.zeros(len(classes), dtype=np.bool_),
    )


class Table:
    """All kernels of all rows as flat arrays; a run is a row at one of its batches."""

    def __init__(self, rows: Sequence[Row]) -> None:
        self.rows = rows
        self.hardware = sorted({r.hardware for r in rows})
        runs = [(number, batch) for number, row in enumerate(rows) for batch in row.batches]
        self.run_row = np.array([number for number, _ in runs])
        self.run_batch = np.array([float(batch) for _, batch in runs])
        self.first_run = np.flatnonzero(np.diff(self.run_row, prepend=-1))
        columns: list[tuple[Array, ...]] = []
        for number, (at, size) in enumerate(runs):
            row, batch = rows[at], np.array([float(size)])
            work = row.work
            flops = work.flops(batch)
            busy = busy_flops(flops, work.weights, work.outputs(batch), multiprocessors_of(row.device))
            kind = np.array([CLASSES.index(c.value) if c.value in CLASSES else 6 for c in work.classes], dtype=float)
            is_tiled = kind < 2
            columns.append(
                (
                    np.full(len(kind), float(number)),
                    kind,
                    row.times,
                    np.where(is_tiled, busy[:, 0], flops[:, 0]),
                    np.where(is_tiled, flops[:, 0] / np.maximum(busy[:, 0], 1.0), 1.0),
                    work.traffic(batch)[:, 0],
                    work.weights * row.precision.weight_bytes,
                    np.array([float(c in QUANTISED) for c in work.classes]),
                    np.where(kind == 2, work.outputs(batch)[:, 0], 0.0),
                    has_odd_heads(flops, work.outputs(batch))[:, 0] * 1.0,
                )
            )
        flat = [np.concatenate(part) for part in zip(*columns, strict=True)]
        self.run, self.kind = flat[0].astype(int), flat[1].astype(int)
        self.times, self.busy, self.fill, self.activations, self.constants = flat[2:7]
        self.scores, self.has_odd_heads = flat[8], flat[9] > 0.0
        self.index = self.run_row[self.run]
        bytes_of = np.array([r.precision.activation_bytes for r in rows])[self.index]
        is_half = (bytes_of < HALF_BYTES) & (flat[7] == 0.0)
        self.is_scaled = (bytes_of < HALF_BYTES) & ~is_half
        self.activations = self.activations * np.where(is_half, HALF_BYTES, bytes_of)
        self.l2 = np.array([r.device.l2_bytes or 0.0 for r in rows])
        self.seconds = np.array([r.seconds for r in rows])
        self.peak = np.array([matrix_peak(r.device, r.precision) for r in rows])
        self.fp32 = np.array([r.device.peak_flops[Precision.FP32] for r in rows])
        self.bandwidth = np.array([r.device.bandwidth_bytes_per_s for r in rows])
        self.clock = np.array([r.device.clock_hz or REFERENCE_CLOCK_HZ for r in rows])
        self.architecture = np.array([ARCHITECTURES.index(r.device.architecture) for r in rows])
        self.is_capped = np.array([r.device.kind != "jetson" for r in rows])
        self.watts = np.array([(r.device.tdp_w or 0.0) / r.device.peak_flops[Precision.FP16] for r in rows])
        values = [r.precision.value for r in rows]
        self.precision = np.array([PRECISIONS.index(v) if v in PRECISIONS else 0 for v in values])
        self.harness = np.array([HARNESSES.index(r.harness) for r in rows])
        self.is_engine = self.harness < len(ENGINE_HARNESSES)
        self.eager_bytes = np.array([r.eager_elements * 2.0 for r in rows])
        self.device = np.array([self.hardware.index(r.hardware) for r in rows])
        groups = Counter((r.pair, r.harness) for r in rows)
        self.weight = np.array([TRUST.get(r.harness, 3.0) / math.sqrt(groups[r.pair, r.harness]) for r in rows])


def predict(theta: Array, table: Table, *, with_harness: bool = True) -> tuple[Array, Array]:
    """Seconds per item of every row, and the share of the time in which the device is the limit.

    Without the harness, what infc says of a TensorRT engine: no Python predictor, attention fused.
    """
    value = dict(zip(NAMES, np.exp(theta[: len(NAMES)]), strict=True))
    device = np.exp(theta[len(NAMES) :])[table.device]
    device = device * np.where(table.is_capped, 1.0, value["jetson"])
    needed = np.array([value[f"watts.{a}"] for a in ARCHITECTURES])[table.architecture]
    needed = needed * np.where(table.precision == 1, value["power.int8"], 1.0)
    share = np.where(table.is_capped, np.minimum(1.0, (table.watts / needed) ** value["power_exponent"]), 1.0)
    precision = np.array([1.0, *(value[f"precision.{p}"] for p in PRECISIONS[1:])])[table.precision]
    precision = precision * np.array([value[f"architecture.{a}"] for a in ARCHITECTURES])[table.architecture]
    int8 = np.array([value[f"int8.{a}"] for a in ARCHITECTURES])[table.architecture]
    precision = np.where(table.precision == 1, precision * int8, precision)
    is_ada_fp8 = (table.precision == 2) & (table.architecture == ARCHITECTURES.index("Ada Lovelace"))
    precision = np.where(is_ada_fp8, precision * value["fp8.Ada Lovelace"], precision)
    ones = np.ones(len(HARNESSES))
    slow, heavy = ones.copy(), ones.copy()
    slow[EAGER:], heavy[EAGER:] = (
        (value["eager.compute"], value["compile.compute"]),
        (value["eager.memory"], value["compile.memory"]),
    )
    row = table.index
    matrix = np.array([value[f"efficiency.{name}"] for name in CLASSES[:4]] + [1.0, 1.0, 1.0])
    rate = (table.peak * precision)[row] * matrix[table.kind]
    rate = np.where(table.kind == 4, (table.fp32 * value["vector_efficiency"])[row], rate) * share[row] ** table.fill
    grouped = ones.copy()
    grouped[EAGER:] = value["eager.grouped"], value["compile.grouped"]
    compute = table.busy / rate * slow[table.harness][row]
    compute = np.where((table.kind == 3) | (table.kind == 4), compute * grouped[table.harness][row], compute)
    activations = table.activations * np.where(table.is_scaled, value["activations.int8"], 1.0)
    resident = np.minimum(1.0, value["cache_reach"] * table.l2[row] / np.maximum(activations, 1.0))
    moved = activations * (1.0 - CACHE_HIT * resident) + table.constants
    is_unfused = table.has_odd_heads | ((table.harness == HARNESSES.index("triton")) & with_harness)[row]
    moved += table.scores * value["score_bytes"] * np.where(is_unfused, value["unfused_scores"], 1.0)
    bandwidth = table.bandwidth * value["bandwidth_efficiency"]
    memory = moved * heavy[table.harness][row] / bandwidth[row]
    cycles = np.array([value[f"cycles.{name}"] for name in CYCLES])
    count = len(table.run_row)
    bound = np.bincount(table.run, np.maximum(compute, memory) * table.times, count)
    extra = np.where(table.harness == EAGER, table.eager_bytes / bandwidth, 0.0)
    bound = (bound + extra[table.run_row] * table.run_batch) / device[table.run_row]
    clock = table.clock / np.where(table.architecture == 0, value["cycles.Turing"], 1.0)
    fixed = np.bincount(table.run, cycles[table.kind] * table.times / clock[row], count) + value["floor_s"]
    host = np.where(table.harness == HARNESSES.index("yolo-benchmark"), value["host.yolo-benchmark"], 0.0)
    fixed = fixed + (host[table.run_row] if with_harness else 0.0) * table.run_batch
    per_item = (bound + fixed) / table.run_batch
    best = np.lexsort((per_item, table.run_row))[table.first_run]
    return per_item[best], (bound / (bound + fixed))[best]
