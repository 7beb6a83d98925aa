"""Random specs for the planning benchmarks: ONNX models of the examples and language models, under every kind of limit.

A spec is a mapping that YAML writes; the same seed gives the same specs.
"""

import json
import math
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

GPUS = ("t4", "l4", "a10g", "a10", "a30", "l40s", "a100-sxm-40gb", "a100-sxm-80gb", "h100-sxm", "h200-sxm", "b200-sxm")
EDGE = ("jetson-orin-nano-8gb-super", "jetson-orin-nx-16gb", "jetson-agx-orin-64gb")
ONNX_PRECISIONS = ("fp16", "int8", "bf16", "fp32", "fp8", "int4")
LLM_PRECISIONS = ("bf16", "fp16", "fp8")
CALIBRATION = "calibration.npz"
PERCENTILES = ("p50", "p90", "p95", "p99")


@dataclass(frozen=True, kw_only=True)
class OnnxChoice:
    """A model that specs may name: its file's name, its digest (a stored profile stands in), its axes."""

    file: str
    digest: str
    axes: tuple[str, ...]


def onnx_choices(profiles: Path) -> tuple[OnnxChoice, ...]:
    """The models whose profiles are stored in a folder."""
    found = []
    for path in sorted(profiles.glob("model-*.json")):
        model = json.loads(path.read_text(encoding="utf-8"))
        found.append(OnnxChoice(file=f"{model['name']}.onnx", digest=model["digest"], axes=tuple(model["axes"])))
    return tuple(found)


def random_specs(
    count: int, seed: int, onnx: Sequence[OnnxChoice], checkpoints: Sequence[str], llm_share: float
) -> Iterator[dict[str, object]]:
    """`count` specs as mappings; `llm_share` of them serve one of `checkpoints` (folders beside the specs)."""
    chance = random.Random(seed)
    for number in range(count):
        name = f"spec-{number:05d}"
        if checkpoints and chance.random() < llm_share:
            yield _llm_spec(name, chance, checkpoints)
        else:
            yield _onnx_spec(name, chance, onnx)


def write_spec(spec: Mapping[str, object], folder: Path) -> Path:
    """The spec as a file in the folder."""
    metadata = spec["metadata"]
    assert isinstance(metadata, dict)
    path = folder / f"{metadata['name']}.infc.yaml"
    path.write_text(yaml.safe_dump(spec, sort_keys=False), encoding="utf-8")
    return path


def _onnx_spec(name: str, chance: random.Random, models: Sequence[OnnxChoice]) -> dict[str, object]:
    model = chance.choice(models)
    percentiles = sorted(chance.sample(PERCENTILES, chance.choice((1, 1, 2))))
    tightest = _between(chance, 1.0, 300.0)
    latency = {label: f"{tightest * (1 + 1.5 * index):.3g}ms" for index, label in enumerate(percentiles)}
    workload: dict[str, object] = _load(chance, 2.0, 8000.0)
    if model.axes:
        workload["axes"] = {axis: {"p50": 24, "max": chance.choice((64, 128, 256))} for axis in model.axes}
    devices = EDGE if chance.random() < 0.15 else GPUS
    spec = _spec(name, chance, {"onnx": model.file}, {"latency": latency}, workload, devices, ONNX_PRECISIONS)
    spec["quantization"] = {"calibration": CALIBRATION}
    if chance.random() < 0.3:
        spec["build"] = _build(chance)
    return spec


def _build(chance: random.Random) -> dict[str, object]:
    """One or two options of the engine builder."""
    options: dict[str, object] = {
        "optimization_level": chance.randint(0, 5),
        "workspace": f"{chance.choice((64, 512, 4096))}MiB",
        "version_compatible": True,
        "hardware_compatibility": chance.choice(("none", "ampere_plus", "same_compute_capability")),
        "weight_streaming": True,
        "refit": True,
    }
    return {name: options[name] for name in sorted(chance.sample(sorted(options), chance.randint(1, 2)))}


def _llm_spec(name: str, chance: random.Random, checkpoints: Sequence[str]) -> dict[str, object]:
    slo: dict[str, object] = {}
    if chance.random() < 0.8:
        slo["ttft"] = {chance.choice(PERCENTILES): f"{_between(chance, 100.0, 4000.0):.3g}ms"}
    if not slo or chance.random() < 0.8:
        slo["tpot"] = {chance.choice(PERCENTILES): f"{_between(chance, 8.0, 150.0):.3g}ms"}
    workload = _load(chance, 0.2, 60.0)
    prompt, output = round(_between(chance, 64, 3000)), round(_between(chance, 16, 600))
    workload["prompt_tokens"] = {"p50": prompt, "p90": round(2.2 * prompt), "max": 4 * prompt}
    workload["output_tokens"] = {"p50": output, "max": 3 * output}
    if chance.random() < 0.3:
        workload["shared_prefix"] = f"{chance.choice((10, 30, 60))}%"
    return _spec(name, chance, {"checkpoint": chance.choice(checkpoints)}, slo, workload, GPUS, LLM_PRECISIONS)


def _load(chance: random.Random, lowest_rps: float, highest_rps: float) -> dict[str, object]:
    rate = _between(chance, lowest_rps, highest_rps)
    load: dict[str, object] = {"rate": f"{rate:.3g}/s"}
    if chance.random() < 0.5:
        load["peak"] = f"{rate * chance.uniform(1.1, 4.0):.3g}/s"
    load["arrival"] = chance.choice(
        ["poisson", "poisson", "constant", {"bursty": {"cv": 1.5}}, {"bursty": {"cv": 2.5}}]
    )
    if chance.random() < 0.2:
        load["hourly"] = [round(0.6 + 0.5 * math.sin(hour / 24 * math.tau), 2) for hour in range(24)]
    return load


def _spec(
    name: str,
    chance: random.Random,
    model: dict[str, str],
    slo: dict[str, object],
    workload: dict[str, object],
    devices: Sequence[str],
    precisions: Sequence[str],
) -> dict[str, object]:
    limits: dict[str, Any] = {}
    if devices is EDGE or chance.random() < 0.7:
        limits["hardware"] = chance.sample(devices, chance.randint(1, min(4, len(devices))))
    if chance.random() < 0.5:
        limits["precision"] = chance.sample(precisions, chance.randint(1, 2))
    if chance.random() < 0.5:
        limits["max_accelerators"] = round(_between(chance, 1, 32))
    if chance.random() < 0.5:
        limits["max_cost"] = f"${_between(chance, 200, 40_000):.0f}/month"
    if chance.random() < 0.3:
        limits["max_power"] = f"{_between(chance, 15, 8000):.0f}W"
    if chance.random() < 0.2:
        limits["max_memory"] = f"{_between(chance, 1, 120):.0f}GiB"
    if chance.random() < 0.3:
        limits["redundancy"] = min(chance.choice((1, 1, 2)), limits.get("max_accelerators", 3) - 1)
    spec: dict[str, object] = {
        "apiVersion": "infc.dev/v1",
        "kind": "InferenceSpec",
        "metadata": {"name": name},
        "model": model,
        "slo": slo,
        "workload": workload,
    }
    if limits:
        spec["constraints"] = limits
    spec["objective"] = chance.choices(("cost", "latency", "energy"), (6, 1, 1))[0]
    if chance.random() < 0.4:
        spec["pricing"] = {"commitment": chance.choice(("on-demand", "1y", "spot", "mixed"))}
    return spec


def _between(chance: random.Random, low: float, high: float) -> float:
    """Log-uniform."""
    return math.exp(chance.uniform(math.log(low), math.log(high)))
