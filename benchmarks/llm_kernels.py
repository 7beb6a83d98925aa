"""Fits the kernel coefficients of the step-time model to data/llm_steps.csv, device by device.

The formulas are those of `infc.perf.llm.kernels`, evaluated for all rows at once. Coefficients are found by damped
least squares on log times with priors: those of an architecture are drawn to the pooled ones, those of a device to its
architecture's, so that a device which was never timed has an architecture to stand in for it.
"""

import csv
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from infc.ir.hardware import Hardware
from infc.ir.llm_profile import LlmProfile
from infc.ir.precision import Precision
from infc.perf.llm.attention import SHORT_WINDOW_TOKENS, STATE_BYTES, STATE_FLOPS
from infc.perf.llm.kernels import (
    ACTIVATION_BYTES,
    Array,
    all_reduce_bytes,
    all_reduce_hops,
    attention_row_bytes,
    chosen_experts,
    elementwise_bytes,
    grouped_products_s,
    prefill_share,
    products_s,
    routed_bytes,
    width_share,
)
from infc.perf.llm.place import (
    WEIGHT_BYTES,
    dense_precision,
    is_block_scaled,
    is_quantizing,
    is_weight_only,
    place_of,
    wide_precision,
)
from infc.perf.llm.work import llm_work

STEPS = Path(__file__).with_name("data") / "llm_steps.csv"
SLOW_LINKS = ("l40s",)
"""Hosts whose exchange among more than two devices was timed without working peer copies (about 1 GB/s)."""
PRECISIONS = (Precision.BF16, Precision.FP8, Precision.FP4, Precision.INT4)
# Start values, and how far (as a factor) one device may be from the pooled value before the data must insist.
PRIORS: Mapping[str, tuple[float, float]] = {
    **{f"stream.{p.value}": (v, 1.3) for p, v in zip(PRECISIONS, (0.82, 0.78, 0.7, 0.7), strict=True)},
    **{f"compute.{p.value}": (v, 1.4) for p, v in zip(PRECISIONS, (0.75, 0.58, 0.4, 0.5), strict=True)},
    "stream.int4": (0.65, 1.1),
    "compute.int4": (0.5, 1.1),  # only experts were timed, whose kernels differ from those of other products
    "matrix_s": (4e-6, 2.0),
    "quantize_s": (3e-6, 2.0),
    "block_s": (2e-5, 2.0),
    "half_width": (300.0, 2.0),
    "tile_tokens": (100.0, 2.0),
    "expert_stream": (0.9, 1.3),
    "expert_compute": (0.8, 1.4),
    "expert_int4": (0.5, 1.5),
    "expert_s": (2e-5, 2.0),
    "expert_tile_tokens": (50.0, 2.0),
    "route_stream": (0.6, 1.5),
    "attention_stream": (0.7, 1.4),
    "attention_compute": (0.5, 1.4),
    "attention_s": (8e-6, 2.0),
    "attention_prefill_s": (2e-5, 2.0),
    "linear_s": (3e-5, 2.0),
    "layer_s": (4e-6, 2.0),
    "elementwise_stream": (0.6, 1.5),
    "reduce_s": (5e-6, 2.0),
    "reduce_stream": (0.6, 1.5),
}
NAMES = tuple(PRIORS)
COMPONENTS = ("gemm_ms", "attention_ms", "experts_ms", "reduce_ms", "other_ms")
START = np.array([math.log(PRIORS[name][0]) for name in NAMES])
WIDTH = np.array([math.log(PRIORS[name][1]) for name in NAMES])
MOST_STEPS = 500
"""Rows of the table that a fit uses."""
ARCHITECTURE_SHARE = 0.7
DEVICE_SHARE = 0.5
HUBER = 0.25


@dataclass(frozen=True, kw_only=True)
class Step:
    """One row of the table."""

    hardware: Hardware
    model: str
    precision: Precision
    tensor_parallel: int
    engine: str
    phase: str
    sequences: int
    tokens: int
    parts_s: tuple[float, ...]
    seconds: float

    @property
    def pair(self) -> str:
        """Model and device: what is held out together."""
        return f"{self.model}/{self.hardware.id}"


def read_steps(devices: Mapping[str, Hardware], models: Mapping[str, LlmProfile], engine: str = "vllm") -> list[Step]:
    """The rows of one engine's kernels."""
    with STEPS.open(encoding="utf-8") as file:
        return [
            Step(
                hardware=devices[row["hardware"]],
                model=row["model"],
                precision=Precision(row["precision"]),
                tensor_parallel=int(row["tensor_parallel"]),
                engine=row["engine"],
                phase=row["phase"],
                sequences=int(row["sequences"]),
                tokens=int(row["tokens"]),
                parts_s=tuple(float(row[name]) / 1e3 for name in COMPONENTS),
                seconds=float(row["total_ms"]) / 1e3,
            )
            for row in csv.DictReader(file)
            if row["engine"] == engine
            and row["model"] in models
            and not (row["hardware"] in SLOW_LINKS and int(row["tensor_parallel"]) > 2)
        ]


class StepTable:
    """The rows as arrays, and the model evaluated on all of them."""

    def __init__(self, steps: Sequence[Step], models: Mapping[str, LlmProfile]) -> None:
        self.steps = list(steps)
        self.seconds = np.array([s.seconds for s in steps])
        self.observed = np.array([s.parts_s for s in steps]).T
        self._columns = _columns(self.steps, models)
        self.has_parts = self._columns["has_parts"] > 0

    def parts(self, theta: Array) -> Array:
        """Seconds by component: float64[5, rows]."""
        value = dict(zip(NAMES, np.exp(theta), strict=True))
        c = self._columns
        shares = np.array([[value[f"{kind}.{p.value}"] for p in PRECISIONS] for kind in ("stream", "compute")])
        dense = c["dense"].astype(int)
        expert = c["expert"].astype(int)
        stream, compute = c["bandwidth"] * shares[0][dense], c["dense_peak"] * shares[1][dense]
        compute = compute * np.where(c["quantizes"], width_share(c["hidden"], value["half_width"]), 1.0)
        gemm = products_s(
            c["tokens"], c["parameters"], c["parameters"] * c["dense_bytes"], stream, compute, value["tile_tokens"]
        )
        gemm += c["kernels"] * (
            value["matrix_s"] + c["quantizes"] * value["quantize_s"] + c["blocks"] * value["block_s"]
        )
        gemm += c["head"] * ACTIVATION_BYTES / (c["bandwidth"] * shares[0][0]) + value["matrix_s"]
        gemm += 2 * c["head"] * c["sequences"] / (c["wide_peak"] * shares[1][0])
        moving = c["bandwidth"] * value["elementwise_stream"]
        int4 = np.where(expert == PRECISIONS.index(Precision.INT4), value["expert_int4"], 1.0)
        experts = grouped_products_s(
            c["rows"],
            c["chosen"],
            c["one_expert"],
            c["expert_bytes"],
            c["bandwidth"] * shares[0][expert] * value["expert_stream"] * int4,
            c["expert_peak"] * shares[1][expert] * value["expert_compute"] * int4,
            value["expert_tile_tokens"],
        )
        experts = c["mixtures"] * (experts + c["routed"] / (c["bandwidth"] * value["route_stream"]) + value["expert_s"])
        reading, computing = c["bandwidth"] * value["attention_stream"], c["wide_peak"] * value["attention_compute"]
        attention = np.maximum(c["read_bytes"] / reading, c["read_flops"] / computing) + c["state_bytes"] / reading
        attention += c["pair_flops"] / computing + c["row_bytes"] / moving
        attention += (
            c["attending"] * (value["attention_s"] + prefill_share(c["tokens"]) * value["attention_prefill_s"])
            + c["linear"] * value["linear_s"]
        )
        other = c["layers"] * value["layer_s"] + c["moved"] / moving
        reduce = c["reduces"] * (value["reduce_s"] * c["hops"] + c["exchanged"] / (c["link"] * value["reduce_stream"]))
        return np.array([gemm, attention, experts, reduce, other])

    def errors(self, theta: Array) -> Array:
        """Log of predicted over tabled time of whole steps."""
        return np.asarray(np.log(self.parts(theta).sum(axis=0) / self.seconds))


def _columns(steps: Sequence[Step], models: Mapping[str, LlmProfile]) -> dict[str, Array]:
    rows = [_row(step, models[step.model]) for step in steps]
    return {name: np.array([row[name] for row in rows]) for name in rows[0]}


def _row(step: Step, model: LlmProfile) -> dict[str, float]:
    hardware, peaks, tp = step.hardware, step.hardware.peak_flops, step.tensor_parallel
    work = llm_work(model, tp)
    place = place_of(model, hardware, step.precision, tensor_parallel=tp)
    is_decode = step.phase == "decode"
    tokens = step.sequences if is_decode else step.sequences * step.tokens
    wide = wide_precision(peaks)
    dense = dense_precision(model, peaks, step.precision)
    dense = Precision.BF16 if dense is wide else dense
    widened = is_weight_only(model, step.precision)
    row: dict[str, float] = {
        "tokens": tokens,
        "sequences": step.sequences,
        "bandwidth": hardware.memory_bandwidth_bytes_per_s,
        "wide_peak": peaks[wide],
        "link": place.link_bytes_per_s,
        "dense": PRECISIONS.index(dense),
        "expert": PRECISIONS.index(step.precision),
        "dense_peak": peaks[wide if dense is Precision.BF16 or widened else dense],
        "expert_peak": peaks[wide if widened else step.precision],
        "dense_bytes": WEIGHT_BYTES[dense],
        "expert_bytes": WEIGHT_BYTES[step.precision],
        "quantizes": float(is_quantizing(dense)),
        "blocks": float(is_block_scaled(model, step.precision)),
        "hidden": work.hidden,
        "parameters": work.matrix_parameters,
        "kernels": work.matrix_kernels,
        "head": work.head_parameters,
        "layers": work.layers,
        "moved": work.layers * float(elementwise_bytes(tokens, work.hidden, work.intermediate)),
        "reduces": float(2 * work.layers + 1 if tp > 1 else 0),
        "hops": all_reduce_hops(tp, is_switched=place.is_switched),
        "exchanged": float(all_reduce_bytes(tokens, work.hidden, tp, is_switched=place.is_switched)),
        "mixtures": sum(e.layers for e in work.experts),
        "has_parts": 1.0,
        **dict.fromkeys(("rows", "chosen", "one_expert", "routed"), 1.0),
        **dict.fromkeys(
            ("row_bytes", "read_bytes", "read_flops", "state_bytes", "pair_flops", "attending", "linear"), 0.0
        ),
    }
    for experts in work.experts:
        row["rows"] = tokens * experts.experts_per_token
        row["chosen"] = float(chosen_experts(tokens, experts.experts, experts.experts_per_token))
        row["one_expert"] = experts.parameters
        row["routed"] = float(routed_bytes(row["rows"], work.hidden, experts.intermediate))
    for attention in work.attention:
        layers, window = attention.layers, attention.window_tokens
        row["row_bytes"] += layers * float(attention_row_bytes(tokens, attention.row_elements))
        row["linear" if attention.is_linear else "attending"] += layers
        row["state_bytes"] += 2 * STATE_BYTES * layers * attention.state_elements * step.sequences
        row["pair_flops"] += STATE_FLOPS * layers * attention.state_elements * tokens
        if attention.is_linear or attention.read_flops != attention.pair_flops:
            row["has_parts"] = 0.0
        if is_decode:
            context = step.sequences * min(step.tokens, window or step.tokens)
            row["read_bytes"] += layers * attention.cached_elements * ACTIVATION_BYTES * context
            row["read_flops"] += layers * attention.read_flops * context
        else:
            short = window is not None and window <= SHORT_WINDOW_TOKENS
            keys = min(step.tokens / 2, window) if short and window is not None else step.tokens / 2
            row["pair_flops"] += layers * attention.pair_flops * tokens * keys
    return row


def least_squares(residuals: Callable[[Array], Array], start: Array, width: Array, rounds: int = 14) -> Array:
    """Damped Gauss-Newton on residuals and the pull of the priors (`start`, `width` as standard deviations)."""

    def full(at: Array) -> Array:
        return np.concatenate([residuals(at), (at - start) / width])

    theta, damping = start.copy(), 1e-2
    current = full(theta)
    for _ in range(rounds):
        jacobian = np.empty((len(current), len(theta)))
        for column in range(len(theta)):
            moved = theta.copy()
            moved[column] += 1e-4
            jacobian[:, column] = (full(moved) - current) / 1e-4
        normal, gradient = jacobian.T @ jacobian, jacobian.T @ current
        step = np.linalg.solve(normal + damping * np.diag(np.diag(normal)), -gradient)
        after = full(theta + step)
        if after @ after < current @ current:
            gain = 1 - (after @ after) / (current @ current)
            theta, current, damping = theta + step, after, damping / 4
            if gain < 1e-3:
                break
        else:
            damping *= 5
    return theta


def fit(table: StepTable, centre: Array, share: float, noise: float = 0.1) -> Array:
    """Coefficients nearest to the table's times; `share` of the prior's width is how far they may leave `centre`.

    The components of a step count by their share of it; Huber weights keep single odd rows from pulling. `noise`
    states how many of the (strongly dependent) rows count as one.
    """
    part_weight = np.clip(table.observed / table.seconds, 0.0, 1.0) * table.has_parts
    safe = np.maximum(table.observed, 1e-9)
    scale = 1 / (noise * math.sqrt(max(len(table.seconds), 1) / 60.0))

    def residuals(theta: Array) -> Array:
        parts = table.parts(theta)
        whole = np.log(parts.sum(axis=0) / table.seconds)
        single = np.log(np.maximum(parts, 1e-9) / safe) * part_weight
        together = np.concatenate([whole, single.ravel()])
        return np.asarray(together * np.sqrt(np.minimum(1.0, HUBER / np.maximum(np.abs(together), 1e-12))) * scale)

    return least_squares(residuals, centre, WIDTH * share)
