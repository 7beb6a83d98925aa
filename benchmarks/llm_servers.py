"""Fits what servers add to their kernels to the closed-loop runs in data/llm_servers.csv.

A run is predicted as `infc predict` does it: the closed form of its steps, played through the batching simulator. The
simulator gives no derivatives, so they come from a steady-state form of the same run, which is scaled to agree with the
simulator where the fit starts: a run's TPOT is a decode step at its concurrency and its share of the others' prefills,
its TTFT the time outside steps and so many steps of its own prefill's size.
"""

import csv
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from infc.ir.hardware import Hardware
from infc.ir.llm_profile import LlmProfile
from infc.ir.precision import Precision
from infc.ir.step_time import StepTimeModel
from infc.perf.llm.coefficients import Engine, EngineCoefficients, KernelCoefficients
from infc.perf.llm.kernels import Array
from infc.perf.llm.memory import llm_memory, weight_bytes
from infc.perf.llm.place import WEIGHT_BYTES, Place, place_of
from infc.perf.llm.serving import default_batching, served_cache_precision
from infc.perf.llm.step_time import analytic_step_time
from infc.perf.llm.work import LlmWork, llm_work
from infc.sim.closed_loop import ClosedLoopFigures, closed_loop_figures

SERVERS = Path(__file__).with_name("data") / "llm_servers.csv"
ENGINES: tuple[Engine, ...] = ("vllm", "trtllm", "sglang")
HOST = ("step_s", "sequence_s", "request_s")
HOST_PRIORS = ((0.6e-3, 2.0), (10e-6, 2.0), (40e-3, 2.0))
SCALES = (
    *("stream", "compute", "stream.fp8", "compute.fp8", "matrix_s", "quantize_s", "block_s", "layer_s"),
    *("expert_stream", "expert_compute", "expert_s", "attention_stream", "attention_compute", "attention_s"),
    *("route_stream", "attention_prefill_s", "reduce_s", "reduce_stream", "elementwise_stream"),
)
LOCAL = (*HOST, *SCALES)
SCALE_WIDTH = {
    "block_s": 4.0,
    "reduce_s": 1.5,
    "stream": 1.05,
    "compute": 1.05,
    "stream.fp8": 1.25,
    "compute.fp8": 1.25,
}
"""How far (as a factor) servers together may scale a kernel's time; 1.2 for the rest."""
ENGINE_WIDTH, ARCHITECTURE_WIDTH = 1.15, 1.15
HUBER = 0.25
GROUP_WEIGHT = 22.5
"""What all runs of a group weigh together.

Runs of a group err together (version, launch options, client), so many of them tell little more of the kernels than
one does: ten times this fits known groups better and pairs that were held out worse.
"""
SPECULATIVE_SHARE = 0.8
"""A run that needs less than this share of the TPOT of another with the same settings drafted its tokens."""
TTFT_WEIGHT = 0.5
"""A TTFT counts half as much as a TPOT: it depends on the benchmark's client too."""


@dataclass(frozen=True, kw_only=True)
class Run:
    """One published run; `is_speculative` says that it drafted tokens, which is not predicted and not fitted."""

    model: str
    hardware: Hardware
    precision: Precision
    devices: int
    engine: Engine
    prompt_tokens: int
    output_tokens: int
    concurrency: int
    expert_parallel: int
    source: str
    ttft_s: float
    tpot_s: float
    is_speculative: bool = False

    @property
    def settings(self) -> tuple[str | int, ...]:
        """What was asked for, whichever version ran and however experts were spread."""
        lengths = (self.prompt_tokens, self.output_tokens, self.concurrency)
        return (self.engine, self.pair, self.precision.value, self.devices, *lengths)

    @property
    def pair(self) -> str:
        """Model and device: what is held out together."""
        return f"{self.model}/{self.hardware.id}"


def read_runs(devices: Mapping[str, Hardware]) -> list[Run]:
    """Every run of the table."""
    with SERVERS.open(encoding="utf-8") as file:
        runs = [
            Run(
                model=row["model"],
                hardware=devices[row["hardware"]],
                precision=Precision(row["precision"]),
                devices=int(row["devices"]),
                engine=next(engine for engine in ENGINES if engine == row["engine"]),
                prompt_tokens=int(row["prompt_tokens"]),
                output_tokens=int(row["output_tokens"]),
                concurrency=int(row["concurrency"]),
                expert_parallel=int(row["expert_parallel"]),
                source=row["source"],
                ttft_s=float(row["ttft_ms"]) / 1e3,
                tpot_s=float(row["tpot_ms"]) / 1e3,
            )
            for row in csv.DictReader(file)
        ]
    slowest: dict[tuple[str | int, ...], float] = {}
    for run in runs:
        slowest[run.settings] = max(slowest.get(run.settings, 0.0), run.tpot_s)
    return [replace(run, is_speculative=run.tpot_s < SPECULATIVE_SHARE * slowest[run.settings]) for run in runs]


NOT_FITTED = (("vllm", "llama3-8b", "h200-sxm"), ("vllm", "qwen3-235b-a22b", "h200-sxm"))
"""Runs that are judged and not fitted.

The first do up to 77% of the FP8 peak over whole requests, where the best products reach 60%: some of their prompts
came from a cache. The second count one device for weights that need two, so all their counts are in doubt.
"""


def is_possible(run: Run, model: LlmProfile) -> bool:
    """Whether the weights fit the devices that the row counts: where they do not, the count is wrong."""
    held = weight_bytes(model, run.precision, run.devices)
    return held < 0.97 * run.hardware.memory_bytes


class RunTable:
    """Runs with what does not depend on coefficients counted once."""

    def __init__(
        self, runs: Sequence[Run], models: Mapping[str, LlmProfile], kernels: Mapping[str, KernelCoefficients]
    ) -> None:
        self.runs = list(runs)
        self.kernels = [kernels[run.hardware.id] for run in runs]
        self.work: list[LlmWork] = [llm_work(models[run.model], run.devices) for run in runs]
        caches = [served_cache_precision(models[r.model], r.hardware, r.precision, r.engine) for r in runs]
        self.places = [_place(models[run.model], run, cache) for run, cache in zip(runs, caches, strict=True)]
        self.capacity = [_capacity(models[run.model], run, cache) for run, cache in zip(runs, caches, strict=True)]
        self.observed = np.log([(run.tpot_s, run.ttft_s) for run in runs])

    def steps(self, index: int, local: Array) -> StepTimeModel:
        """The closed form of one run with its own (log) host times and kernel scales."""
        values = np.exp(local)
        server = EngineCoefficients(
            step_s=values[0],
            sequence_s=values[1],
            request_s=values[2],
            scales={"": dict(zip(SCALES, values[len(HOST) :].tolist(), strict=True))},
        )
        return analytic_step_time(self.work[index], self.places[index], self.kernels[index], server)

    def simulated(self, index: int, local: Array) -> tuple[float, float]:
        """Log TPOT and TTFT of one run in the simulator."""
        run = self.runs[index]
        figures = closed_loop_figures(
            self.steps(index, local),
            default_batching(run.hardware),
            self.capacity[index],
            concurrency=run.concurrency,
            prompt_tokens=run.prompt_tokens,
            output_tokens=run.output_tokens,
        )
        return log_times(figures)

    def steady(self, index: int, local: Array, ttft_steps: float) -> tuple[float, float]:
        """Log TPOT and TTFT of one run in the steady-state form; `ttft_steps` is 0 where only steps are wanted."""
        run, steps = self.runs[index], self.steps(index, local)
        length = run.prompt_tokens + run.output_tokens / 2
        running = min(run.concurrency, self.capacity[index] / length)
        decode_s = _at(steps, running) + steps.fixed_s + running * (steps.sequence_s + steps.context_s * length)
        if steps.window_tokens is not None:
            decode_s += running * steps.window_s * min(length, steps.window_tokens)
        pairs_s = steps.pair_s * run.prompt_tokens**2 / 2
        own_s = _at(steps, run.prompt_tokens + running) - _at(steps, running) + pairs_s
        tpot_s = decode_s + (running - 1) / run.output_tokens * own_s
        is_full = running < run.concurrency
        step_s = tpot_s * run.output_tokens if is_full else decode_s + own_s
        return math.log(tpot_s), math.log(steps.request_s + ttft_steps * step_s)

    def ttft_steps(self, index: int, local: Array, simulated_ttft: float) -> float:
        """How many steps of a prefill's size a request waits in the simulator."""
        request_s = math.exp(local[2])
        one = math.exp(self.steady(index, local, 1.0)[1]) - request_s
        return max(0.05, (math.exp(simulated_ttft) - request_s) / one)


def _at(steps: StepTimeModel, tokens: float) -> float:
    knots, seconds = steps.token_knots, steps.token_s
    if tokens <= knots[-1]:
        return float(np.interp(tokens, knots, seconds))
    return seconds[-1] + (tokens - knots[-1]) * (seconds[-1] - seconds[-2]) / (knots[-1] - knots[-2])


def _place(model: LlmProfile, run: Run, cache: Precision) -> Place:
    place = place_of(model, run.hardware, run.precision, tensor_parallel=run.devices)
    return replace(place, cache_bytes=WEIGHT_BYTES[cache])


def _capacity(model: LlmProfile, run: Run, cache: Precision) -> int:
    length = run.prompt_tokens + run.output_tokens
    batching = default_batching(run.hardware)
    memory = llm_memory(
        model,
        run.hardware,
        run.precision,
        tensor_parallel=run.devices,
        kv_precision=cache,
        max_num_seqs=min(run.concurrency, batching.max_num_seqs),
        max_num_batched_tokens=batching.max_num_batched_tokens,
        context_tokens=length,
    )
    return max(memory.kv_cache_tokens, 2 * length)


def log_times(figures: ClosedLoopFigures) -> tuple[float, float]:
    """Log TPOT and TTFT; published runs all make more than one token."""
    assert figures.tpot_s is not None
    return math.log(figures.tpot_s), math.log(figures.ttft_s)


class ServerFit:
    """Coefficients of all engines and architectures, drawn together by priors.

    A kernel's scale is the product of one factor for all servers, one for the engine and one for the architecture.
    """

    def __init__(self, table: RunTable, architectures: Sequence[str]) -> None:
        self.table = table
        self.architectures = tuple(architectures)
        count = len(HOST) * len(ENGINES) + len(SCALES) * (1 + len(ENGINES) + len(architectures))
        self.start = np.zeros(count)
        self.width = np.full(count, math.log(ENGINE_WIDTH))
        for number in range(len(ENGINES)):
            for place, (value, factor) in enumerate(HOST_PRIORS):
                self.start[number * len(HOST) + place] = math.log(value)
                self.width[number * len(HOST) + place] = math.log(factor)
        shared = len(HOST) * len(ENGINES)
        for place, name in enumerate(SCALES):
            self.width[shared + place] = math.log(SCALE_WIDTH.get(name, 1.2))
            for engine in range(len(ENGINES)):
                at = shared + len(SCALES) * (1 + engine) + place
                self.width[at] = min(self.width[at], self.width[shared + place])
        for architecture in range(len(architectures)):
            first = shared + len(SCALES) * (1 + len(ENGINES) + architecture)
            for place, name in enumerate(SCALES):
                wide = SCALE_WIDTH.get(name, ARCHITECTURE_WIDTH)
                self.width[first + place] = math.log(wide)
        self.maps = {(e, a): self._map(e, a) for e in ENGINES for a in ("", *self.architectures)}
        self.theta = self.start.copy()
        self.ratio = np.zeros((len(table.runs), 2))
        self.waits = np.ones(len(table.runs))

    def _map(self, engine: Engine, architecture: str) -> Array:
        """The matrix that picks a run's local coefficients out of all of them."""
        matrix = np.zeros((len(LOCAL), len(self.start)))
        number = ENGINES.index(engine)
        for place in range(len(HOST)):
            matrix[place, number * len(HOST) + place] = 1.0
        shared = len(HOST) * len(ENGINES)
        blocks = [0, 1 + number]
        if architecture in self.architectures:
            blocks.append(1 + len(ENGINES) + self.architectures.index(architecture))
        for place in range(len(SCALES)):
            for block in blocks:
                matrix[len(HOST) + place, shared + len(SCALES) * block + place] = 1.0
        return matrix

    def local(self, index: int, theta: Array) -> Array:
        """One run's coefficients."""
        run = self.table.runs[index]
        return self._chosen(run) @ theta

    @staticmethod
    def _is_excluded(run: Run) -> bool:
        return run.is_speculative or (run.engine, run.model, run.hardware.id) in NOT_FITTED

    def _chosen(self, run: Run) -> Array:
        known = run.hardware.architecture in self.architectures
        return self.maps[run.engine, run.hardware.architecture if known else ""]

    def anchor(self, indices: Sequence[int]) -> None:
        """Let the steady-state form agree with the simulator at the present coefficients."""
        for index in indices:
            local = self.local(index, self.theta)
            simulated = self.table.simulated(index, local)
            self.waits[index] = self.table.ttft_steps(index, local, simulated[1])
            steady = self.table.steady(index, local, self.waits[index])
            self.ratio[index] = np.subtract(simulated, steady)

    def predicted(self, index: int, theta: Array) -> Array:
        """Log TPOT and TTFT of one run."""
        steady = self.table.steady(index, self.local(index, theta), self.waits[index])
        return np.asarray(np.add(steady, self.ratio[index]))

    def fit(self, indices: Sequence[int], rounds: int = 2) -> Array:
        """Gauss-Newton with priors on the chosen runs, from the present coefficients."""
        theta = self.theta.copy()
        indices = [index for index in indices if not self._is_excluded(self.table.runs[index])]
        weight = self._weights(indices)
        for _ in range(rounds):
            normal = np.diag(1 / self.width**2)
            gradient = (theta - self.start) / self.width**2
            for index, scale in zip(indices, weight, strict=True):
                error, jacobian = self._linearised(index, theta)
                strength = np.minimum(1.0, HUBER / np.maximum(np.abs(error), 1e-9)) * np.array([1.0, TTFT_WEIGHT])
                strength *= scale
                normal += jacobian.T @ (jacobian * strength[:, None])
                gradient += jacobian.T @ (error * strength)
            theta = theta - np.clip(np.linalg.solve(normal, gradient), -0.7, 0.7)
        return theta

    def _linearised(self, index: int, theta: Array) -> tuple[Array, Array]:
        run = self.table.runs[index]
        chosen = self._chosen(run)
        local = chosen @ theta
        base = np.asarray(self.table.steady(index, local, self.waits[index]))
        derivative = np.empty((2, len(LOCAL)))
        for place in range(len(LOCAL)):
            moved = local.copy()
            moved[place] += 1e-3
            derivative[:, place] = (np.asarray(self.table.steady(index, moved, self.waits[index])) - base) / 1e-3
        return base + self.ratio[index] - self.table.observed[index], derivative @ chosen

    def _weights(self, indices: Sequence[int]) -> Array:
        """Groups of equal model, device, precision and engine count alike, however many runs they have."""
        keys = [self.group(index) for index in indices]
        count = {key: keys.count(key) for key in set(keys)}
        return np.array([GROUP_WEIGHT / count[key] for key in keys])

    def group(self, index: int) -> str:
        """Model, device, precision and engine of a run."""
        run = self.table.runs[index]
        return f"{run.engine} {run.pair} {run.precision.value}"

    def engines(self, theta: Array) -> dict[Engine, EngineCoefficients]:
        """The coefficients in the product's form."""
        result: dict[Engine, EngineCoefficients] = {}
        for engine in ENGINES:
            scales = {}
            for architecture in ("", *self.architectures):
                values = np.exp(self.maps[engine, architecture] @ theta)
                scales[architecture] = {
                    n: round(v, 3) for n, v in zip(SCALES, values[len(HOST) :].tolist(), strict=True)
                }
            host = dict(zip(HOST, (float(f"{v:.3g}") for v in values[: len(HOST)]), strict=True))
            result[engine] = EngineCoefficients(**host, scales=scales)
        return result
