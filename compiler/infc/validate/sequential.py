"""The sequential test of a latency objective, which stops as soon as the verdict is settled.

It may be looked at after every sample.

"The p99 is at or under the limit" is the statement that at most 1% of requests take longer. Requests over the limit
are counted, and two likelihood-ratio mixtures weigh the count: one that grows when overs are too rare for the
objective to be broken, one that grows when they are too many for it to hold. Under its null hypothesis each is a
non-negative supermartingale that starts at 1, so the chance that it *ever* reaches 1/alpha is at most alpha, however
often one looks (Ville's inequality).

MLPerf's early stopping settles a p99 at 99% confidence with 459 samples without an over, for one look at a size fixed
beforehand. The pass mixture holds the same bound (its alternative "never over" alone would stop at 459); the share of
the weight that the other alternatives take is the price of looking all the time: 503 clean samples.

Source: Ville, Etude critique de la notion de collectif (1939); Robbins, Statistical methods related to the law of the
iterated logarithm, Ann. Math. Stat. 41 (1970); MLPerf inference rules, early stopping (459 clean samples for p99 at
99%).
"""

import math
from dataclasses import dataclass

from infc.ir.accuracy import Verdict

_PASS_ODDS = (0.02, 0.1, 0.25, 0.4, 0.55, 0.7, 0.85)
_FAIL_ODDS = (1.15, 1.4, 1.8, 2.5, 5.0, 15.0, 100.0)
_NEVER_OVER_WEIGHT = 0.5


@dataclass(frozen=True, kw_only=True)
class SequentialResult:
    """Where the test stands after `samples` samples, of which `effective_samples` count as independent.

    `samples_needed` is how many samples in all would settle an inconclusive test if overs keep coming at this rate;
    None when settled, or when the rate is so close to the allowed one that no affordable number would do.
    """

    verdict: Verdict
    samples: int
    overs: int
    effective_samples: float
    samples_needed: int | None


@dataclass(frozen=True, kw_only=True)
class _Alternative:
    """A share of overs that the mixture holds possible, with its prior weight."""

    share: float
    weight: float


def judge(
    *, overs: int, samples: int, percentile: float, confidence: float, design_effect: float = 1.0
) -> SequentialResult:
    """Weigh the overs counted so far.

    Each verdict is wrong with a chance of at most 1 - confidence for independent samples, over all looks together.
    Dependent samples are discounted by `design_effect`, which is itself an estimate: the tests measure the resulting
    error rates on simulated queues.

    Args:
        overs: samples above the limit.
        samples: samples in all, in [overs, inf).
        percentile: of the objective, above 0 and below 100.
        confidence: of each verdict, 0 to 1.
        design_effect: samples that carry the information of one independent sample.

    >>> judge(overs=0, samples=503, percentile=99, confidence=0.99).verdict.value
    'pass'
    >>> judge(overs=0, samples=300, percentile=99, confidence=0.99).samples_needed
    503
    """
    allowed = float(f"{1.0 - percentile / 100.0:.12g}")
    needed_log = -math.log1p(-confidence)
    effective = samples / design_effect
    share = overs / samples if samples else 0.0
    verdict = Verdict.INCONCLUSIVE
    if _log_mixture(_pass_alternatives(allowed), allowed, share, effective) >= needed_log:
        verdict = Verdict.PASS
    elif _log_mixture(_fail_alternatives(allowed), allowed, share, effective) >= needed_log:
        verdict = Verdict.FAIL
    more = None
    if verdict is Verdict.INCONCLUSIVE and samples:
        more = _samples_to_settle(allowed, share, effective, needed_log, design_effect)
    return SequentialResult(
        verdict=verdict, samples=samples, overs=overs, effective_samples=effective, samples_needed=more
    )


def _pass_alternatives(allowed: float) -> tuple[_Alternative, ...]:
    weight = (1.0 - _NEVER_OVER_WEIGHT) / len(_PASS_ODDS)
    never = _Alternative(share=0.0, weight=_NEVER_OVER_WEIGHT)
    return (never, *(_Alternative(share=_with_odds(allowed, odds), weight=weight) for odds in _PASS_ODDS))


def _fail_alternatives(allowed: float) -> tuple[_Alternative, ...]:
    weight = 1.0 / len(_FAIL_ODDS)
    return tuple(_Alternative(share=_with_odds(allowed, odds), weight=weight) for odds in _FAIL_ODDS)


def _with_odds(share: float, factor: float) -> float:
    """The share whose odds are `factor` times those of `share`."""
    odds = factor * share / (1.0 - share)
    return odds / (1.0 + odds)


def _log_growth(alternative: float, allowed: float, share: float) -> float:
    """Mean log likelihood ratio per sample of `alternative` over `allowed` when this share of samples is over."""
    if alternative == 0.0:
        return -math.inf if share > 0.0 else -math.log1p(-allowed)
    return share * math.log(alternative / allowed) + (1.0 - share) * (math.log1p(-alternative) - math.log1p(-allowed))


def _log_mixture(alternatives: tuple[_Alternative, ...], allowed: float, share: float, effective: float) -> float:
    """Log of the mixture's likelihood ratio after `effective` samples."""
    if effective <= 0.0:
        return 0.0
    terms = [math.log(a.weight) + effective * _log_growth(a.share, allowed, share) for a in alternatives]
    top = max(terms)
    return top if top == -math.inf else top + math.log(sum(math.exp(term - top) for term in terms))


def _samples_to_settle(
    allowed: float, share: float, effective: float, needed_log: float, design_effect: float
) -> int | None:
    """Samples in all until either mixture settles at this share, found by doubling and bisection."""

    def is_settled(count: float) -> bool:
        sides = (_pass_alternatives(allowed), _fail_alternatives(allowed))
        return any(_log_mixture(side, allowed, share, count) >= needed_log for side in sides)

    low, high = effective, max(2.0 * effective, 1.0)
    while not is_settled(high):
        low, high = high, 2.0 * high
        if high > 1e9:
            return None
    while high - low > 0.5:
        middle = (low + high) / 2.0
        low, high = (low, middle) if is_settled(middle) else (middle, high)
    return math.ceil(high * design_effect)
