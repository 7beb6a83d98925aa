"""The simulated scheduler against a real `vllm serve` (0.32, on a CPU), setting by setting.

*Paced*: the whole server is real but for the model: its worker answers each step after the time that a GPU-like
step-time model says. Any GPU's step times can be played so, and a busy machine disturbs little.
*Real*: a small Llama with random weights is computed on one core.

In both, a probe of a minute measures step times as anybody can (the server's own log of its steps) and what comes on
top of a step and a request. A model is fitted to it, and nothing else is known of the settings but their traffic:
requests are simulated at the times at which they were sent.

Needs an environment with vLLM 0.32 (`--vllm-env`), which this project does not install. About 15 minutes, paced.
"""

import argparse
import json
import os
import statistics
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import numpy as np

from infc.ir.candidate import ContinuousBatching
from infc.ir.step_time import StepTimeModel
from infc.sim.arrivals import arrival_times_s
from infc.sim.continuous_batching import TokenRequests, TokenResult, simulate
from infc.sim.lengths import sample_lengths, shared_prefix_tokens
from infc.sim.percentile import percentiles
from vllm_client import Answer, Ask, send_all
from vllm_load import processes_of, wait_share
from vllm_probe import Probe, probe, random_prompt
from vllm_process import SERVED, VllmServer, prefer, write_model
from vllm_settings import BLOCK_TOKENS, PACED, PLAIN, REAL, Server, Setting

RESULTS = Path(__file__).parent / "results"
GOALS = {"tpot": 0.10, "ttft": 0.20}
ASKED = (50.0, 99.0)
NOISY = 0.15
PACE = {
    "knots": [1, 64, 512, 8192],
    "seconds": [0.0120, 0.0125, 0.0300, 0.4500],
    "fixed_s": 0.0,
    "sequence_s": 2e-4,
    "context_s": 2e-7,
    "pair_s": 2e-9,
}
"""Like an 8B model on a GPU of moderate bandwidth: flat for few tokens, then by compute; some time for the context."""
BURSTS = ((1, 64), (1, 700), (2, 64), (4, 256), (8, 64), (8, 500), (16, 128), (16, 400))
REAL_BURSTS = ((1, 64), (1, 300), (2, 64), (4, 128), (8, 64), (8, 200), (16, 64), (16, 200))
PROMPTS = {"paced": (64, 128, 256, 512, 1024, 2000), "real": (32, 64, 128, 256, 512)}


@dataclass(frozen=True, kw_only=True)
class Row:
    """A setting, measured and simulated: seconds at p50 and p99, preemptions, and how disturbed the server was."""

    setting: Setting
    measured: dict[str, tuple[float, ...]]
    simulated: dict[str, tuple[float, ...]]
    preemptions: tuple[int, int]
    utilization: float
    running: float
    wait: float

    def error(self, name: str, index: int) -> float:
        """Relative error of `tpot` or `ttft` at the index-th percentile."""
        return self.simulated[name][index] / self.measured[name][index] - 1.0


def main() -> int:
    """Measure, simulate, print the table and write it; exit 1 when the goal is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--vllm-env", type=Path, required=True, help="Python environment with vLLM 0.32")
    parser.add_argument("--mode", choices=["paced", "real"], default="paced")
    parser.add_argument("--only", default="", help="run the settings whose label holds this text; writes no file")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--nice", type=int, default=-10, help="priority of server and client where allowed")
    options = parser.parse_args()
    settings = [each for each in (PACED if options.mode == "paced" else REAL) if options.only in each.label]
    if os.getpid() != os.getsid(0) and os.getpid() != os.getpgrp():
        os.setsid()
    prefer(os.getpid(), options.nice)
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(
            environment=options.vllm_env,
            folder=Path(folder),
            mode=options.mode,
            seed=options.seed,
            niceness=options.nice,
        )
        measured = bench.probe()
        print(probe_text(measured), file=sys.stderr, flush=True)
        rows = []
        for server, group in groupby(settings, key=lambda setting: setting.server):
            rows += bench.run(server, list(group), measured.steps)
    text = render(rows, measured, options.mode)
    print(text)
    if not options.only:
        RESULTS.mkdir(exist_ok=True)
        (RESULTS / f"sim_vs_vllm_{options.mode}.md").write_text(text + "\n", encoding="utf-8")
    return 0 if all(median_error(rows, name, at) <= GOALS[name] for name in GOALS for at in (0, 1)) else 1


@dataclass(frozen=True, kw_only=True)
class Bench:
    """Starts servers of one environment and puts them under load."""

    environment: Path
    folder: Path
    mode: str
    seed: int
    niceness: int

    def start(self, server: Server, *, is_logging_steps: bool = False) -> VllmServer:
        """A server, not yet started."""
        model = self.folder / "model"
        flags = {**server.flags, "kv-cache-memory-bytes": "1G"}
        variables = {}
        if self.mode == "paced":
            write_model(model, hidden=128, layers=1, heads=2, kv_heads=1, inner=256)
            flags["worker-cls"] = "paced_worker.PacedWorker"
            variables = {"PACE_MODEL": json.dumps(PACE), "PACE_LOG": str(self.folder / "steps.csv")}
        else:
            write_model(model, hidden=256, layers=4, heads=4, kv_heads=2, inner=704)
        if is_logging_steps:
            flags["enable-logging-iteration-details"] = True
        return VllmServer(self.environment, model, self.log, flags, variables, niceness=self.niceness)

    @property
    def log(self) -> Path:
        """What the servers print."""
        return self.folder / "server.log"

    def probe(self) -> Probe:
        """Measure a server of plain settings."""
        bursts = BURSTS if self.mode == "paced" else REAL_BURSTS
        with self.start(PLAIN, is_logging_steps=True) as server:
            warm_up(server, self.seed)
            return probe(server, self.log, bursts, PROMPTS[self.mode], self.seed)

    def run(self, server: Server, settings: Sequence[Setting], steps: StepTimeModel) -> list[Row]:
        """All settings of one server, one after the other."""
        rows = []
        with self.start(server) as running:
            warm_up(running, self.seed)
            for setting in settings:
                row = measure(running, setting, steps, self.seed)
                if row.wait > NOISY:
                    row = min(row, measure(running, setting, steps, self.seed), key=lambda each: each.wait)
                rows.append(row)
                print(row_text(row), file=sys.stderr, flush=True)
        return rows


def warm_up(server: VllmServer, seed: int) -> None:
    """A few requests that nobody measures."""
    random = np.random.default_rng(seed + 1000)
    asks = [Ask(at_s=0.1 * i, prompt=random_prompt(random, 64), output_tokens=8) for i in range(10)]
    send_all(server.host, server.port, SERVED, asks, timeout_s=120.0)


def measure(server: VllmServer, setting: Setting, steps: StepTimeModel, seed: int) -> Row:
    """Send the traffic of a setting, and simulate the requests at the times at which they were sent."""
    prompts = sample_lengths(setting.prompt, setting.count, seed)
    outputs = sample_lengths(setting.output, setting.count, seed + 1)
    prefixes = shared_prefix_tokens(prompts, setting.shared_prefix)
    random = np.random.default_rng(seed + 2)
    common = random_prompt(random, int(prefixes.max()))
    asks = [
        Ask(at_s=float(at), prompt=common[:prefix] + random_prompt(random, prompt - prefix), output_tokens=output)
        for at, prompt, output, prefix in zip(
            arrival_times_s(setting.arrival, setting.rate_rps, setting.count, seed),
            prompts.tolist(),
            outputs.tolist(),
            prefixes.tolist(),
            strict=True,
        )
    ]
    before = server.counter("vllm:num_preemptions_total")
    watched = processes_of(server.process_group)
    with wait_share(watched) as share:
        answers = send_all(server.host, server.port, SERVED, asks, timeout_s=300.0)
    preemptions = int(server.counter("vllm:num_preemptions_total") - before)
    result = simulated(answers, prompts, outputs, prefixes, setting, steps)
    return Row(
        setting=setting,
        measured={
            "ttft": percentiles(np.asarray([each.first_s - each.sent_s for each in answers]), ASKED),
            "tpot": percentiles(
                np.asarray(
                    [
                        (each.last_s - each.first_s) / (tokens - 1)
                        for each, tokens in zip(answers, outputs.tolist(), strict=True)
                        if tokens > 1
                    ]
                ),
                ASKED,
            ),
        },
        simulated={"ttft": result.ttft_percentiles_s(ASKED), "tpot": result.tpot_percentiles_s(ASKED)},
        preemptions=(preemptions, result.preemptions),
        utilization=result.utilization,
        running=result.running_sequences,
        wait=share.value,
    )


def simulated(
    answers: Sequence[Answer],
    prompts: np.ndarray,
    outputs: np.ndarray,
    prefixes: np.ndarray,
    setting: Setting,
    steps: StepTimeModel,
) -> TokenResult:
    """The same requests through the simulator."""
    server = setting.server
    return simulate(
        TokenRequests(
            arrivals_s=np.maximum.accumulate(np.asarray([max(each.sent_s, 0.0) for each in answers])),
            prompt_tokens=prompts,
            output_tokens=outputs,
            prefix_tokens=prefixes,
        ),
        steps,
        ContinuousBatching(
            max_num_seqs=server.max_num_seqs,
            max_num_batched_tokens=server.max_num_batched_tokens,
            has_prefix_caching=server.has_prefix_caching,
            long_prefill_tokens=server.long_prefill_tokens,
        ),
        server.kv_cache_tokens,
        block_tokens=BLOCK_TOKENS,
    )


def median_error(rows: Sequence[Row], name: str, index: int) -> float:
    """Median over the settings of the absolute error."""
    return statistics.median(abs(row.error(name, index)) for row in rows)


def render(rows: Sequence[Row], measured: Probe, mode: str) -> str:
    """The table with its medians."""
    title = "a GPU-like model of step times" if mode == "paced" else "a small Llama computed on one core"
    lines = [
        f"# The simulated scheduler against vLLM 0.32: {title}",
        "",
        probe_text(measured),
        "",
        f"Load average of the machine at the end {os.getloadavg()[1]:.1f}, on {os.cpu_count()} cores.",
        "",
        "Measured / simulated, milliseconds. `wait` is the share of the run in which a process of the server was ready "
        f"and had no core: above {NOISY:.0%} the row says little, and the better of two runs is shown.",
        "",
        "| server | traffic | busy | seqs | TPOT p50 | TPOT p99 | TTFT p50 | TTFT p99 | preemptions | wait |",
        "|---|---|---|---|---|---|---|---|---|---|",
        *map(row_text, rows),
        "",
        "| median absolute error over the settings | p50 | p99 | goal |",
        "|---|---|---|---|",
    ]
    for name, goal in GOALS.items():
        p50, p99 = (median_error(rows, name, index) for index in (0, 1))
        lines.append(f"| {name.upper()} | {p50:.1%} | {p99:.1%} | {goal:.0%} |")
    quiet = [row for row in rows if row.wait <= NOISY]
    if 0 < len(quiet) < len(rows):
        for name, goal in GOALS.items():
            p50, p99 = (median_error(quiet, name, index) for index in (0, 1))
            lines.append(f"| {name.upper()}, {len(quiet)} undisturbed settings | {p50:.1%} | {p99:.1%} | {goal:.0%} |")
    return "\n".join(lines)


def probe_text(measured: Probe) -> str:
    """What was known before the settings."""
    return (
        f"Fitted on {len(measured.points)} step times of a probe: median error {measured.fitted.median_error:.1%}, "
        f"each left out. On top of a step {measured.overhead_s * 1e3:.2f} ms, of a request "
        f"{measured.steps.request_s * 1e3:.1f} ms."
    )


def row_text(row: Row) -> str:
    """One line of the table."""
    setting = row.setting
    cells = [_cell(row, name, index) for name in GOALS for index in (0, 1)]
    preemptions = "{} / {}".format(*row.preemptions) if any(row.preemptions) else ""
    traffic = f"{setting.label}, {setting.rate_rps:g}/s"
    parts = [setting.server.label, traffic, f"{row.utilization:.0%}", f"{row.running:.1f}", *cells, preemptions]
    return "| " + " | ".join([*parts, f"{row.wait:.0%}"]) + " |"


def _cell(row: Row, name: str, index: int) -> str:
    measured_ms, simulated_ms = (1e3 * values[name][index] for values in (row.measured, row.simulated))
    return f"{measured_ms:.1f} / {simulated_ms:.1f} ({row.error(name, index):+.1%})"


if __name__ == "__main__":
    sys.exit(main())
