"""Measured steps of the same model on the same device correct the closed form."""

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from infc.ir.interval import Basis
from infc.ir.step_time import StepTimeModel, StepTimePoint

PRIOR_SPREAD = 0.3
"""How far a part of the closed form may be from the truth before measurements speak, as a share."""
NOISE = 0.05
"""Scatter of the median of repeated steps, as a share."""
LEAST_FACTOR = 0.1
LEAST_SPREAD = 1.03
Z_90 = 1.645


def corrected(steps: StepTimeModel, points: Sequence[StepTimePoint]) -> StepTimeModel:
    """Scale the parts of `steps` (host, tokens, cache reads, prefill attention) to the measured points.

    Least squares on relative errors; each factor is drawn to 1, so that few points change only what they can tell.
    The spreads become what the corrected form leaves unexplained, and are never wider than before.
    """
    parts = np.array([_parts(steps, point) for point in points])
    seconds = np.array([point.seconds for point in points])
    weight = np.sqrt(np.array([min(max(point.samples, 1), 20) for point in points]) / 20.0) / NOISE
    relative = parts / seconds[:, None] * weight[:, None]
    prior = np.eye(parts.shape[1]) / PRIOR_SPREAD
    design, target = np.vstack([relative, prior]), np.concatenate([weight, prior.sum(axis=1)])
    factors = np.maximum(np.linalg.lstsq(design, target, rcond=None)[0], LEAST_FACTOR)
    host, tokens, reads, pairs = (float(f) for f in factors)
    residual = np.log(parts @ factors / seconds)
    left = max(LEAST_SPREAD, math.exp(Z_90 * math.hypot(float(np.sqrt(np.mean(residual**2))), NOISE / 2)))
    return replace(
        steps,
        token_s=tuple(tokens * s for s in steps.token_s),
        sequence_s=host * steps.sequence_s,
        fixed_s=host * steps.fixed_s,
        context_s=reads * steps.context_s,
        window_s=reads * steps.window_s,
        pair_s=pairs * steps.pair_s,
        decode_spread=_narrowed(steps.decode_spread, left, any(p.decode_seqs for p in points)),
        prefill_spread=_narrowed(steps.prefill_spread, left, any(p.prefill_tokens for p in points)),
        basis=Basis.CALIBRATED,
    )


def _narrowed(before: float, left: float, is_measured: bool) -> float:
    return min(before, left) if is_measured else before


def _parts(steps: StepTimeModel, point: StepTimePoint) -> tuple[float, float, float, float]:
    """Seconds of a step that the host, the tokens, the cache and prefill attention take in the closed form."""
    sequences = point.decode_seqs + (1 if point.prefill_tokens else 0)
    tokens = point.decode_seqs + point.prefill_tokens
    host = steps.fixed_s + steps.sequence_s * sequences
    is_decode = point.decode_seqs > 0
    cached = point.context_tokens / max(sequences, 1)
    context = cached * point.decode_seqs
    windowed = min(cached, steps.window_tokens) * point.decode_seqs if steps.window_tokens else 0.0
    reads = steps.context_s * context + steps.window_s * windowed if is_decode else 0.0
    pairs = steps.pair_s * point.prefill_tokens * (cached + point.prefill_tokens / 2)
    return host, float(np.interp(tokens, steps.token_knots, steps.token_s)), reads, pairs
