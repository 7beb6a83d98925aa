"""Objectives: no place reaches less than the bound that prunes it; owned devices are compared by their power."""

from dataclasses import replace

import pytest

from infc.ir.plan import Plan
from infc.ir.price import Ownership
from infc.ir.problem import HardwareOption, Objective, Problem
from infc.plan import solve
from infc.plan.load import loader_for
from infc.plan.objective import achieved, bound
from infc.plan.sizing import Sized, Sizer
from infc.plan.space import places
from tests.plan.problems import LIMITS, OPTIONS, problem


def owned(option: HardwareOption, usd: float) -> HardwareOption:
    """The device bought for so much and written off over three years."""
    assert option.price is not None
    capital = usd / (3 * 8760)
    terms = Ownership(
        capital_usd_per_hour=capital,
        hosting_usd_per_hour=0.0,
        usd_per_kwh=0.3,
        pue=1.5,
        purchase_usd=usd,
        years=3.0,
        utilization=1.0,
        power_cap_w=option.hardware.tdp_w,
    )
    cap = option.hardware.tdp_w or 0.0
    full = capital + terms.electricity_usd_per_hour(cap)
    price = replace(option.price, commitment="owned", usd_per_hour=full, ownership=terms)
    return HardwareOption(hardware=option.hardware, price=price)


OWNED = tuple(owned(option, usd) for option, usd in zip(OPTIONS, (2_000, 2_500, 8_000, 30_000), strict=True))


@pytest.mark.parametrize("objective", ["cost", "energy", "latency"])
@pytest.mark.parametrize("options", [OPTIONS, OWNED], ids=["rented", "owned"])
def test_no_place_reaches_less_than_its_bound(objective: Objective, options: tuple[HardwareOption, ...]) -> None:
    """Else the search could pass over the best place."""
    asked = problem(peak_rps=5000.0, objective=objective, options=options, limits=replace(LIMITS, redundancy=1))
    loader = loader_for(asked)
    sizer = Sizer(asked, loader).quick()
    for place in places(asked)[0]:
        sized = sizer.size(place.site)
        assert isinstance(sized, Sized)
        lowest = bound(asked, place.option, place.site, sizer.fewest(place.site), sizer)
        assert lowest <= achieved(asked, place.option, sized, loader) * (1 + 1e-9), place.site.label


def test_the_energy_objective_takes_the_least_power_at_the_peak() -> None:
    """No runner-up draws less; energy has an interval around it."""
    plan = planned(problem(objective="energy"))
    power, energy = plan.estimate.power_w, plan.estimate.energy
    assert power is not None
    assert energy is not None
    others = [r.estimate.power_w.value for r in plan.runners_up if r.estimate.power_w is not None]
    assert power.value <= min(others) * 1.05
    assert energy.joules_per_request.low < energy.joules_per_request.value < energy.joules_per_request.high


def test_owned_devices_are_chosen_by_purchase_and_predicted_electricity() -> None:
    """The cost is purchase plus electricity of the predicted power, which is less than at full power."""
    plan = planned(problem(options=OWNED))
    cost = plan.estimate.cost
    assert cost is not None
    option = next(o for o in OWNED if o.hardware.id == plan.candidate.hardware_id)
    assert option.price is not None
    assert [part.name for part in cost.parts] == ["purchase", "electricity"]
    assert cost.usd_per_hour < plan.candidate.replicas * option.price.usd_per_hour
    others = [r.estimate.cost.usd_per_hour for r in plan.runners_up if r.estimate.cost is not None]
    assert cost.usd_per_hour <= min(others) * (1 + 1e-3)


def test_a_cost_limit_holds_for_owned_devices_at_full_power() -> None:
    """A limit just under the cost at full power is kept by no such device, whatever it is predicted to draw."""
    t4 = OWNED[0]
    assert t4.price is not None
    full = t4.price.usd_per_hour
    enough = problem(options=(t4,), limits=replace(LIMITS, max_usd_per_hour=full))
    short = problem(options=(t4,), limits=replace(LIMITS, max_usd_per_hour=full * 0.999))
    assert isinstance(solve(enough), Plan)
    assert not isinstance(solve(short), Plan)


@pytest.mark.parametrize("cheaper", ["t4", "l4", "l40s"])
def test_a_plan_never_gets_dearer_when_a_price_falls(cheaper: str) -> None:
    """Nor when the device whose price fell was not the choice."""
    asked = problem(peak_rps=5000.0)
    options = tuple(
        replace(option, price=replace(option.price, usd_per_hour=option.price.usd_per_hour * 0.4))
        if option.hardware.id == cheaper and option.price is not None
        else option
        for option in OPTIONS
    )
    assert spent(replace(asked, options=options)) <= spent(asked) * (1 + 1e-9)


def test_more_redundancy_is_never_cheaper() -> None:
    """Each further replica to spare adds to the cost of the best plan."""
    costs = [spent(problem(peak_rps=5000.0, limits=replace(LIMITS, redundancy=spare))) for spare in (0, 1, 2)]
    assert costs == sorted(costs)
    assert costs[0] < costs[2]


def spent(asked: Problem) -> float:
    """Dollars per hour of the plan."""
    cost = planned(asked).estimate.cost
    assert cost is not None
    return cost.usd_per_hour


def planned(asked: Problem) -> Plan:
    """The plan of a feasible problem."""
    decision = solve(asked)
    assert isinstance(decision, Plan), decision
    return decision
