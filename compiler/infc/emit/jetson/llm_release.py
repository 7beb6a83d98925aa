"""`manifest.json` of a language model's release: what the module needs, and what the server must do there."""

import math
from collections.abc import Mapping
from pathlib import Path

import numpy as np

import infc
from infc.emit.jetson.llm_part import LlmPart
from infc.emit.jetson.llm_vllm import START_S
from infc.emit.jetson.manifest import CONFIDENCE, FIRST_VERSION, device_power_w, edge_arrival, service_of
from infc.emit.jetson.parts import next_major, release_line
from infc.emit.jetson.sums import content_digest
from infc.ir.edge_release import (
    EdgeLoad,
    EdgePrediction,
    EdgeRelease,
    EdgeService,
    EdgeSlo,
    EdgeTarget,
    EdgeTokens,
    VersionRange,
)
from infc.ir.jetson import JetPack
from infc.ir.plan import Plan
from infc.ir.problem import AxisDistribution, LlmProblem
from infc.ir.spec import Jetson
from infc.perf.llm.memory import HOST_BYTES
from infc.perf.memory import CUDA_CONTEXT_BYTES
from infc.resolve.jetson_llm import edge_llm
from infc.sim.lengths import lengths_at, mean_length

WARM_UP_S = 20.0
"""A first request compiles kernels that the start did not."""
LENGTHS = 48
"""Pairs of lengths that a device takes in turn: enough for the shape of a distribution, few enough for a manifest."""
_LEAST_S, _MOST_S = 300.0, 3600.0
_REQUESTS_PER_NEEDED = 4.0
_SPARE_BYTES = 64 << 20
_SEED = 0


def llm_release_of(part: LlmPart, files: Mapping[str, bytes | Path], jetson: Jetson) -> EdgeRelease:
    """The release whose content is `files`, before it has a number: its version is the first one."""
    problem = part.problem
    rate_rps = problem.traffic.peak_rps / part.plan.candidate.replicas
    return EdgeRelease(
        name=problem.name,
        version=FIRST_VERSION,
        kind="llm",
        content_digest=content_digest(files),
        infc_version=infc.__version__,
        targets=(_target(part, files),),
        engines=(),
        service=_service(problem),
        verify=None,
        slo=EdgeSlo(
            latency=problem.e2e,
            confidence=CONFIDENCE,
            max_power_w=device_power_w(problem.limits, part.plan.candidate.replicas),
            max_temperature_c=jetson.max_temperature_c,
            ttft=problem.ttft,
            tpot=problem.tpot,
        ),
        load=EdgeLoad(
            arrival=edge_arrival(problem.traffic.arrival),
            rate_rps=rate_rps,
            batch_size=1,
            warm_up_s=WARM_UP_S,
            seconds_at_most=seconds_at_most(problem, rate_rps),
            tokens=edge_tokens(problem),
        ),
        is_rolled_back=jetson.rollback,
        releases_kept=jetson.releases_kept,
    )


def edge_tokens(problem: LlmProblem) -> EdgeTokens:
    """Lengths that a device asks for: evenly spaced ranks of the workload's distributions, shuffled alike."""
    prompt, output = problem.tokens.prompt, problem.tokens.output
    return EdgeTokens(
        prompt_tokens=round(mean_length(prompt)),
        output_tokens=round(mean_length(output)),
        prompt_lengths=_lengths(prompt, _SEED),
        output_lengths=_lengths(output, _SEED + 1),
    )


def seconds_at_most(problem: LlmProblem, rate_rps: float) -> float:
    """How long a device may measure: four times the fewest requests that settle the highest percentile.

    At least five minutes, at most an hour. Source: as for a model of another kind (`manifest.seconds_at_most`).
    """
    targets = (*problem.ttft, *problem.tpot, *problem.e2e)
    highest = max((target.percentile for target in targets), default=50.0) / 100.0
    needed = math.log(1.0 - CONFIDENCE) / math.log(highest)
    return min(_MOST_S, max(_LEAST_S, math.ceil(_REQUESTS_PER_NEEDED * needed / rate_rps)))


def _lengths(distribution: AxisDistribution, seed: int) -> tuple[int, ...]:
    if not distribution.percentiles:
        return (distribution.maximum,) * LENGTHS
    ranks = (np.arange(LENGTHS) + 0.5) / LENGTHS
    found = lengths_at(distribution, np.random.default_rng(seed).permutation(ranks))
    return tuple(int(length) for length in found)


def _service(problem: LlmProblem) -> EdgeService:
    service = service_of(problem.name, problem.jetson_runtime)
    ready_s = START_S if problem.jetson_runtime == "vllm" else edge_llm().build_s
    return EdgeService(
        kind=service.kind,
        unit=service.unit,
        url=service.url,
        model=problem.source.served_name,
        ready_timeout_s=ready_s,
    )


def _target(part: LlmPart, files: Mapping[str, bytes | Path]) -> EdgeTarget:
    problem, hardware, mode, estimate = part.problem, part.hardware, part.power_mode, part.plan.estimate
    assert hardware.compute_capability is not None  # noqa: S101 - every Jetson has one
    return EdgeTarget(
        hardware_id=hardware.id,
        title=hardware.name,
        modules=part.module.modules,
        soc=part.module.soc,
        compute_capability=hardware.compute_capability,
        l4t=VersionRange(at_least=release_line(part.jetpack.l4t), below=_below(problem, part.jetpack)),
        tensorrt=VersionRange(at_least=release_line(part.tensorrt), below=next_major(part.tensorrt)),
        power_mode=mode.name if mode else None,
        power_cap_w=mode.watts if mode else None,
        engine=None,
        min_memory_bytes=math.ceil(estimate.memory.total_bytes + CUDA_CONTEXT_BYTES + HOST_BYTES),
        min_free_bytes=_disk_bytes(files) + _engine_bytes(problem, part.plan),
        predicted=EdgePrediction(
            latency_s={label: value for label, value in estimate.e2e_s.items() if label.startswith("p")},
            power_w=estimate.power_w,
        ),
    )


def _below(problem: LlmProblem, jetpack: JetPack) -> str:
    """The first Jetson Linux that the recipe is not for: TensorRT Edge-LLM has code for single releases."""
    if problem.jetson_runtime == "vllm":
        return next_major(jetpack.l4t)
    major, minor = release_line(jetpack.l4t).split(".")
    return f"{major}.{int(minor) + 1}"


def _engine_bytes(problem: LlmProblem, plan: Plan) -> int:
    """An engine at most as large as the weights: TensorRT Edge-LLM keeps what it externalises in the checkpoint."""
    return math.ceil(plan.estimate.memory.weights_bytes) if problem.jetson_runtime == "edge-llm" else 0


def _disk_bytes(files: Mapping[str, bytes | Path]) -> int:
    held = sum(len(content) if isinstance(content, bytes) else content.stat().st_size for content in files.values())
    return held + _SPARE_BYTES
