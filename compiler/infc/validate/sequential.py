"""The sequential test of a latency objective, which stops as soon as the verdict is settled.

It may be looked at after every sample.

"The p99 is at or under the limit" is the statement that at most 1% of requests take longer. Requests over the limit
are counted, and two likelihood-ratio mixtures weigh the count: one that grows when overs are too rare for the
objective to be broken, one that grows when they are too many for it to hold. Under its null hypothesis each is a
non-negative supermartingale that starts at 1, so the chance that it *ever* reaches 1/alpha is at most alpha, however
often one looks (Ville's inequality).

MLPerf's early stopping settles a p99 at 99% confidence with 459 samples without an over, for one look at a size fixed
beforehand. The pass mixture holds the same bound (its alternative "never over" alone would stop at 459); the share of
the weight that the other alternatives take is the price of looking all the time: 502 clean samples.

Source: Ville, Etude critique de la notion de collectif (1939); Robbins, Statistical methods related to the law of the
iterated logarithm, Ann. Math. Stat. 41 (1970); MLPerf inference rules, early stopping (459 clean samples for p99 at
99%).
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass

from infc.ir.accuracy import Verdict
from infc.validate.far.mixture import (
    allowed_share,
    fail_alternatives,
    log_mixture,
    overall_word,
    pass_alternatives,
    verdict_word,
)

_MOST_EFFECTIVE_SAMPLES = 1e9
_RESOLUTION = 0.01


@dataclass(frozen=True, kw_only=True)
class SequentialResult:
    """Where the test stands.

    `overs` of `samples` were over; the samples carry the information of `effective_samples` independent ones.
    """

    verdict: Verdict
    samples: int
    overs: int
    effective_samples: float


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

    >>> judge(overs=0, samples=502, percentile=99, confidence=0.99).verdict.value
    'pass'
    """
    word = verdict_word(overs, samples, percentile, confidence, design_effect)
    return SequentialResult(
        verdict=Verdict(word), samples=samples, overs=overs, effective_samples=samples / design_effect
    )


def samples_needed(result: SequentialResult, *, percentile: float, confidence: float) -> int | None:
    """How many samples in all would settle an inconclusive test if overs keep coming at this rate.

    None when it is settled, when there is no sample yet, or when the rate is so close to the allowed one that no
    affordable number would do.

    >>> samples_needed(judge(overs=0, samples=300, percentile=99, confidence=0.99), percentile=99, confidence=0.99)
    502
    """
    if result.verdict is not Verdict.INCONCLUSIVE or not result.samples:
        return None
    allowed = allowed_share(percentile)
    needed_log = -math.log1p(-confidence)
    share = result.overs / result.samples
    sides = (pass_alternatives(allowed), fail_alternatives(allowed))

    def is_settled(effective: float) -> bool:
        return any(log_mixture(side, allowed, share, effective) >= needed_log for side in sides)

    low, high = result.effective_samples, max(2.0 * result.effective_samples, 1.0)
    while not is_settled(high):
        low, high = high, 2.0 * high
        if high > _MOST_EFFECTIVE_SAMPLES:
            return None
    while high - low > _RESOLUTION:
        middle = (low + high) / 2.0
        low, high = (low, middle) if is_settled(middle) else (middle, high)
    return math.ceil(high * result.samples / result.effective_samples)


def overall(verdicts: Iterable[Verdict]) -> Verdict:
    """Fail when any fails, pass when there are some and all pass.

    >>> overall([Verdict.PASS, Verdict.INCONCLUSIVE]).value, overall([]).value
    ('inconclusive', 'inconclusive')
    """
    return Verdict(overall_word([verdict.value for verdict in verdicts]))
