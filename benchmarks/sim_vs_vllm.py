"""The simulated scheduler against a real `vllm serve` (0.32, on a CPU), setting by setting.

*Paced*: the whole server is real but for the model: its worker answers each step after the time that a GPU-like
step-time model says. Any GPU's step times can be played so, and a busy machine disturbs little.
*Real*: a small Llama with random weights is computed on one core.

In both, a probe of a minute measures step times as anybody can (the server's own log of its steps) and what comes on
top of a step and a request. A model is fitted to it, and nothing else is known of the settings but their traffic:
requests are simulated at the times at which they were sent.

Needs an environment with vLLM 0.32 (`--vllm-env`), such as `make vllm` installs. About 15 minutes, paced.
"""

import argparse
import json
import os
import statistics
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path

import numpy as np
import numpy.typing as npt

from infc.diag import Diagnostic
from infc.emit.yaml_text import yaml_text
from infc.ir.candidate import ContinuousBatching
from infc.ir.step_time import StepTimeModel
from infc.perf.llm.step_fit import StepTimeFit, fit
from infc.serve.http_get import endpoint_from
from infc.serve.other_work import NOISY_SHARE, others_share, processes_under
from infc.serve.prometheus import scrape
from infc.serve.vllm import VllmServer
from infc.serve.vllm_installation import VLLM_VARIABLE
from infc.sim.arrivals import arrival_times_s
from infc.sim.continuous_batching import TokenRequests, TokenResult, simulate
from infc.sim.lengths import sample_lengths, shared_prefix_tokens
from infc.sim.percentile import percentiles
from infc.validate.llm.burst import BurstClient
from infc.validate.llm.calibrate import StepCalibration, measure_steps
from infc.validate.llm.design import ServerLimits
from infc.validate.llm.load.generator import LlmLoadGenerator
from infc.validate.llm.load.prompts import PromptSource
from infc.validate.llm.rehearsal import PACE_FOLDER
from infc.validate.realtime import GENERATOR_PRIORITY, VLLM_NICENESS, can_be_realtime
from vllm_model import SERVED, VOCABULARY, write_model
from vllm_settings import BLOCK_TOKENS, PACED, PLAIN, REAL, Server, Setting

Floats = npt.NDArray[np.float64]
RESULTS = Path(__file__).parent / "results"
GOALS = {"tpot": 0.10, "ttft": 0.20}
ASKED = (50.0, 99.0)
PACE = {
    "knots": [1, 64, 512, 8192],
    "seconds": [0.0120, 0.0125, 0.0300, 0.4500],
    "fixed_s": 0.0,
    "sequence_s": 2e-4,
    "context_s": 2e-7,
    "pair_s": 2e-9,
}
"""Like an 8B model on a GPU of moderate bandwidth: flat for few tokens, then by compute; some time for the context."""
FIXED_FLAGS: dict[str, str | int | bool] = {
    "model": "model",
    "served-model-name": SERVED,
    "load-format": "dummy",
    "skip-tokenizer-init": True,
    "dtype": "float32",
    "enforce-eager": True,
    "disable-uvicorn-access-log": True,
    "kv-cache-memory-bytes": "1G",
}
PROBE_S = 60.0
REAL_MODEL_TOKENS = 1024
"""Longest request of the probe of the computed model: longer prompts take long on one core."""


@dataclass(frozen=True, kw_only=True)
class Row:
    """A setting, measured and simulated: seconds at p50 and p99, preemptions, and how disturbed the server was."""

    setting: Setting
    measured: dict[str, tuple[float, ...]]
    simulated: dict[str, tuple[float, ...]]
    preemptions: tuple[int, int]
    utilization: float
    running: float
    others: float

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
    options = parser.parse_args()
    os.environ[VLLM_VARIABLE] = str(options.vllm_env / "bin" / "vllm")
    settings = [each for each in (PACED if options.mode == "paced" else REAL) if options.only in each.label]
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(folder=Path(folder), mode=options.mode, seed=options.seed)
        measured = bench.probe()
        say(probe_text(measured))
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
class Probe:
    """A fitted step-time model, overheads included, and what it was made of."""

    steps: StepTimeModel
    fitted: StepTimeFit
    measured: StepCalibration


@dataclass(frozen=True, kw_only=True)
class Bench:
    """Starts servers and puts them under load."""

    folder: Path
    mode: str
    seed: int

    def start(self, server: Server, *, is_logging_steps: bool = False) -> VllmServer:
        """A server, not yet started."""
        flags = {**FIXED_FLAGS, **server.flags}
        variables = {"PYTHONPATH": str(PACE_FOLDER)}
        if self.mode == "paced":
            write_model(self.folder / "model", hidden=128, layers=1, heads=2, kv_heads=1, inner=256)
            flags["worker-cls"] = "paced_worker.PacedWorker"
            variables["PACE_MODEL"] = json.dumps(PACE)
        else:
            write_model(self.folder / "model", hidden=256, layers=4, heads=4, kv_heads=2, inner=704)
        if is_logging_steps:
            flags["enable-logging-iteration-details"] = True
        config = self.folder / "serve.yaml"
        config.write_text(yaml_text(flags), encoding="utf-8")
        niceness = VLLM_NICENESS if can_be_realtime() else 0
        return VllmServer(config, workdir=self.folder / "log", variables=variables, niceness=niceness)

    def probe(self) -> Probe:
        """Calibrate a server of plain settings, as `infc calibrate` does."""
        longest = PLAIN.flags["max-model-len"] if self.mode == "paced" else REAL_MODEL_TOKENS
        limits = ServerLimits(
            max_num_seqs=PLAIN.max_num_seqs,
            max_num_batched_tokens=PLAIN.max_num_batched_tokens,
            max_model_len=int(longest),
            kv_cache_tokens=PLAIN.kv_cache_tokens,
        )
        with self.start(PLAIN, is_logging_steps=True) as server, ExitStack() as stack:
            client = stack.enter_context(BurstClient(endpoint_from(server.url), prompts(1)))
            processes = processes_under(server.pid)
            measured = measure_steps(client, server.log_path, limits, PROBE_S, say, processes=processes)
        if isinstance(measured, Diagnostic):
            raise SystemExit(measured.message)
        fitted = fit(measured.points)
        whole = replace(
            fitted.model,
            fixed_s=fitted.model.fixed_s + measured.overhead_s,
            sequence_s=fitted.model.sequence_s + measured.sequence_overhead_s,
            request_s=measured.request_s,
        )
        return Probe(steps=whole, fitted=fitted, measured=measured)

    def run(self, server: Server, settings: Sequence[Setting], steps: StepTimeModel) -> list[Row]:
        """All settings of one server, one after the other."""
        rows = []
        with self.start(server) as running:
            warm_up = replace(settings[0], count=20)
            self.send(running, requests_of(warm_up, self.seed + 1000), 2)
            for number, setting in enumerate(settings):
                row = self.measure(running, setting, steps, number)
                if row.others > NOISY_SHARE:
                    again = self.measure(running, setting, steps, number + 100)
                    row = min(row, again, key=lambda each: each.others)
                rows.append(row)
                say(row_text(row))
        return rows

    def measure(self, server: VllmServer, setting: Setting, steps: StepTimeModel, number: int) -> Row:
        """Send the traffic of a setting, and simulate the requests at the times at which they were sent."""
        requests = requests_of(setting, self.seed)
        before = preemptions_of(server)
        with others_share(processes_under(server.pid)) as share:
            sent_s, first_s, last_s = self.send(server, requests, 10 + number)
        preemptions = preemptions_of(server) - before
        result = simulated(requests, sent_s, setting, steps)
        is_long = requests.output_tokens > 1
        tpot_s = ((last_s - first_s) / np.maximum(requests.output_tokens - 1, 1))[is_long]
        return Row(
            setting=setting,
            measured={"ttft": percentiles(first_s - sent_s, ASKED), "tpot": percentiles(tpot_s, ASKED)},
            simulated={"ttft": result.ttft_percentiles_s(ASKED), "tpot": result.tpot_percentiles_s(ASKED)},
            preemptions=(preemptions, result.preemptions),
            utilization=result.utilization,
            running=result.running_sequences,
            others=share.value,
        )

    def send(self, server: VllmServer, requests: TokenRequests, run: int) -> tuple[Floats, Floats, Floats]:
        """When each request was sent, and when its first and last token came, in seconds after the first was due."""
        with LlmLoadGenerator(
            server.url,
            requests,
            prompts(run, int(requests.prefix_tokens.max())),
            job_file=self.folder / "job.npz",
            timeout_s=300.0,
            max_outstanding=len(requests) + 1,
            priority=GENERATOR_PRIORITY if can_be_realtime() else None,
        ) as generator:
            for _ in generator.frames():
                pass
            if np.any(generator.outcomes != 0):
                raise SystemExit(f"requests failed: {generator.texts.most_common(1)}")
            start_s = generator.due_s[0] - requests.arrivals_s[0]
            return generator.sent_s - start_s, generator.first_s - start_s, generator.last_s - start_s


def requests_of(setting: Setting, seed: int) -> TokenRequests:
    """The traffic of a setting."""
    prompt_tokens = sample_lengths(setting.prompt, setting.count, seed)
    return TokenRequests(
        arrivals_s=np.asarray(arrival_times_s(setting.arrival, setting.rate_rps, setting.count, seed)),
        prompt_tokens=prompt_tokens,
        output_tokens=sample_lengths(setting.output, setting.count, seed + 1),
        prefix_tokens=shared_prefix_tokens(prompt_tokens, setting.shared_prefix),
    )


def prompts(run: int, longest_prefix: int = 0) -> PromptSource:
    """Prompts of one run, for a server without a tokeniser."""
    return PromptSource(
        model=SERVED, vocabulary=VOCABULARY, run=run, longest_prefix=longest_prefix, is_detokenized=False
    )


def preemptions_of(server: VllmServer) -> int:
    """Preemptions that the server counted so far."""
    return int(scrape(server.url).total("vllm:num_preemptions_total") or 0)


def simulated(requests: TokenRequests, sent_s: Floats, setting: Setting, steps: StepTimeModel) -> TokenResult:
    """The same requests through the simulator."""
    server = setting.server
    return simulate(
        replace(requests, arrivals_s=np.maximum.accumulate(np.maximum(sent_s, 0.0))),
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
        "Measured / simulated, milliseconds. `others` is the share of the cores that neither server nor client had, "
        f"other machines of the host among them: above {NOISY_SHARE:.0%} the row says little, and the better of two "
        "runs is shown.",
        "",
        "| server | traffic | busy | seqs | TPOT p50 | TPOT p99 | TTFT p50 | TTFT p99 | preemptions | others |",
        "|---|---|---|---|---|---|---|---|---|---|",
        *map(row_text, rows),
        "",
        "| median absolute error over the settings | p50 | p99 | goal |",
        "|---|---|---|---|",
    ]
    for name, goal in GOALS.items():
        p50, p99 = (median_error(rows, name, index) for index in (0, 1))
        lines.append(f"| {name.upper()} | {p50:.1%} | {p99:.1%} | {goal:.0%} |")
    quiet = [row for row in rows if row.others <= NOISY_SHARE]
    if 0 < len(quiet) < len(rows):
        for name, goal in GOALS.items():
            p50, p99 = (median_error(quiet, name, index) for index in (0, 1))
            lines.append(f"| {name.upper()}, {len(quiet)} undisturbed settings | {p50:.1%} | {p99:.1%} | {goal:.0%} |")
    return "\n".join(lines)


def probe_text(measured: Probe) -> str:
    """What was known before the settings."""
    found = measured.measured
    return (
        f"Fitted on {len(found.points)} step times of a probe: median error {measured.fitted.median_error:.1%}, "
        f"each left out. On top of a step {found.overhead_s * 1e3:.2f} ms and {found.sequence_overhead_s * 1e3:.2f} ms "
        f"a sequence, of a request {found.request_s * 1e3:.1f} ms."
    )


def row_text(row: Row) -> str:
    """One line of the table."""
    setting = row.setting
    cells = [_cell(row, name, index) for name in GOALS for index in (0, 1)]
    preemptions = "{} / {}".format(*row.preemptions) if any(row.preemptions) else ""
    traffic = f"{setting.label}, {setting.rate_rps:g}/s"
    parts = [setting.server.label, traffic, f"{row.utilization:.0%}", f"{row.running:.1f}", *cells, preemptions]
    return "| " + " | ".join([*parts, f"{row.others:.0%}"]) + " |"


def say(line: str) -> None:
    """Progress."""
    print(line, file=sys.stderr, flush=True)


def _cell(row: Row, name: str, index: int) -> str:
    measured_ms, simulated_ms = (1e3 * values[name][index] for values in (row.measured, row.simulated))
    return f"{measured_ms:.1f} / {simulated_ms:.1f} ({row.error(name, index):+.1%})"


if __name__ == "__main__":
    sys.exit(main())
