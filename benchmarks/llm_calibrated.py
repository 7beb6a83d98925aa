"""Predicted against measured on a real vLLM server of this machine, after `infc calibrate`.

A model's server is started twice: as `infc calibrate` does it, and from what `infc compile` emits. The first is
measured by the bursts of a calibration, the second is put under open-loop load at rates and lengths that no burst has.
The two take turns, every few seconds: processors that others share go now faster, now slower, by a quarter and more
within minutes, and a calibration that is over before the load begins measures another machine than the load does. The
predictions are the plan's own: step times of all slices of the calibration together, its settings, its simulator. Each
row is measured in several windows, far apart, each with other requests; the median of the windows is held against the
median of the simulations of the same requests.

Servers, load generator and this program share the machine: on two cores the workers have one, all else the other. A
window in which other programs had the cores says little; their share is printed.

    INFC_VLLM=.../bin/vllm .venv/bin/python benchmarks/llm_calibrated.py

Eight minutes for the tiny Llama of specs/; `--model mid` takes one of 33 million random parameters.
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
from dataclasses import dataclass, replace
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
from infc.perf.llm.measured import measured_step_time
from infc.perf.llm.step_fit import fit
from infc.pipeline.calibrate_llm import (
    HEADROOM,
    CalibrationSetup,
    LlmCalibrationQuestion,
    calibrated_settings,
    calibration_setup,
    limits_of,
    planned_bundle,
    profile_from,
)
from infc.report.diagnostics_text import render_diagnostics
from infc.report.step_time import render_steps_text
from infc.serve.other_work import NOISY_SHARE, others_share
from infc.sim.continuous_batching import TokenRequests, TokenResult, simulate
from infc.sim.continuous_batching.pace import PACES, paces
from infc.sim.token_traffic import draw_token_requests
from infc.spec import LoadedSpec, load_spec
from infc.validate.llm.burst import BurstClient
from infc.validate.llm.calibrate import StepMeasurement
from infc.validate.llm.calibrated_server import CalibratedServer, started_server
from infc.validate.llm.load import LlmLoadSettings, LlmSubject, run_llm_load
from infc.validate.llm.load.prompts import PromptSource
from infc.validate.llm.step_comparison import compare_steps
from infc.validate.realtime import GENERATOR_PRIORITY, can_be_realtime
from infc.validate.service_time import processor_name

ROOT = Path(__file__).parent.parent
RESULTS = Path(__file__).parent / "results" / "llm_calibrated.md"
Key: TypeAlias = tuple[TokenMetric, str]
GOALS: dict[Key, float] = {("tpot", "p50"): 0.10, ("tpot", "p99"): 0.10, ("ttft", "p99"): 0.20}
SHOWN: tuple[Key, ...] = (("tpot", "p50"), ("tpot", "p99"), ("ttft", "p50"), ("ttft", "p99"))
BLOCK_TOKENS = 128
"""A KV block of vLLM on a CPU."""
WARM_UP_S = 2.0
SPINNING_S = 1.2
"""For so long the processes of vLLM go on spinning after the last request."""
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
class Window:
    """One load test: its requests, when it measured them, and percentiles in seconds by metric and percentile."""

    requests: TokenRequests
    begun_s: float
    ended_s: float
    measured: dict[Key, float]
    count: int
    others: float

    def predicted(self, plan: Plan, models: Sequence[StepTimeModel], kv_tokens: int) -> dict[Key, float]:
        """The same percentiles of the same requests, simulated at each pace and taken together."""
        results = [simulated(self.requests, plan, steps, kv_tokens) for steps in models]
        arrivals_s = self.requests.arrivals_s - self.requests.arrivals_s[0]
        inside = (arrivals_s >= self.begun_s) & (arrivals_s < self.ended_s)
        seconds = {
            "ttft": np.concatenate([result.ttft_s[inside] for result in results]),
            "tpot": np.concatenate([result.tpot_s[inside] for result in results]),
        }
        return {(metric, label): float(np.nanpercentile(seconds[metric], float(label[1:]))) for metric, label in SHOWN}


@dataclass(frozen=True, kw_only=True)
class Measured:
    """A row: its rate, and medians over its windows in seconds, measured and predicted, by metric and percentile.

    `predicted` is over the paces that the calibration met, as a plan is made; `at_mean` at their mean alone.
    """

    row: Row
    rate_rps: float
    measured: dict[Key, float]
    predicted: dict[Key, float]
    at_mean: dict[Key, float]
    requests: int
    others: float

    def error(self, key: Key) -> float:
        """Predicted over measured, minus one."""
        return self.predicted[key] / self.measured[key] - 1.0

    def error_at_mean(self, key: Key) -> float:
        """The same of the prediction at the machine's mean pace."""
        return self.at_mean[key] / self.measured[key] - 1.0


def main() -> int:
    """Calibrate and load in turns, compare; exit 1 when a goal is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", choices=["tiny", "mid"], default="tiny")
    parser.add_argument("--slice-s", type=float, default=3.5, help="time of the calibration between two windows")
    parser.add_argument("--windows", type=int, default=3)
    parser.add_argument("--window-s", type=float, default=7.0)
    parser.add_argument("--budget-s", type=float, default=440.0, help="no window begins later")
    parser.add_argument("--only", type=int, help="the number of one row; writes no file")
    options = parser.parse_args()
    start_s = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        loaded = workspace(Path(folder), options.model)
        question = LlmCalibrationQuestion(loaded=loaded, hardware="cpu")
        setup, problems = calibration_setup(question)
        if setup is None:
            raise SystemExit(problems_text(problems))
        served, problems = planned_bundle(question, setup, say)
        if served is None:
            raise SystemExit(problems_text(problems))
        rows = [ROWS[options.only]] if options.only is not None else list(ROWS)
        say("starting two servers")
        with (
            started_server(*served, calibrated_settings(setup)) as measured,
            started_server(*served, {}) as loaded_server,
        ):
            pin((measured, loaded_server))
            with BurstClient(measured.endpoint, prompts(setup, measured)) as client:
                limits = replace(
                    limits_of(setup.problem, setup.plan, measured),
                    max_num_seqs=HEADROOM * setup.batching.max_num_seqs,
                )
                calibration = StepMeasurement(client, measured.log, limits, quiet, processes=measured.processes)
                bench = Bench(
                    setup=setup,
                    calibration=calibration,
                    server=loaded_server,
                    processes=(*measured.processes, *loaded_server.processes),
                    settings=options,
                    end_s=start_s + options.budget_s,
                )
                windows = bench.run(rows)
        profile = profile_from(
            calibration.result(), setup.problem, setup.plan, environment={"device": processor_name()}
        )
    fitted = fit(profile.points)
    steps = measured_step_time(fitted.model, [profile])
    found = [
        joined(row, rate_rps, each, setup.plan, steps) for row, (rate_rps, each) in zip(rows, windows, strict=True)
    ]
    table = render_steps_text(compare_steps(profile, fitted, None, "two servers in turns"), Path("nowhere") / "stored")
    text = render(found, setup.plan, table.rsplit("\n", 2)[0], time.monotonic() - start_s)
    print(text)
    if options.only is None and options.model == "tiny":
        RESULTS.write_text(text + "\n", encoding="utf-8")
    return 0 if all(is_met(found, key) for key in GOALS) else 1


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


def pin(servers: Sequence[CalibratedServer]) -> None:
    """Leave the workers alone on the core where vLLM put them: all else goes to the others, this program included.

    A machine of one core is left as it is.
    """
    everything = sorted(os.sched_getaffinity(0))
    processes = [process for server in servers for process in server.processes]
    workers = [process for process in processes if "Worker" in name_of(process)]
    taken = {core for worker in workers for core in worker_cores(worker)}
    others = set(everything) - taken
    if not workers or not others or len(taken) == len(everything):
        taken, others = {everything[0]}, set(everything[1:])
    if not others:
        return
    for process in processes:
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


def prompts(setup: CalibrationSetup, server: CalibratedServer) -> PromptSource:
    """Random prompts for the server."""
    return PromptSource(
        model=server.model,
        vocabulary=setup.problem.model.vocabulary,
        run=0,
        longest_prefix=0,
        is_detokenized=server.has_tokenizer,
    )


@dataclass(frozen=True, kw_only=True)
class Bench:
    """Measures one server by slices of a calibration, and puts another under the load of each row, in turns."""

    setup: CalibrationSetup
    calibration: StepMeasurement
    server: CalibratedServer
    processes: tuple[int, ...]
    settings: argparse.Namespace
    end_s: float

    def run(self, rows: Sequence[Row]) -> list[tuple[float, list[Window]]]:
        """The rate and the windows of each row. Before the first, every burst is sent once and the server warmed up."""
        self.measure(self.calibration.warm_up(60.0))
        self.measure(self.calibration.go_on(0.0))
        first = profile_from(self.calibration.result(), self.setup.problem, self.setup.plan, environment={})
        steps = measured_step_time(fit(first.points).model, [first])
        rates = [row.share * self.sustained_rps(row, steps) for row in rows]
        self.window(rows[0], rates[0], seed=999, seconds=2.0)
        found: list[tuple[float, list[Window]]] = [(rate, []) for rate in rates]
        for turn in range(self.settings.windows):
            for number, row in enumerate(rows):
                if turn and time.monotonic() > self.end_s:
                    return found
                time.sleep(SPINNING_S)
                self.measure(self.calibration.go_on(self.settings.slice_s))
                window = self.window(row, rates[number], 100 * number + turn, self.settings.window_s)
                found[number][1].append(window)
                percentiles = ", ".join(f"{a} {b} {window.measured[a, b] * 1e3:.1f} ms" for a, b in SHOWN)
                say(f"{row.label}, {rates[number]:.2g}/s: {percentiles}")
        return found

    def measure(self, problem: Diagnostic | None) -> None:
        """Give up where the calibration does."""
        if problem is not None:
            raise SystemExit(problems_text((problem,)))

    def sustained_rps(self, row: Row, steps: StepTimeModel) -> float:
        """What the simulator says one replica sustains: the rate at which it answers a flood."""
        flood = draw_token_requests(PoissonArrival(), self.tokens(row), 1e4, 400, 7)
        result = simulated(flood, self.setup.plan, steps, kv_tokens(self.setup.plan))
        return len(flood) / float((flood.arrivals_s + result.e2e_s).max())

    def window(self, row: Row, rate_rps: float, seed: int, seconds: float) -> Window:
        """One load test."""
        server, problem = self.server, self.setup.problem
        count = int(rate_rps * (seconds + WARM_UP_S) * 2) + 100
        requests = draw_token_requests(PoissonArrival(), self.tokens(row), rate_rps, count, seed)
        subject = LlmSubject(
            name=problem.name,
            target="cpu",
            url=server.endpoint.url,
            model=server.model,
            vocabulary=problem.model.vocabulary,
        )
        settings = LlmLoadSettings(
            budget_s=seconds + WARM_UP_S,
            min_warmup_s=WARM_UP_S,
            min_measured_s=seconds,
            rate_rps=rate_rps,
            is_detokenized=server.has_tokenizer,
            realtime_priority=GENERATOR_PRIORITY if can_be_realtime() else None,
        )
        with others_share(self.processes) as share:
            measurement = run_llm_load(subject, requests, settings)
        return Window(
            requests=requests,
            begun_s=measurement.warmup_s,
            ended_s=measurement.warmup_s + measurement.duration_s,
            measured={key: measurement.percentiles_s[key[0]][key[1]].value for key in SHOWN},
            count=measurement.requests,
            others=share.value,
        )

    def tokens(self, row: Row) -> TokenTraffic:
        """The lengths of a row."""
        own = self.setup.problem.tokens
        return TokenTraffic(
            prompt=row.prompt or own.prompt, output=row.output or own.output, shared_prefix=own.shared_prefix
        )


def joined(row: Row, rate_rps: float, windows: Sequence[Window], plan: Plan, steps: StepTimeModel) -> Measured:
    """The windows of a row, those beside other work left out where there are others."""
    undisturbed = [each for each in windows if each.others <= NOISY_SHARE] or windows
    predicted = [each.predicted(plan, at_paces(steps), kv_tokens(plan)) for each in undisturbed]
    at_mean = [each.predicted(plan, (steps,), kv_tokens(plan)) for each in undisturbed]
    return Measured(
        row=row,
        rate_rps=rate_rps,
        measured={key: statistics.median(each.measured[key] for each in undisturbed) for key in SHOWN},
        predicted={key: statistics.median(each[key] for each in predicted) for key in SHOWN},
        at_mean={key: statistics.median(each[key] for each in at_mean) for key in SHOWN},
        requests=sum(each.count for each in undisturbed),
        others=statistics.median(each.others for each in undisturbed),
    )


def at_paces(steps: StepTimeModel) -> tuple[StepTimeModel, ...]:
    """The server at each of the paces that the plan's simulator has it at."""
    return tuple(
        replace(
            steps,
            token_s=tuple(factor * each for each in steps.token_s),
            sequence_s=factor * steps.sequence_s,
            context_s=factor * steps.context_s,
            pair_s=factor * steps.pair_s,
            fixed_s=factor * steps.fixed_s,
            request_s=factor * steps.request_s,
        )
        for factor in paces(steps.pace_spread)
    )


def kv_tokens(plan: Plan) -> int:
    """Tokens that the server caches."""
    tokens = plan.estimate.tokens
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
        f"Plan: {plan.candidate.label}. Load average at the end {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores; "
        f"{seconds:.0f} s in all. Calibration and load took turns, every few seconds.",
        "",
        "Milliseconds, predicted / measured (error): the median of the windows. `others` is the share of the cores "
        f"that other programs and other machines of the host had; above {NOISY_SHARE:.0%} a row says little.",
        "",
        "| traffic | of capacity | requests | TPOT p50 | TPOT p99 | TTFT p50 | TTFT p99 | others |",
        "|---|---|---|---|---|---|---|---|",
        *map(row_text, rows),
        "",
        f"Predicted, as by a plan, over {PACES} paces that lie as far apart as those that the calibration met; `at mean"
        " pace` is without that.",
        "",
        "| median absolute error | all rows | worst row | goal | met | at mean pace |",
        "|---|---|---|---|---|---|",
    ]
    for key in SHOWN:
        goal = GOALS.get(key)
        worst = max(abs(row.error(key)) for row in rows)
        met = "" if goal is None else ("yes" if is_met(rows, key) else "no")
        name = f"{key[0].upper()} {key[1]}"
        told = "" if goal is None else f"{goal:.0%}"
        plain = statistics.median(abs(row.error_at_mean(key)) for row in rows)
        lines.append(f"| {name} | {median_error(rows, key):.1%} | {worst:.1%} | {told} | {met} | {plain:.1%} |")
    noisy = sum(row.others > NOISY_SHARE for row in rows)
    if noisy:
        lines += ["", f"{noisy} of {len(rows)} rows were disturbed by other programs: run it again on a quiet machine."]
    return "\n".join([*lines, "", "The calibration:", "", "```text", table, "```"])


def row_text(row: Measured) -> str:
    """One line of the table."""
    cells = [f"{row.predicted[key] * 1e3:.1f} / {row.measured[key] * 1e3:.1f} ({row.error(key):+.1%})" for key in SHOWN]
    parts = [f"{row.row.label}, {row.rate_rps:.2g}/s", f"{row.row.share:.0%}", str(row.requests), *cells]
    return "| " + " | ".join([*parts, f"{row.others:.0%}"]) + " |"


def problems_text(problems: Sequence[Diagnostic]) -> str:
    """Diagnostics as a user sees them."""
    return "\n\n".join(render_diagnostics((each,)) for each in problems)


def quiet(line: str) -> None:
    """Progress that nobody needs."""


def say(line: str) -> None:
    """Progress."""
    if line:
        print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
