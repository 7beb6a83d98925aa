"""Fits the step-time model of language models and writes infc/perf/llm/coefficients.json (part of `make fit`).

Two layers: kernels, fitted to kernel tables (data/llm_steps.csv), and what servers add to them, fitted to published
closed-loop runs (data/llm_servers.csv). Whole (model, hardware) pairs are held out, never rows: the printed errors are
of pairs that were not fitted, and so are the widths of the intervals, whose coverage is counted on pairs that did not
set them. Deterministic.
"""

import argparse
import json
import math
import zlib
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np

from infc.ir.hardware import Hardware
from infc.ir.llm_profile import LlmProfile
from infc.ir.precision import Precision
from infc.perf.llm.coefficients import PATH, TABLES, Engine, EngineCoefficients, KernelCoefficients, Spread
from infc.perf.llm.kernels import Array
from infc.perf.llm.place import place_of
from infc.perf.llm.serving import default_batching
from infc.perf.llm.step_time import analytic_step_time
from infc.perf.llm.work import llm_work
from infc.resolve.hf_config import llm_profile
from infc.resolve.targets import load_catalogue
from infc.sim.closed_loop import closed_loop_figures, slower
from infc.sim.continuous_batching import step_s
from llm_kernels import (
    ARCHITECTURE_SHARE,
    DEVICE_SHARE,
    MOST_STEPS,
    NAMES,
    PRECISIONS,
    START,
    Step,
    StepTable,
    fit,
    read_steps,
)
from llm_servers import Run, RunTable, ServerFit, is_possible, log_times, read_runs

CONFIGS = Path(__file__).with_name("data") / "llm_configs"
FOLDS = 6
RUNS_OF_A_GROUP = 9
"""Runs of one model, device, precision and engine that are fitted; as many as `JUDGED_RUNS` are judged."""
COVERAGE = 0.9
CHECKED_WITHIN = 2e-3
JUDGED_RUNS = 24
EMITTED_ENGINE: Engine = "vllm"
COVERED_RUNS = 64
ASSUMED: Mapping[str, Mapping[str, float]] = {
    "Turing": {"compute": 0.75, "matrix_s": 1.5},
    "Volta": {"compute": 0.7, "matrix_s": 1.5},
    "Zen 3": {"compute": 0.8, "stream": 0.85, "matrix_s": 15.0, "layer_s": 8.0, "attention_s": 2.0, "half_width": 0.1},
    "Zen4 Genoa": {"compute": 0.6, "stream": 0.8, "matrix_s": 8.0, "layer_s": 4.0},
    "Sapphire Rapids": {"compute": 0.5, "stream": 0.8, "matrix_s": 8.0, "layer_s": 4.0},
}
"""Architectures of which no kernel table exists, as factors on the pooled coefficients.

Source: a T4 reaches less than 60% of its peak in large products; a CPU's kernel is a few tens of microseconds of
thread synchronisation and Python (135M-parameter model under vLLM on two cores: 26.9 ms a step, of which 18 ms are
reading the weights).
"""


def fold_of(key: str) -> int:
    """Which of the folds a pair belongs to."""
    return zlib.crc32(key.encode()) % FOLDS


def coefficients_of(theta: Array, watts_per_flops: float) -> KernelCoefficients:
    """The product's form of fitted coefficients; precisions that were not timed take a neighbour's."""
    value = {name: float(f"{math.exp(t):.4g}") for name, t in zip(NAMES, theta, strict=True)}
    shares: dict[str, dict[Precision, float]] = {}
    for kind in ("stream", "compute"):
        share = {precision: value[f"{kind}.{precision.value}"] for precision in PRECISIONS}
        wide = dict.fromkeys((Precision.FP16, Precision.FP32, Precision.TF32), share[Precision.BF16])
        shares[kind] = {**share, **wide, Precision.INT8: share[Precision.FP8]}
    numbers = {name: number for name, number in value.items() if "." not in name}
    return KernelCoefficients(
        stream=shares["stream"], compute=shares["compute"], watts_per_flops=watts_per_flops, **numbers
    )


class KernelFit:
    """Coefficients of all devices together, of each architecture, of each device; fitted when they are asked for."""

    def __init__(self, steps: Sequence[Step], models: Mapping[str, LlmProfile]) -> None:
        self._models = models
        self._by_architecture: dict[str, list[Step]] = defaultdict(list)
        self._by_device: dict[str, list[Step]] = defaultdict(list)
        for step in steps:
            self._by_architecture[step.hardware.architecture].append(step)
            self._by_device[step.hardware.id].append(step)
        self._fitted: dict[str, Array] = {}
        self.pooled = self._fit(steps, START, 2.0)

    def _fit(self, steps: Sequence[Step], centre: Array, share: float) -> Array:
        thin = steps[:: max(1, len(steps) // MOST_STEPS)]
        return fit(StepTable(thin, self._models), centre, share)

    def architecture(self, name: str) -> Array:
        """Of an architecture; the pooled ones where none of its devices was timed."""
        if name not in self._by_architecture:
            return self.pooled
        if name not in self._fitted:
            self._fitted[name] = self._fit(self._by_architecture[name], self.pooled, ARCHITECTURE_SHARE)
        return self._fitted[name]

    def of(self, hardware: Hardware) -> Array:
        """The best for a device that may not be among the timed ones."""
        centre = self.architecture(hardware.architecture)
        if hardware.id not in self._by_device:
            return centre
        if hardware.id not in self._fitted:
            self._fitted[hardware.id] = self._fit(self._by_device[hardware.id], centre, DEVICE_SHARE)
        return self._fitted[hardware.id]


def held_out_steps(steps: Sequence[Step], models: Mapping[str, LlmProfile], key: Callable[[Step], str]) -> Array:
    """Log of predicted over tabled time of every step, by a fit without its fold."""
    folds = np.array([fold_of(key(step)) for step in steps])
    errors = np.empty(len(steps))
    for number in sorted(set(folds.tolist())):
        fitted = KernelFit([s for s, f in zip(steps, folds, strict=True) if f != number], models)
        for place in {s.hardware.id for s, f in zip(steps, folds, strict=True) if f == number}:
            chosen = [i for i, s in enumerate(steps) if folds[i] == number and s.hardware.id == place]
            rows = [steps[i] for i in chosen]
            errors[chosen] = StepTable(rows, models).errors(fitted.of(rows[0].hardware))
    return errors


def device_out_steps(steps: Sequence[Step], models: Mapping[str, LlmProfile], *, is_seen: bool) -> Array:
    """Log errors of steps on devices that were left out whole; with `is_seen` False their architecture too."""
    errors = []
    devices = {s.hardware.id: s.hardware for s in steps}
    for name, hardware in sorted(devices.items()):
        near = [
            s for s in steps if s.hardware.id != name and (is_seen or s.hardware.architecture != hardware.architecture)
        ]
        if is_seen and not any(s.hardware.architecture == hardware.architecture for s in near):
            continue
        fitted = KernelFit(near, models)
        errors.append(StepTable([s for s in steps if s.hardware.id == name], models).errors(fitted.of(hardware)))
    return np.concatenate(errors)


def line(name: str, errors: Array) -> None:
    """One line of a table."""
    if not len(errors):
        return
    absolute = np.exp(np.abs(errors)) - 1
    middle, most, bias = np.median(absolute), np.quantile(absolute, 0.9), np.exp(np.median(errors)) - 1
    print(f"  {name:<44}{len(errors):>6} rows  median error {middle:6.1%}  p90 {most:6.1%}  bias {bias:+6.1%}")


def step_tables(steps: Sequence[Step], errors: Array) -> None:
    """Held-out errors of steps by phase, then by device, precision and model."""
    keys: tuple[tuple[str, Callable[[Step], str]], ...] = (
        ("all", lambda s: s.phase),
        ("device", lambda s: f"{s.hardware.id} {s.phase}"),
        ("precision", lambda s: f"{s.precision.value} {s.phase}"),
        ("model", lambda s: f"{s.model} {s.phase}"),
    )
    for title, key in keys:
        print(f" by {title}")
        names = [key(step) for step in steps]
        for name in sorted(set(names)):
            line(name, errors[np.array([n == name for n in names])])


def run_tables(runs: Sequence[Run], errors: Array) -> None:
    """Errors of closed-loop runs: TPOT, then mean TTFT."""
    keys: tuple[tuple[str, Callable[[Run], str]], ...] = (
        ("all", lambda _: "all"),
        ("engine", lambda r: r.engine),
        ("device", lambda r: r.hardware.id),
        ("precision", lambda r: r.precision.value),
        ("model class", lambda r: MODEL_CLASS.get(r.model, "mixture")),
        ("engine and pair", lambda r: f"{r.engine} {r.pair} {r.precision.value}"),
    )
    for title, key in keys:
        print(f" by {title}")
        names = [key(run) for run in runs]
        for name in sorted(set(names)):
            chosen = np.array([n == name for n in names])
            line(f"{name} TPOT", errors[chosen, 0])
            line(f"{name} TTFT", errors[chosen, 1])


MODEL_CLASS = {
    **dict.fromkeys(("llama3-8b", "llama3-70b", "qwen3-32b"), "dense"),
    **dict.fromkeys(("deepseek-r1", "kimi-k2.5", "glm-5"), "latent mixture"),
    "qwen3.5-397b-a17b": "linear mixture",
}


def even_selection(fit_: ServerFit, most: int) -> list[int]:
    """At most so many runs of each model, device, precision and engine, evenly chosen."""
    groups: dict[str, list[int]] = defaultdict(list)
    for index in range(len(fit_.table.runs)):
        groups[fit_.group(index)].append(index)
    chosen: list[int] = []
    for members in groups.values():
        step = max(1.0, len(members) / most)
        chosen += [members[int(k * step)] for k in range(min(len(members), most))]
    return sorted(chosen)


def judged(runs: Sequence[Run]) -> list[Run]:
    """At most `JUDGED_RUNS` of each model, device, precision and engine: all of them would take minutes to simulate."""
    groups: dict[str, list[Run]] = defaultdict(list)
    for run in runs:
        groups[f"{run.engine} {run.pair} {run.precision.value}"].append(run)
    return [run for members in groups.values() for run in members[:: math.ceil(len(members) / JUDGED_RUNS)]]


def fit_servers(table: RunTable, architectures: Sequence[str]) -> tuple[ServerFit, list[int]]:
    """Anchor in the simulator, fit, and once more from there."""
    servers = ServerFit(table, architectures)
    chosen = even_selection(servers, RUNS_OF_A_GROUP)
    servers.anchor(chosen)
    servers.theta = servers.fit(chosen, rounds=3)
    servers.anchor(chosen)
    servers.theta = servers.fit(chosen)
    servers.anchor(range(len(table.runs)))
    return servers, chosen


def held_out_runs(servers: ServerFit, chosen: Sequence[int], key: Callable[[Run], str]) -> tuple[Array, Array]:
    """Log errors (TPOT, TTFT) of every run by a fit without its fold, and the coefficients of each fold."""
    runs = servers.table.runs
    folds = [fold_of(key(run)) for run in runs]
    errors, thetas = np.empty((len(runs), 2)), np.zeros((FOLDS, len(servers.theta)))
    for number in range(FOLDS):
        thetas[number] = servers.fit([i for i in chosen if folds[i] != number])
        for index, fold in enumerate(folds):
            if fold == number:
                errors[index] = servers.predicted(index, thetas[number]) - servers.table.observed[index]
    return errors, thetas


def interval_ends(servers: ServerFit, index: int, theta: Array, decode: float, prefill: float) -> Array:
    """Log TPOT and TTFT of one run at both ends of the steps' intervals, as `infc predict` prints them."""
    table, run = servers.table, servers.table.runs[index]
    steps = replace(table.steps(index, servers.local(index, theta)), decode_spread=decode, prefill_spread=prefill)
    ends = []
    for sign in (-1, 1):
        figures = closed_loop_figures(
            slower(steps, sign),
            default_batching(run.hardware),
            table.capacity[index],
            concurrency=run.concurrency,
            prompt_tokens=run.prompt_tokens,
            output_tokens=run.output_tokens,
        )
        ends.append(log_times(figures))
    return np.array(ends)


def covered(ends: Array, observed: Array) -> Array:
    """Whether TPOT and TTFT lie within their intervals: bool[runs, 2]."""
    low, high = ends.min(axis=1), ends.max(axis=1)
    return np.asarray((low <= observed) & (observed <= high))


def spreads(servers: ServerFit, errors: Array, thetas: Array) -> Spread:
    """Widths of steps with which the intervals of nine in ten held-out runs hold what was measured.

    The width for decoding is set by TPOT, that for prefill by TTFT, found by playing runs through the simulator at both
    ends; the coverage that is printed is of the half of the pairs that did not set the widths. Only runs of vLLM set
    them, as it is what plans are about; what they cover of other engines' runs is printed too.
    """
    runs = servers.table.runs
    mixed = sorted(range(len(runs)), key=lambda i: zlib.crc32(f"{runs[i]}".encode()))
    order = [i for i in mixed if runs[i].engine == EMITTED_ENGINE][:COVERED_RUNS]
    others = [i for i in mixed if runs[i].engine != EMITTED_ENGINE][: COVERED_RUNS // 2]
    halves = [[i for i in order if zlib.crc32(runs[i].pair.encode()) // FOLDS % 2 == half] for half in (0, 1)]
    widths = [_widths(servers, half, thetas, errors) for half in halves]
    for half, (decode, prefill) in zip(halves, reversed(widths), strict=True):
        inside = _coverage(servers, half, thetas, decode, prefill)
        print(
            f"  {len(half)} runs with widths of other pairs (x{decode:.2f} decode, x{prefill:.2f} prefill):"
            f" covered TPOT {inside[0]:.0%}, TTFT {inside[1]:.0%}"
        )
    decode, prefill = _widths(servers, order, thetas, errors)
    inside = _coverage(servers, others, thetas, decode, prefill)
    print(f"  {len(others)} runs of other engines: covered TPOT {inside[0]:.0%}, TTFT {inside[1]:.0%}")
    return Spread(decode=round(decode, 3), prefill=round(prefill, 3))


def _widths(servers: ServerFit, indices: Sequence[int], thetas: Array, errors: Array) -> tuple[float, float]:
    runs = servers.table.runs
    pairs = {runs[i].pair for i in indices}
    own = [i for i, run in enumerate(runs) if run.pair in pairs and run.engine == EMITTED_ENGINE]
    decode = half_width(errors[own, 0])
    low, high = 1.0, half_width(errors[indices, 1])
    for _ in range(3):
        prefill = math.sqrt(low * high)
        inside = _coverage(servers, indices, thetas, decode, prefill)
        low, high = (low, prefill) if inside[1] >= COVERAGE else (prefill, high)
    return decode, high


def _coverage(servers: ServerFit, indices: Sequence[int], thetas: Array, decode: float, prefill: float) -> Array:
    runs = servers.table.runs
    ends = np.array([interval_ends(servers, i, thetas[fold_of(runs[i].pair)], decode, prefill) for i in indices])
    return np.asarray(covered(ends, servers.table.observed[list(indices)]).mean(axis=0))


def half_width(errors: Array) -> float:
    """The factor that holds nine of ten errors."""
    return float(np.exp(np.quantile(np.abs(errors), COVERAGE)))


def wider(spread: Spread, errors: Array) -> Spread:
    """A spread for devices whose own kernels were not timed: the errors of kernels left out add to it."""
    return Spread(
        decode=round(math.exp(math.hypot(math.log(spread.decode), math.log(half_width(errors)))), 3),
        prefill=round(math.exp(math.hypot(math.log(spread.prefill), math.log(half_width(errors)))), 3),
    )


def watts_per_flops(devices: Sequence[Hardware]) -> float:
    """The least power per 16-bit FLOP/s among timed devices: they hold their clocks."""
    return float(f"{min((d.tdp_w or 0.0) / d.peak_flops[Precision.FP16] for d in devices):.4g}")


def encoded(kernels: KernelCoefficients) -> dict[str, object]:
    """Coefficients as the file has them."""
    return {
        name: {p.value: share for p, share in value.items()} if isinstance(value, dict) else value
        for name, value in asdict(kernels).items()
    }


def assumed(pooled: KernelCoefficients, factors: Mapping[str, float]) -> KernelCoefficients:
    """Pooled coefficients with the factors of an architecture that was never timed."""
    scales = {"": dict(factors)}
    return EngineCoefficients(step_s=0.0, sequence_s=0.0, request_s=0.0, scales=scales).scaled(pooled, "")


def file_text(
    kernels: KernelFit,
    steps: Sequence[Step],
    servers: Mapping[Engine, EngineCoefficients],
    spread: Mapping[str, Spread],
) -> str:
    """The whole of coefficients.json."""
    timed = {step.hardware.id: step.hardware for step in steps}
    by_architecture: dict[str, list[Hardware]] = defaultdict(list)
    for hardware in timed.values():
        by_architecture[hardware.architecture].append(hardware)
    pooled = coefficients_of(kernels.pooled, 0.0)
    architectures = {"": pooled} | {name: assumed(pooled, factors) for name, factors in ASSUMED.items()}
    for name, members in by_architecture.items():
        architectures[name] = coefficients_of(kernels.architecture(name), watts_per_flops(members))
    document = {
        "source": "benchmarks/fit_llm.py",
        "architectures": {name: encoded(value) for name, value in sorted(architectures.items())},
        "devices": {
            name: encoded(coefficients_of(kernels.of(hardware), 0.0)) for name, hardware in sorted(timed.items())
        },
        "engines": {name: asdict(value) for name, value in servers.items()},
        "spread": {name: asdict(value) for name, value in spread.items()},
        "assumed": sorted(ASSUMED),
    }
    return json.dumps(document, indent=1) + "\n"


def check_against_model(steps: Sequence[Step], models: Mapping[str, LlmProfile], kernels: KernelFit) -> None:
    """The formulas here and `infc.perf.llm.step_time` agree on the tabled shapes, to the rounding of the file."""
    for step in steps[::97]:
        theta = kernels.of(step.hardware)
        model = models[step.model]
        place = place_of(model, step.hardware, step.precision, tensor_parallel=step.tensor_parallel)
        work = llm_work(model, step.tensor_parallel)
        form = analytic_step_time(work, place, coefficients_of(theta, 0.0), TABLES)
        is_decode = step.phase == "decode"
        tokens = step.sequences * step.tokens
        if is_decode:
            seconds = step_s(form, decode_seqs=step.sequences, context_tokens=tokens)
        else:
            seconds = step_s(form, prefill_tokens=tokens, prefill_seqs=step.sequences)
        expected = float(StepTable([step], models).parts(theta).sum())
        assert abs(math.log(seconds / expected)) < CHECKED_WITHIN, (step, seconds, expected)


def main() -> None:
    """Fit, validate, print, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dry-run", action="store_true", help="print only, do not write coefficients.json")
    arguments = parser.parse_args()
    devices = {hardware.id: hardware for hardware in load_catalogue(None).all()}
    models = {folder.name: profile for folder in sorted(CONFIGS.iterdir()) if (profile := llm_profile(folder)[0])}
    steps = read_steps(devices, models)
    kernels = KernelFit(steps, models)
    check_against_model(steps, models, kernels)
    print(f"kernels: {len(steps)} steps of {len({s.pair for s in steps})} (model, hardware) pairs; pairs held out")
    step_tables(steps, held_out_steps(steps, models, lambda step: step.pair))
    seen, unseen = (device_out_steps(steps, models, is_seen=is_seen) for is_seen in (True, False))
    print(" devices held out")
    line("another device of the architecture known", seen)
    line("no device of the architecture known", unseen)

    runs = [run for run in read_runs(devices) if is_possible(run, models[run.model])]
    timed = {run.hardware.id: run.hardware for run in runs}
    runs = judged(runs)
    table = RunTable(runs, models, {name: coefficients_of(kernels.of(h), 0.0) for name, h in timed.items()})
    architectures = sorted({run.hardware.architecture for run in runs})
    servers, chosen = fit_servers(table, architectures)
    errors, thetas = held_out_runs(servers, chosen, lambda run: run.pair)
    print(f"servers: {len(runs)} runs of {len({r.pair for r in runs})} pairs, {len(chosen)} fitted; pairs held out")
    run_tables(runs, errors)
    print(" fitted on all (not held out)")
    fitted = np.array([servers.predicted(i, servers.theta) for i in range(len(runs))]) - table.observed
    line("TPOT", fitted[:, 0])
    line("TTFT", fitted[:, 1])
    print(" 90% intervals")
    tabled = spreads(servers, errors, thetas)
    spread = {"tabled": tabled, "seen": wider(tabled, seen), "unseen": wider(tabled, unseen)}
    print("  " + ", ".join(f"{name} x{s.decode:.2f} decode x{s.prefill:.2f} prefill" for name, s in spread.items()))
    engines = servers.engines(servers.theta)
    for name, engine in engines.items():
        print(
            f" {name}: {engine.step_s * 1e3:.2f} ms a step, {engine.sequence_s * 1e6:.1f} us a sequence, "
            f"{engine.request_s * 1e3:.0f} ms a request"
        )
        for architecture, scales in engine.scales.items():
            print(f"  {architecture or 'other'}: " + ", ".join(f"{n} {v:.2f}" for n, v in scales.items()))
    if not arguments.dry_run:
        PATH.write_text(file_text(kernels, steps, engines, spread), encoding="utf-8")


if __name__ == "__main__":
    main()
