"""Plans random specs and checks every plan against its spec with arithmetic of its own (`make bench-random`).

Nothing of the planner judges here: limits are read back from the YAML, devices and prices from the catalogue, and the
scheduler is simulated again with another seed and twice the requests, with the redundant replicas lost.
"""

import argparse
import atexit
import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from infc.ir.candidate import DynamicBatching
from infc.ir.plan import Infeasible, Plan
from infc.ir.problem import Problem
from infc.ir.quantity import parse_bytes, parse_duration_s, parse_power_w, parse_rate_rps, parse_usd_per_hour
from infc.perf.server_cost import request_handling_s
from infc.pipeline.plan import plan_spec
from infc.resolve.targets import Catalogue, load_catalogue
from infc.sim.arrivals import arrival_times_s
from infc.sim.dynamic_batching import simulate
from spec_generator import CALIBRATION, onnx_choices, random_specs, write_spec

ROOT = Path(__file__).parent.parent
PROFILES = ROOT / "specs" / "infc-profiles"
CHECKPOINTS = ROOT / "benchmarks" / "data" / "llm_configs"
SLACK = 1e-6
SIMULATED = 40_000
OLDEST = {"bf16": (8, 0), "fp8": (8, 9), "int4": (8, 0)}
"""The compute capability from which on a format exists (CUDA's tables; INT4 weights in TensorRT-RTX)."""
OLDEST_SERVED = {"bf16": (8, 0), "fp8": (7, 5), "int4": (7, 5)}
"""The same for weights of a language model. Source: vLLM 0.32, get_min_capability of fp8 and marlin_utils: as weights
alone from 7.5."""


def broken_limits(spec: Mapping[str, Any], plan: Plan) -> Iterator[str]:
    """The hard limits of the spec that the plan breaks, each with what it reaches."""
    limits = spec.get("constraints", {})
    candidate, estimate, hardware = plan.candidate, plan.estimate, catalogue().find(plan.candidate.hardware_id)
    assert hardware is not None
    devices = candidate.replicas * candidate.tensor_parallel
    if "hardware" in limits and candidate.hardware_id not in limits["hardware"]:
        yield f"hardware {candidate.hardware_id}"
    if "precision" in limits and candidate.precision.value not in limits["precision"]:
        yield f"precision {candidate.precision.value}"
    capability = tuple(int(part) for part in (hardware.compute_capability or "99.0").split("."))
    oldest = OLDEST if "onnx" in spec["model"] else OLDEST_SERVED
    if capability < oldest.get(candidate.precision.value, (0, 0)):
        yield f"{candidate.precision.value} on compute capability {hardware.compute_capability}"
    if devices > limits.get("max_accelerators", devices):
        yield f"max_accelerators {devices}"
    if candidate.replicas <= limits.get("redundancy", 0):
        yield f"redundancy with {candidate.replicas} replicas"
    modes = {mode.name: mode.watts for mode in hardware.power_modes}
    cap_w = modes.get(candidate.power_mode or "") or hardware.tdp_w
    if "max_power" in limits and (cap_w is None or devices * cap_w > parse_power_w(limits["max_power"]) + SLACK):
        yield f"max_power {devices} x {cap_w}"
    memory = min(parse_bytes(limits.get("max_memory", "1000TiB")), hardware.memory_bytes)
    if estimate.memory.total_bytes > memory * (1 + SLACK):
        yield f"memory {estimate.memory.total_bytes:.3g}"
    yield from _broken_cost(spec, plan, devices)
    yield from _broken_latency(spec, plan)


def _broken_cost(spec: Mapping[str, Any], plan: Plan, devices: int) -> Iterator[str]:
    if "max_cost" not in spec.get("constraints", {}):
        return
    most = parse_usd_per_hour(spec["constraints"]["max_cost"])
    terms = spec.get("pricing", {}).get("commitment", "on-demand")
    price = catalogue().price(plan.candidate.hardware_id, None, terms)
    stated = plan.estimate.cost
    if stated is None or price is None:
        yield "max_cost without a price"
    elif stated.usd_per_hour > most * (1 + SLACK):
        yield f"max_cost {stated.usd_per_hour:.4g}"
    elif terms != "mixed" and devices * price.usd_per_hour > most * (1 + SLACK):
        yield f"max_cost recomputed {devices * price.usd_per_hour:.4g}"


def _broken_latency(spec: Mapping[str, Any], plan: Plan) -> Iterator[str]:
    tokens = plan.estimate.tokens
    found = {"latency": plan.estimate.e2e_s, "e2e": plan.estimate.e2e_s}
    if tokens is not None:
        found |= {"ttft": tokens.ttft_s, "tpot": tokens.tpot_s}
    for metric, targets in spec["slo"].items():
        for label, limit in targets.items() if isinstance(targets, dict) else ():
            predicted = found[metric][label].value
            if predicted > parse_duration_s(limit) * (1 + SLACK):
                yield f"{metric} {label} {predicted:.4g}"


def resimulated_ratio(spec: Mapping[str, Any], problem: Problem, plan: Plan, seed: int) -> float:
    """The worst percentile over its limit with independent arrivals, the redundant replicas lost."""
    batching, curve = plan.candidate.batching, plan.estimate.service_time
    assert isinstance(batching, DynamicBatching)
    assert curve is not None
    peak = parse_rate_rps(spec["workload"].get("peak", spec["workload"]["rate"]))
    peak = max(peak, parse_rate_rps(spec["workload"]["rate"]) * max(spec["workload"].get("hourly", [0.0])))
    left = plan.candidate.replicas - spec.get("constraints", {}).get("redundancy", 0)
    axes = {axis: sizes["max"] for axis, sizes in spec["workload"].get("axes", {}).items()}
    at = {**axes, problem.model.batch_axis or "batch": 1}
    payload = sum(tensor.bytes_at(at) for tensor in (*problem.model.inputs, *problem.model.outputs))
    arrivals = arrival_times_s(problem.traffic.arrival, peak / left, SIMULATED, seed)
    run = simulate(
        arrivals, curve.values, batching, plan.candidate.instances_per_gpu, has_dynamic_shapes=bool(problem.model.axes)
    )
    handled = run.latency_s + request_handling_s(payload).value
    return max(
        float(np.percentile(handled, float(label[1:]), method="inverted_cdf")) / parse_duration_s(limit)
        for label, limit in spec["slo"]["latency"].items()
    )


@lru_cache(maxsize=1)
def catalogue() -> Catalogue:
    """The built-in devices and prices."""
    return load_catalogue(None)


@lru_cache(maxsize=1)
def workspace() -> Path:
    """A folder of this process with the profiles and checkpoints that specs name; removed when the process ends."""
    folder = tempfile.TemporaryDirectory(prefix="infc-random-specs-")
    atexit.register(folder.cleanup)
    root = Path(folder.name)
    shutil.copytree(PROFILES, root / "infc-profiles")
    if CHECKPOINTS.is_dir():
        shutil.copytree(CHECKPOINTS, root / CHECKPOINTS.name)
    (root / CALIBRATION).touch()
    return root


def judge(arguments: tuple[str, int]) -> tuple[str, tuple[str, ...], float | None]:
    """Status of a spec's plan, the limits it breaks, and its re-simulated ratio (ONNX plans only)."""
    text, seed = arguments
    spec, root = yaml.safe_load(text), workspace()
    digests = {choice.file: choice.digest for choice in onnx_choices(PROFILES)}
    path = write_spec(spec, root)
    (root / "infc.lock").write_text(f'spec = "{path.name}"\n', encoding="utf-8")
    planned = plan_spec(path, locked_digest=lambda _: digests.get(spec["model"].get("onnx", "")))
    path.unlink()
    if not planned.decisions:
        return "invalid: " + "; ".join(d.id for d in planned.errors), (), None
    decided = planned.decisions[0]
    if isinstance(decided.decision, Infeasible):
        return "infeasible", (), None
    broken = tuple(broken_limits(spec, decided.decision))
    ratio = None
    if isinstance(decided.problem, Problem):
        ratio = resimulated_ratio(spec, decided.problem, decided.decision, seed)
    return f"feasible, {decided.decision.candidate.precision.value}", broken, ratio


def main() -> None:
    """Plan, check, print; exits 1 when a plan breaks a limit."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--llm-share", type=float, default=0.1)
    parser.add_argument("--workers", type=int, default=2)
    arguments = parser.parse_args()
    checkpoints = sorted(f"{CHECKPOINTS.name}/{folder.name}" for folder in CHECKPOINTS.glob("*/"))
    specs = random_specs(arguments.count, arguments.seed, onnx_choices(PROFILES), checkpoints, arguments.llm_share)
    jobs = [(yaml.safe_dump(spec, sort_keys=False), 1_000_003 + n) for n, spec in enumerate(specs)]
    start = time.perf_counter()
    with ProcessPoolExecutor(arguments.workers) as pool:
        results = list(pool.map(judge, jobs, chunksize=16))
    seconds = time.perf_counter() - start
    print(f"{len(jobs)} random specs planned and checked in {seconds:.0f} s with {arguments.workers} processes")
    for status, count in Counter(status for status, _, _ in results).most_common():
        print(f"  {count:>6} {status}")
    ratios = np.array([ratio for _, _, ratio in results if ratio is not None])
    for name, share in (("over the limit", 1.0), ("over by more than 2%", 1.02), ("over by more than 10%", 1.1)):
        print(f"  re-simulated with other arrivals, redundant replicas lost: {np.mean(ratios > share):.2%} {name}")
    broken = [(n, found) for n, (_, found, _) in enumerate(results) if found]
    print(f"  {len(broken)} plans break a limit of their spec")
    for number, found in broken[:20]:
        print(f"    seed {arguments.seed}, spec {number}: {', '.join(found)}")
    raise SystemExit(1 if broken else 0)


if __name__ == "__main__":
    main()
