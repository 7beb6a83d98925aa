"""A model of step times from a profile that was measured of this very model, device and precision.

Enough steps of both kinds tell all of it: they are fitted without the closed form, and the basis is measured. Fewer
only correct the closed form. What the server adds around its steps comes on top, where the profile has it.
"""

import math
from collections.abc import Sequence
from dataclasses import replace

from infc.ir.candidate import ContinuousBatching
from infc.ir.llm_profile import LlmProfile
from infc.ir.precision import Precision
from infc.ir.step_time import StepTimeModel, StepTimePoint, StepTimeProfile
from infc.perf.llm.correction import corrected
from infc.perf.llm.step_fit import fit_step_times

MIN_POINTS = 10
"""Fewer steps than this leave terms of the model open."""
_KINDS = 3
"""Different numbers of decoding sequences, and different prompt lengths, that must be among them."""


def profiles_of(
    profiles: Sequence[StepTimeProfile],
    model: LlmProfile,
    precision: Precision,
    hardware_id: str,
    *,
    tensor_parallel: int = 1,
    kv_precision: Precision | None = None,
) -> tuple[StepTimeProfile, ...]:
    """Those that measured this. A cache in 16 bits counts as no precision of its own."""
    asked = (model.digest, precision, hardware_id, tensor_parallel, _cache(model, kv_precision))
    return tuple(
        profile
        for profile in profiles
        if (
            profile.model_digest,
            profile.precision,
            profile.hardware_id,
            profile.tensor_parallel,
            _cache(model, profile.kv_precision),
        )
        == asked
    )


def _cache(model: LlmProfile, precision: Precision | None) -> Precision | None:
    own = None if model.quantization is None else model.quantization.kv_precision
    stored = precision or own
    return None if stored in (Precision.BF16, Precision.FP16) else stored


def measured_step_time(closed_form: StepTimeModel, profiles: Sequence[StepTimeProfile]) -> StepTimeModel:
    """The step times of a server that was measured, or the closed form corrected where too little was.

    Of several profiles the last says what comes around the steps, and how steady the machine's pace is: a step's true
    time may lie as far off as the fit and the pace together let it.
    """
    points = [point for profile in profiles for point in profile.points]
    if not points:
        return closed_form
    tells = _tells_all(points) and closed_form.window_tokens is None
    steps = fit_step_times(points) if tells else corrected(closed_form, points)
    around = profiles[-1]
    pace = around.pace_spread or 1.0
    return replace(
        steps,
        decode_spread=_both(steps.decode_spread, pace),
        prefill_spread=_both(steps.prefill_spread, pace),
        pace_spread=pace,
        fixed_s=steps.fixed_s + (around.overhead_s or 0.0),
        sequence_s=steps.sequence_s + (around.sequence_overhead_s or 0.0),
        request_s=closed_form.request_s if around.request_s is None else around.request_s,
    )


def outside_measured(steps: StepTimeModel, batching: ContinuousBatching, longest_tokens: int) -> str | None:
    """What of a deployment was never measured, as words for a caveat; None where all of it was.

    `longest_tokens` is the longest request, prompt and output.
    """
    if steps.measured is None:
        return None
    reached = steps.measured
    asked = {
        "tokens in a step": (batching.max_num_batched_tokens, reached.tokens),
        "sequences in a step": (batching.max_num_seqs, reached.sequences),
        "tokens of context": (longest_tokens, reached.context_tokens),
    }
    beyond = [f"{most} {what} (measured up to {known})" for what, (most, known) in asked.items() if most > 1.1 * known]
    return ", ".join(beyond) or None


def _both(fit: float, pace: float) -> float:
    """The factor of two that are independent of each other."""
    return math.exp(math.hypot(math.log(fit), math.log(pace)))


def _tells_all(points: Sequence[StepTimePoint]) -> bool:
    decoding = {point.decode_seqs for point in points if point.prefill_tokens == 0}
    prompts = {point.prefill_tokens for point in points if point.decode_seqs == 0}
    return len(points) >= MIN_POINTS and len(decoding) >= _KINDS and len(prompts) >= _KINDS
