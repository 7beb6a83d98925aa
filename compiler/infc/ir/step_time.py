"""Step times of a language-model server: how long one engine step takes, as a closed form that a simulator can run."""

from collections.abc import Mapping
from dataclasses import dataclass

from infc.ir.interval import Basis
from infc.ir.precision import Precision


@dataclass(frozen=True, kw_only=True)
class MeasuredRange:
    """The largest steps that were measured: tokens of a step, decoding sequences, and tokens of context of one."""

    tokens: int
    sequences: int
    context_tokens: int


@dataclass(frozen=True, kw_only=True)
class StepTimeModel:
    """Seconds of one engine step on one replica (all its tensor-parallel devices together).

    A step processes `tokens` in all (one for each decoding sequence, and the chunk of each prefilling one):

        step_s = fixed_s + interpolate(tokens) + sequence_s * sequences
               + context_s * context_tokens + window_s * windowed_context_tokens + pair_s * pairs

    `token_knots` (ascending, from 1) and `token_s` hold the part that depends on the number of tokens (projections,
    experts, all-reduce, launches): linear between the knots, extrapolated by the last slope. `context_tokens` is the
    sum over decoding sequences of the tokens in their cache, `windowed_context_tokens` the same with each cut to
    `window_tokens`. `pairs` sums, over prefilling sequences, (query, key) pairs: `chunk * (cached + chunk / 2)`.
    `fixed_s` holds what the host adds to every step, and `sequence_s` what it adds for each scheduled sequence.
    `request_s` is what a request takes outside steps before its first token (API, tokeniser, detokeniser).

    `decode_spread` and `prefill_spread` are factors (>= 1): the true time of such a step lies within value/factor and
    value*factor in 9 of 10 cases. `pace_spread` (>= 1) is the factor around the mean, which the other fields give, that
    the server's pace keeps within for nine tenths of the time (see `StepTimeProfile`). `measured` is how far the
    measurements reach that the model was fitted to.
    """

    token_knots: tuple[int, ...]
    token_s: tuple[float, ...]
    sequence_s: float
    context_s: float
    pair_s: float
    fixed_s: float
    request_s: float = 0.0
    window_tokens: int | None = None
    window_s: float = 0.0
    decode_spread: float = 1.0
    prefill_spread: float = 1.0
    pace_spread: float = 1.0
    basis: Basis = Basis.ANALYTIC
    measured: MeasuredRange | None = None


@dataclass(frozen=True, kw_only=True)
class StepTimePoint:
    """One measured step: usual seconds over `samples` steps of this shape.

    `context_tokens` is the sum over all scheduled sequences of the tokens already in their cache. The `prefill_tokens`
    are those of `prefill_seqs` prompts, of no more than one where the source does not tell.
    """

    prefill_tokens: int
    decode_seqs: int
    context_tokens: int
    seconds: float
    samples: int = 1
    prefill_seqs: int = 1


@dataclass(frozen=True, kw_only=True)
class StepTimeProfile:
    """Measured steps of one model, precision and hardware; stored in `infc-profiles/`, read by the next plan.

    `environment` names what ran: server, versions, device (no host name, no time). `kv_precision` None is a cache in 16
    bits, or as the checkpoint fixes it.

    What the server does around the steps, as its clients see it, None where that was not measured: `overhead_s` comes
    with every step, `sequence_overhead_s` with every sequence of a step, and `request_s` with every request before its
    first token. `pace_spread` (>= 1) is the factor around the mean within which nine of ten repetitions of the same
    steps stayed, None where they were not repeated: processors that others share go now faster, now slower. `load_s` is
    how long the server took from its start until it was ready with its weights, None where infc did not start it.
    """

    model_digest: str
    precision: Precision
    hardware_id: str
    tensor_parallel: int
    points: tuple[StepTimePoint, ...]
    environment: Mapping[str, str]
    overhead_s: float | None = None
    sequence_overhead_s: float | None = None
    request_s: float | None = None
    kv_precision: Precision | None = None
    load_s: float | None = None
    pace_spread: float | None = None
