"""Money: whole skus for a named provider, a reserved baseline where the day has a shape."""

from dataclasses import replace

import pytest

from infc.ir.arrival import PoissonArrival
from infc.ir.problem import HardwareOption, Traffic
from infc.plan.cost import cost_estimate, usd_per_hour
from tests.plan.problems import L4, LIMITS, priced, problem

OPTION = priced(L4, 1.0)
DAY = (0.25,) * 18 + (1.0,) * 6


def test_every_replica_of_the_peak_is_paid_around_the_clock_on_demand() -> None:
    """Two needed and one redundant replica cost three devices; a month has 730 hours."""
    asked = problem(limits=replace(LIMITS, redundancy=1))
    cost = cost_estimate(asked, OPTION, 2)
    assert cost is not None
    assert cost.usd_per_hour == 3.0
    assert cost.usd_per_month == 3.0 * 730
    assert cost.usd_per_million_requests == pytest.approx(3.0 / 3600 / 200 * 1e6)


def test_whole_skus_are_rented_where_the_provider_is_named() -> None:
    """A sku of eight devices is paid whole; without a provider only the devices used are."""
    price = OPTION.price
    assert price is not None
    eight = HardwareOption(hardware=L4, price=replace(price, accelerators_per_unit=8))
    assert usd_per_hour(problem(), eight, 3) == 3.0
    assert usd_per_hour(problem(is_provider_named=True), eight, 3) == 8.0


def test_a_reserved_baseline_and_an_on_demand_peak_are_mixed() -> None:
    """One of four replicas runs all day; the other three are cheaper on demand for six hours."""
    price = OPTION.price
    assert price is not None
    mixed = HardwareOption(hardware=L4, price=price, reserved=replace(price, commitment="1y", usd_per_hour=0.6))
    traffic = Traffic(arrival=PoissonArrival(), rate_rps=400.0, peak_rps=400.0, hourly=DAY, axes={})
    assert usd_per_hour(problem(traffic=traffic), mixed, 4) == pytest.approx(0.6 + 3 * 6 / 24)


def test_a_device_without_a_price_has_no_cost() -> None:
    """No figure is made up."""
    assert cost_estimate(problem(), priced(L4, None), 1) is None
