"""The CPU's coefficients, from the example models under ONNX Runtime (used by fit_perf.py)."""

import csv
import json
import math
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np

from infc.ir.precision import Precision
from infc.perf.analytic import step_time
from infc.perf.coefficients import DeviceCoefficients
from infc.perf.device import device_limits
from infc.resolve.targets import load_catalogue
from perf_errors import half_width, report
from perf_table import work_of

HERE = Path(__file__).parent


def fit_cpu() -> tuple[dict[str, object], dict[str, object]]:
    """Efficiencies of one CPU thread from data/cpu_rows.csv and the work of its models; few rows, so wide intervals."""
    rows = list(csv.DictReader((HERE / "data/cpu_rows.csv").open()))
    work = json.loads((HERE / "data/cpu_work.json").read_text())
    catalogue = load_catalogue(None)
    hardware = catalogue.find("cpu")
    assert hardware is not None
    device = device_limits(hardware, None)

    def coefficients(efficiency: float, vector: float) -> DeviceCoefficients:
        return DeviceCoefficients(**cpu_json(efficiency, vector))

    def errors(efficiency: float, vector: float, left_out: str | None = None) -> dict[str, list[float]]:
        found: dict[str, list[float]] = defaultdict(list)
        for row in rows:
            if row["model"] == left_out:
                continue
            step = step_time(
                work_of([[*r[:4], 0.0, r[4]] for r in work[row["model"]]], is_expanded=True),
                device,
                Precision.FP32,
                np.array([float(row["batch"])]),
                coefficients(efficiency, vector),
            )
            found[row["model"]].append(math.log(float(row["seconds"]) / float(step.seconds[0])))
        return found

    def best(left_out: str | None) -> tuple[float, float]:
        grid = [(float(e), v) for e in np.arange(0.4, 1.21, 0.02) for v in (0.1, 0.15, 0.2, 0.3, 0.45, 0.7)]
        return min(grid, key=lambda g: sum(float(np.mean(np.abs(e))) for e in errors(g[0], g[1], left_out).values()))

    held = []
    for model in sorted({r["model"] for r in rows}):
        found = errors(*best(model))[model]
        report(f"cpu without {model.split('/')[-1]}", np.array(found))
        held += found
    chosen = best(None)
    width = max(1.5, half_width(np.array(held)))
    spread = {
        "seen": dict.fromkeys(("small", "large", "attention"), width),
        "unseen": dict.fromkeys(("small", "large", "attention"), width * 1.5),
        "similar": dict.fromkeys(("small", "large", "attention"), width),
        "calibrated": 1.4,
        "measured": 1.1,
    }
    return cpu_json(*chosen), spread


def cpu_json(efficiency: float, vector: float) -> dict[str, Any]:
    """Coefficients of a CPU thread. INT8: ONNX Runtime without VNNI is about as fast as FP32, half its INT8 peak."""
    share = round(float(efficiency), 3)
    return {
        "efficiency": {
            "conv": share,
            "grouped-conv": share,
            "gemm": share,
            "attention": round(share * 0.7, 3),
            "recurrent": round(share * 0.5, 3),
        },
        "precision_factor": {"fp32": 1.0, "int8": 0.55},
        "architecture_factor": {},
        "activation_scale": {},
        "score_bytes": 0.0,
        "unfused_scores": 1.0,
        "cycles_factor": {},
        "power_factor": {},
        "vector_efficiency": round(float(vector), 3),
        "bandwidth_efficiency": 0.5,
        "cache_reach": 0.0,
        "kernel_cycles": {"other": 3000.0},
        "floor_s": 1e-5,
        "watts_per_flops": {},
        "power_exponent": 0.5,
        "kind_factor": {},
        "device_factor": {},
    }
