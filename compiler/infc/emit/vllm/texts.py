"""README.md of the bundle: how to start it, how to check it, what it promises and where it ends."""

from collections.abc import Iterator, Mapping

from infc.emit.templates import TemplateValue, render
from infc.emit.vllm.container import Container
from infc.emit.vllm.release import VllmRelease, vllm_folder
from infc.emit.vllm.settings import CHAT_TEMPLATE, MODEL_FOLDER, PORT, ServeSettings
from infc.ir.candidate import ContinuousBatching
from infc.ir.checkpoint import Checkpoint
from infc.ir.estimate import Estimate
from infc.ir.interval import Interval
from infc.ir.plan import Plan
from infc.ir.problem import LatencyTarget, LlmProblem
from infc.ir.spec import Deploy

_METRICS = {
    "ttft": ("first token", "vllm:time_to_first_token_seconds"),
    "tpot": ("time per output token", "vllm:request_time_per_output_token_seconds"),
    "e2e": ("whole answer", "vllm:e2e_request_latency_seconds"),
}


def readme(
    problem: LlmProblem,
    plan: Plan,
    checkpoint: Checkpoint,
    settings: ServeSettings,
    container: Container,
    deploy: Deploy,
    release: VllmRelease,
) -> bytes:
    """The file's bytes."""
    batching = plan.candidate.batching
    assert isinstance(batching, ContinuousBatching)  # noqa: S101 - a vLLM plan's
    candidate, traffic, tokens = plan.candidate, problem.traffic, plan.estimate.tokens
    values: dict[str, TemplateValue] = {
        "name": problem.name,
        "served": problem.source.served_name,
        "target": candidate.target,
        "precision": candidate.precision.value,
        "version": release.version,
        "image": container.image,
        "is_cpu": container.is_cpu,
        "driver": release.minimum_driver,
        "cuda": release.cuda,
        "package": release.python_package if container.is_cpu else f"vllm=={release.version}",
        "port": PORT,
        "devices": container.devices,
        "replicas": candidate.replicas,
        "redundancy": problem.limits.redundancy,
        "model_folder": MODEL_FOLDER,
        "is_from_hub": checkpoint.folder is None,
        "repo": checkpoint.repo or "",
        "revision": checkpoint.revision or "its main branch",
        "is_pending": checkpoint.folder is not None and not checkpoint.has_weights,
        "chat_template": CHAT_TEMPLATE if "chat-template" in settings.all else None,
        "peak": f"{traffic.peak_rps:g}",
        "peak_per_replica": f"{traffic.peak_rps / candidate.replicas:.4g}",
        "slo": tuple(_slo_rows(problem, plan.estimate)),
        "basis": plan.estimate.basis.value,
        "max_num_seqs": batching.max_num_seqs,
        "max_model_len": batching.max_model_len or problem.tokens.longest,
        "longest_prompt": problem.tokens.prompt.maximum,
        "kv_cache_tokens": f"{tokens.kv_cache_tokens:,}" if tokens else None,
        "memory_gib": f"{plan.estimate.memory.total_bytes / 2**30:.2f}",
        "has_admission": "max-num-queued-tokens" in settings.all,
        "is_text_only": "language-model-only" in settings.all,
        "drain_s": settings.drain_s,
        "flavor": deploy.kubernetes.flavor if deploy.kubernetes else None,
    }
    return render(vllm_folder() / "templates", "README.md.j2", values)


def _slo_rows(problem: LlmProblem, estimate: Estimate) -> Iterator[Mapping[str, TemplateValue]]:
    tokens = estimate.tokens
    groups: dict[str, tuple[tuple[LatencyTarget, ...], Mapping[str, Interval]]] = {
        "ttft": (problem.ttft, tokens.ttft_s if tokens else {}),
        "tpot": (problem.tpot, tokens.tpot_s if tokens else {}),
        "e2e": (problem.e2e, estimate.e2e_s),
    }
    for key, (targets, predicted) in groups.items():
        words, metric = _METRICS[key]
        for target in targets:
            value = predicted.get(target.label)
            yield {
                "label": f"{words} {target.label}",
                "limit": f"{target.limit_s * 1e3:g} ms",
                "predicted": _milliseconds(value) if value is not None else "not predicted",
                "metric": metric,
            }


def _milliseconds(value: Interval) -> str:
    return f"{value.value * 1e3:.4g} ms ({value.low * 1e3:.4g} to {value.high * 1e3:.4g})"
