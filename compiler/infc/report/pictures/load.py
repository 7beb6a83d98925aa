"""What a deployment carries and holds: load against what it sustains, memory, the KV cache."""

from infc.ir.estimate import Estimate
from infc.ir.interval import Interval
from infc.ir.llm_measurement import LlmMeasurement
from infc.ir.measurement import Measurement
from infc.ir.plan import Plan
from infc.ir.problem import AnyProblem
from infc.plan.words import counted, figure_text, rate_text, size_text
from infc.report.charts.drawing import DataTable, Key, Picture
from infc.report.charts.interval_rows import IntervalRow, Mark, interval_rows
from infc.report.charts.latency_curve import DOT
from infc.report.charts.stacked_bars import Bar, Part, stacked_bars

GIB = 2.0**30


def load_picture(problem: AnyProblem, plan: Plan, measurement: Measurement | LlmMeasurement | None) -> Picture:
    """The offered rate against what all replicas sustain; of a language model in tokens too, as a sentence."""
    estimate, traffic = plan.estimate, problem.traffic
    sustained = estimate.throughput_rps
    state = (
        "ok" if sustained.low >= traffic.peak_rps else "uncertain" if sustained.value >= traffic.peak_rps else "missed"
    )
    rows = [
        IntervalRow(
            label="mean rate", value=Interval.exact(traffic.mean_rps), said=rate_text(traffic.mean_rps), kind="free"
        ),
        IntervalRow(label="sustained at full batches", value=sustained, said=_range(sustained), kind=state),
    ]
    if measurement is not None:
        answered = Interval.exact(measurement.completed_rps)
        words = f"{rate_text(measurement.completed_rps)} of {rate_text(measurement.offered_rps)} offered"
        rows.append(IntervalRow(label="load test of one replica", value=answered, said=words, kind="free"))
    return Picture(
        title="Load against what it sustains",
        sentence=_load_sentence(problem, plan),
        drawing=interval_rows(
            rows,
            rate_text,
            marks=(Mark(name=f"peak {rate_text(traffic.peak_rps)}", value=traffic.peak_rps, kind="reference"),),
            most=max(4.0 * traffic.peak_rps, 1.2 * sustained.value),
        ),
        legend=(Key(kind="dot ok", text="the whole interval is above the peak", shape=DOT),) if state == "ok" else (),
        table=DataTable(
            columns=("", "requests per second"),
            rows=(*((row.label, row.said) for row in rows), ("peak", rate_text(traffic.peak_rps))),
        ),
    )


def memory_picture(problem: AnyProblem, plan: Plan) -> Picture:
    """One device's memory by what it holds."""
    estimate = plan.estimate
    parts = tuple(Part(kind=p.kind, name=p.name, value=p.value / GIB) for p in _memory_parts(estimate))
    option = next((o for o in problem.options if o.hardware.id == plan.candidate.hardware_id), None)
    limit = None
    if option is not None:
        limit = ("the device has", option.hardware.memory_bytes / GIB)
    bar = Bar(label=f"one {plan.candidate.hardware_id}", parts=parts)
    return stacked_bars("Memory of a device", [bar], _gib, sentence=_memory_sentence(estimate, limit), limit=limit)


def _memory_parts(estimate: Estimate) -> tuple[Part, ...]:
    memory, tokens = estimate.memory, estimate.tokens
    parts = [
        Part(kind="memory-weights", name="weights", value=memory.weights_bytes),
        Part(kind="memory-activations", name="activations", value=memory.activations_bytes),
    ]
    if tokens is not None:
        used = memory.kv_cache_bytes * tokens.kv_cache_utilization
        parts.append(Part(kind="memory-cache", name="KV cache in use, mean", value=used))
        parts.append(Part(kind="memory-free", name="KV cache free", value=memory.kv_cache_bytes - used))
    elif memory.kv_cache_bytes:
        parts.append(Part(kind="memory-cache", name="KV cache", value=memory.kv_cache_bytes))
    parts.append(Part(kind="memory-runtime", name="server and runtime", value=memory.runtime_bytes))
    return tuple(parts)


def _memory_sentence(estimate: Estimate, limit: tuple[str, float] | None) -> str:
    said = f"{size_text(estimate.memory.total_bytes)} of a device"
    said += f", {estimate.memory.total_bytes / GIB / limit[1]:.0%} of what it has." if limit is not None else "."
    basis = " Weights and activations are the engine builder's figures." if estimate.memory.is_from_builder else ""
    tokens = estimate.tokens
    if tokens is None:
        return said + basis
    return (
        f"{said} The KV cache holds {tokens.kv_cache_tokens:,} tokens, {tokens.kv_cache_utilization:.0%} of them in use"
        f" in the mean: {counted(tokens.usual_requests, 'request')} of the usual length at once, or"
        f" {tokens.longest_requests} of the longest.{basis}"
    )


def _load_sentence(problem: AnyProblem, plan: Plan) -> str:
    estimate, tokens = plan.estimate, plan.estimate.tokens
    peak = rate_text(problem.traffic.peak_rps)
    if tokens is None:
        busy = f"At the peak of {peak} an instance is busy {estimate.utilization:.0%} of the time."
        return f"{busy} The mean batch size is {estimate.mean_batch_size:.3g}."
    return (
        f"At the peak of {peak} a replica runs steps {estimate.utilization:.0%} of the time, with"
        f" {tokens.running_sequences:.3g} sequences in one; {tokens.preemptions:.2g} preemptions a request."
        f" All replicas sustain {figure_text(tokens.output_tokens_per_s.value)} output tokens per second."
    )


def _gib(size_gib: float) -> str:
    return f"{size_gib:.2g} GiB" if size_gib < 1 else f"{size_gib:.3g} GiB"


def _range(interval: Interval) -> str:
    return f"{rate_text(interval.value)} ({rate_text(interval.low)} to {rate_text(interval.high)})"
