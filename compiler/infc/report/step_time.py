"""Measured step times of a language-model server beside what was predicted, as text and as JSON."""

import json
from collections.abc import Iterator
from pathlib import Path

from infc.ir.interval import Interval
from infc.ir.step_time import StepTimeProfile
from infc.validate.llm.step_comparison import ComparedStep, StepComparison

_MOST_ROWS = 40


def render_steps_text(comparison: StepComparison, path: Path) -> str:
    """A row for each step: what it computed, measured, as the fit has it, and as it was predicted."""
    return "\n".join(_lines(comparison, path))


def render_steps_json(comparison: StepComparison, path: Path) -> str:
    """The profile, its fit and its prediction as one JSON object; times in milliseconds."""
    profile, fit = comparison.profile, comparison.fit
    document = {
        "format_version": "1.0",
        "kind": "language-model",
        "profile": path.name,
        "model_digest": profile.model_digest,
        "precision": profile.precision.value,
        "kv_precision": None if profile.kv_precision is None else profile.kv_precision.value,
        "hardware": profile.hardware_id,
        "tensor_parallel": profile.tensor_parallel,
        "environment": dict(profile.environment),
        "step_overhead_ms": _ms(profile.overhead_s),
        "sequence_overhead_ms": _ms(profile.sequence_overhead_s),
        "request_overhead_ms": _ms(profile.request_s),
        "pace_spread": profile.pace_spread,
        "fit": {
            "median_error": fit.median_error,
            "p90_error": fit.p90_error,
            "points": fit.points,
            "decode_spread": fit.model.decode_spread,
            "prefill_spread": fit.model.prefill_spread,
            "notes": list(fit.notes),
        },
        "steps": [_step_json(step) for step in comparison.steps],
        "not_predicted": comparison.reason or None,
    }
    return json.dumps(document, indent=2)


def _step_json(step: ComparedStep) -> dict[str, object]:
    point = step.point
    return {
        "prefill_seqs": point.prefill_seqs if point.prefill_tokens else 0,
        "prefill_tokens": point.prefill_tokens,
        "decode_seqs": point.decode_seqs,
        "context_tokens": point.context_tokens,
        "samples": point.samples,
        "ms": step.measured_s * 1e3,
        "logged_ms": point.seconds * 1e3,
        "fitted_ms": step.fitted_s * 1e3,
        "predicted_ms": None if step.predicted is None else _interval_json(step.predicted),
        "prediction_error": step.error,
        "is_inside_prediction": step.is_inside,
    }


def _interval_json(seconds: Interval) -> dict[str, float]:
    return {"value": seconds.value * 1e3, "low": seconds.low * 1e3, "high": seconds.high * 1e3}


def _ms(seconds: float | None) -> float | None:
    return None if seconds is None else seconds * 1e3


def _lines(comparison: StepComparison, path: Path) -> Iterator[str]:
    yield _title(comparison.profile)
    header = ["prompt tokens", "decoding", "context", "steps", "ms", "fit", "off by", "predicted ms (90%)", "off by"]
    rows = [header, *map(_row, comparison.steps[:_MOST_ROWS])]
    widths = [max(len(row[column]) for row in rows) for column in range(len(header))]
    yield from ("  " + "  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)) for row in rows)
    if len(comparison.steps) > _MOST_ROWS:
        yield f"  and {len(comparison.steps) - _MOST_ROWS} more"
    profile, fit = comparison.profile, comparison.fit
    yield (
        f"around the steps: {_plain_ms(profile.overhead_s)} ms a step, {_plain_ms(profile.sequence_overhead_s)} ms for "
        f"each of its sequences, {_plain_ms(profile.request_s)} ms a request before its first token"
    )
    yield (
        f"fit of {fit.points} steps, each left out in turn: median error {fit.median_error:.1%}, nine of ten within "
        f"{fit.p90_error:.1%}"
    )
    if profile.pace_spread is not None:
        pace = f"{profile.pace_spread - 1:.0%}"
        yield f"the machine's pace: nine of ten repetitions of the same steps within {pace} of their mean"
    yield from (f"note: {note}" for note in fit.notes)
    yield _verdict(comparison)
    yield f"stored: {path.parent.name}/{path.name}; commit it, and plans rest on it (basis: measured)"


def _title(profile: StepTimeProfile) -> str:
    device = profile.environment.get("device", "unknown device")
    cache = "" if profile.kv_precision is None else f", cache in {profile.kv_precision.value}"
    parallel = "" if profile.tensor_parallel == 1 else f", tensor parallel {profile.tensor_parallel}"
    server = profile.environment.get("server", "a server")
    limits = profile.environment.get("limits")
    return f"{profile.precision.value} on {profile.hardware_id} ({device}){cache}{parallel}, {server}" + (
        f", {limits}" if limits else ""
    )


def _row(step: ComparedStep) -> list[str]:
    point = step.point
    prompts = f"{point.prefill_seqs} x " if point.prefill_seqs > 1 and point.prefill_tokens else ""
    each = point.prefill_tokens // max(point.prefill_seqs, 1)
    row = [f"{prompts}{each}" if point.prefill_tokens else "", str(point.decode_seqs or "")]
    row += [str(point.context_tokens or ""), str(point.samples), f"{step.measured_s * 1e3:.2f}"]
    row += [f"{step.fitted_s * 1e3:.2f}", f"{step.fitted_s / step.measured_s - 1:+.0%}"]
    if step.predicted is None or step.error is None:
        return [*row, "", ""]
    low, high = step.predicted.low * 1e3, step.predicted.high * 1e3
    outside = "" if step.is_inside else ", outside"
    return [*row, f"{step.predicted.value * 1e3:.2f} ({low:.2f} - {high:.2f})", f"{step.error:+.0%}{outside}"]


def _plain_ms(seconds: float | None) -> str:
    return "?" if seconds is None else f"{seconds * 1e3:.2f}"


def _verdict(comparison: StepComparison) -> str:
    """How good the prediction was that this measurement replaces."""
    errors = [abs(step.error) for step in comparison.steps if step.error is not None]
    if not errors:
        return f"not predicted: {comparison.reason}"
    inside = sum(bool(step.is_inside) for step in comparison.steps)
    return (
        f"predicted (analytic): {inside} of {len(errors)} steps inside the 90% interval, "
        f"mean error {sum(errors) / len(errors):.0%}"
    )
