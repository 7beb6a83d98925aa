"""Several models that would do, side by side: accuracy, cost, token latencies, energy, and what became of each."""

from collections.abc import Sequence
from typing import Any

from infc.ir.json_schema import object_schema
from infc.ir.plan import ModelOption, ModelVerdict
from infc.plan.words import duration_text, figure_text, money_text
from infc.report.json_values import Json, number

_TTFT, _TPOT = "ttft p99", "tpot p99"
HEAD = ("model", "accuracy", "cost", "$/M tokens", _TTFT, _TPOT, "J/token", "")


def model_rows(models: Sequence[ModelOption]) -> list[tuple[str, ...]]:
    """A table with one row for each model, in the order of the spec; `~` before figures of short simulations."""
    return [HEAD, *(_row(model) for model in models)]


def _row(model: ModelOption) -> tuple[str, ...]:
    accuracy = "-" if model.accuracy is None else f"{model.accuracy:g}"
    estimate = model.estimate
    if estimate is None or estimate.tokens is None:
        return (model.name, accuracy, "-", "-", "-", "-", "-", outcome(model))
    cost, energy = estimate.cost, estimate.energy
    about = "~" if model.verdict in (ModelVerdict.OUTBID, ModelVerdict.INACCURATE) else ""
    per_million = None if cost is None else cost.usd_per_million_tokens
    joules = None if energy is None else energy.joules_per_token
    return (
        model.name,
        accuracy,
        "-" if cost is None else about + money_text(cost.usd_per_hour),
        "-" if per_million is None else about + figure_text(per_million),
        about + duration_text(estimate.tokens.ttft_s["p99"].value),
        about + duration_text(estimate.tokens.tpot_s["p99"].value),
        "-" if joules is None else about + figure_text(joules.value),
        outcome(model),
    )


def outcome(model: ModelOption) -> str:
    """What became of the model, in a word or two; `words` have the rest."""
    match model.verdict:
        case ModelVerdict.CHOSEN:
            return "chosen"
        case ModelVerdict.FEASIBLE:
            return "holds too"
        case ModelVerdict.OUTBID:
            return "outbid"
        case ModelVerdict.INFEASIBLE:
            return "infeasible"
        case ModelVerdict.INACCURATE:
            return "not accurate enough"


def models_json(models: Sequence[ModelOption]) -> list[Json]:
    """One object for each model; the figures are null where nothing was simulated."""
    return [_model_json(model) for model in models]


def _model_json(model: ModelOption) -> dict[str, Json]:
    estimate = model.estimate
    tokens = None if estimate is None else estimate.tokens
    cost = None if estimate is None else estimate.cost
    energy = None if estimate is None else estimate.energy
    joules = None if energy is None else energy.joules_per_token
    return {
        "name": model.name,
        "accuracy": None if model.accuracy is None else number(model.accuracy),
        "verdict": model.verdict.value,
        "words": model.words,
        "candidate": None if model.candidate is None else model.candidate.label,
        "usd_per_hour": None if cost is None else number(cost.usd_per_hour),
        "usd_per_million_tokens": None
        if cost is None or cost.usd_per_million_tokens is None
        else number(cost.usd_per_million_tokens),
        "ttft_p99_ms": None if tokens is None else number(tokens.ttft_s["p99"].value * 1e3),
        "tpot_p99_ms": None if tokens is None else number(tokens.tpot_s["p99"].value * 1e3),
        "joules_per_token": None if joules is None else number(joules.value),
    }


def models_schema() -> dict[str, Any]:
    """JSON Schema of `models_json`."""
    figure = {"type": ["number", "null"]}
    return {
        "type": "array",
        "description": "The models that the spec names, where it names several; figures where one was simulated.",
        "items": object_schema(
            {
                "name": {"type": "string"},
                "accuracy": {**figure, "description": "As the spec states it."},
                "verdict": {"enum": [verdict.value for verdict in ModelVerdict]},
                "words": {"type": "string", "description": "Why it was not chosen."},
                "candidate": {"type": ["string", "null"]},
                "usd_per_hour": figure,
                "usd_per_million_tokens": figure,
                "ttft_p99_ms": figure,
                "tpot_p99_ms": figure,
                "joules_per_token": figure,
            }
        ),
    }
