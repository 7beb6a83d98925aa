"""Writes data/engines_cpu.csv: the example models as torch packages and under ONNX Runtime, one thread, measured here.

Processor time of the best of many executions, the two runtimes in turns: the machine is shared, and waiting does not
count. Every package is checked against ONNX Runtime when it is built. Needs the example models (`make models`), the
extra `torch` and a C++ compiler; building takes some minutes.
"""

import argparse
import csv
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np

from infc.build import build, onnxruntime_settings, shape_ranges
from infc.ir.engine import BuildRequest, Engine, LoweredModel
from infc.ir.engine_kind import EngineKind
from infc.ir.precision import Precision
from infc.ir.problem import AxisDistribution
from infc.lower.lowering import lower
from infc.lower.settings import settings_for
from infc.resolve.onnx_analysis import analyse
from infc.validate.accuracy.inference import Session, open_session
from infc.validate.torch_session import torch_session

HERE = Path(__file__).parent
MODELS = {
    "fashion-mnist/resnet8.onnx": {},
    "magika/magika-v3-3.onnx": {},
    "minilm/minilm-l6-v2.onnx": {"seq": 128},
    "efficientnet-lite0/efficientnet-lite0.onnx": {},
}
BATCHES = (1, 4, 16)
BUDGET_S = 6.0


def engine_of(kind: EngineKind, lowered: LoweredModel, shapes: tuple, folder: Path) -> Engine:  # type: ignore[type-arg]
    """A built engine of the model for the CPU."""
    request = BuildRequest(kind=kind, model=lowered, shapes=shapes, hardware_id="cpu", compute_capability=None)
    engine, problems = build(request, folder, lambda line: print(line, flush=True))
    assert engine is not None, problems
    return engine


def best_s(runs: list[Callable[[], object]]) -> list[float]:
    """Processor seconds of the shortest execution of each, taken in turns within the budget."""
    best = [float("inf")] * len(runs)
    until = time.perf_counter() + BUDGET_S
    while time.perf_counter() < until:
        for index, run in enumerate(runs):
            start = time.thread_time()
            run()
            best[index] = min(best[index], time.thread_time() - start)
    return best


def measured(name: str, axes: dict[str, int], cache: Path) -> list[dict[str, str]]:
    """Both engines of one model, at every batch size."""
    path = HERE.parent / "specs" / name
    profile = analyse(path, path.stem).profile
    assert profile is not None
    lowered, problems = lower(path, profile, Precision.FP32, None, settings_for("cpu"), cache / "lowered")
    assert lowered is not None, problems
    ranges = {axis: AxisDistribution(percentiles={}, maximum=size) for axis, size in axes.items()}
    shapes = shape_ranges(profile, BATCHES[-1], ranges)
    package = engine_of("torch_inductor", lowered, shapes, cache / "engines")
    own = engine_of("onnxruntime", lowered, shapes, cache / "engines")
    has_rewrites = onnxruntime_settings(own).has_rewrites
    sessions: tuple[Session, Session] = (
        open_session(own.path, has_rewrites=has_rewrites, threads=1),
        torch_session(package),
    )
    names = [tensor.name for tensor in profile.outputs]
    rows = []
    for batch in BATCHES:
        sizes = {**axes, profile.batch_axis or "batch": batch}
        random = np.random.default_rng(0)
        feeds = {}
        for tensor in profile.inputs:
            shape = [d if isinstance(d, int) else sizes[d] for d in tensor.shape]
            values = random.random(shape) if tensor.dtype.startswith("float") else random.integers(0, 2, shape)
            feeds[tensor.name] = values.astype(tensor.dtype)
        times = best_s([partial(session.run, names, feeds) for session in sessions])
        row = {"model": name, "hardware": "AMD EPYC (Zen 3)", "batch": str(batch), "precision": "fp32"}
        rows.append({**row, "onnxruntime_ms": f"{times[0] * 1e3:.4g}", "torch_ms": f"{times[1] * 1e3:.4g}"})
        print(rows[-1], flush=True)
    return rows


def main() -> None:
    """Measure every model."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cache", type=Path, default=HERE.parent / ".infc", help="where engines are kept")
    cache = parser.parse_args().cache
    rows = [row for name, axes in MODELS.items() for row in measured(name, axes, cache)]
    with (HERE / "data/engines_cpu.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


if __name__ == "__main__":
    main()
