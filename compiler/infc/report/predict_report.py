"""A prediction as text and as JSON."""

import json

from infc.ir.interval import Interval
from infc.ir.prediction import Prediction
from infc.plan.words import duration_text
from infc.report.json_values import Json, interval_json

_GIB = 2.0**30
MEMORY_SPREAD = 1.25
"""Half-width of the 90% interval of memory as a factor.

The liveness peak is within a fifth of builders' own figures.
"""


def render_prediction_json(prediction: Prediction) -> str:
    """The fixed shape of `infc predict --format json`."""
    power = prediction.power_w
    document: dict[str, Json] = {
        "latency_ms": interval_json(prediction.latency_s.scaled(1e3)),
        "ttft_ms": None,
        "tpot_ms": None,
        "throughput_per_s": interval_json(prediction.throughput_per_s),
        "memory_gib": interval_json(memory_interval(prediction).scaled(1 / _GIB)),
        "power_w": None if power is None else interval_json(power),
        "basis": prediction.basis.value,
        "confidence": 0.9,
    }
    return json.dumps(document, indent=2)


def render_prediction_text(prediction: Prediction) -> str:
    """The question, then one line per quantity."""
    asked = prediction.question
    axes = "".join(f", {axis}={size}" for axis, size in sorted(asked.axes.items()))
    mode = f" in mode {asked.power_mode}" if asked.power_mode else ""
    latency, throughput = prediction.latency_s, prediction.throughput_per_s
    memory = memory_interval(prediction).scaled(1 / _GIB)
    lines = [
        f"{asked.model.name} on {asked.hardware}{mode}, {asked.precision.value}, batch {asked.batch}{axes}",
        _line("latency", duration_text(latency.value), duration_text(latency.low), duration_text(latency.high)),
        _line("throughput", *(f"{v:,.4g}/s" for v in (throughput.value, throughput.low, throughput.high))),
        _line("memory", *(f"{v:.2f} GiB" for v in (memory.value, memory.low, memory.high))),
    ]
    if prediction.dla_throughput_per_s is not None:
        dla = prediction.dla_throughput_per_s
        lines.insert(3, _line("of the DLAs", *(f"{v:,.4g}/s" for v in (dla.value, dla.low, dla.high))))
    if prediction.power_w is not None:
        power = prediction.power_w
        lines.append(_line("power", *(f"{v:.3g} W" for v in (power.value, power.low, power.high))))
    lines.append(f"  basis       {prediction.basis.value}; intervals hold 90%")
    return "\n".join(lines)


def memory_interval(prediction: Prediction) -> Interval:
    """Memory in bytes with its interval."""
    total = prediction.memory.total_bytes
    return Interval(value=total, low=total / MEMORY_SPREAD, high=total * MEMORY_SPREAD)


def _line(name: str, value: str, low: str, high: str) -> str:
    return f"  {name:<12}{value:<12} {low} .. {high}"
