"""Metrics as weighted statistics: a resample of counts gives what repeating the samples gives."""

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from infc.validate.accuracy import metrics
from infc.validate.accuracy.metrics import Floats, Statistic

RANDOM = np.random.default_rng(8)
LOGITS = RANDOM.normal(size=(40, 5))
LABELS = RANDOM.integers(0, 5, size=40)
MULTI = (RANDOM.random((40, 5)) < 0.3).astype(np.int64)
SCORES = RANDOM.integers(0, 6, size=40).astype(np.float64)

BUILDERS: dict[str, Callable[[np.ndarray], Statistic]] = {
    "f1": lambda rows: metrics.macro_f1(LOGITS[rows], LABELS[rows]),
    "f1-multilabel": lambda rows: metrics.macro_f1(LOGITS[rows], MULTI[rows]),
    "spearman": lambda rows: metrics.spearman(LOGITS[rows, 0].round(1), SCORES[rows]),
    "pearson": lambda rows: metrics.pearson(LOGITS[rows, 0], SCORES[rows]),
    "mean": lambda rows: metrics.weighted_mean(LOGITS[rows, 0]),
}


@pytest.mark.parametrize("name", BUILDERS)
@given(seed=st.integers(0, 2**32 - 1))
def test_counts_stand_for_repeated_samples(name: str, seed: int) -> None:
    """Weighting a sample by 3 is the same as having it three times, ranks and ties included."""
    rows = np.sort(np.random.default_rng(seed).integers(0, 40, size=40))
    counts = np.bincount(rows, minlength=40).astype(np.float64)[None, :]
    weighted = BUILDERS[name](np.arange(40))(counts)
    repeated = BUILDERS[name](rows)(np.ones((1, 40)))
    assert_allclose(weighted, repeated, rtol=1e-9, atol=1e-9)


def test_spearman_matches_its_definition() -> None:
    """The correlation of mid-ranks, as SciPy computes it."""
    stats = pytest.importorskip("scipy.stats", reason="SciPy is not a dependency of infc")
    x = LOGITS[:, 1].round(1)
    ours = float(metrics.spearman(x, SCORES)(np.ones((1, 40)))[0])
    assert ours == pytest.approx(float(stats.spearmanr(x, SCORES).statistic), abs=1e-12)


def test_hits_take_sets_of_acceptable_classes() -> None:
    """A label may be one class, or any of several; -1 pads."""
    logits = np.array([[0.1, 0.9, 0.0], [0.8, 0.1, 0.1], [0.2, 0.3, 0.5]])
    one = np.array([1, 2, 0])
    several = np.array([[1, -1], [2, 0], [0, 1]])
    assert metrics.hits(logits, one, 1).tolist() == [True, False, False]
    assert metrics.hits(logits, several, 1).tolist() == [True, True, False]
    assert metrics.hits(logits, one, 3).tolist() == [True, True, True]


def test_f1_of_a_perfect_and_of_a_constant_answer() -> None:
    """1 for perfect predictions; a constant answer gets its class's F1 shared among the classes."""
    perfect = np.eye(3)[[0, 1, 2, 2]]
    labels = np.array([0, 1, 2, 2])
    ones = np.ones((1, 4))
    assert float(metrics.macro_f1(perfect, labels)(ones)[0]) == 1.0
    constant = np.tile(np.eye(3)[2], (4, 1))
    assert float(metrics.macro_f1(constant, labels)(ones)[0]) == pytest.approx((2 * 2 / 6) / 3)


def test_average_precision_of_a_known_ranking() -> None:
    """Relevant at ranks 1 and 3: (1/1 + 2/3) / 2."""
    outputs = np.array([[0.9], [0.8], [0.7]])
    labels = np.array([[1], [0], [1]])
    assert float(metrics.mean_average_precision(outputs, labels)(np.ones((1, 3)))[0]) == pytest.approx(5 / 6)


def test_cosine_of_a_zero_vector_is_zero() -> None:
    """No division by zero."""
    rows: Floats = metrics.cosine_rows(np.array([[1.0, 0.0], [0.0, 0.0]]), np.array([[2.0, 0.0], [1.0, 1.0]]))
    assert rows.tolist() == [1.0, 0.0]
