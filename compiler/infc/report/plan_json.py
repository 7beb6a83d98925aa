"""A plan as JSON: the fixed shape of `infc plan --format json`."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from infc.diag import Diagnostic
from infc.ir.candidate import Candidate, ContinuousBatching, DynamicBatching
from infc.ir.estimate import Estimate
from infc.ir.plan import (
    Decision,
    Infeasible,
    NearestMode,
    Plan,
    Rejection,
    Relaxation,
    RunnerUp,
    SearchSummary,
    SmallestHardware,
)
from infc.report.json_values import Json, interval_json, number, optional
from infc.report.plan_models import models_json
from infc.report.plan_money_json import capacity_json, cost_json, energy_json
from infc.report.plan_review_json import review_json
from infc.report.plan_tokens import percentiles_json, serving_json, tokens_json
from infc.report.planned import PlannedEntry

FORMAT_VERSION = "1.0"


@dataclass(frozen=True, kw_only=True)
class ChangeDocument:
    """What a comparison adds to the document: top-level keys, and keys of the summary."""

    keys: Mapping[str, Json]
    summary: Mapping[str, Json]


def render_plan_json(entries: Sequence[PlannedEntry]) -> str:
    """One object per decision (`target` null is the free choice), two spaces of indentation."""
    return document_text([entry_text(entry) for entry in entries], [entry.status for entry in entries])


def entry_text(entry: PlannedEntry) -> str:
    """One decision as an element of the document's `specs`, indented as it stands there."""
    return json.dumps(_entry(entry), indent=2, ensure_ascii=False).replace("\n", "\n    ")


def document_text(entries: Sequence[str], statuses: Sequence[str], changes: ChangeDocument | None = None) -> str:
    """The document of decisions that are rendered already, with what they are compared with, if anything."""
    specs = "[\n    " + ",\n    ".join(entries) + "\n  ]" if entries else "[]"
    summary: dict[str, Json] = {
        "decisions": len(entries),
        "feasible": statuses.count("feasible"),
        "infeasible": statuses.count("infeasible"),
        "invalid": statuses.count("invalid"),
    }
    beside = ""
    if changes is not None:
        summary |= changes.summary
        shown = {key: json.dumps(value, indent=2, ensure_ascii=False) for key, value in changes.keys.items()}
        beside = "".join(f'  "{key}": {text},\n'.replace("\n", "\n  ").rstrip(" ") for key, text in shown.items())
    shown_summary = json.dumps(summary, indent=2).replace("\n", "\n  ")
    return f'{{\n  "format_version": "{FORMAT_VERSION}",\n{beside}  "specs": {specs},\n  "summary": {shown_summary}\n}}'


def decision_json(decision: Decision) -> dict[str, Json]:
    """The parts of a decision: what `plan.json` in a bundle holds too."""
    match decision:
        case Plan():
            return {
                "decision": _candidate(decision.candidate),
                "estimate": _estimate(decision.estimate),
                "reasons": list(decision.reasons),
                "comments": list(decision.comments),
                "models": models_json(decision.models),
                "runners_up": [_runner_up(r) for r in decision.runners_up],
                "rejected": [_rejection(r) for r in decision.rejections],
                "binding": [],
                "relaxations": [],
                "smallest_hardware": None,
                "nearest_power_modes": [],
                "search": _search(decision.search),
            }
        case Infeasible():
            return {
                "decision": None,
                "estimate": None,
                "reasons": [],
                "comments": [],
                "models": models_json(decision.models),
                "runners_up": [],
                "rejected": [_rejection(r) for r in decision.rejections],
                "binding": list(decision.binding),
                "relaxations": [_relaxation(r) for r in decision.relaxations],
                "smallest_hardware": None if decision.smallest is None else _smallest(decision.smallest),
                "nearest_power_modes": [_mode(mode) for mode in decision.power_modes],
                "search": _search(decision.search),
            }


def _entry(entry: PlannedEntry) -> dict[str, Json]:
    head: dict[str, Json] = {"name": entry.name, "path": entry.path, "target": entry.target, "status": entry.status}
    if entry.decision is None:
        empty: dict[str, Json] = {
            key: [] for key in ("reasons", "comments", "models", "runners_up", "rejected", "binding", "relaxations")
        }
        body: dict[str, Json] = {
            "decision": None,
            "estimate": None,
            **empty,
            "smallest_hardware": None,
            "nearest_power_modes": [],
            "search": None,
        }
    else:
        body = decision_json(entry.decision)
    capacity: Json = None
    if isinstance(entry.decision, Plan) and entry.problem is not None:
        capacity = capacity_json(entry.problem, entry.decision)
    changes: list[Json] = [dict(change) for change in entry.changes]
    body |= {"capacity": capacity, **review_json(entry.review)}
    return {**head, **body, "changes": changes, "diagnostics": [_diagnostic(d) for d in entry.diagnostics]}


def _candidate(candidate: Candidate) -> dict[str, Json]:
    dynamic = candidate.batching if isinstance(candidate.batching, DynamicBatching) else None
    continuous = candidate.batching if isinstance(candidate.batching, ContinuousBatching) else None
    return {
        "candidate": candidate.label,
        "model": candidate.model,
        "hardware": candidate.hardware_id,
        "power_mode": candidate.power_mode,
        "dla_core": candidate.dla_core,
        "server": candidate.server,
        "precision": candidate.precision.value,
        "tensor_parallel": candidate.tensor_parallel if continuous else None,
        "pipeline_parallel": candidate.pipeline_parallel if continuous else None,
        "instances_per_gpu": candidate.instances_per_gpu if dynamic else None,
        "max_batch_size": dynamic.max_batch_size if dynamic else None,
        "max_queue_delay_us": round(dynamic.max_queue_delay_s * 1e6) if dynamic else None,
        "has_prefetch": dynamic.has_prefetch if dynamic else None,
        "max_num_seqs": continuous.max_num_seqs if continuous else None,
        "max_num_batched_tokens": continuous.max_num_batched_tokens if continuous else None,
        "kv_precision": continuous.kv_precision.value if continuous and continuous.kv_precision else None,
        "vllm": serving_json(continuous) if continuous else None,
        "replicas": candidate.replicas,
        "accelerators": candidate.replicas * candidate.devices,
    }


def _estimate(estimate: Estimate) -> dict[str, Json]:
    tokens = estimate.tokens
    return {
        "latency_ms": {label: interval_json(value.scaled(1e3)) for label, value in estimate.e2e_s.items()},
        "ttft_ms": None if tokens is None else percentiles_json(tokens.ttft_s),
        "tpot_ms": None if tokens is None else percentiles_json(tokens.tpot_s),
        "throughput_rps": number(estimate.throughput_rps.value),
        "throughput_interval_rps": interval_json(estimate.throughput_rps),
        "goodput_rps": number(estimate.goodput_rps),
        "utilization": number(estimate.utilization),
        "mean_utilization": None if estimate.mean_utilization is None else number(estimate.mean_utilization),
        "mean_batch_size": number(estimate.mean_batch_size),
        "memory_gib": number(estimate.memory.total_bytes / 2.0**30),
        "memory_basis": "builder" if estimate.memory.is_from_builder else "estimate",
        "power_w": None if estimate.power_w is None else number(estimate.power_w.value),
        "power_interval_w": None if estimate.power_w is None else interval_json(estimate.power_w),
        "requests_per_joule": optional(estimate.requests_per_joule),
        "tokens_per_joule": optional(estimate.tokens_per_joule),
        "cost": None if estimate.cost is None else cost_json(estimate.cost),
        "energy": None if estimate.energy is None else energy_json(estimate.energy),
        "tokens": None if tokens is None else tokens_json(tokens),
        "service_ms": _service_ms(estimate),
        "basis": estimate.basis.value,
        "confidence": estimate.confidence,
    }


def _service_ms(estimate: Estimate) -> Json:
    if estimate.service_time is None:
        return None
    return [number(s.value * 1e3) for s in estimate.service_time.seconds]


def _runner_up(runner_up: RunnerUp) -> dict[str, Json]:
    return {"decision": _candidate(runner_up.candidate), "estimate": _estimate(runner_up.estimate)}


def _search(summary: SearchSummary) -> dict[str, Json]:
    return {
        "considered": summary.considered,
        "simulated": summary.simulated,
        "simulations": summary.simulations,
        "pruned": dict(summary.pruned),
    }


def _rejection(rejection: Rejection) -> dict[str, Json]:
    return {
        "candidate": rejection.candidate,
        "constraint": rejection.constraint,
        "predicted": rejection.predicted,
        "limit": rejection.limit,
    }


def _relaxation(relaxation: Relaxation) -> dict[str, Json]:
    return {
        "path": relaxation.path,
        "current": relaxation.current,
        "needed": relaxation.needed,
        "candidate": relaxation.candidate,
        "usd_per_month": None if relaxation.usd_per_month is None else number(relaxation.usd_per_month),
    }


def _smallest(smallest: SmallestHardware) -> dict[str, Json]:
    return {
        "candidate": smallest.candidate,
        "hardware": smallest.hardware_id,
        "accelerators": smallest.devices,
        "precision": smallest.precision.value,
        "memory_gib": number(smallest.memory_bytes / 2.0**30),
        "usd_per_month": optional(smallest.usd_per_month),
    }


def _mode(mode: NearestMode) -> dict[str, Json]:
    return {
        "candidate": mode.candidate,
        "hardware": mode.hardware_id,
        "power_mode": mode.power_mode,
        "accelerators": mode.devices,
        "power_w": number(mode.power_w),
        "draws_least": mode.is_lowest,
        "comes_nearest": mode.is_nearest,
        "misses": list(mode.misses),
    }


def _diagnostic(diagnostic: Diagnostic) -> dict[str, Json]:
    span = diagnostic.span
    return {
        "id": diagnostic.id,
        "severity": diagnostic.severity.value,
        "message": diagnostic.message,
        "path": None if span is None else span.path,
        "line": None if span is None else span.line,
        "column": None if span is None else span.column,
        "help": diagnostic.help,
    }
