"""`manifest.json` of an ONNX model's release: what every module needs, what the service must do, and its number."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import assert_never

import infc
from infc.build.edge_release_json import SAMPLES_NAME, to_json
from infc.emit.jetson.compose import HTTP_PORT, READY_TIMEOUT_S, target_environment
from infc.emit.jetson.engines import EngineRecipes
from infc.emit.jetson.parts import JetsonPart, next_major, release_line
from infc.emit.jetson.sums import content_digest
from infc.emit.jetson.systemd import unit_name
from infc.ir.arrival import (
    Arrival,
    BurstyArrival,
    ConstantArrival,
    DiurnalArrival,
    PoissonArrival,
    TraceArrival,
    at_peak,
)
from infc.ir.edge_release import (
    EdgeArrival,
    EdgeEngine,
    EdgeLoad,
    EdgePrediction,
    EdgeRelease,
    EdgeService,
    EdgeSlo,
    EdgeTarget,
    ServiceKind,
    VersionRange,
)
from infc.ir.problem import Limits, Problem
from infc.ir.spec.deploy import Jetson

CONFIDENCE = 0.95
"""At which a device settles whether a limit holds."""
WARM_UP_S = 5.0
_LEAST_SECONDS, _MOST_SECONDS = 120.0, 1800.0
_REQUESTS_PER_NEEDED = 4.0
_ENGINE_PER_MODEL = 2.0
_SPARE_BYTES = 64 << 20
_EVEN_CV = 0.05
FIRST_VERSION = "1"


def release_of(
    parts: Sequence[JetsonPart],
    recipes: EngineRecipes,
    files: Mapping[str, bytes | Path],
    jetson: Jetson,
) -> EdgeRelease:
    """The release of these parts, whose content is `files`, before it has a number: its version is the first one."""
    problem = parts[0].problem
    devices = max(part.plan.candidate.replicas for part in parts)
    disk_bytes = _disk_bytes(files, recipes)
    return EdgeRelease(
        name=problem.name,
        version=FIRST_VERSION,
        kind="onnx",
        content_digest=content_digest(files),
        infc_version=infc.__version__,
        targets=tuple(_target(part, engine, disk_bytes) for part, engine in zip(parts, recipes.of_part, strict=True)),
        engines=recipes.engines,
        service=service_of(problem.name, service_kind(jetson)),
        verify=SAMPLES_NAME if SAMPLES_NAME in files else None,
        slo=EdgeSlo(
            latency=problem.latency,
            confidence=CONFIDENCE,
            max_power_w=device_power_w(problem.limits, devices),
            max_temperature_c=jetson.max_temperature_c,
        ),
        load=_load(problem, devices),
        is_rolled_back=jetson.rollback,
        releases_kept=jetson.releases_kept,
    )


def device_power_w(limits: Limits, devices: int) -> float | None:
    """Each device's share of what all of them may draw; None: no limit."""
    return None if limits.max_power_w is None else limits.max_power_w / devices


def service_kind(jetson: Jetson) -> ServiceKind:
    """What serves the engine: Triton, or a program that is not infc's (DeepStream's pipeline is one)."""
    return "triton" if jetson.runtime == "triton" else "none"


def service_of(name: str, kind: ServiceKind) -> EdgeService:
    """The service of a release."""
    return EdgeService(
        kind=kind,
        unit=unit_name(name),
        url=f"http://127.0.0.1:{HTTP_PORT}",
        model=name,
        ready_timeout_s=READY_TIMEOUT_S,
    )


def decisions_of(release: EdgeRelease) -> bytes:
    """What of a manifest repeats from machine to machine, and does not depend on what the release is called."""
    return to_json(replace(release, version=FIRST_VERSION, content_digest="sha256:" + "0" * 64, delta=None))


def next_version(version: str) -> str:
    """The version after this one: its last number counts.

    >>> next_version("7"), next_version("1.4.0")
    ('8', '1.4.1')
    """
    *before, last = version.split(".")
    return ".".join([*before, str(int(last) + 1)])


def is_later(version: str, than: str) -> bool:
    """Whether a version is later than another, number by number; missing numbers are 0.

    >>> is_later("1.10", "1.9"), is_later("2", "2.0")
    (True, False)
    """
    first, second = ([int(number) for number in each.split(".")] for each in (version, than))
    length = max(len(first), len(second))
    return first + [0] * (length - len(first)) > second + [0] * (length - len(second))


def _target(part: JetsonPart, engine: EdgeEngine, disk_bytes: int) -> EdgeTarget:
    hardware, mode, estimate = part.hardware, part.power_mode, part.plan.estimate
    assert hardware.compute_capability is not None  # noqa: S101 - every Jetson has one
    labels = ("p50", "p90", "p95", "p99", *(target.label for target in part.problem.latency))
    return EdgeTarget(
        hardware_id=hardware.id,
        title=hardware.name,
        modules=part.module.modules,
        soc=part.module.soc,
        compute_capability=hardware.compute_capability,
        l4t=VersionRange(at_least=release_line(part.jetpack.l4t), below=next_major(part.jetpack.l4t)),
        tensorrt=VersionRange(at_least=release_line(part.tensorrt), below=next_major(part.tensorrt)),
        power_mode=mode.name if mode else None,
        power_cap_w=mode.watts if mode else None,
        engine=engine.name,
        min_memory_bytes=math.ceil(estimate.memory.total_bytes),
        min_free_bytes=disk_bytes,
        predicted=EdgePrediction(
            latency_s={label: estimate.e2e_s[label] for label in dict.fromkeys(labels) if label in estimate.e2e_s},
            power_w=estimate.power_w,
        ),
        environment=target_environment(part),
    )


def _disk_bytes(files: Mapping[str, bytes | Path], recipes: EngineRecipes) -> int:
    """Bytes of disk that an install needs: the files, an engine of twice the largest model, and room for logs."""
    held = sum(len(content) if isinstance(content, bytes) else content.stat().st_size for content in files.values())
    largest = max((path.stat().st_size for path in recipes.models.values()), default=0)
    return math.ceil(held + _ENGINE_PER_MODEL * largest) + _SPARE_BYTES


def _load(problem: Problem, devices: int) -> EdgeLoad:
    rate_rps = problem.traffic.peak_rps / devices
    return EdgeLoad(
        arrival=edge_arrival(problem.traffic.arrival),
        rate_rps=rate_rps,
        batch_size=problem.model.fixed_batch or 1,
        warm_up_s=WARM_UP_S,
        seconds_at_most=seconds_at_most(problem, rate_rps),
    )


def seconds_at_most(problem: Problem, rate_rps: float) -> float:
    """How long a device may measure: what four times the fewest requests take that can settle the highest percentile.

    A percentile p is settled at confidence c by no fewer than log(1 - c) / log(p) requests, all below the limit.
    At least two minutes, at most half an hour. Source: the distribution-free bound on a quantile from order statistics.
    """
    highest = max((target.percentile for target in problem.latency), default=50.0) / 100.0
    needed = math.log(1.0 - CONFIDENCE) / math.log(highest)
    return min(_MOST_SECONDS, max(_LEAST_SECONDS, math.ceil(_REQUESTS_PER_NEEDED * needed / rate_rps)))


def edge_arrival(arrival: Arrival) -> EdgeArrival:
    """How a device is loaded: as the spec says at the peak; for recorded traffic, gaps that vary as the recorded do.

    >>> edge_arrival(TraceArrival(path="t", timestamps_s=(0.0, 1.0, 2.0, 3.0)))
    ConstantArrival(streams=1)
    """
    peak = at_peak(arrival)
    match peak:
        case ConstantArrival() | PoissonArrival() | BurstyArrival():
            return peak
        case TraceArrival(timestamps_s=times):
            gaps = [later - earlier for earlier, later in pairwise(times)]
            mean = sum(gaps) / len(gaps) if gaps else 0.0
            if mean <= 0.0:
                return PoissonArrival()
            cv = math.sqrt(sum((gap - mean) ** 2 for gap in gaps) / len(gaps)) / mean
            return ConstantArrival() if cv < _EVEN_CV else BurstyArrival(cv=round(cv, 4))
        case DiurnalArrival():
            return PoissonArrival()
        case _:
            assert_never(peak)
