"""One model on one device: what `infc predict` answers."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from infc.diag import Diagnostic
from infc.ir.estimate import MemoryBreakdown
from infc.ir.interval import Basis, Interval
from infc.ir.precision import Precision


@dataclass(frozen=True, kw_only=True)
class PredictQuestion:
    """What is asked: `axes` are the sizes of the model's dynamic axes but the batch."""

    model: Path
    hardware: str
    precision: Precision
    batch: int
    axes: Mapping[str, int]
    power_mode: str | None


@dataclass(frozen=True, kw_only=True)
class Prediction:
    """One execution at a time, back to back, as published benchmarks run: copies included, no server, no queue.

    `throughput_per_s` counts items. Intervals hold 90%.
    """

    question: PredictQuestion
    latency_s: Interval
    throughput_per_s: Interval
    memory: MemoryBreakdown
    power_w: Interval | None
    basis: Basis
    diagnostics: tuple[Diagnostic, ...]
