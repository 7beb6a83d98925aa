"""Sizes drawn from percentiles."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from infc.ir.problem import AxisDistribution
from infc.sim.lengths import mean_length, sample_lengths, shared_prefix_tokens
from infc.sim.percentile import percentiles


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.integers(1, 5000), min_size=1, max_size=4),
    st.sampled_from([(50.0,), (50.0, 90.0), (25.0, 50.0, 95.0), (10.0, 50.0, 90.0, 99.0)]),
    st.integers(0, 1000),
)
def test_the_asked_percentiles_are_hit(sizes: list[int], asked: tuple[float, ...], seed: int) -> None:
    """Whatever the seed, the sample has these percentiles, and nothing is larger than the maximum or below 1."""
    ascending = sorted(sizes)[: len(asked)]
    ascending += [ascending[-1]] * (len(asked) - len(ascending))
    distribution = AxisDistribution(percentiles=dict(zip(asked, ascending, strict=True)), maximum=2 * ascending[-1])
    sample = sample_lengths(distribution, 2000, seed)
    found = percentiles(sample.astype(np.float64), asked)
    np.testing.assert_allclose(found, ascending, rtol=0.02, atol=1)
    assert sample.min() >= 1
    assert sample.max() == distribution.maximum


def test_the_seed_only_shuffles() -> None:
    """Two seeds give the same sizes in another order, one seed the same order."""
    distribution = AxisDistribution(percentiles={50: 100, 90: 300}, maximum=900)
    first, again, other = (sample_lengths(distribution, 500, seed) for seed in (1, 1, 2))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)
    assert np.array_equal(np.sort(first), np.sort(other))


def test_the_mean_is_that_of_a_large_sample() -> None:
    """`mean_length` needs no sample."""
    distribution = AxisDistribution(percentiles={50: 512, 90: 1800}, maximum=4096)
    assert np.isclose(mean_length(distribution), sample_lengths(distribution, 20_000, 0).mean(), rtol=0.005)


def test_a_shared_prefix_is_a_share_of_the_mean() -> None:
    """One text of that length; no prompt shares more than it has."""
    prompts = np.array([10, 400, 790])
    assert shared_prefix_tokens(prompts, 0.25).tolist() == [10, 100, 100]
    assert shared_prefix_tokens(prompts, 0.0).tolist() == [0, 0, 0]
