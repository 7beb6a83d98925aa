"""Recipes tested in a fixed order, from careful to bold, need no correction: no more errors than a single test has."""

import numpy as np

from infc.ir.accuracy import Verdict
from infc.ir.interval import Interval
from infc.ir.problem import AccuracyGoal
from infc.validate.accuracy.proportions import relative_drop_interval
from infc.validate.accuracy.verdict import judge

GOAL = AccuracyGoal(dataset="", metric="top1", floor=None, max_drop=0.02, confidence=0.90)


def accepted(lost: list[float], samples: int, random: np.random.Generator) -> int | None:
    """The position of the last recipe before the first that does not pass; losses are nested, like raised operators."""
    right = random.random(samples) < 0.9
    chance = random.random(samples)
    last = None
    for position, rate in enumerate(lost):
        subject = right & (chance >= rate)
        drop = relative_drop_interval(right, subject, 0.90)
        if judge(Interval.exact(0.9), drop, (), GOAL) is not Verdict.PASS:
            break
        last = position
    return last


def test_the_search_errs_no_more_often_than_a_single_test() -> None:
    """Five good recipes, then five at the limit and beyond: one that misses is accepted in at most 5% of searches."""
    random = np.random.default_rng(9)
    lost = [0.0, 0.002, 0.004, 0.006, 0.008, 0.0201, 0.0205, 0.021, 0.022, 0.024]
    results = [accepted(lost, 1500, random) for _ in range(200)]
    wrong = sum(result is not None and result >= 5 for result in results)
    found = sum(result is not None and result >= 3 for result in results)
    assert wrong <= 19  # 10 are expected at most; 19 is three standard deviations more
    assert found > 150


def test_the_best_of_many_looks_would_err_more_often() -> None:
    """Why the order must be fixed: taking any recipe that passes among ten at the limit errs far more often."""
    random = np.random.default_rng(10)
    wrong = 0
    for _ in range(60):
        wrong += any(accepted([0.0205], 1000, random) == 0 for _ in range(10))
    assert wrong > 9
