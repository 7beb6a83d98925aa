"""The prediction of a language model as text and as JSON."""

import json

from infc.ir.interval import Interval
from infc.ir.prediction import LlmPrediction
from infc.plan.words import duration_text
from infc.report.json_values import Json, interval_json

_GIB = 2.0**30
MEMORY_SPREAD = 1.1
"""Half-width of the 90% interval of memory as a factor.

Weights and cache are counted; activations, graphs and runtime are estimates of a tenth to a fifth of the whole.
"""
_ENGINES = {"vllm": "vLLM", "trtllm": "TensorRT-LLM", "sglang": "SGLang"}


def render_llm_prediction_json(prediction: LlmPrediction) -> str:
    """The fixed shape of `infc predict --format json`."""
    power = prediction.power_w
    document: dict[str, Json] = {
        "latency_ms": interval_json(prediction.e2e_s.scaled(1e3)),
        "ttft_ms": interval_json(prediction.ttft_s.scaled(1e3)),
        "tpot_ms": None if prediction.tpot_s is None else interval_json(prediction.tpot_s.scaled(1e3)),
        "throughput_per_s": interval_json(prediction.throughput_per_s),
        "memory_gib": interval_json(_memory(prediction).scaled(1 / _GIB)),
        "power_w": None if power is None else interval_json(power),
        "basis": prediction.basis.value,
        "confidence": 0.9,
    }
    return json.dumps(document, indent=2)


def render_llm_prediction_text(prediction: LlmPrediction) -> str:
    """The question with what was assumed, then one line per quantity."""
    throughput, memory = prediction.throughput_per_s, _memory(prediction).scaled(1 / _GIB)
    lines = [
        *_question_lines(prediction),
        _duration_line("ttft", prediction.ttft_s),
        *(() if prediction.tpot_s is None else (_duration_line("tpot", prediction.tpot_s),)),
        _duration_line("latency", prediction.e2e_s),
        _line("throughput", *(f"{v:,.4g} tokens/s" for v in (throughput.value, throughput.low, throughput.high))),
        _line("memory", *(f"{v:.1f} GiB" for v in (memory.value, memory.low, memory.high))) + _parts(prediction),
    ]
    if prediction.power_w is not None:
        power = prediction.power_w
        lines.append(_line("power", *(f"{v:.4g} W" for v in (power.value, power.low, power.high))))
    source = "" if prediction.step_source == "infc" else f", step times of {prediction.step_source}"
    lines.append(f"  basis       {prediction.basis.value}{source}; intervals hold 90%")
    return "\n".join(lines)


def _question_lines(prediction: LlmPrediction) -> tuple[str, str, str]:
    asked, batching, model = prediction.question, prediction.batching, prediction.profile
    devices = f"{asked.tensor_parallel} x {asked.hardware}" if asked.tensor_parallel > 1 else asked.hardware
    mode = f" in mode {asked.power_mode}" if asked.power_mode else ""
    cache = f", cache {asked.kv_precision.value}" if asked.kv_precision else ""
    return (
        f"{model.name} ({model.parameters / 1e9:,.4g}B parameters) on {devices}{mode},"
        f" {prediction.precision.value}{cache}",
        f"  {asked.concurrency} requests at a time, each of {asked.prompt_tokens} prompt and {asked.output_tokens}"
        f" output tokens, {_ENGINES[asked.engine]}",
        f"  max-num-seqs {batching.max_num_seqs}, max-num-batched-tokens {batching.max_num_batched_tokens},"
        f" gpu-memory-utilization {prediction.memory_utilization:g}:"
        f" room for {prediction.kv_cache_tokens:,} cached tokens",
    )


def _parts(prediction: LlmPrediction) -> str:
    """What the memory of one device is made of."""
    parts, each = prediction.memory, " a device" if prediction.question.tensor_parallel > 1 else ""
    return (
        f"{each}: weights {parts.weights_bytes / _GIB:.1f}, cache {parts.kv_cache_bytes / _GIB:.1f},"
        f" activations {parts.activations_bytes / _GIB:.1f}, runtime {parts.runtime_bytes / _GIB:.1f}"
    )


def _memory(prediction: LlmPrediction) -> Interval:
    total = prediction.memory.total_bytes
    return Interval(value=total, low=total / MEMORY_SPREAD, high=total * MEMORY_SPREAD)


def _duration_line(name: str, interval: Interval) -> str:
    return _line(name, *(duration_text(v) for v in (interval.value, interval.low, interval.high)))


def _line(name: str, value: str, low: str, high: str) -> str:
    return f"  {name:<12}{value:<16} {low} .. {high}"
