"""Bounds hold the truth as often as they say, and the verdict follows from them."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from infc.ir.accuracy import Verdict
from infc.ir.interval import Interval
from infc.ir.problem import AccuracyGoal
from infc.validate.accuracy import metrics
from infc.validate.accuracy.bootstrap import paired_intervals
from infc.validate.accuracy.proportions import proportion_interval, relative_drop_interval
from infc.validate.accuracy.verdict import judge, samples_needed


def test_exact_bounds_of_a_proportion_match_the_beta_quantiles() -> None:
    """Clopper-Pearson, as SciPy computes it, also at both ends."""
    stats = pytest.importorskip("scipy.stats", reason="SciPy is not a dependency of infc")
    for successes, samples in ((0, 20), (20, 20), (7, 20), (1838, 2000)):
        want = stats.binomtest(successes, samples).proportion_ci(0.95, method="exact")
        got = proportion_interval(successes, samples, 0.95)
        assert (got.low, got.high) == pytest.approx((want.low, want.high), abs=1e-6)


def test_no_discordant_sample_still_leaves_doubt() -> None:
    """Two models that agree on 500 images may still differ on others: Wilson's bound, not zero."""
    same = np.concatenate([np.ones(450, dtype=bool), np.zeros(50, dtype=bool)])
    drop = relative_drop_interval(same, same, 0.95)
    assert drop.value == 0.0
    assert drop.high == pytest.approx(1.96**2 / (450 + 1.96**2), rel=1e-3)


def test_the_likelihood_under_the_hypothesis_is_at_its_maximum() -> None:
    """The score test's variance uses the constrained maximum: a search over the simplex finds no better one."""
    both, lost, gained, neither, ratio = 80, 12, 5, 13, 0.9
    samples = both + lost + gained + neither
    share = (samples - neither) / samples

    def likelihood(p01: float) -> float:
        p10 = ratio * p01 + share * (1 - ratio)
        p11 = share - p10 - p01
        return both * np.log(p11) + lost * np.log(p10) + gained * np.log(p01)

    a = -(1 + ratio) * ratio * (both + lost + gained)
    b = share * (-both * (1 - ratio**2) + lost * ratio**2 + gained * (2 * ratio**2 - 1))
    c = gained * ratio * share**2 * (1 - ratio)
    closed = (b + np.sqrt(b * b - 4 * a * c)) / (-2 * a)
    grid = np.linspace(1e-4, ratio * share / (1 + ratio) - 1e-4, 20_001)
    assert closed == pytest.approx(grid[np.argmax([likelihood(p) for p in grid])], abs=1e-4)


@pytest.mark.parametrize(
    ("reference", "subject", "overlap"), [(0.92, 0.91, 0.90), (0.75, 0.75, 0.70), (0.5, 0.4, 0.35)]
)
def test_drop_bounds_cover_the_truth(reference: float, subject: float, overlap: float) -> None:
    """Over 400 simulated tests of 300 samples, the 90% bounds hold the true relative drop about 90% of the time."""
    random = np.random.default_rng(1)
    cells = [overlap, reference - overlap, subject - overlap, 1 - reference - subject + overlap]
    truth, covered = 1 - subject / reference, 0
    for _ in range(400):
        drawn = random.choice(4, size=300, p=cells)
        bounds = relative_drop_interval(drawn <= 1, (drawn == 0) | (drawn == 2), 0.90)
        covered += bounds.low <= truth <= bounds.high
    assert 0.86 <= covered / 400 <= 0.95


def test_bootstrap_bounds_cover_the_truth() -> None:
    """The 90% bounds of a paired mean hold the truth about 90% of the time, skewed data included."""
    random = np.random.default_rng(2)
    covered = 0
    for _ in range(100):
        base = random.exponential(size=120)
        noisy = base * 0.97 + random.normal(size=120) * 0.05
        pair = paired_intervals(metrics.weighted_mean(base), metrics.weighted_mean(noisy), 120, 0.90, 600)
        covered += pair.drop.low <= 0.03 <= pair.drop.high
    assert 0.82 <= covered / 100 <= 0.97


def test_the_same_data_gives_the_same_bounds() -> None:
    """No clock and no global random state: bounds are a function of the data."""
    values = np.random.default_rng(3).normal(size=50)
    runs = [
        paired_intervals(metrics.pearson(values, values**2), metrics.pearson(values, values), 50, 0.95, 500)
        for _ in range(2)
    ]
    assert runs[0] == runs[1]


def test_pairing_is_what_makes_small_drops_visible() -> None:
    """Two models that err on the same samples are told apart far better than their own bounds suggest."""
    random = np.random.default_rng(4)
    base = random.normal(size=400)
    pair = paired_intervals(metrics.weighted_mean(base + 2), metrics.weighted_mean(base + 1.99), 400, 0.95, 1000)
    assert pair.drop.high - pair.drop.low < 0.05 * (pair.value.high - pair.value.low)


def goal(floor: float | None = None, max_drop: float | None = None) -> AccuracyGoal:
    """A goal at 95% confidence."""
    return AccuracyGoal(dataset="", metric="top1", floor=floor, max_drop=max_drop, confidence=0.95)


def around(value: float, half: float) -> Interval:
    """An interval of this half width."""
    return Interval(value=value, low=value - half, high=value + half)


@pytest.mark.parametrize(
    ("value", "drop", "verdict"),
    [
        (around(0.92, 0.01), around(0.002, 0.003), Verdict.PASS),
        (around(0.92, 0.03), around(0.002, 0.003), Verdict.INCONCLUSIVE),
        (around(0.92, 0.01), around(0.009, 0.003), Verdict.INCONCLUSIVE),
        (around(0.85, 0.01), around(0.002, 0.003), Verdict.FAIL),
        (around(0.92, 0.03), around(0.05, 0.01), Verdict.FAIL),
    ],
)
def test_the_whole_interval_decides(value: Interval, drop: Interval, verdict: Verdict) -> None:
    """Pass needs every interval on the right side; fail needs one wholly on the wrong side."""
    assert judge(value, drop, (), goal(floor=0.9, max_drop=0.01)) is verdict


def test_a_goal_without_a_floor_judges_the_drop_alone() -> None:
    """What the spec does not ask for is not judged."""
    assert judge(around(0.1, 0.05), around(0.0, 0.001), (), goal(max_drop=0.01)) is Verdict.PASS


@given(half=st.floats(0.005, 0.2), gap=st.floats(0.0005, 0.1))
def test_more_samples_are_needed_the_nearer_the_limit(half: float, gap: float) -> None:
    """The power analysis asks for more samples than there are, and for more where the bounds are wider."""
    needed = samples_needed(around(0.9 + gap, half), around(0.0, 0.0), (), goal(floor=0.9), 1000)
    if gap > half * 1.0001:
        assert needed is None
    if needed is not None:
        wider = samples_needed(around(0.9 + gap, half * 1.5), around(0.0, 0.0), (), goal(floor=0.9), 1000)
        assert needed > 1000
        assert wider is None or wider >= needed


def test_the_power_analysis_is_right_about_its_own_data() -> None:
    """With the number of samples it asks for, the test settles about 80% of the time."""
    random = np.random.default_rng(5)
    first = proportion_interval(276, 300, 0.95)
    needed = samples_needed(first, around(0.0, 0.0), (), goal(floor=0.9), 300)
    assert needed is not None
    settled = [
        judge(
            proportion_interval(int(random.binomial(needed, 0.92)), needed, 0.95),
            around(0, 0),
            (),
            goal(floor=0.9),
        )
        for _ in range(80)
    ]
    assert 0.66 <= settled.count(Verdict.PASS) / 80 <= 0.95
