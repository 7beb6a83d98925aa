"""Perplexity and exact match with bounds: their values, and how often their verdicts are wrong (simulated)."""

import math

import numpy as np
import pytest

from infc.ir.accuracy import Verdict
from infc.ir.problem import AccuracyGoal
from infc.validate.accuracy.verdict import judge
from infc.validate.llm_accuracy.scoring import Likelihoods, Matches, is_match, likelihoods_from

MAX_RISE = 0.02


def goal(metric: str, *, floor: float | None = None, max_drop: float | None = MAX_RISE) -> AccuracyGoal:
    """A goal at 95% confidence."""
    return AccuracyGoal(dataset="", metric=metric, floor=floor, max_drop=max_drop, confidence=0.95)


def drawn(random: np.random.Generator, rows: int, rise: float) -> Likelihoods:
    """Texts of different lengths and difficulty; a token costs log(1 + rise) more on average, differently by text."""
    tokens = random.integers(20, 300, rows).astype(float)
    reference = -tokens * random.gamma(20.0, 0.15, rows)
    lost = math.log1p(rise) + random.normal(0.0, 0.02, rows)
    return Likelihoods(tokens=tokens, reference=reference, subject=reference - tokens * lost)


def test_perplexity_is_that_of_all_tokens() -> None:
    """Long texts weigh more: the mean is over tokens, not over texts."""
    found = likelihoods_from([[1, -1.0], [3, -9.0], [0, 0.0]], [[1, -1.0], [3, -9.0], [0, 0.0]])
    intervals = found.intervals(0.95)
    assert intervals.reference == pytest.approx(math.exp(10 / 4))
    assert len(found.tokens) == 2


def test_a_rise_is_a_positive_drop_with_ordered_bounds() -> None:
    """Less is better: what a spec calls `max_drop` bounds the rise."""
    found = drawn(np.random.default_rng(0), 200, 0.05).intervals(0.95)
    assert found.value.value > found.reference
    assert 0.04 < found.drop.low <= found.drop.value <= found.drop.high < 0.06
    assert judge(found.value, found.drop, (), goal("perplexity")) is Verdict.FAIL


def test_the_floor_of_perplexity_is_the_highest_value_that_will_do() -> None:
    """All of the interval lies under it, over it, or neither."""
    found = drawn(np.random.default_rng(1), 200, 0.0).intervals(0.95)
    low, high = found.value.low, found.value.high
    verdicts = [
        judge(found.value, found.drop, (), goal("perplexity", floor=floor, max_drop=None))
        for floor in (high * 1.01, low * 0.99, found.value.value)
    ]
    assert verdicts == [Verdict.PASS, Verdict.FAIL, Verdict.INCONCLUSIVE]


@pytest.mark.slow
def test_at_the_limit_a_verdict_is_wrong_no_more_often_than_the_confidence_says() -> None:
    """95% two-sided: each side errs in 2.5% of tests. Of 400, more than 20 would come by chance once in 1000 times."""
    random = np.random.default_rng(7)
    found = [drawn(random, 120, MAX_RISE).intervals(0.95) for _ in range(400)]
    verdicts = [judge(each.value, each.drop, (), goal("perplexity")) for each in found]
    assert max(verdicts.count(Verdict.PASS), verdicts.count(Verdict.FAIL)) <= 20


def test_a_model_that_keeps_its_perplexity_passes_with_few_texts() -> None:
    """Differences of pairs are small where both find the same texts hard."""
    random = np.random.default_rng(3)
    found = [drawn(random, 60, 0.005).intervals(0.95) for _ in range(20)]
    assert sum(judge(each.value, each.drop, (), goal("perplexity")) is Verdict.PASS for each in found) >= 19


def test_exact_match_is_counted_in_pairs() -> None:
    """Both right, both wrong, and the rows that differ."""
    reference = np.array([True] * 80 + [False] * 20)
    subject = reference.copy()
    subject[:4] = False
    found = Matches(reference=reference, subject=subject).intervals(0.95)
    assert (found.reference, found.value.value) == (0.8, 0.76)
    assert found.drop.low < 0.05 < found.drop.high
    assert found.drop.value == pytest.approx(0.05)


@pytest.mark.parametrize(
    ("said", "answer", "expected"),
    [
        (" self.name\n    def", "self.name", True),
        ("\n\n  yes ", "yes", True),
        ("yes, and no", "yes", False),
        ("a\nb\nc", "a\n b", True),
        ("", "x", False),
    ],
)
def test_an_answer_matches_line_by_line_whatever_its_spaces(said: str, answer: str, expected: bool) -> None:
    """A model goes on after the answer; its further lines do not count."""
    assert is_match(said, answer) is expected
