"""Money: whole skus where the provider is named, a reserved baseline under a burst, owned devices by their power."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from infc.ir.arrival import PoissonArrival
from infc.ir.interval import Interval
from infc.ir.price import Commitment, Ownership, Price
from infc.ir.problem import HardwareOption, Problem, Traffic
from infc.plan.cost import cost_estimate, cost_parts, fleet, least_usd_per_hour, mean_replicas, usd_per_hour
from infc.plan.energy import energy_estimate, needed_range
from tests.plan.problems import L4, LIMITS, priced, problem

OPTION = priced(L4, 1.0)
DAY = (0.25,) * 18 + (1.0,) * 6
QUICK = settings(max_examples=40, deadline=None, derandomize=True)

OWNED = Ownership(
    capital_usd_per_hour=0.8,
    hosting_usd_per_hour=0.1,
    usd_per_kwh=0.12,
    pue=1.5,
    purchase_usd=28_000.0,
    years=4.0,
    utilization=1.0,
    power_cap_w=700.0,
)


def price(commitment: Commitment, usd: float, *, unit: int = 1, ownership: Ownership | None = None) -> Price:
    """A price of the device on these terms."""
    assert OPTION.price is not None
    return replace(
        OPTION.price,
        commitment=commitment,
        usd_per_hour=usd,
        accelerators_per_unit=unit,
        ownership=ownership,
    )


def of_day(hourly: tuple[float, ...] | None, *, redundancy: int = 0, is_named: bool = False, surge: int = 0) -> Problem:
    """A problem whose traffic has this shape, with a peak of its busiest hour."""
    busiest = max(hourly) if hourly else 1.0
    traffic = Traffic(
        arrival=PoissonArrival(), rate_rps=400.0, peak_rps=400.0 * max(1.0, busiest), hourly=hourly, axes={}
    )
    limits = replace(LIMITS, redundancy=redundancy, surge=surge)
    return problem(traffic=traffic, limits=limits, is_provider_named=is_named)


days = st.lists(st.floats(0.0, 3.0), min_size=24, max_size=24).map(tuple).filter(lambda day: max(day) > 0)
prices = st.floats(0.05, 20.0)
counts = st.integers(1, 40)
units = st.sampled_from([1, 2, 4, 8])


def test_every_replica_of_the_peak_is_paid_around_the_clock_on_demand() -> None:
    """Two needed and one redundant replica cost three devices; a month has 730 hours."""
    asked = problem(limits=replace(LIMITS, redundancy=1))
    cost = cost_estimate(asked, OPTION, 2)
    assert cost is not None
    assert cost.usd_per_hour == 3.0
    assert cost.usd_per_month == 3.0 * 730
    assert cost.usd_per_million_requests == pytest.approx(3.0 / 3600 / 200 * 1e6)
    assert [(part.name, part.devices) for part in cost.parts] == [("rent", 3)]


def test_whole_skus_are_rented_where_the_provider_is_named() -> None:
    """A sku of eight devices is paid whole; without a provider only the devices used are."""
    eight = HardwareOption(hardware=L4, price=price("on-demand", 1.0, unit=8))
    assert usd_per_hour(problem(), eight, 3) == 3.0
    assert usd_per_hour(problem(is_provider_named=True), eight, 3) == 8.0


def test_a_reserved_baseline_and_an_on_demand_peak_are_mixed() -> None:
    """One of four replicas runs all day; the other three are cheaper on demand for six hours."""
    mixed = HardwareOption(hardware=L4, price=price("on-demand", 1.0), reserved=price("1y", 0.6))
    cost = cost_estimate(of_day(DAY), mixed, 4)
    assert cost is not None
    assert cost.usd_per_hour == pytest.approx(0.6 + 3 * 6 / 24)
    assert [(part.name, part.devices) for part in cost.parts] == [("reserved 1y", 1), ("on-demand", 0.75)]
    assert mean_replicas(of_day(DAY), mixed, 4) == 1.75


def test_money_is_counted_at_the_mean_of_the_day() -> None:
    """A day whose shape has a mean of 0.4375 brings that share of the rate's requests."""
    cost = cost_estimate(of_day(DAY), OPTION, 4)
    assert cost is not None
    assert cost.usd_per_million_requests == pytest.approx(4.0 / 3600 / (400 * 0.4375) * 1e6)


def test_a_burst_on_spot_leaves_what_every_hour_needs_reserved() -> None:
    """Spot is cheapest of all here, and still the quietest hour's replicas are not on it; the risk is said."""
    option = HardwareOption(
        hardware=L4, price=price("on-demand", 1.0), reserved=price("1y", 0.6), burst=price("spot", 0.2)
    )
    cost = cost_estimate(of_day(DAY), option, 4)
    assert cost is not None
    assert [(part.name, part.devices) for part in cost.parts] == [("reserved 1y", 1), ("spot", 0.75)]
    assert any("withdrawn" in note and "100/s" in note for note in cost.notes)


def test_tokens_are_counted_with_and_without_the_prompts() -> None:
    """By generated tokens, and by those of the prompts too."""
    cost = cost_estimate(problem(), OPTION, 1, tokens_per_request=100.0, prompt_tokens_per_request=300.0)
    assert cost is not None
    assert cost.usd_per_million_tokens == pytest.approx(cost.usd_per_million_requests / 100)
    assert cost.usd_per_million_all_tokens == pytest.approx(cost.usd_per_million_requests / 400)


def test_owned_devices_pay_for_the_power_that_is_predicted() -> None:
    """Purchase and hosting by the device; electricity by its watts, the site's losses included; full power unasked."""
    option = HardwareOption(hardware=L4, price=price("owned", 1.026, ownership=OWNED))
    assert usd_per_hour(problem(), option, 2, power_w=400.0) == pytest.approx(2 * (0.9 + 0.4 * 1.5 * 0.12))
    assert usd_per_hour(problem(), option, 2) == pytest.approx(2 * (0.9 + 0.7 * 1.5 * 0.12))
    assert least_usd_per_hour(problem(), option, 2) == pytest.approx(1.8)
    cost = cost_estimate(problem(), option, 2, power_w=Interval(value=400.0, low=300.0, high=520.0))
    assert cost is not None
    assert [part.name for part in cost.parts] == ["purchase", "hosting", "electricity"]
    interval = cost.interval_usd_per_hour
    assert interval is not None
    assert interval.low == pytest.approx(2 * (0.9 + 0.3 * 1.5 * 0.12))
    assert interval.high == pytest.approx(2 * (0.9 + 0.52 * 1.5 * 0.12))


def test_devices_for_an_update_cost_where_they_are_kept() -> None:
    """A reserved or owned device that an update needs is paid all the time, a rented one for its minutes only."""
    asked = of_day(None, surge=1)
    assert usd_per_hour(asked, OPTION, 2) == 2.0
    assert usd_per_hour(asked, HardwareOption(hardware=L4, price=price("1y", 0.6)), 2) == pytest.approx(1.8)
    owned = HardwareOption(hardware=L4, price=price("owned", 1.0, ownership=OWNED))
    parts = cost_parts(asked, owned, 2, power_w=400.0)
    assert parts is not None
    assert [(part.name, part.devices) for part in parts] == [("purchase", 3), ("hosting", 3), ("electricity", 2)]


def test_the_interval_of_the_cost_is_that_of_the_replicas() -> None:
    """A slower replica than predicted would need one more; a faster one, where the load sets the count, one fewer."""
    asked = problem(peak_rps=1000.0)
    assert needed_range(asked, 2, Interval(value=600.0, low=450.0, high=1300.0), 0.85) == (1, 3)
    assert needed_range(asked, 4, Interval(value=600.0, low=450.0, high=1300.0), 0.85) == (4, 4)
    cost = cost_estimate(asked, OPTION, 2, needed_range=(1, 3))
    assert cost is not None
    month = cost.scaled_interval(cost.usd_per_month)
    assert (month.low, month.value, month.high) == pytest.approx((730.0, 1460.0, 2190.0))


def test_a_device_without_a_price_has_no_cost() -> None:
    """No figure is made up."""
    assert cost_estimate(problem(), priced(L4, None), 1) is None


def test_energy_is_power_over_requests_of_all_replicas() -> None:
    """Two replicas of two devices at 100 W, 200 requests a second: 2 J a request, 292 kWh in 730 hours."""
    energy = energy_estimate(problem(), OPTION, 2, Interval.exact(100.0), devices=2, tokens_per_request=50.0)
    assert energy.power_w.value == 400.0
    assert energy.joules_per_request.value == pytest.approx(2.0)
    assert energy.kwh_per_month.value == pytest.approx(292.0)
    assert energy.joules_per_token is not None
    assert energy.joules_per_token.value == pytest.approx(0.04)


@QUICK
@given(days, prices, prices, prices, st.sampled_from(["price", "reserved", "burst"]), st.floats(0.1, 1.0), counts)
def test_cost_never_rises_when_a_price_falls(
    day: tuple[float, ...], on_demand: float, reserved: float, spot: float, which: str, factor: float, needed: int
) -> None:
    """Whatever the terms are: a lower price of any of them never makes the deployment dearer."""
    option = HardwareOption(
        hardware=L4, price=price("on-demand", on_demand), reserved=price("1y", reserved), burst=price("spot", spot)
    )
    before = usd_per_hour(of_day(day), option, needed)
    old = getattr(option, which)
    cheaper = replace(option, **{which: replace(old, usd_per_hour=old.usd_per_hour * factor)})
    after = usd_per_hour(of_day(day), cheaper, needed)
    assert before is not None
    assert after is not None
    assert after <= before * (1 + 1e-9)


@QUICK
@given(days, prices, prices, units, units, st.booleans(), counts, st.integers(0, 2), st.integers(1, 4))
def test_a_mix_is_never_dearer_than_either_of_its_terms(
    day: tuple[float, ...],
    on_demand: float,
    reserved: float,
    unit: int,
    reserved_unit: int,
    is_named: bool,
    needed: int,
    redundancy: int,
    devices: int,
) -> None:
    """All on demand and all reserved are both among the splits, in whole skus too."""
    asked = of_day(day, redundancy=redundancy, is_named=is_named)
    first, second = price("on-demand", on_demand, unit=unit), price("1y", reserved, unit=reserved_unit)
    mixed = usd_per_hour(asked, HardwareOption(hardware=L4, price=first, reserved=second), needed, devices=devices)
    for alone in (first, second):
        whole = usd_per_hour(asked, HardwareOption(hardware=L4, price=alone), needed, devices=devices)
        assert mixed is not None
        assert whole is not None
        assert mixed <= whole * (1 + 1e-9)


@QUICK
@given(days, prices, prices, st.integers(1, 12), st.integers(1, 3))
def test_the_split_is_the_best_of_all_baselines(
    day: tuple[float, ...], on_demand: float, reserved: float, needed: int, devices: int
) -> None:
    """No other number of reserved devices costs less over the day."""
    asked = of_day(day)
    option = HardwareOption(hardware=L4, price=price("on-demand", on_demand), reserved=price("1y", reserved))
    hours = [count * devices for count in fleet(asked, needed).hourly]
    every = (
        kept * reserved + sum(max(0, count - kept) for count in hours) / 24 * on_demand
        for kept in range(max(hours) + 1)
    )
    assert usd_per_hour(asked, option, needed, devices=devices) == pytest.approx(min(every))


@QUICK
@given(days, prices, prices, prices, counts)
def test_spot_never_carries_what_every_hour_needs(
    day: tuple[float, ...], on_demand: float, reserved: float, spot: float, needed: int
) -> None:
    """The devices that are not spot are at least those of the quietest hour; parts add up to the cost."""
    asked = of_day(day)
    option = HardwareOption(
        hardware=L4, price=price("on-demand", on_demand), reserved=price("1y", reserved), burst=price("spot", spot)
    )
    parts = cost_parts(asked, option, needed)
    assert parts is not None
    if any(part.name == "spot" for part in parts):
        safe = sum(part.devices for part in parts if part.name != "spot")
        assert safe >= min(fleet(asked, needed).hourly)
    total = usd_per_hour(asked, option, needed)
    assert total == pytest.approx(sum(part.usd_per_hour for part in parts))


@QUICK
@given(days | st.none(), counts, st.integers(0, 3), st.sampled_from(["on-demand", "mixed", "owned"]), st.integers(1, 8))
def test_more_replicas_or_redundancy_are_never_cheaper(
    day: tuple[float, ...] | None, needed: int, redundancy: int, terms: str, devices: int
) -> None:
    """One replica more, needed or redundant, never lowers the cost."""
    option = {
        "on-demand": OPTION,
        "mixed": HardwareOption(hardware=L4, price=price("on-demand", 1.0), reserved=price("1y", 0.6)),
        "owned": HardwareOption(hardware=L4, price=price("owned", 1.0, ownership=OWNED)),
    }[terms]

    def cost(count: int, spare: int) -> float:
        found = usd_per_hour(of_day(day, redundancy=spare), option, count, devices=devices)
        assert found is not None
        return found

    assert cost(needed, redundancy) <= cost(needed + 1, redundancy) * (1 + 1e-9)
    assert cost(needed, redundancy) <= cost(needed, redundancy + 1) * (1 + 1e-9)
