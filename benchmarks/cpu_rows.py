"""Writes data/cpu_rows.csv and data/cpu_work.json: the example models under ONNX Runtime, one thread, on this machine.

The best of many executions is kept: the machine is shared, and a plan's interval covers the rest. Needs the example
models (`make models`).
"""

import csv
import json
import time
from collections import Counter
from pathlib import Path

import numpy as np
import onnxruntime as ort

from infc.ir.model_profile import ModelProfile
from infc.perf.work import kernel_work
from infc.resolve.onnx_analysis import analyse

HERE = Path(__file__).parent
MODELS = {
    "fashion-mnist/resnet8.onnx": {},
    "minilm/minilm-l6-v2.onnx": {"seq": 128},
    "magika/magika-v3-3.onnx": {},
    "efficientnet-lite0/efficientnet-lite0.onnx": {},
}
BATCHES = (1, 4, 16)
BUDGET_S = 2.0


def seconds_of(path: Path, feeds: dict[str, np.ndarray]) -> float:
    """Processor seconds of the shortest execution within the budget; one thread, so that waiting does not count."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    session = ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    best, until = float("inf"), time.perf_counter() + BUDGET_S
    while time.perf_counter() < until:
        start = time.thread_time()
        session.run(None, feeds)
        best = min(best, time.thread_time() - start)
    return best


def structure(profile: ModelProfile, axes: dict[str, int]) -> list[list[float | str]]:
    """The kernels of one item: class, FLOPs, weights, elements moved, count."""
    kernels = kernel_work(profile, axes)
    one = np.array([1.0])
    columns = (kernels.flops(one)[:, 0], kernels.weights, kernels.traffic(one)[:, 0])
    counts = Counter(zip([c.value for c in kernels.classes], *(c.tolist() for c in columns), strict=True))
    return [[*row, count] for row, count in sorted(counts.items())]


def main() -> None:
    """Measure every model."""
    rows, work = [], {}
    for name, axes in MODELS.items():
        path = HERE.parent / "specs" / name
        profile = analyse(path, path.stem).profile
        assert profile is not None
        work[name] = structure(profile, axes)
        for batch in BATCHES:
            sizes = {**axes, profile.batch_axis or "batch": batch}
            rng = np.random.default_rng(0)
            feeds = {}
            for tensor in profile.inputs:
                shape = [d if isinstance(d, int) else sizes[d] for d in tensor.shape]
                is_float = tensor.dtype.startswith("float")
                values = rng.random(shape) if is_float else rng.integers(0, 2, shape)
                feeds[tensor.name] = values.astype(tensor.dtype)
            seconds = seconds_of(path, feeds)
            rows.append({"model": name, "precision": "fp32", "batch": batch, "seconds": f"{seconds:.6g}"})
            print(rows[-1], flush=True)
    (HERE / "data/cpu_work.json").write_text(json.dumps(work, separators=(",", ":"), sort_keys=True) + "\n")
    with (HERE / "data/cpu_rows.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, ["model", "precision", "batch", "seconds"], lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


if __name__ == "__main__":
    main()
