"""From measured steps of a server to a step-time model, without knowing the model that it serves.

A step costs a constant, something for each sequence, for each further token, for each token of context that decoding
reads, and for each (query, key) pair of a prompt's attention. None of these is negative. With enough points the cost of
tokens may bend (a GPU takes hardly longer for a few tokens than for one, until its compute is full); leave-out error
decides between the two forms.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from infc.ir.interval import Basis
from infc.ir.step_time import MeasuredRange, StepTimeModel, StepTimePoint
from infc.perf.llm.nonnegative import fit_nonnegative

Matrix = npt.NDArray[np.float64]

MEAN_CONTEXT_NOTE = "context_tokens are taken as the mean of the decoding sequences, which fits far better than the sum"
WHOLE_PROMPT_NOTE = "context_tokens of pure prefill steps equal prefill_tokens: taken as nothing cached before"

_MIN_POINTS_TO_TELL = 8
_MIN_POINTS_TO_BEND = 10
_MAX_KNOTS = 8
_CLEARLY_BETTER = 0.6
_BETTER = 0.9
_FOLDS = 10
_FEW_TOKENS = 24
_MIN_SPREAD, _MAX_SPREAD = 1.02, 1.5
_RIDGE = 1e-5
"""Weight of the wish for small terms, against squared relative errors: it decides only what the points leave open."""
_PAIRS = 3
_PAIRS_RIDGE = 5.0
"""Where prompts of one length were measured, their cost goes to the tokens rather than to their square."""


@dataclass(frozen=True, kw_only=True)
class StepTimeFit:
    """A model with how well it does: median and 90th percentile of the absolute relative error, each point left out.

    With few `points` such errors say more of the points than of the model. `notes` say what was assumed of the points.
    """

    model: StepTimeModel
    median_error: float
    p90_error: float
    points: int
    notes: tuple[str, ...]


def fit_step_times(points: Sequence[StepTimePoint]) -> StepTimeModel:
    """The step-time model that fits measured steps best; see `fit`."""
    return fit(points).model


def fit(points: Sequence[StepTimePoint]) -> StepTimeFit:
    """Fit a step-time model to measured steps, in relative error. Same points, same model.

    Each point counts as one, whatever its samples; outliers among many points count less. Outside the measured range
    the last slope goes on, or the mean one where that is steeper. `context_tokens` is meant as the sum over the
    sequences; where reading it as their mean fits far better, it is read so, and a note says it.

    Raises:
        ValueError: no point only decodes, or none has prefill tokens; a time that is not positive.

    >>> decode = [StepTimePoint(prefill_tokens=0, decode_seqs=n, context_tokens=0, seconds=0.01 + 0.001 * n)
    ...           for n in (1, 8)]
    >>> prompt = StepTimePoint(prefill_tokens=501, decode_seqs=0, context_tokens=0, seconds=0.061)
    >>> model = fit_step_times([*decode, prompt])
    >>> round(model.fixed_s, 4), round(500 * (model.token_s[1] - model.token_s[0]), 2)
    (0.01, 0.05)
    """
    if not any(point.prefill_tokens == 0 and point.decode_seqs > 0 for point in points):
        raise ValueError("no step only decodes (prefill_tokens 0): measure some, of 1 and of more sequences")
    if not any(point.prefill_tokens > 0 for point in points):
        raise ValueError("no step has prefill_tokens: measure some, of short and of long prompts")
    if not all(point.seconds > 0.0 for point in points):
        raise ValueError("a step time must be positive")
    table = _Table.of(points)
    errors, notes = _errors(table, ()), list(table.notes)
    knots: tuple[int, ...] = ()
    if np.any((table.decode_seqs > 1) & (table.context > 0)):
        mean = replace(table, context=table.context * table.decode_seqs)
        mean_errors = _errors(mean, ())
        if table.has_few_a_sequence:
            is_mean = len(points) < _MIN_POINTS_TO_TELL or _CLEARLY_BETTER * _score(mean_errors) < _score(errors)
        else:
            is_mean = _score(mean_errors) < _CLEARLY_BETTER * _score(errors)
        if is_mean:
            table, errors = mean, mean_errors
            notes.append(MEAN_CONTEXT_NOTE)
    if len(points) >= _MIN_POINTS_TO_BEND and len(bent := _knots(table.tokens)) > 2:
        bent_errors = _errors(table, bent)
        if _score(bent_errors) < _BETTER * _score(errors):
            errors, knots = bent_errors, bent
    model = _model(table, knots, errors)
    return StepTimeFit(
        model=model,
        median_error=float(np.median(np.abs(errors))),
        p90_error=float(np.quantile(np.abs(errors), 0.9)),
        points=len(points),
        notes=tuple(notes),
    )


@dataclass(frozen=True, kw_only=True, eq=False)
class _Table:
    """The points by column, float64[points]."""

    prefill: Matrix
    prompts: Matrix
    decode_seqs: Matrix
    context: Matrix
    prefill_context: Matrix
    seconds: Matrix
    notes: tuple[str, ...] = ()

    @staticmethod
    def of(points: Sequence[StepTimePoint]) -> "_Table":
        rows = ((p.prefill_tokens, p.prefill_seqs, p.decode_seqs, p.context_tokens, p.seconds) for p in points)
        prefill, prompts, decode_seqs, context, seconds = (
            np.asarray(column, dtype=np.float64) for column in zip(*rows, strict=True)
        )
        is_pure_prefill = decode_seqs == 0
        cached = np.where(is_pure_prefill, context, 0.0)
        notes: tuple[str, ...] = ()
        if np.any(is_pure_prefill) and np.all(cached[is_pure_prefill] == prefill[is_pure_prefill]):
            cached, notes = np.zeros_like(cached), (WHOLE_PROMPT_NOTE,)
        return _Table(
            prefill=prefill,
            prompts=np.where(prefill > 0, np.maximum(prompts, 1.0), 0.0),
            decode_seqs=decode_seqs,
            context=np.where(is_pure_prefill, 0.0, context),
            prefill_context=cached,
            seconds=seconds,
            notes=notes,
        )

    @property
    def has_few_a_sequence(self) -> bool:
        """Whether the context, read as a sum, leaves a sequence fewer tokens than any prompt of note has."""
        is_shared = (self.decode_seqs > 1) & (self.context > 0)
        each = self.context[is_shared] / self.decode_seqs[is_shared]
        return bool(np.median(each) < _FEW_TOKENS)

    @property
    def tokens(self) -> Matrix:
        """Tokens that a step computes."""
        return np.asarray(self.prefill + self.decode_seqs, dtype=np.float64)

    @property
    def sequences(self) -> Matrix:
        """Sequences in a step."""
        return np.asarray(self.decode_seqs + self.prompts, dtype=np.float64)

    def features(self, knots: tuple[int, ...]) -> Matrix:
        """float64[points, 4 + segments]: constant, sequences, context, pairs, and the tokens by segment.

        Without knots the only segment is the tokens beyond one for each sequence.
        """
        pairs = self.prefill * (self.prefill_context + self.prefill / 2) / np.maximum(self.prompts, 1.0)
        if knots:
            tokens = [np.clip(self.tokens, a, b) - a for a, b in zip(knots, (*knots[1:-1], np.inf), strict=False)]
        else:
            tokens = [self.tokens - self.sequences]
        return np.stack([np.ones_like(pairs), self.sequences, self.context, pairs, *tokens], axis=1)


def _knots(tokens: Matrix) -> tuple[int, ...]:
    """Up to eight of the measured numbers of tokens, about evenly spread by their logarithm, and 1."""
    distinct = np.unique(np.append(tokens, 1.0))
    wanted = np.linspace(0.0, np.log(distinct[-1]), min(_MAX_KNOTS, len(distinct) // 2 + 1))
    nearest = np.abs(np.log(distinct)[:, None] - wanted[None, :]).argmin(axis=0)
    return tuple(int(distinct[index]) for index in np.unique(nearest))


def _errors(table: _Table, knots: tuple[int, ...]) -> Matrix:
    """Relative errors of the points, each predicted from the others (from nine tenths of them where they are many)."""
    features, seconds = table.features(knots), table.seconds
    count = len(seconds)
    fold = np.arange(count) % min(count, _FOLDS) if count > 4 * _FOLDS else np.arange(count)
    errors = np.zeros(count)
    for left_out in range(int(fold.max()) + 1):
        is_out = fold == left_out
        kept = features[~is_out], seconds[~is_out]
        coefficients = _solve(*kept) if len(kept[1]) else np.append(seconds[0], np.zeros(features.shape[1] - 1))
        errors[is_out] = features[is_out] @ coefficients / seconds[is_out] - 1.0
    return errors


def _score(errors: Matrix) -> float:
    """Mean absolute error, no point counting for more than one."""
    return float(np.minimum(np.abs(errors), 1.0).mean())


def _solve(features: Matrix, seconds: Matrix) -> Matrix:
    """Coefficients of the features, none negative, with small relative errors."""
    scale = np.maximum(features.max(axis=0), 1e-12)
    rows = features / scale / seconds[:, None]
    ridge = np.sqrt(_RIDGE) * np.eye(features.shape[1]) / np.median(seconds)
    ridge[0], ridge[_PAIRS] = 0.0, _PAIRS_RIDGE * ridge[_PAIRS]
    weights = np.ones(len(seconds))
    for _ in range(4):
        target = np.concatenate([weights, np.zeros(len(ridge))])
        found = fit_nonnegative(np.concatenate([rows * weights[:, None], ridge]), target)
        residuals = np.abs(rows @ found - 1.0)
        usual = max(3.0 * float(np.median(residuals)), 0.02)
        weights = np.sqrt(np.minimum(1.0, usual / np.maximum(residuals, 1e-12)))
    return np.asarray(found / scale, dtype=np.float64)


def _model(table: _Table, knots: tuple[int, ...], errors: Matrix) -> StepTimeModel:
    constant, sequence_s, context_s, pair_s, *slopes = _solve(table.features(knots), table.seconds).tolist()
    if knots:
        rises = [slope * (b - a) for slope, a, b in zip(slopes, knots, knots[1:], strict=False)]
        mean = sum(rises) / (knots[-1] - knots[0])
        if slopes[-1] < mean:  # a last segment that happens to be flat must not make any number of tokens free
            rises.append(mean * knots[-1])
            knots = (*knots, 2 * knots[-1])
        token_s = tuple(float(each) for each in np.cumsum([0.0, *rises]))
    else:
        # A token that is not its sequence's first costs the slope; so a first one costs sequence_s in all.
        knots, token_s = (1, 2), (slopes[0], 2 * slopes[0])
        sequence_s -= slopes[0]
    is_decode = table.prefill == 0
    return StepTimeModel(
        token_knots=knots,
        token_s=token_s,
        sequence_s=sequence_s,
        context_s=context_s,
        pair_s=pair_s,
        fixed_s=constant,
        decode_spread=_spread(errors[is_decode]),
        prefill_spread=_spread(errors[~is_decode]),
        basis=Basis.MEASURED,
        measured=MeasuredRange(
            tokens=int(table.tokens.max()),
            sequences=int(table.decode_seqs.max()),
            context_tokens=int((table.context / np.maximum(table.decode_seqs, 1.0)).max()),
        ),
    )


def _spread(errors: Matrix) -> float:
    """The factor within which nine of ten left-out points lie; few points left out of few say little, hence a limit."""
    factor = float(np.exp(np.quantile(np.abs(np.log1p(np.maximum(errors, -0.9))), 0.9)))
    return min(max(factor, _MIN_SPREAD), _MAX_SPREAD)
