"""The likelihood-ratio mixtures of the sequential test; what they are and why: `infc.validate.sequential`."""

from __future__ import annotations

import math
from typing import Sequence, Tuple  # noqa: UP035 - Python 3.8

PASS_ODDS = (0.02, 0.1, 0.25, 0.4, 0.55, 0.7, 0.85)
FAIL_ODDS = (1.15, 1.4, 1.8, 2.5, 5.0, 15.0, 100.0)
NEVER_OVER_WEIGHT = 0.5

Alternative = Tuple[float, float]  # noqa: UP006
"""A share of overs that a mixture holds possible, with its prior weight."""


def verdict_word(overs: int, samples: int, percentile: float, confidence: float, design_effect: float = 1.0) -> str:
    """What the overs counted so far say of a percentile's limit: `pass`, `fail` or `inconclusive`.

    Args:
        overs: samples above the limit.
        samples: samples in all, in [overs, inf).
        percentile: of the objective, above 0 and below 100.
        confidence: of each verdict, 0 to 1.
        design_effect: samples that carry the information of one independent sample.

    >>> verdict_word(0, 502, 99, 0.99), verdict_word(0, 459, 99, 0.99), verdict_word(30, 500, 99, 0.99)
    ('pass', 'inconclusive', 'fail')
    """
    allowed = allowed_share(percentile)
    needed_log = -math.log1p(-confidence)
    effective = samples / design_effect
    share = overs / samples if samples else 0.0
    if log_mixture(pass_alternatives(allowed), allowed, share, effective) >= needed_log:
        return "pass"
    if log_mixture(fail_alternatives(allowed), allowed, share, effective) >= needed_log:
        return "fail"
    return "inconclusive"


def overall_word(words: Sequence[str]) -> str:
    """Fail when any fails, pass when there are some and all pass.

    >>> overall_word(["pass", "inconclusive"]), overall_word([])
    ('inconclusive', 'inconclusive')
    """
    found = set(words)
    if "fail" in found:
        return "fail"
    return "pass" if found == {"pass"} else "inconclusive"


def allowed_share(percentile: float) -> float:
    """The share of samples that may be over: 99.9 -> 0.001, without rounding error."""
    return float(f"{1.0 - percentile / 100.0:.12g}")


def pass_alternatives(allowed: float) -> tuple[Alternative, ...]:
    """Shares under which the objective holds with room to spare."""
    weight = (1.0 - NEVER_OVER_WEIGHT) / len(PASS_ODDS)
    return ((0.0, NEVER_OVER_WEIGHT), *((share_with_odds(allowed, odds), weight) for odds in PASS_ODDS))


def fail_alternatives(allowed: float) -> tuple[Alternative, ...]:
    """Shares under which it is broken."""
    return tuple((share_with_odds(allowed, odds), 1.0 / len(FAIL_ODDS)) for odds in FAIL_ODDS)


def share_with_odds(share: float, factor: float) -> float:
    """The share whose odds are `factor` times those of `share`."""
    odds = factor * share / (1.0 - share)
    return odds / (1.0 + odds)


def log_growth(alternative: float, allowed: float, share: float) -> float:
    """Mean log likelihood ratio per sample of `alternative` over `allowed` when this share of samples is over."""
    if alternative == 0.0:
        return -math.inf if share > 0.0 else -math.log1p(-allowed)
    return share * math.log(alternative / allowed) + (1.0 - share) * (math.log1p(-alternative) - math.log1p(-allowed))


def log_mixture(alternatives: tuple[Alternative, ...], allowed: float, share: float, effective: float) -> float:
    """Log of the mixture's likelihood ratio after `effective` samples."""
    if effective <= 0.0:
        return 0.0
    terms = [math.log(weight) + effective * log_growth(other, allowed, share) for other, weight in alternatives]
    top = max(terms)
    return top if top == -math.inf else top + math.log(sum(math.exp(term - top) for term in terms))
