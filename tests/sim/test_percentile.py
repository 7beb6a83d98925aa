"""Nearest-rank percentiles."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from infc.sim.percentile import percentile, percentiles, rank_of

VALUES = st.lists(st.floats(0.0, 1e6), min_size=1, max_size=200)


@given(VALUES, st.floats(0.1, 100.0))
def test_it_is_the_smallest_value_that_enough_do_not_exceed(values: list[float], asked: float) -> None:
    """At least p% of the values are at or below it, and it is one of them; no smaller value has that property."""
    found = percentile(np.array(values), asked)
    assert found in values
    assert sum(value <= found for value in values) >= asked / 100.0 * len(values) - 1e-6
    smaller = [value for value in values if value < found]
    assert len(smaller) < asked / 100.0 * len(values) + 1e-6


def test_decimal_percentiles_are_not_pushed_up_by_rounding() -> None:
    """p99.9 of 1000 values is the 999th."""
    assert rank_of(99.9, 1000) == 999
    assert percentiles(np.arange(1.0, 1001.0), (99.9, 100.0)) == (999.0, 1000.0)


def test_no_values_no_percentile() -> None:
    """An empty sample is an error, not a zero."""
    with pytest.raises(ValueError, match="no values"):
        percentile(np.array([]), 50)
