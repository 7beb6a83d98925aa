"""The step-time model as a simulator runs it: one number for one step, and a table for many."""

from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from infc.ir.step_time import StepTimeModel

Seconds: TypeAlias = npt.NDArray[np.float64]


def step_s(
    model: StepTimeModel,
    *,
    decode_seqs: int = 0,
    context_tokens: float = 0.0,
    prefill_tokens: int = 0,
    prefill_seqs: int | None = None,
    prefill_context_tokens: float = 0.0,
) -> float:
    """Seconds of one step of `decode_seqs` decoding sequences and `prefill_seqs` prefilling ones of equal chunks.

    `context_tokens` is the sum over the decoding sequences of the tokens in their cache, `prefill_context_tokens` the
    same over the prefilling ones. `prefill_seqs` is one by default if there are `prefill_tokens`. Decoding sequences
    count as equally long where the model has an attention window.

    Source: the formula in `StepTimeModel`.

    >>> model = StepTimeModel(token_knots=(1, 101), token_s=(0.0, 0.01), sequence_s=0.001, context_s=1e-6, pair_s=0.0,
    ...                       fixed_s=0.005)
    >>> round(step_s(model, decode_seqs=4, context_tokens=2000, prefill_tokens=97), 6)
    0.022
    """
    chunks = prefill_seqs if prefill_seqs is not None else min(prefill_tokens, 1)
    seconds = model.fixed_s + float(token_seconds(model, np.asarray([decode_seqs + prefill_tokens]))[0])
    seconds += model.sequence_s * (decode_seqs + chunks) + model.context_s * context_tokens
    if model.window_tokens is not None:
        seconds += model.window_s * min(context_tokens, decode_seqs * model.window_tokens)
    if chunks:
        seconds += model.pair_s * prefill_tokens * (prefill_context_tokens + prefill_tokens / 2) / chunks
    return seconds


def token_seconds(model: StepTimeModel, tokens: npt.NDArray[np.int64] | Seconds) -> Seconds:
    """The part of a step that depends on its number of tokens, for each of `tokens`; 0 for no tokens.

    >>> model = StepTimeModel(token_knots=(1, 11), token_s=(1.0, 2.0), sequence_s=0, context_s=0, pair_s=0, fixed_s=0)
    >>> token_seconds(model, np.array([0, 1, 6, 21]))
    array([0. , 1. , 1.5, 3. ])
    """
    knots, values = np.asarray(model.token_knots, dtype=np.float64), np.asarray(model.token_s, dtype=np.float64)
    found = np.interp(tokens, knots, values)
    if len(knots) > 1:
        last_slope = (values[-1] - values[-2]) / (knots[-1] - knots[-2])
        found = found + last_slope * np.maximum(tokens - knots[-1], 0.0)
    return np.where(np.asarray(tokens) > 0, found, 0.0)


def token_table(model: StepTimeModel, max_tokens: int) -> list[float]:
    """`fixed_s` plus the part for n tokens at index n, for n up to `max_tokens`."""
    table: list[float] = (model.fixed_s + token_seconds(model, np.arange(max_tokens + 1))).tolist()
    return table
