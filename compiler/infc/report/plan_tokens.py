"""What a language model's plan says beyond any other's: token latencies, the scheduler's limits, the KV cache."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from infc.ir.candidate import Candidate, ContinuousBatching
from infc.ir.estimate import Estimate, TokenEstimate
from infc.ir.interval import Interval
from infc.ir.plan import RunnerUp
from infc.ir.problem import AnyProblem, LatencyTarget, LlmProblem
from infc.plan.words import counted, duration_text, figure_text, money_text, rate_text
from infc.report.json_values import Json, interval_json, number

GIB = 2.0**30


@dataclass(frozen=True, kw_only=True)
class LatencyRow:
    """One predicted percentile; `limit_s` None where the spec promises nothing of it."""

    label: str
    value: Interval
    limit_s: float | None


def latency_rows(problem: AnyProblem, estimate: Estimate, *, only_promised: bool = False) -> Iterator[LatencyRow]:
    """Every percentile with a limit, and the median and the p99 of what has any."""
    groups: list[tuple[str, Mapping[str, Interval], Sequence[LatencyTarget]]]
    if isinstance(problem, LlmProblem) and estimate.tokens is not None:
        tokens = estimate.tokens
        groups = [
            ("ttft ", tokens.ttft_s, problem.ttft),
            ("tpot ", tokens.tpot_s, problem.tpot),
            ("e2e ", estimate.e2e_s, problem.e2e),
        ]
    elif isinstance(problem, LlmProblem):
        groups = []
    else:
        groups = [("", estimate.e2e_s, problem.latency)]
    for prefix, values, targets in groups:
        limits = {target.label: target.limit_s for target in targets}
        for label, value in values.items():
            is_shown = label in limits if only_promised else label in limits or label in ("p50", "p99")
            if is_shown:
                yield LatencyRow(label=prefix + label, value=value, limit_s=limits.get(label))


def batching_words(candidate: Candidate, batching: ContinuousBatching) -> list[str]:
    """Parallelism and limits of the scheduler, for the headline."""
    parts = [f"tensor parallel {candidate.tensor_parallel}"] if candidate.tensor_parallel > 1 else []
    if candidate.pipeline_parallel > 1:
        parts.append(f"pipeline parallel {candidate.pipeline_parallel}")
    if batching.kv_precision is not None:
        parts.append(f"KV cache {batching.kv_precision.value}")
    parts += [f"{batching.max_num_seqs} sequences", f"{batching.max_num_batched_tokens} tokens a step"]
    if batching.speculation is not None:
        parts.append(f"{batching.speculation.tokens} drafted by {batching.speculation.method}")
    return parts


def load_words(problem: AnyProblem, estimate: Estimate, tokens: TokenEstimate) -> str:
    """Requests and generated tokens against what all replicas sustain."""
    return (
        f"peak {rate_text(problem.traffic.peak_rps)}, sustained {rate_text(estimate.throughput_rps.value)}"
        f" ({tokens.output_tokens_per_s.value:,.0f} generated tokens/s);"
        f" {tokens.running_sequences:.3g} sequences a step, KV cache {tokens.kv_cache_utilization:.0%} in use"
    )


def memory_words(estimate: Estimate, tokens: TokenEstimate) -> str:
    """What a device holds; the cache takes what the rest leaves."""
    memory = estimate.memory
    return (
        f"{memory.total_bytes / GIB:.3g} GiB per device: weights {memory.weights_bytes / GIB:.2f}, activations"
        f" {memory.activations_bytes / GIB:.2f}, runtime {memory.runtime_bytes / GIB:.2f}, KV cache"
        f" {memory.kv_cache_bytes / GIB:.2f} ({tokens.kv_cache_tokens:,} tokens a replica:"
        f" {counted(tokens.usual_requests, 'request')} of usual length, {tokens.longest_requests:,} of the longest)"
    )


def runner_up_rows(problem: LlmProblem, runners_up: Sequence[RunnerUp]) -> list[tuple[str, ...]]:
    """A table of the places that lost: replicas, cost, generated tokens for money and energy, the promised tails."""
    judged = [row.label for row in _tails(problem, runners_up[0].estimate)]
    rows: list[tuple[str, ...]] = [("candidate", "replicas", "cost", "$/M tokens", "tokens/J", *judged)]
    for runner_up in runners_up:
        estimate = runner_up.estimate
        tails = [duration_text(row.value.value) for row in _tails(problem, estimate)]
        cost = estimate.cost
        per_million = None if cost is None else cost.usd_per_million_tokens
        rows.append(
            (
                runner_up.candidate.label,
                str(runner_up.candidate.replicas),
                "-" if cost is None else money_text(cost.usd_per_hour),
                *("-" if value is None else figure_text(value) for value in (per_million, estimate.tokens_per_joule)),
                *tails,
            )
        )
    return rows


def _tails(problem: LlmProblem, estimate: Estimate) -> list[LatencyRow]:
    """The highest promised percentile of each metric."""
    found: dict[str, LatencyRow] = {}
    for row in latency_rows(problem, estimate, only_promised=True):
        found[row.label.split()[0]] = row
    return list(found.values())


def devices_words(candidate: Candidate) -> str:
    """`8 x h100-sxm`, or `4 replicas of 2 x h100-sxm`."""
    device = candidate.hardware_id + (f" in mode {candidate.power_mode}" if candidate.power_mode else "")
    if candidate.devices == 1:
        return f"{candidate.replicas} x {device}"
    return f"{counted(candidate.replicas, 'replica')} of {candidate.devices} x {device}"


def serving_json(batching: ContinuousBatching) -> dict[str, Json]:
    """The settings of a vLLM server beside the limits of its scheduler."""
    drafted = batching.speculation
    return {
        "max_model_len": batching.max_model_len,
        "gpu_memory_utilization": batching.gpu_memory_utilization,
        "kv_cache_memory_bytes": batching.kv_cache_memory_bytes,
        "prefix_caching": batching.has_prefix_caching,
        "chunked_prefill": batching.has_chunked_prefill,
        "speculation": None
        if drafted is None
        else {
            "method": drafted.method,
            "tokens": drafted.tokens,
            "acceptance": number(drafted.acceptance),
            "model": drafted.model,
        },
    }


def percentiles_json(seconds: Mapping[str, Interval]) -> dict[str, Json]:
    """Milliseconds by label."""
    return {label: interval_json(value.scaled(1e3)) for label, value in seconds.items()}


def tokens_json(tokens: TokenEstimate) -> dict[str, Json]:
    """What only a server of a language model has."""
    return {
        "itl_ms": percentiles_json(tokens.itl_s),
        "output_tokens_per_s": interval_json(tokens.output_tokens_per_s),
        "kv_cache_tokens": tokens.kv_cache_tokens,
        "kv_cache_utilization": number(tokens.kv_cache_utilization),
        "running_sequences": number(tokens.running_sequences),
        "preemptions_per_request": number(tokens.preemptions),
        "usual_requests_that_fit": tokens.usual_requests,
        "longest_requests_that_fit": tokens.longest_requests,
    }
