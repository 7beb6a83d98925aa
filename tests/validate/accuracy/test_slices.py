"""Parts of the data: which they are, that many looks cry no wolf, and that one bad part is told."""

import numpy as np
import pytest

from infc.ir.accuracy import Verdict
from infc.ir.interval import Interval
from infc.ir.problem import AccuracyGoal
from infc.validate.accuracy.bootstrap import PairedIntervals
from infc.validate.accuracy.dataset import Dataset
from infc.validate.accuracy.proportions import relative_drop_interval
from infc.validate.accuracy.slices import Rows, ScorePart, judged_parts, output_errors, parts_of, reported
from infc.validate.accuracy.verdict import judge, samples_needed


def data(**arrays: np.ndarray) -> Dataset:
    """A dataset of one float input, with whatever else is given."""
    count = len(next(iter(arrays.values())))
    sides = arrays.pop("sides", None)
    side = (
        {"x": np.linspace(0.0, 1.0, count * 4, dtype=np.float32).reshape(count, 4)} if sides is None else {"x": sides}
    )
    return Dataset(digest="", samples=count, sides=(side,), targets=arrays.pop("labels", None), others=arrays)


def test_the_parts_of_a_dataset() -> None:
    """The array `slices` first, else classes, else quarters by magnitude or length; small ones are judged together."""
    labels = np.repeat([0, 1, 2, 3], [40, 30, 6, 7])
    named = np.repeat(["day", "night"], [43, 40])
    assert [(p.name, len(p.rows)) for p in parts_of(data(labels=labels, slices=named), "top1")] == [
        ("slice day", 43),
        ("slice night", 40),
    ]
    assert [(p.name, len(p.rows)) for p in parts_of(data(labels=labels), "top1")] == [
        ("class 0", 40),
        ("class 1", 30),
        ("2 classes of fewer than 10 samples", 13),
    ]
    quarters = parts_of(data(labels=labels), "cosine")
    assert [len(p.rows) for p in quarters] == [21, 21, 20, 21]
    assert quarters[0].name.startswith("magnitude 0.00")
    assert sum(len(p.rows) for p in quarters) == 83
    tokens = np.tril(np.ones((80, 20), dtype=np.int64))[np.arange(80) % 20]
    lengths = parts_of(data(sides=tokens), "cosine")
    assert [p.name for p in lengths] == ["length 1 to 5", "length 6 to 10", "length 11 to 15", "length 16 to 20"]
    assert (tokens[lengths[0].rows] != 0).sum(axis=1).max() < (tokens[lengths[-1].rows] != 0).sum(axis=1).min()
    assert parts_of(data(sides=np.ones((80, 20), dtype=np.int64)), "cosine") == ()


def paired(right: np.ndarray, wrong_rate: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """The subject's hits: the reference's, lost and won at the rate of each sample."""
    flipped = random.random(len(right)) < wrong_rate
    return np.where(flipped, ~right, right)


def scorer(right: np.ndarray, subject: np.ndarray) -> ScorePart:
    """Scores rows as the gate scores top1."""

    def score(rows: Rows, confidence: float) -> PairedIntervals:
        return PairedIntervals(
            reference=float(right[rows].mean()),
            value=Interval.exact(float(subject[rows].mean())),
            drop=relative_drop_interval(right[rows], subject[rows], confidence),
        )

    return score


def test_no_part_is_accused_by_chance() -> None:
    """Twenty equal parts, no real loss: in hardly any test does one of them seem to lose."""
    random = np.random.default_rng(6)
    labels = np.arange(2000) % 20
    parts = parts_of(data(labels=labels), "top1")
    accused = 0
    for _ in range(40):
        right = random.random(2000) < 0.5
        subject = paired(right, np.full(2000, 0.1), random)
        accused += any(part.drop.low > 0.0 for part in judged_parts(parts, scorer(right, subject), 0.90))
    assert accused <= 6  # 5% of 40 are expected at most; uncorrected it would be most of them


def test_a_class_that_breaks_fails_its_limit_while_the_whole_passes() -> None:
    """One class of ten loses a third of its right answers: the mean hides it, the limit on slices does not."""
    random = np.random.default_rng(7)
    labels = np.arange(4000) % 10
    right = random.random(4000) < 0.93
    subject = right & ~((labels == 6) & (random.random(4000) < 0.33))
    parts = judged_parts(parts_of(data(labels=labels), "top1"), scorer(right, subject), 0.95)
    assert parts[0].name == "class 6"
    assert parts[0].drop.low > 0.2
    whole = scorer(right, subject)(np.arange(4000), 0.95)
    goal = AccuracyGoal(dataset="", metric="top1", floor=None, max_drop=0.06, confidence=0.95, max_slice_drop=None)
    assert judge(whole.value, whole.drop, parts, goal) is Verdict.PASS
    bounded = AccuracyGoal(dataset="", metric="top1", floor=None, max_drop=0.06, confidence=0.95, max_slice_drop=0.1)
    assert judge(whole.value, whole.drop, parts, bounded) is Verdict.FAIL
    assert judge(whole.value, whole.drop, reported(parts), bounded) is Verdict.FAIL
    others = tuple(part for part in parts if part.name != "class 6")
    assert judge(whole.value, whole.drop, others, bounded) is Verdict.PASS
    assert judge(whole.value, whole.drop, (), bounded) is Verdict.INCONCLUSIVE


@pytest.mark.parametrize(("lost", "max_drop", "first"), [(0.02, 0.03, 600), (0.05, 0.07, 600), (0.04, 0.03, 800)])
def test_the_stated_number_of_samples_settles_a_paired_drop(lost: float, max_drop: float, first: int) -> None:
    """At the number that an open test asks for, new data of the same kind settles it about 80% of the time."""
    random = np.random.default_rng(8)
    goal = AccuracyGoal(dataset="", metric="top1", floor=None, max_drop=max_drop, confidence=0.95)
    value = Interval.exact(0.9)
    right = np.arange(first) < round(0.9 * first)
    subject = right & (np.arange(first) >= round(lost * 0.9 * first))
    found = relative_drop_interval(right, subject, 0.95)
    assert judge(value, found, (), goal) is Verdict.INCONCLUSIVE
    needed = samples_needed(value, found, (), goal, first)
    assert needed is not None

    def settles() -> bool:
        right = random.random(needed) < 0.9
        subject = right & (random.random(needed) >= lost)
        verdict = judge(value, relative_drop_interval(right, subject, 0.95), (), goal)
        return verdict is (Verdict.PASS if lost < max_drop else Verdict.FAIL)

    assert 0.68 <= np.mean([settles() for _ in range(120)]) <= 0.95


def test_the_worst_sample_is_named() -> None:
    """A mean of outputs hides one sample that is far off; the tail names it."""
    exact = np.ones((100, 8), dtype=np.float32)
    off = exact.copy()
    off[:, 0] += 0.01
    off[37] += 2.0
    errors = output_errors((exact,), (off,))
    assert errors.worst_sample == 37
    assert errors.worst == pytest.approx(2.0, rel=0.01)
    assert errors.median < 0.01
