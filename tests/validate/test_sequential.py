"""The sequential test: how soon it settles, how often it errs under constant looking. Seeds are fixed."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from infc.ir.accuracy import Verdict
from infc.validate.sequential import judge, samples_needed
from infc.validate.statistics import exceedance_design_effect

from .test_statistics import mm1_sojourns_s


def first_verdict(overs, percentile: float, every: int) -> Verdict:
    """The verdict of looking after every `every` samples until one settles."""
    counts = np.cumsum(overs)
    for samples in range(every, len(overs) + 1, every):
        result = judge(overs=int(counts[samples - 1]), samples=samples, percentile=percentile, confidence=0.99)
        if result.verdict is not Verdict.INCONCLUSIVE:
            return result.verdict
    return Verdict.INCONCLUSIVE


def test_502_samples_without_an_over_settle_a_p99():
    """One look would need 459 (0.99^459 < 0.01); being allowed to look all the time costs 43 more."""
    assert math.ceil(math.log(0.01) / math.log(0.99)) == 459
    assert judge(overs=0, samples=501, percentile=99, confidence=0.99).verdict is Verdict.INCONCLUSIVE
    assert judge(overs=0, samples=502, percentile=99, confidence=0.99).verdict is Verdict.PASS


def test_dependent_samples_count_for_less():
    """Dependent samples count for less."""
    result = judge(overs=0, samples=502, percentile=99, confidence=0.99, design_effect=2.0)
    assert result.verdict is Verdict.INCONCLUSIVE
    assert samples_needed(result, percentile=99, confidence=0.99) == 1004


@pytest.mark.parametrize("percentile", [50.0, 95.0, 99.0])
def test_at_the_limit_either_verdict_is_rare_however_often_one_looks(percentile):
    """Overs at exactly the allowed rate: each verdict comes in at most 1% of runs, within three standard errors."""
    rng = np.random.default_rng(1)
    allowed = 1.0 - percentile / 100.0
    found = [first_verdict(rng.random(2000) < allowed, percentile, 50) for _ in range(150)]
    assert found.count(Verdict.PASS) <= 5
    assert found.count(Verdict.FAIL) <= 5


@pytest.mark.parametrize(("share", "verdict"), [(0.002, Verdict.PASS), (0.03, Verdict.FAIL), (0.5, Verdict.FAIL)])
def test_clear_cases_settle(share, verdict):
    """Clear cases settle."""
    rng = np.random.default_rng(2)
    found = [first_verdict(rng.random(6000) < share, 99.0, 100) for _ in range(50)]
    assert found.count(verdict) >= 49


@pytest.mark.parametrize(("factor", "wrong"), [(1.0, Verdict.PASS), (0.9, Verdict.PASS), (1.0, Verdict.FAIL)])
def test_a_busy_queue_is_rarely_misjudged(factor, wrong):
    """M/M/1 at utilisation 0.7 with its limit at, or under, the true p99, looked at ten times."""
    rng = np.random.default_rng(4)
    limit = factor * -math.log(0.01) / 0.3
    errors = 0
    for _ in range(40):
        samples = mm1_sojourns_s(6_000, 0.7, rng)
        for count in range(600, 6_001, 600):
            seen = samples[:count]
            result = judge(
                overs=int(np.count_nonzero(seen > limit)),
                samples=count,
                percentile=99.0,
                confidence=0.99,
                design_effect=exceedance_design_effect(seen, 99.0, limit=limit, spacing=1.0 / 0.7),
            )
            if result.verdict is not Verdict.INCONCLUSIVE:
                errors += result.verdict is wrong
                break
    assert errors <= 2


@given(st.integers(0, 400), st.integers(1, 4000), st.sampled_from([50.0, 90.0, 99.0, 99.9]), st.floats(1.0, 30.0))
def test_the_samples_said_to_be_needed_do_settle_it(overs, samples, percentile, effect):
    """The samples said to be needed do settle it."""
    overs = min(overs, samples)
    result = judge(overs=overs, samples=samples, percentile=percentile, confidence=0.99, design_effect=effect)
    needed = samples_needed(result, percentile=percentile, confidence=0.99)
    if needed is None:
        return
    assert result.verdict is Verdict.INCONCLUSIVE
    assert needed >= samples
    assert _at_share(overs / samples, needed + 1, percentile, effect) is not Verdict.INCONCLUSIVE


def _at_share(share: float, samples: int, percentile: float, effect: float) -> Verdict:
    return judge(
        overs=share * samples,  # type: ignore[arg-type]  # a share that is no whole number of samples
        samples=samples,
        percentile=percentile,
        confidence=0.99,
        design_effect=effect,
    ).verdict


def test_a_rate_at_the_limit_needs_more_samples_than_anyone_can_take():
    """A rate at the limit needs more samples than anyone can take."""
    result = judge(overs=100, samples=10_000, percentile=99, confidence=0.99)
    assert samples_needed(result, percentile=99, confidence=0.99) is None


def test_nothing_is_known_before_the_first_sample():
    """Nothing is known before the first sample."""
    result = judge(overs=0, samples=0, percentile=99, confidence=0.99)
    assert result.verdict is Verdict.INCONCLUSIVE
