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
from infc.perf.neighbours import shrunk
from perf_errors import Mask, interval_classes, nested_coverage, print_tables, report, widths
from perf_table import ARCHITECTURES, NAMES, PRIORS, Array, Row, Table, predict, read_rows, work_of

FOLDS = 6
STEP = 1e-4
HUBER = 0.25
"""Log error from which a row pulls with its sign only."""
DEVICE_SPREAD = 1.05
"""How far, as a factor, one device is from what its data sheet says: clocks and memory of a part are within a few
percent of it. Left wider, the factor of an A100 SXM with many slow rows of one source falls below the PCIe card's.
"""


def fit(table: Table, start: Array | None = None) -> Array:
    """Damped least squares on log times with priors; Huber weights keep single odd rows from pulling.

    `start` only saves iterations.
    """
    prior = np.array([math.log(PRIORS[name][0]) for name in NAMES] + [0.0] * len(table.hardware))
    spread = np.array([math.log(PRIORS[name][1]) for name in NAMES] + [math.log(DEVICE_SPREAD)] * len(table.hardware))
    theta, damping = (prior if start is None else start).copy(), 1e-2
    target = np.log(table.seconds)

    def cost(at: Array) -> tuple[float, Array, Array]:
        seconds, share = predict(at, table)
        error = np.log(seconds) - target
        huber = np.where(np.abs(error) < HUBER, error**2, HUBER * (2.0 * np.abs(error) - HUBER))
        return float((huber * table.weight**2).sum() * 9.0 + (((at - prior) / spread) ** 2).sum()), error, share

    current, error, share = cost(theta)
    for _ in range(25):
        slope = np.zeros((len(error), len(theta)))
        for column in range(len(NAMES)):
            moved = theta.copy()
            moved[column] += STEP
            slope[:, column] = (np.log(predict(moved, table)[0]) - target - error) / STEP
        slope[np.arange(len(error)), len(NAMES) + table.device] = -share
        weight = table.weight**2 * 9.0 * np.minimum(1.0, HUBER / np.maximum(np.abs(error), 1e-12))
        normal = slope.T @ (slope * weight[:, None]) + np.diag(spread**-2.0)
        gradient = slope.T @ (error * weight) + (theta - prior) / spread**2
        while damping < 1e6:
            proposal = theta - np.linalg.solve(normal + damping * np.diag(np.diag(normal)), gradient)
            after, error_after, share_after = cost(proposal)
            if after < current:
                break
            damping *= 4
        else:
            break
        gain = 1.0 - after / current
        theta, current, error, share, damping = proposal, after, error_after, share_after, damping / 3
        if gain < 1e-4:
            break
    return theta


def held_out(rows: Sequence[Row], full: Table, whole: Array, *, by_device: bool) -> tuple[Array, Array]:
    """Log of measured over what infc predicts for every row, by a fit without its (model, hardware) pair or its device.

    Returns: the errors, and the fold of each row. `whole` is the fit of all rows, where the fits start their search.
    """
    key = [r.hardware if by_device else "/".join(r.pair) for r in rows]
    fold = np.array([zlib.crc32(k.encode()) % FOLDS for k in key])
    errors = np.empty(len(rows))
    known = dict(zip(full.hardware, whole[len(NAMES) :], strict=True))
    for number in range(FOLDS):
        table = Table([r for r, f in zip(rows, fold, strict=True) if f != number])
        theta = fit(table, np.concatenate([whole[: len(NAMES)], [known[h] for h in table.hardware]]))
        device = dict(zip(table.hardware, theta[len(NAMES) :], strict=True))
        everywhere = np.concatenate([theta[: len(NAMES)], [device.get(h, 0.0) for h in full.hardware]])
        chosen = fold == number
        shipped = predict(everywhere, full, with_harness=False)[0]
        errors[chosen] = np.log(full.seconds[chosen] / shipped[chosen])
    return errors, fold


def corrected_by_neighbours(rows: Sequence[Row], table: Table, errors: Array) -> Array:
    """Held-out errors after the device was corrected by the errors of up to three other models on it, as infc does."""
    corrected = errors.copy()
    means: dict[str, dict[str, float]] = {}
    for hardware in sorted({row.hardware for row in rows}):
        mine = [
            (r.model, e)
            for r, e, is_engine in zip(rows, errors, table.is_engine, strict=True)
            if r.hardware == hardware and is_engine
        ]
        names = sorted({name for name, _ in mine})
        means[hardware] = {name: float(np.mean([e for n, e in mine if n == name])) for name in names}
    for number, row in enumerate(rows):
        others = [mean for name, mean in means[row.hardware].items() if name != row.model][:3]
        if others:
            corrected[number] -= math.log(shrunk(others, [1.0] * len(others)))
    return corrected


def gpu_json(theta: Array, table: Table) -> dict[str, object]:
    """The fitted coefficients in the file's form; classes and precisions without data take a neighbour's value."""
    value = {name: float(f"{math.exp(t):.4g}") for name, t in zip(NAMES, theta, strict=False)}
    fitted = zip(table.hardware, theta[len(NAMES) :], strict=True)
    factors = {hardware: round(math.exp(t), 3) for hardware, t in fitted}
    by_architecture = {a: value[f"architecture.{a}"] for a in ARCHITECTURES}
    by_architecture |= {f"{a}/int8": value[f"int8.{a}"] for a in ARCHITECTURES}
    by_architecture |= {"Ada Lovelace/fp8": value["fp8.Ada Lovelace"], "Blackwell": value["architecture.Hopper"]}
    classes = ("conv", "gemm", "attention", "grouped-conv")
    return {
        "efficiency": {
            **{name: value[f"efficiency.{name}"] for name in classes},
            "recurrent": round(value["efficiency.gemm"] * 0.5, 4),
        },
        "precision_factor": {
            **dict.fromkeys(("fp16", "bf16"), 1.0),
            **dict.fromkeys(("fp32", "tf32"), value["precision.fp32"]),
            **{name: value[f"precision.{name}"] for name in ("int8", "fp8")},
            "int4": 0.4,
            "fp4": 0.5,
        },
        "architecture_factor": by_architecture,
        "vector_efficiency": value["vector_efficiency"],
        "bandwidth_efficiency": value["bandwidth_efficiency"],
        "activation_scale": {"int8": value["activations.int8"], "fp8": value["activations.int8"]},
        "cache_reach": value["cache_reach"],
        "score_bytes": value["score_bytes"],
        "unfused_scores": value["unfused_scores"],
        "power_factor": {"int8": value["power.int8"]},
        "kernel_cycles": {
            **dict.fromkeys(("conv", "grouped-conv", "depthwise-conv"), value["cycles.conv"]),
            **dict.fromkeys(("gemm", "attention"), value["cycles.gemm"]),
            "data-movement": value["cycles.data-movement"],
            "other": value["cycles.other"],
        },
        "cycles_factor": {"Turing": value["cycles.Turing"]},
        "floor_s": value["floor_s"],
        "watts_per_flops": {a: value[f"watts.{a}"] for a in ARCHITECTURES} | {"Blackwell": value["watts.Hopper"]},
        "power_exponent": value["power_exponent"],
        "kind_factor": {"jetson": value["jetson"]},
        "device_factor": factors,
    }


def check_against_model(theta: Array, table: Table, fitted: DeviceCoefficients) -> None:
    """The vectorised model here and `infc.perf.analytic` agree on every MLPerf row (to the rounding of the file)."""
    seconds = predict(theta, table)[0]
    for number, row in enumerate(table.rows):
        if row.harness in ("mlperf", "yolo"):
            batches = np.array([float(batch) for batch in row.batches])
            work = work_of(row.structure, is_expanded=True)
            step = step_time(work, row.device, row.precision, batches, fitted)
            assert abs(math.log(float((step.seconds / batches).min()) / seconds[number])) < 1e-2, row


def validate(rows: Sequence[Row], table: Table, theta: Array) -> dict[str, dict[str, float]]:
    """Print the held-out tables; half-widths of the intervals for seen and unseen devices."""
    classes = interval_classes(rows, predict(theta, table, with_harness=False)[1])
    found: dict[str, dict[str, float]] = {}
    for label, by_device in (("seen", False), ("unseen", True)):
        errors, fold = held_out(rows, table, theta, by_device=by_device)
        group = np.array([r.hardware if by_device else "/".join(r.pair) for r in rows])
        inside = nested_coverage(errors, classes, table.is_engine, fold, group)
        found[label] = widths(errors, classes, table.is_engine, group)
        what = "whole devices" if by_device else "(model, hardware) pairs"
        print(f"\n{what} left out; intervals as wide as the other folds say, x{found[label]}")
        summary(rows, table, errors, inside)
        if by_device:
            corrected = corrected_by_neighbours(rows, table, errors)
            held = nested_coverage(corrected, classes, table.is_engine, fold, group)
            found["similar"] = widths(corrected, classes, table.is_engine, group)
            print(f"the same, corrected by the other models measured on the device, x{found['similar']}")
            summary(rows, table, corrected, held)
        print_tables(rows, table, errors, inside, what)
    return found


def summary(rows: Sequence[Row], table: Table, errors: Array, inside: Mask) -> None:
    """The lines that are looked at first."""
    batch = np.array([row.batch or 99 for row in rows])
    engine = table.is_engine
    for name, mask in (
        ("TensorRT, batch >= 8", batch >= 8),
        ("TensorRT, batch 1", batch == 1),
        ("TensorRT", batch > 0),
    ):
        report(name, errors[engine & mask], float(np.mean(inside[engine & mask])))
    for harness in ("compile", "eager"):
        mask = np.array([row.harness == harness for row in rows])
        report(f"PyTorch {harness}, batch >= 256", errors[mask])


def main() -> None:
    """Fit, validate, print, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dry-run", action="store_true", help="print only, do not write coefficients.json")
    arguments = parser.parse_args()
    rows = read_rows()
    table = Table(rows)
    theta = fit(table)
    engines = int(table.is_engine.sum())
    print(f"{len(rows)} rows ({engines} of TensorRT), {len({r.pair for r in rows})} (model, hardware) pairs")
    for name, t in zip(NAMES, theta, strict=False):
        print(f"  {name:<28}{math.exp(t):.4g}  (prior {PRIORS[name][0]:.4g} within x{PRIORS[name][1]:.2f})")
    factors = zip(table.hardware, theta[len(NAMES) :], strict=True)
    print("  device factors " + ", ".join(f"{h} {math.exp(t):.2f}" for h, t in factors))
    spread: dict[str, object] = {**validate(rows, table, theta), "calibrated": 1.3, "measured": 1.05}
    print()
    cpu, cpu_spread = fit_cpu()
    document = {
        "fitted_by": "benchmarks/fit_perf.py",
        "data": "benchmarks/data: perf_rows.csv, model_structures.json, cpu_rows.csv; sources in README.md",
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
