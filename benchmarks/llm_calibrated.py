"""Predicted against measured on a real vLLM server of this machine, after `infc calibrate`.

A model is calibrated as `infc calibrate` does it. Its server is then started from what `infc compile` emits, and put
under open-loop load at rates and lengths that the calibration did not see. The predictions are the plan's own: its step
times (basis: measured), its settings, its simulator. Each row is measured in several windows, each with other requests,
and the median of the windows is held against the median of the simulations of the same requests.

Server, load generator and this program share the machine: on two cores the worker has one, all else the other. A window
in which the server waited for a core that something else used says little; its share of the time is printed.

    INFC_VLLM=.../bin/vllm .venv/bin/python benchmarks/llm_calibrated.py

Under six minutes for the tiny Llama of specs/; `--model mid` takes one of 33 million random parameters.
"""

import argparse
import json
import os
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np

from infc.diag import Diagnostic
from infc.ir.arrival import PoissonArrival
from infc.ir.candidate import ContinuousBatching
from infc.ir.llm_measurement import TokenMetric
from infc.ir.plan import Plan
from infc.ir.problem import AxisDistribution, TokenTraffic
from infc.ir.step_time import StepTimeModel
from infc.perf.llm import step_time
from infc.pipeline.calibrate_llm import (
    CalibrationSetup,
    LlmCalibrationQuestion,
    calibrate_llm,
    calibration_setup,
    planned_bundle,
)
from infc.pipeline.plan import profile_store
from infc.report.diagnostics_text import render_diagnostics
from infc.report.step_time import render_steps_text
from infc.serve.run_queue import NOISY_SHARE, wait_share
from infc.sim.continuous_batching import TokenRequests, TokenResult, simulate
from infc.sim.token_traffic import draw_token_requests
from infc.spec import LoadedSpec, load_spec
from infc.validate.llm.calibrated_server import CalibratedServer, started_server
from infc.validate.llm.load import LlmLoadSettings, LlmSubject, run_llm_load
from infc.validate.realtime import GENERATOR_PRIORITY, can_be_realtime

ROOT = Path(__file__).parent.parent
RESULTS = Path(__file__).parent / "results" / "llm_calibrated.md"
Key: TypeAlias = tuple[TokenMetric, str]
GOALS: dict[Key, float] = {("tpot", "p50"): 0.10, ("tpot", "p99"): 0.10, ("ttft", "p99"): 0.20}
SHOWN: tuple[Key, ...] = (("tpot", "p50"), ("tpot", "p99"), ("ttft", "p50"), ("ttft", "p99"))
BLOCK_TOKENS = 128
"""A KV block of vLLM on a CPU."""
WARM_UP_S = 2.0
MID_SPEC = """
apiVersion: infc.dev/v1
kind: InferenceSpec
metadata: {name: mid-llama, owner: benchmark}
model: {checkpoint: model}
slo: {ttft: {p99: 5s}, tpot: {p99: 500ms}}
workload:
  arrival: poisson
  rate: 1/s
  prompt_tokens: {p50: 64, p90: 160, max: 256}
  output_tokens: {p50: 32, p90: 64, max: 96}
constraints: {hardware: [cpu]}
deploy: {server: vllm}
"""
MID_CONFIG = {
    "architectures": ["LlamaForCausalLM"],
    "model_type": "llama",
    "hidden_size": 512,
    "num_hidden_layers": 8,
    "num_attention_heads": 8,
    "num_key_value_heads": 4,
    "head_dim": 64,
    "intermediate_size": 1408,
    "vocab_size": 8192,
    "max_position_embeddings": 2048,
    "rms_norm_eps": 1e-5,
    "hidden_act": "silu",
    "bos_token_id": 0,
    "eos_token_id": 1,
    "tie_word_embeddings": True,
    "torch_dtype": "bfloat16",
}


@dataclass(frozen=True, kw_only=True)
class Row:
    """Traffic that is measured: a share of what the plan says one replica sustains, and lengths."""

    label: str
    share: float
    prompt: AxisDistribution | None = None
    output: AxisDistribution | None = None


def fixed(tokens: int) -> AxisDistribution:
    """The same length for all."""
    return AxisDistribution(percentiles={}, maximum=tokens)


ROWS = (
    Row(label="the spec's lengths", share=0.3),
    Row(label="the spec's lengths", share=0.5),
    Row(label="the spec's lengths", share=0.7),
    Row(label="the spec's lengths", share=0.85),
    Row(label="prompts of 200, outputs of 20", share=0.5, prompt=fixed(200), output=fixed(20)),
    Row(label="prompts of 24, outputs of 80", share=0.6, prompt=fixed(24), output=fixed(80)),
)


@dataclass(frozen=True, kw_only=True)
class Measured:
    """A row: its rate, and medians over its windows in seconds, measured and predicted, by metric and percentile."""

    row: Row
    rate_rps: float
    measured: dict[Key, float]
    predicted: dict[Key, float]
    requests: int
    wait: float

    def error(self, key: Key) -> float:
        """Predicted over measured, minus one."""
        return self.predicted[key] / self.measured[key] - 1.0


def main() -> int:
    """Calibrate, load, compare; exit 1 when a goal is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", choices=["tiny", "mid"], default="tiny")
    parser.add_argument("--calibrate-s", type=float, default=45.0, help="time of the calibration")
    parser.add_argument("--windows", type=int, default=3)
    parser.add_argument("--window-s", type=float, default=9.0)
    parser.add_argument("--only", type=int, help="the number of one row; writes no file")
    options = parser.parse_args()
    start_s, cores = time.monotonic(), os.sched_getaffinity(0)
    with tempfile.TemporaryDirectory() as folder:
        loaded = workspace(Path(folder), options.model)
        question = LlmCalibrationQuestion(loaded=loaded, hardware="cpu", budget_s=options.calibrate_s)
        calibrated = calibrate_llm(question, say, on_start=pin)
        if calibrated.comparison is None or calibrated.path is None:
            raise SystemExit(problems_text(calibrated.diagnostics))
        say(problems_text(calibrated.diagnostics))
        table = render_steps_text(calibrated.comparison, calibrated.path)
        say(table)
        setup, problems = calibration_setup(question)
        if setup is None:
            raise SystemExit(problems_text(problems))
        served, problems = planned_bundle(question, setup, say)
        if served is None:
            raise SystemExit(problems_text(problems))
        rows = [ROWS[options.only]] if options.only is not None else list(ROWS)
        bench = Bench(setup=setup, steps=steps_of(loaded, setup), windows=options.windows, window_s=options.window_s)
        os.sched_setaffinity(0, cores)  # or the next server would have the load generator's cores only
        with started_server(*served, {}) as server:
            pin(server)
            measured = bench.run(server, rows)
    text = render(measured, setup.plan, table, time.monotonic() - start_s)
    print(text)
    if options.only is None and options.model == "tiny":
        RESULTS.write_text(text + "\n", encoding="utf-8")
    return 0 if all(is_met(measured, key) for key in GOALS) else 1


def workspace(folder: Path, model: str) -> LoadedSpec:
    """A workspace of its own with the spec, so that nothing of this checkout changes."""
    (folder / ".git").mkdir()
    if model == "tiny":
        shutil.copytree(ROOT / "specs" / "tiny-llama", folder / "tiny-llama")
        return load_spec(folder / "tiny-llama" / "tiny-llama.infc.yaml")
    (folder / "mid" / "model").mkdir(parents=True)
    (folder / "mid" / "model" / "config.json").write_text(json.dumps(MID_CONFIG), encoding="utf-8")
    (folder / "mid" / "mid-llama.infc.yaml").write_text(MID_SPEC, encoding="utf-8")
    return load_spec(folder / "mid" / "mid-llama.infc.yaml")


def pin(server: CalibratedServer) -> None:
    """Leave the worker alone on the core where vLLM put it: all else goes to the others, this program's load included.

    A machine of one core is left as it is.
    """
    everything = sorted(os.sched_getaffinity(0))
    workers = [process for process in server.processes if "Worker" in name_of(process)]
    taken = {core for worker in workers for core in worker_cores(worker)}
    others = set(everything) - taken
    if not workers or not others or len(taken) == len(everything):
        taken, others = {everything[0]}, set(everything[1:])
    if not others:
        return
    for process in server.processes:
        for thread in Path(f"/proc/{process}/task").iterdir():
            try:
                os.sched_setaffinity(int(thread.name), taken if process in workers else others)
            except OSError:
                continue
    os.sched_setaffinity(0, others)


def name_of(process: int) -> str:
    """What a process calls itself."""
    try:
        return Path(f"/proc/{process}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except OSError:
        return ""


def worker_cores(process: int) -> set[int]:
    """The cores that a worker keeps its busy threads on: the narrowest set of any of its threads."""
    found = [os.sched_getaffinity(int(thread.name)) for thread in Path(f"/proc/{process}/task").iterdir()]
    return min(found, key=lambda cores: len(cores))


def steps_of(loaded: LoadedSpec, setup: CalibrationSetup) -> StepTimeModel:
    """What the plan now knows of the server's steps."""
    candidate = setup.plan.candidate
    steps = step_time(
        setup.problem.model,
        setup.hardware,
        candidate.precision,
        tensor_parallel=candidate.tensor_parallel,
        measurements=profile_store(loaded.workspace).step_times(setup.problem.model.digest),
    )
    assert isinstance(steps, StepTimeModel)
    return steps


@dataclass(frozen=True, kw_only=True)
class Bench:
    """Puts a running server under the load of each row."""

    setup: CalibrationSetup
    steps: StepTimeModel
    windows: int
    window_s: float

    def run(self, server: CalibratedServer, rows: Sequence[Row]) -> list[Measured]:
        """All rows; the first load only warms the server up."""
        estimate = self.setup.plan.estimate
        sustained_rps = estimate.throughput_rps.value / self.setup.plan.candidate.replicas
        self.window(server, rows[0], 0.5 * sustained_rps, seed=999)
        found = []
        for number, row in enumerate(rows):
            rate = row.share * self.sustained_rps(row, sustained_rps)
            windows = [self.window(server, row, rate, seed=100 * number + each) for each in range(self.windows)]
            quiet = [each for each in windows if each.wait <= NOISY_SHARE] or windows
            measured = Measured(
                row=row,
                rate_rps=rate,
                measured={key: statistics.median(each.measured[key] for each in quiet) for key in SHOWN},
                predicted={key: statistics.median(each.predicted[key] for each in quiet) for key in SHOWN},
                requests=sum(each.requests for each in quiet),
                wait=statistics.median(each.wait for each in quiet),
            )
            say(row_text(measured))
            found.append(measured)
        return found

    def sustained_rps(self, row: Row, planned_rps: float) -> float:
        """What the simulator says one replica sustains of other lengths: the rate at which it answers a flood."""
        if row.prompt is None:
            return planned_rps
        flood = draw_token_requests(PoissonArrival(), self.tokens(row), 1e4, 400, 7)
        result = simulated(flood, self.setup.plan, self.steps, self.kv_tokens)
        return len(flood) / float((flood.arrivals_s + result.e2e_s).max())

    def window(self, server: CalibratedServer, row: Row, rate_rps: float, seed: int) -> Measured:
        """One load test, and the simulation of the same requests."""
        count = int(rate_rps * (self.window_s + WARM_UP_S) * 2) + 100
        requests = draw_token_requests(PoissonArrival(), self.tokens(row), rate_rps, count, seed)
        subject = LlmSubject(
            name=self.setup.problem.name,
            target="cpu",
            url=server.endpoint.url,
            model=server.model,
            vocabulary=self.setup.problem.model.vocabulary,
        )
        settings = LlmLoadSettings(
            budget_s=self.window_s + WARM_UP_S,
            min_warmup_s=WARM_UP_S,
            min_measured_s=self.window_s,
            rate_rps=rate_rps,
            is_detokenized=server.has_tokenizer,
            realtime_priority=GENERATOR_PRIORITY if can_be_realtime() else None,
        )
        with wait_share(server.processes) as share:
            measurement = run_llm_load(subject, requests, settings)
        result = simulated(requests, self.setup.plan, self.steps, self.kv_tokens)
        begun_s, ended_s = measurement.warmup_s, measurement.warmup_s + measurement.duration_s
        arrivals_s = requests.arrivals_s - requests.arrivals_s[0]
        inside = (arrivals_s >= begun_s) & (arrivals_s < ended_s)
        seconds = {"ttft": result.ttft_s[inside], "tpot": result.tpot_s[inside]}
        return Measured(
            row=row,
            rate_rps=rate_rps,
            measured={key: measurement.percentiles_s[key[0]][key[1]].value for key in SHOWN},
            predicted={
                (metric, label): float(np.nanpercentile(seconds[metric], float(label[1:]))) for metric, label in SHOWN
            },
            requests=measurement.requests,
            wait=share.value,
        )

    def tokens(self, row: Row) -> TokenTraffic:
        """The lengths of a row."""
        own = self.setup.problem.tokens
        return TokenTraffic(
            prompt=row.prompt or own.prompt, output=row.output or own.output, shared_prefix=own.shared_prefix
        )

    @property
    def kv_tokens(self) -> int:
        """Tokens that the server caches."""
        tokens = self.setup.plan.estimate.tokens
        assert tokens is not None
        return tokens.kv_cache_tokens


def simulated(requests: TokenRequests, plan: Plan, steps: StepTimeModel, kv_tokens: int) -> TokenResult:
    """The plan's simulator, as it is used for a CPU: the scheduler waits for each step."""
    batching = plan.candidate.batching
    assert isinstance(batching, ContinuousBatching)
    return simulate(requests, steps, batching, kv_tokens, block_tokens=BLOCK_TOKENS, has_async_scheduling=False)


def is_met(rows: Sequence[Measured], key: Key) -> bool:
    """Whether the median absolute error over the rows keeps its goal."""
    return median_error(rows, key) <= GOALS[key]


def median_error(rows: Sequence[Measured], key: Key) -> float:
    """Median over the rows of the absolute error."""
    return statistics.median(abs(row.error(key)) for row in rows)


def render(rows: Sequence[Measured], plan: Plan, table: str, seconds: float) -> str:
    """The report."""
    lines = [
        "# Predicted against measured: a calibrated vLLM server on a CPU",
        "",
        f"Plan: {plan.candidate.label}, {plan.estimate.basis.value}. Load average at the end "
        f"{os.getloadavg()[0]:.1f} on {os.cpu_count()} cores; {seconds:.0f} s in all.",
        "",
        "Milliseconds, predicted / measured (error): the median of the windows. `wait` is the share of the time in "
        f"which a process of the server was ready and had no core; above {NOISY_SHARE:.0%} a row says little.",
        "",
        "| traffic | of capacity | requests | TPOT p50 | TPOT p99 | TTFT p50 | TTFT p99 | wait |",
        "|---|---|---|---|---|---|---|---|",
        *map(row_text, rows),
        "",
        "| median absolute error | all rows | worst row | goal | met |",
        "|---|---|---|---|---|",
    ]
    for key in SHOWN:
        goal = GOALS.get(key)
        worst = max(abs(row.error(key)) for row in rows)
        met = "" if goal is None else ("yes" if is_met(rows, key) else "no")
        name = f"{key[0].upper()} {key[1]}"
        told = "" if goal is None else f"{goal:.0%}"
        lines.append(f"| {name} | {median_error(rows, key):.1%} | {worst:.1%} | {told} | {met} |")
    noisy = sum(row.wait > NOISY_SHARE for row in rows)
    if noisy:
        lines += ["", f"{noisy} of {len(rows)} rows were disturbed by other programs: run it again on a quiet machine."]
    return "\n".join([*lines, "", "The calibration:", "", "```text", table, "```"])


def row_text(row: Measured) -> str:
    """One line of the table."""
    cells = [f"{row.predicted[key] * 1e3:.1f} / {row.measured[key] * 1e3:.1f} ({row.error(key):+.1%})" for key in SHOWN]
    parts = [f"{row.row.label}, {row.rate_rps:.2g}/s", f"{row.row.share:.0%}", str(row.requests), *cells]
    return "| " + " | ".join([*parts, f"{row.wait:.0%}"]) + " |"


def problems_text(problems: Sequence[Diagnostic]) -> str:
    """Diagnostics as a user sees them."""
    return "\n\n".join(render_diagnostics((each,)) for each in problems)


def say(line: str) -> None:
    """Progress."""
    if line:
        print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
