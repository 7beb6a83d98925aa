"""Fits the analytic performance model to data/perf_rows.csv and writes infc/perf/coefficients.json (`make fit`).

The model is `infc.perf.analytic`; here it is evaluated for all rows at once, and checked against it at the end.
Coefficients are found by damped least squares on log times, with weak priors that keep what the data cannot tell near
what is known. Whole (model, hardware) pairs are held out, never rows: the printed errors and the width of the intervals
are of pairs that were not fitted.
"""

import argparse
import json
import math
import zlib
from collections.abc import Sequence

import numpy as np

from fit_perf_cpu import fit_cpu
from infc.perf.analytic import step_time
from infc.perf.coefficients import PATH, DeviceCoefficients, coefficients_from_json
from perf_errors import half_width, report
from perf_table import ARCHITECTURES, NAMES, PRIORS, Array, Row, Table, predict, read_rows, work_of

FOLDS = 6
SMALL = 0.35
DEVICE_SPREAD = 1.15


def fit(table: Table) -> Array:
    """Damped least squares on log times with priors; Huber weights keep single odd rows from pulling."""
    start = np.array([math.log(PRIORS[name][0]) for name in NAMES] + [0.0] * len(table.hardware))
    spread = np.array([math.log(PRIORS[name][1]) for name in NAMES] + [math.log(DEVICE_SPREAD)] * len(table.hardware))
    theta, damping = start.copy(), 1e-2
    target = np.log(table.seconds)

    def residuals(at: Array) -> Array:
        error = np.log(predict(at, table)[0]) - target
        huber = np.sqrt(np.minimum(1.0, 0.3 / np.maximum(np.abs(error), 1e-12)))
        return np.concatenate([error * huber * table.weight * 3.0, (at - start) / spread])

    current = residuals(theta)
    for _ in range(30):
        jacobian = np.empty((len(current), len(theta)))
        for column in range(len(theta)):
            moved = theta.copy()
            moved[column] += 1e-4
            jacobian[:, column] = (residuals(moved) - current) / 1e-4
        normal, gradient = jacobian.T @ jacobian, jacobian.T @ current
        step = np.linalg.solve(normal + damping * np.diag(np.diag(normal)), -gradient)
        proposal = theta + step
        after = residuals(proposal)
        if after @ after < current @ current:
            gain = (current @ current - after @ after) / (current @ current)
            theta, current, damping = proposal, after, damping / 3
            if gain < 1e-5:
                break
        else:
            damping *= 4
    return theta


def held_out(rows: Sequence[Row], by_device: bool) -> Array:
    """Log of measured over predicted for every row, by a fit without its (model, hardware) pair, or its device."""
    key = [r.hardware if by_device else "/".join(r.pair) for r in rows]
    fold = np.array([zlib.crc32(k.encode()) % FOLDS for k in key])
    errors = np.empty(len(rows))
    full = Table(rows)
    for number in range(FOLDS):
        kept = [r for r, f in zip(rows, fold, strict=True) if f != number]
        table = Table(kept)
        theta = fit(table)
        device = dict(zip(table.hardware, theta[len(NAMES) :], strict=True))
        whole = np.concatenate([theta[: len(NAMES)], [device.get(h, 0.0) for h in full.hardware]])
        seconds = predict(whole, full)[0]
        chosen = fold == number
        errors[chosen] = np.log(full.seconds[chosen] / seconds[chosen])
    return errors


def gpu_json(theta: Array, table: Table) -> dict[str, object]:
    """The fitted coefficients in the file's form; classes and precisions without data take a neighbour's value."""
    value = {name: float(f"{math.exp(t):.4g}") for name, t in zip(NAMES, theta, strict=False)}
    factors = {h: round(math.exp(t), 3) for h, t in zip(table.hardware, theta[len(NAMES) :], strict=True)}
    return {
        "efficiency": {
            "conv": value["efficiency.conv"],
            "gemm": value["efficiency.gemm"],
            "attention": value["efficiency.attention"],
            "recurrent": value["efficiency.attention"],
        },
        "precision_factor": {
            "fp16": 1.0,
            "bf16": 1.0,
            "fp32": 1.0,
            "tf32": 0.95,
            "int8": value["precision.int8"],
            "fp8": value["precision.fp8"],
            "int4": 0.4,
            "fp4": 0.5,
        },
        "vector_efficiency": value["vector_efficiency"],
        "bandwidth_efficiency": value["bandwidth_efficiency"],
        "cache_reach": value["cache_reach"],
        "kernel_cycles": {
            "conv": value["cycles.conv"],
            "depthwise-conv": value["cycles.conv"],
            "gemm": value["cycles.gemm"],
            "attention": value["cycles.gemm"],
            "data-movement": value["cycles.data-movement"],
            "other": value["cycles.other"],
        },
        "floor_s": value["floor_s"],
        "watts_per_flops": {a: value[f"watts.{a}"] for a in ARCHITECTURES} | {"Blackwell": value["watts.Hopper"]},
        "power_exponent": value["power_exponent"],
        "device_factor": factors,
    }


def check_against_model(theta: Array, table: Table, fitted: DeviceCoefficients) -> None:
    """The vectorised model here and `infc.perf.analytic` agree on every TensorRT row (to the rounding of the file)."""
    seconds = predict(theta, table)[0]
    for number, row in enumerate(table.rows):
        if row.framework == "tensorrt" and not table.is_detector[number]:
            batches = np.array([float(batch) for batch in row.batches])
            work = work_of(row.structure, is_expanded=True)
            step = step_time(work, row.device, row.precision, batches, fitted)
            assert abs(math.log(float((step.seconds / batches).min()) / seconds[number])) < 5e-3, row


def main() -> None:
    """Fit, validate, print, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dry-run", action="store_true", help="print only, do not write coefficients.json")
    arguments = parser.parse_args()
    rows = read_rows()
    table = Table(rows)
    theta = fit(table)
    is_small = predict(theta, table)[1] < SMALL
    is_rt = table.framework == 0
    print(f"{len(rows)} rows, {len({r.pair for r in rows})} (model, hardware) pairs, {len(table.hardware)} devices")
    for name, t in zip(NAMES, theta, strict=False):
        print(f"  {name:<24}{math.exp(t):.4g}  (prior {PRIORS[name][0]:.4g})")
    print(
        "  device factors "
        + ", ".join(f"{h} {math.exp(t):.2f}" for h, t in zip(table.hardware, theta[len(NAMES) :], strict=True))
    )
    seen, unseen = held_out(rows, by_device=False), held_out(rows, by_device=True)
    spread: dict[str, object] = {"calibrated": 1.3, "measured": 1.05}
    for label, errors in (("seen", seen), ("unseen", unseen)):
        widths = {}
        for regime, chosen in (("small", is_small & is_rt), ("large", ~is_small & is_rt)):
            widths[regime] = round(half_width(errors[chosen]), 3)
            report(f"tensorrt, {regime} work, {label} device", errors[chosen], widths[regime])
        spread[label] = widths
        for framework, number in (("eager", 1), ("compile", 2)):
            report(f"timm {framework}, {label} device", errors[table.framework == number])
    for hardware in table.hardware:
        report(f"  {hardware} (pairs held out)", seen[(table.device == table.hardware.index(hardware)) & is_rt])
    for model in sorted({r.model for r in rows if r.framework == "tensorrt"}):
        chosen = np.array([r.model == model for r in rows]) & is_rt
        report(f"  {model} (pairs held out)", seen[chosen])
    cpu, cpu_spread = fit_cpu()
    document = {
        "fitted_by": "benchmarks/fit_perf.py",
        "data": "perf_rows.csv, model_structures.json and cpu_rows.csv in benchmarks/data, sources in its README.md",
        "validation": "whole (model, hardware) pairs held out; half-widths hold 90% of held-out TensorRT rows",
        "gpu": gpu_json(theta, table),
        "cpu": cpu,
        "gpu_spread": spread,
        "cpu_spread": cpu_spread,
    }
    text = json.dumps(document, indent=1) + "\n"
    check_against_model(theta, table, coefficients_from_json(text).gpu)
    if not arguments.dry_run:
        PATH.write_text(text)


if __name__ == "__main__":
    main()
