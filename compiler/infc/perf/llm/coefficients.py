"""The fitted numbers of the step-time model, read from `coefficients.json`."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Literal, TypeAlias

from infc.ir.hardware import Hardware
from infc.ir.precision import Precision

PATH = Path(__file__).with_name("coefficients.json")

Engine: TypeAlias = Literal["vllm", "trtllm", "sglang"]


@dataclass(frozen=True, kw_only=True)
class KernelCoefficients:
    """How much of its data sheet a device reaches in the kernels of a language model.

    `stream` is the share of the memory bandwidth at which weights of a precision are read, `compute` the share of the
    dense peak that large products reach. A product costs `matrix_s` however small it is, `quantize_s` more where
    activations are quantised for it, `block_s` more again where scales are of blocks; it works on up to `tile_tokens`
    more tokens than it has, with quantised activations at half its speed where the model is `half_width` wide.
    `expert_*` are the same of grouped products, the first two as factors of `stream` and `compute`, `expert_int4` one
    more for experts in INT4; `expert_tile_tokens` is for each that any token chose. Routed activations move at
    `route_stream` of the bandwidth. `attention_*` are those of attention kernels, `attention_prefill_s` what a layer's
    cost more in a prefill, `linear_s` a layer of linear attention. Norms, activations and rotary embeddings cost
    `layer_s` a layer, and move their operands at `elementwise_stream` of the bandwidth. An all-reduce takes `reduce_s`,
    more with more devices, and its bytes cross a link at `reduce_stream` of its bandwidth. `watts_per_flops` is the
    power per 16-bit FLOP/s of the devices that were timed, 0 for none: one with less holds its clocks less.
    """

    stream: Mapping[Precision, float]
    compute: Mapping[Precision, float]
    matrix_s: float
    quantize_s: float
    block_s: float
    half_width: float
    tile_tokens: float
    expert_stream: float
    expert_compute: float
    expert_int4: float
    expert_s: float
    expert_tile_tokens: float
    route_stream: float
    attention_stream: float
    attention_compute: float
    attention_s: float
    attention_prefill_s: float
    linear_s: float
    layer_s: float
    elementwise_stream: float
    reduce_s: float
    reduce_stream: float
    watts_per_flops: float


@dataclass(frozen=True, kw_only=True)
class EngineCoefficients:
    """What a server adds to its kernels.

    A step costs the host `step_s`, and `sequence_s` for each scheduled sequence; a request spends `request_s` outside
    steps. `scales` are factors on the fields of `KernelCoefficients`: how a server's kernels differ from those in the
    tables, by architecture; "" holds those of any other. Factors of one precision are named as "stream.fp8".
    """

    step_s: float
    sequence_s: float
    request_s: float
    scales: Mapping[str, Mapping[str, float]]

    def scaled(self, kernels: KernelCoefficients, architecture: str) -> KernelCoefficients:
        """The kernels of a device of this architecture as this server runs them."""
        scales = self.scales.get(architecture) or self.scales.get("") or {}
        shares = {
            kind: {
                p: share * scales.get(kind, 1.0) * scales.get(f"{kind}.{p.value}", 1.0) for p, share in known.items()
            }
            for kind, known in (("stream", kernels.stream), ("compute", kernels.compute))
        }
        changed = {
            name: getattr(kernels, name) * scales[name] for name in scales if name.partition(".")[0] not in shares
        }
        return replace(kernels, stream=shares["stream"], compute=shares["compute"], **changed)


CPU_LAYER_S = 0.65e-3
"""What a layer costs on a CPU besides its products: kernels are launched one by one, without a graph.

Source: steps of vLLM 0.32 on one core of an AMD EPYC with models of 5, 33 and 135 million weights, less the time to
read them: 0.6 to 0.75 ms a layer.
"""
CPU_SERVER = EngineCoefficients(step_s=1.6e-3, sequence_s=6e-5, request_s=6e-3, scales={})
"""vLLM on a CPU: nothing of what it does around a step is hidden, for it schedules synchronously.

Source: the same server, between its steps and between a request and its first step; docs/decisions/0007.
"""
TABLES = EngineCoefficients(step_s=0.0, sequence_s=0.0, request_s=0.0, scales={})
"""No server at all: the kernels alone, as the tables have them."""


@dataclass(frozen=True, kw_only=True)
class Spread:
    """Half-widths of 90% intervals of a step as factors: decode, prefill."""

    decode: float
    prefill: float


@dataclass(frozen=True, kw_only=True)
class Coefficients:
    """Everything that `coefficients.json` holds but its provenance.

    `architectures` are keyed by the catalogue's architecture, "" holds what is used for any other. `devices` are those
    whose kernels were timed, `assumed` the architectures of which none was. `spread` has the keys tabled (the device's
    kernels were timed), seen (those of another device of its architecture) and unseen.
    """

    architectures: Mapping[str, KernelCoefficients]
    devices: Mapping[str, KernelCoefficients]
    engines: Mapping[str, EngineCoefficients]
    spread: Mapping[str, Spread]
    assumed: tuple[str, ...]

    def kernels(self, hardware: Hardware) -> KernelCoefficients:
        """The best that is known of a device's kernels.

        A device that was not timed computes at its architecture's share, less where its power cap holds clocks down.
        """
        if hardware.id in self.devices:
            return self.devices[hardware.id]
        known = self.architectures.get(hardware.architecture) or self.architectures[""]
        if hardware.kind == "cpu":
            return replace(known, layer_s=CPU_LAYER_S)
        held = _sustained_share(hardware, known.watts_per_flops)
        if held == 1.0:
            return known
        return replace(
            known,
            compute={precision: held * share for precision, share in known.compute.items()},
            attention_compute=held * known.attention_compute,
        )

    def server(self, engine: Engine, hardware: Hardware) -> EngineCoefficients:
        """What a server adds to its kernels on this kind of device."""
        return CPU_SERVER if hardware.kind == "cpu" and engine == "vllm" else self.engines[engine]

    def spread_of(self, hardware: Hardware) -> Spread:
        """How far a step of this device may be from its prediction."""
        if hardware.id in self.devices:
            return self.spread["tabled"]
        is_seen = hardware.architecture in self.architectures and hardware.architecture not in self.assumed
        return self.spread["seen" if is_seen else "unseen"]


POWER_EXPONENT = 0.58
"""How the sustained clock falls with power: fitted to vision and encoder throughput of power-capped cards."""


def _sustained_share(hardware: Hardware, watts_per_flops: float) -> float:
    peak = hardware.peak_flops.get(Precision.FP16)
    if not watts_per_flops or peak is None or hardware.tdp_w is None or hardware.kind != "gpu":
        return 1.0
    return float(min(1.0, (hardware.tdp_w / peak / watts_per_flops) ** POWER_EXPONENT))


@lru_cache(maxsize=1)
def coefficients() -> Coefficients:
    """The committed coefficients."""
    return coefficients_from_json(PATH.read_text(encoding="utf-8"))


def coefficients_from_json(text: str) -> Coefficients:
    """Decode the file format that `benchmarks/fit_llm.py` writes."""
    data = json.loads(text)
    return Coefficients(
        architectures={name: _kernels(value) for name, value in data["architectures"].items()},
        devices={name: _kernels(value) for name, value in data["devices"].items()},
        engines={name: EngineCoefficients(**value) for name, value in data["engines"].items()},
        spread={name: Spread(**value) for name, value in data["spread"].items()},
        assumed=tuple(data["assumed"]),
    )


def _kernels(value: Mapping[str, float | Mapping[str, float]]) -> KernelCoefficients:
    shares: dict[str, dict[Precision, float]] = {}
    numbers: dict[str, float] = {}
    for name, entry in value.items():
        if isinstance(entry, Mapping):
            shares[name] = {Precision(precision): share for precision, share in entry.items()}
        else:
            numbers[name] = entry
    return KernelCoefficients(stream=shares["stream"], compute=shares["compute"], **numbers)
