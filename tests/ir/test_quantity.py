"""Quantities: units are required, base units come out, every error shows the fix."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infc.ir.quantity import (
    QuantityError,
    parse_bytes,
    parse_duration_s,
    parse_fraction,
    parse_percentile,
    parse_power_w,
    parse_rate_rps,
    parse_score,
    parse_usd_per_hour,
)

PARSERS = (
    parse_duration_s,
    parse_rate_rps,
    parse_bytes,
    parse_power_w,
    parse_usd_per_hour,
    parse_fraction,
    parse_score,
    parse_percentile,
)


@pytest.mark.parametrize(
    ("parse", "text", "expected"),
    [
        (parse_duration_s, "25ms", 0.025),
        (parse_duration_s, "1e3us", 0.001),
        (parse_duration_s, "2 min", 120.0),
        (parse_duration_s, "5µs", 5e-6),
        (parse_rate_rps, "300/s", 300.0),
        (parse_rate_rps, "86400/day", 1.0),
        (parse_bytes, "16GB", 16e9),
        (parse_bytes, "16GiB", 16 * 2.0**30),
        (parse_power_w, "7W", 7.0),
        (parse_usd_per_hour, "$8760/year", 1.0),
        (parse_usd_per_hour, "$24/day", 1.0),
        (parse_fraction, "99.9%", 0.999),
        (parse_fraction, "0%", 0.0),
        (parse_score, -0.2, -0.2),
        (parse_percentile, "p99.99", 99.99),
    ],
)
def test_a_quantity_is_read_in_base_units(parse, text, expected) -> None:
    """Seconds, requests per second, bytes, watts, US dollars per hour, fractions."""
    assert parse(text) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize(
    ("parse", "value", "fix"),
    [
        (parse_duration_s, 20, "20ms"),
        (parse_duration_s, "20", "20ms"),
        (parse_duration_s, "20 seconds", "20s"),
        (parse_duration_s, "20MS", "20ms"),
        (parse_rate_rps, 300, "300/s"),
        (parse_rate_rps, "300 rps", "300/s"),
        (parse_rate_rps, "1,000/s", "1000/s"),
        (parse_bytes, 24, "24GiB"),
        (parse_bytes, "24Gi", "24GiB"),
        (parse_bytes, "24gb", "24GB"),
        (parse_power_w, "15w", "15W"),
        (parse_usd_per_hour, 3000, "$3000/month"),
        (parse_usd_per_hour, "$3,000/month", "$3000/month"),
        (parse_usd_per_hour, "3000 USD/year", "$3000/year"),
        (parse_fraction, 0.01, "1%"),
        (parse_fraction, 95, "95%"),
        (parse_percentile, "p999", "p99.9"),
        (parse_percentile, "P95", "p95"),
        (parse_percentile, "max", "p99.9"),
    ],
)
def test_a_near_miss_shows_what_to_write(parse, value, fix) -> None:
    """The help holds the text that would have been right, and that text is right."""
    with pytest.raises(QuantityError) as caught:
        parse(value)
    assert fix in caught.value.help
    parse(fix)


@pytest.mark.parametrize("parse", PARSERS[:6])
@pytest.mark.parametrize("value", ["", " ", "ms", "-1ms", "0s", "1e999s", "inf", "nan%", "101%", None, True, [1], {}])
def test_what_is_no_quantity_is_refused_with_a_fix(parse, value) -> None:
    """No guess, no exception but QuantityError."""
    with pytest.raises(QuantityError) as caught:
        parse(value)
    assert caught.value.message
    assert caught.value.help


@given(st.one_of(st.text(), st.integers(), st.floats(), st.booleans(), st.none()))
def test_any_value_is_a_number_or_a_quantity_error(value: object) -> None:
    """No input crashes a parser, and what comes out is finite."""
    for parse in PARSERS:
        try:
            number = parse(value)
        except QuantityError:
            continue
        assert math.isfinite(number) or parse is parse_score


@given(st.floats(min_value=1e-3, max_value=1e4), st.sampled_from(["us", "ms", "s"]))
def test_a_duration_survives_being_written_and_read(number: float, unit: str) -> None:
    """Text to seconds is the number times the unit."""
    scale = {"us": 1e-6, "ms": 1e-3, "s": 1.0}[unit]
    assert parse_duration_s(f"{number!r}{unit}") == pytest.approx(number * scale)
