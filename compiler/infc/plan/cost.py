"""What a deployment costs: replicas by the hour, bought, rented, or reserved with a burst above.

Money is counted at the mean rate over the day; devices are counted at the peak. A redundant replica runs in every
hour. Devices for a rolling update cost where they have to be kept (owned or reserved), not where they are rented for
its minutes.
"""

import math
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from infc.ir.estimate import CostEstimate, CostPart
from infc.ir.interval import Interval
from infc.ir.price import Ownership, Price
from infc.ir.problem import BaseProblem, HardwareOption
from infc.ir.quantity import HOURS_PER_MONTH
from infc.plan.words import rate_text

HOURS_PER_DAY = 24
KEPT = frozenset({"1y", "3y", "owned"})
"""Commitments under which a device that is needed for minutes is paid for all the time."""


@dataclass(frozen=True, kw_only=True)
class Fleet:
    """Replicas over the day: `peak` with redundancy, and how many each hour needs (all equal without a day shape)."""

    peak: int
    hourly: tuple[int, ...]


def fleet(problem: BaseProblem, needed: int) -> Fleet:
    """How many replicas run in each hour when `needed` of them carry the peak; redundancy is added to every hour."""
    traffic = problem.traffic
    redundancy = problem.limits.redundancy
    if traffic.hourly is None:
        return Fleet(peak=needed + redundancy, hourly=(needed + redundancy,) * HOURS_PER_DAY)
    hourly = tuple(
        redundancy + max(1, min(needed, math.ceil(needed * traffic.rate_rps * share / traffic.peak_rps - 1e-9)))
        for share in traffic.hourly
    )
    return Fleet(peak=needed + redundancy, hourly=hourly)


def mean_replicas(problem: BaseProblem, option: HardwareOption, needed: int) -> float:
    """Replicas that run in the mean over the day: those of the peak, unless a mix of terms follows the day."""
    running = fleet(problem, needed)
    return sum(running.hourly) / HOURS_PER_DAY if option.reserved is not None else float(running.peak)


def usd_per_hour(
    problem: BaseProblem, option: HardwareOption, needed: int, *, devices: int = 1, power_w: float | None = None
) -> float | None:
    """Mean cost of an hour of `needed` replicas of so many `devices`; None where the device has no price.

    With one price every replica of the peak runs all day. With a reserved and another price (commitment mixed) the
    baseline that is cheapest over the day is reserved, and the hours above it are rented. Owned devices draw `power_w`
    each in the mean (None: their full power, which no plan exceeds).
    """
    parts = cost_parts(problem, option, needed, devices=devices, power_w=power_w)
    return None if parts is None else sum(part.usd_per_hour for part in parts)


def least_usd_per_hour(problem: BaseProblem, option: HardwareOption, needed: int, *, devices: int = 1) -> float | None:
    """What `needed` replicas cost at least, whatever they do: owned devices draw nothing."""
    return usd_per_hour(problem, option, needed, devices=devices, power_w=0.0)


def cost_parts(
    problem: BaseProblem, option: HardwareOption, needed: int, *, devices: int = 1, power_w: float | None = None
) -> tuple[CostPart, ...] | None:
    """What the cost of an hour is made of; None where the device has no price."""
    price = option.price
    if price is None:
        return None
    if option.reserved is not None:
        return _mixed(problem, option, fleet(problem, needed), devices)
    kept = problem.limits.surge if price.commitment in KEPT else 0
    count = (needed + problem.limits.redundancy + kept) * devices
    if price.ownership is not None:
        return tuple(_owned(price.ownership, count, kept * devices, power_w))
    paid = _rented(problem, price, count)
    return (CostPart(name="rent", devices=paid, usd_per_hour=paid * price.usd_per_hour),)


def cost_estimate(
    problem: BaseProblem,
    option: HardwareOption,
    needed: int,
    *,
    devices: int = 1,
    tokens_per_request: float | None = None,
    prompt_tokens_per_request: float | None = None,
    power_w: Interval | None = None,
    needed_range: tuple[int, int] | None = None,
) -> CostEstimate | None:
    """Cost of the deployment by hour, by month of 730 hours, and by million requests and tokens at the mean rate.

    Args:
        problem: the traffic, limits and terms.
        option: the device and its prices.
        needed: replicas that carry the peak, redundant ones not counted.
        devices: accelerators of one replica.
        tokens_per_request: mean generated tokens of a language model's request.
        prompt_tokens_per_request: mean tokens of its prompt.
        power_w: what one device draws in the mean over the day; only owned devices pay for it (None: full power).
        needed_range: fewest and most replicas that carry the peak at the ends of the predicted service times.
    """
    mean = None if power_w is None else power_w.value
    parts = cost_parts(problem, option, needed, devices=devices, power_w=mean)
    if parts is None:
        return None
    hourly = sum(part.usd_per_hour for part in parts)
    low, high = needed_range or (needed, needed)
    least = usd_per_hour(problem, option, low, devices=devices, power_w=None if power_w is None else power_w.low)
    most = usd_per_hour(problem, option, high, devices=devices, power_w=None if power_w is None else power_w.high)
    per_request = hourly / 3600.0 / problem.traffic.mean_rps
    output, prompt = tokens_per_request, prompt_tokens_per_request
    return CostEstimate(
        usd_per_hour=hourly,
        usd_per_month=hourly * HOURS_PER_MONTH,
        usd_per_million_requests=per_request * 1e6,
        price_source=_price_words(option),
        usd_per_million_tokens=None if output is None else per_request / output * 1e6,
        usd_per_million_all_tokens=None if output is None or prompt is None else per_request / (output + prompt) * 1e6,
        interval_usd_per_hour=Interval(
            value=hourly, low=min(hourly, least or hourly), high=max(hourly, most or hourly)
        ),
        parts=parts,
        notes=tuple(_notes(problem, option, needed, devices, parts)),
    )


def _owned(terms: Ownership, count: int, kept: int, power_w: float | None) -> Iterator[CostPart]:
    """Purchase and hosting of every device; electricity of those that run, not of those kept for an update."""
    yield CostPart(name="purchase", devices=count, usd_per_hour=count * terms.capital_usd_per_hour)
    if terms.hosting_usd_per_hour:
        yield CostPart(name="hosting", devices=count, usd_per_hour=count * terms.hosting_usd_per_hour)
    drawn = terms.power_cap_w if power_w is None else power_w
    if drawn is not None:
        running = count - kept
        cost = running * terms.electricity_usd_per_hour(drawn)
        yield CostPart(name="electricity", devices=running, usd_per_hour=cost)


def _mixed(problem: BaseProblem, option: HardwareOption, running: Fleet, devices: int) -> tuple[CostPart, ...]:
    """The cheapest split of the day into a baseline that is reserved and a burst that is rented by the hour.

    Spot devices are only taken above what the quietest hour needs.
    """
    assert option.price is not None and option.reserved is not None  # noqa: S101, PT018 - the caller has checked
    counts = Counter(count * devices for count in running.hourly)
    bases: tuple[Price, ...] = (option.reserved, option.price)
    if _is_never_dearer(option.reserved, option.price):
        bases = (option.reserved,)
    bursts = (option.price,) if option.burst is None else (option.price, option.burst)
    best: tuple[float, tuple[CostPart, ...]] | None = None
    for base in bases:
        for burst in bursts:
            least = min(counts) if burst is option.burst else 0
            for kept in _baselines(problem, counts, base, burst, least):
                hours = sum(_rented(problem, burst, max(0, count - kept)) * times for count, times in counts.items())
                above = CostPart(
                    name=burst.commitment,
                    devices=hours / HOURS_PER_DAY,
                    usd_per_hour=hours / HOURS_PER_DAY * burst.usd_per_hour,
                )
                below = CostPart(name=_part_name(base), devices=kept, usd_per_hour=kept * base.usd_per_hour)
                total = below.usd_per_hour + above.usd_per_hour
                if best is None or total < best[0] - 1e-12:
                    best = (total, tuple(part for part in (below, above) if part.devices))
    assert best is not None  # noqa: S101 - every pair of prices has a baseline
    return best[1]


def _baselines(
    problem: BaseProblem, counts: Mapping[int, int], base: Price, burst: Price, least: int
) -> tuple[int, ...]:
    """Devices of the baseline worth considering, at least `least`.

    The cost is piecewise linear and convex in the baseline, with a corner at each hour's count: the best one is where
    the hours above it no longer pay for another device. Whole skus spoil that; then every corner is considered.
    """
    if problem.is_provider_named and max(base.accelerators_per_unit, burst.accelerators_per_unit) > 1:
        rounded = {_rented(problem, base, count) for count in (0, *counts)}
        return tuple(sorted(kept for kept in rounded if kept >= least))
    above = HOURS_PER_DAY
    for corner in sorted({0, *counts}):
        above -= counts.get(corner, 0)
        if corner >= least and above * burst.usd_per_hour <= HOURS_PER_DAY * base.usd_per_hour:
            return (corner,)
    return (max(counts),)


def _is_never_dearer(price: Price, other: Price) -> bool:
    return price.usd_per_hour <= other.usd_per_hour and price.accelerators_per_unit == other.accelerators_per_unit


def _part_name(base: Price) -> str:
    return f"reserved {base.commitment}" if base.commitment in KEPT else base.commitment


def _rented(problem: BaseProblem, price: Price, devices: int) -> int:
    """Devices that are paid for: whole skus when the spec names the provider."""
    per_unit = price.accelerators_per_unit if problem.is_provider_named else 1
    return math.ceil(devices / per_unit) * per_unit


def _price_words(option: HardwareOption) -> str:
    price = option.price
    assert price is not None  # noqa: S101 - the caller has checked
    words = f"{price.provider} {price.sku} {price.region}, {price.commitment}, {price.date}"
    if price.ownership is not None:
        words = f"owned, {price.date}"
    if option.reserved is not None and option.reserved is not option.price:
        words += f"; baseline {option.reserved.sku}, {option.reserved.commitment}, {option.reserved.date}"
    if option.burst is not None:
        words += f"; burst {option.burst.sku}, spot, {option.burst.date}"
    return words


def _owned_words(terms: Ownership) -> Iterator[str]:
    bought = terms.purchase_words + (f" ({terms.remark})" if terms.remark else "")
    power = f"electricity of the predicted power at ${terms.usd_per_kwh:g}/kWh, PUE {terms.pue:g}"
    if terms.power_cap_w is None:
        power = "electricity not included, for the device's power is not known"
    yield f"{bought}; {power}"
    if not terms.hosting_usd_per_hour:
        yield "host machine, space, network and staff not included (pricing.owned.hosting)"


def _notes(
    problem: BaseProblem, option: HardwareOption, needed: int, devices: int, parts: tuple[CostPart, ...]
) -> Iterator[str]:
    """What a reader of the figure must know."""
    price = option.price
    if price is not None and price.ownership is not None:
        yield from _owned_words(price.ownership)
    if price is not None and price.commitment == "spot":
        yield "every device is spot capacity, which can be withdrawn at short notice: all of them at once, too"
    spot = next((part for part in parts if part.name == "spot"), None)
    if spot is not None:
        kept = (sum(part.devices for part in parts) - spot.devices) / devices
        carried = min(1.0, kept / needed) * problem.traffic.peak_rps
        yield (
            f"the burst is spot capacity, which can be withdrawn at short notice; the baseline of {kept:g}"
            f" {'replica' if kept == 1 else 'replicas'} alone carries about {rate_text(carried)}"
        )
