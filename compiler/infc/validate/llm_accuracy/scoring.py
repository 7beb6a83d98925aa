"""From what two checkpoints answered on the same rows to a metric and its relative loss, both with bounds."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from infc.ir.interval import Interval
from infc.validate.accuracy.bootstrap import RESAMPLES, PairedIntervals, paired_intervals
from infc.validate.accuracy.metrics import Floats, Statistic
from infc.validate.accuracy.proportions import proportion_interval, relative_drop_interval
from infc.validate.accuracy.scoring import TAIL_RESAMPLES
from infc.validate.accuracy.slices import Rows


@dataclass(frozen=True, kw_only=True)
class Likelihoods:
    """For each row the predicted tokens and the sum of their log-likelihoods under the reference and the subject."""

    tokens: Floats
    reference: Floats
    subject: Floats

    def intervals(self, confidence: float) -> PairedIntervals:
        """Perplexity of the subject and how far it rises over the reference's.

        Rows are resampled, not tokens: the tokens of a text are not independent. Both models are on the same resamples.
        """
        pair = [_perplexity(self.tokens, sums) for sums in (self.reference, self.subject)]
        resamples = max(RESAMPLES, math.ceil(TAIL_RESAMPLES / ((1.0 - confidence) / 2.0)))
        found = paired_intervals(pair[0], pair[1], len(self.tokens), confidence, resamples)
        fall = found.drop
        return replace(found, drop=Interval(value=-fall.value, low=-fall.high, high=-fall.low))

    def part(self, rows: Rows, confidence: float) -> PairedIntervals | None:
        """The same on some rows alone."""
        return Likelihoods(
            tokens=self.tokens[rows], reference=self.reference[rows], subject=self.subject[rows]
        ).intervals(confidence)


@dataclass(frozen=True, kw_only=True)
class Matches:
    """For each row whether the reference and the subject gave the answer."""

    reference: npt.NDArray[np.bool_]
    subject: npt.NDArray[np.bool_]

    def intervals(self, confidence: float) -> PairedIntervals:
        """The share of right answers, and how far it falls below the reference's."""
        return PairedIntervals(
            reference=float(self.reference.mean()),
            value=proportion_interval(int(self.subject.sum()), len(self.subject), confidence),
            drop=relative_drop_interval(self.reference, self.subject, confidence),
        )

    def part(self, rows: Rows, confidence: float) -> PairedIntervals | None:
        """The same on some rows alone; None where the reference has nothing to lose."""
        part = Matches(reference=self.reference[rows], subject=self.subject[rows])
        return part.intervals(confidence) if part.reference.any() else None


def is_match(said: str, answer: str) -> bool:
    r"""Whether the answer was given: as many lines as it has, runs of white space counting as one space.

    >>> is_match(" range( 10):\n    pass", "range( 10):"), is_match("range(11):", "range(10):")
    (True, False)
    """
    lines = said.lstrip("\n").split("\n")[: answer.strip().count("\n") + 1]
    return " ".join("\n".join(lines).split()) == " ".join(answer.split())


def likelihoods_from(reference: Sequence[object], subject: Sequence[object]) -> Likelihoods:
    """Of the workers' answers `[tokens, log-likelihood]`; rows without a predicted token are left out."""
    pairs = [np.array(answers, dtype=np.float64).reshape(-1, 2) for answers in (reference, subject)]
    counted = pairs[0][:, 0] > 0
    return Likelihoods(tokens=pairs[0][counted, 0], reference=pairs[0][counted, 1], subject=pairs[1][counted, 1])


def _perplexity(tokens: Floats, sums: Floats) -> Statistic:
    """The exponential of the mean negative log-likelihood of a token, over all tokens of the rows.

    >>> bool(np.isclose(_perplexity(np.array([2.0]), np.array([-2.0]))(np.ones((1, 1)))[0], math.e))
    True
    """
    return lambda weights: np.asarray(np.exp(-(weights @ sums) / (weights @ tokens)))
