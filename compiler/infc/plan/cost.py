"""What a deployment costs: replicas by the hour, reserved and on demand where the spec mixes them."""

import math
from dataclasses import dataclass

from infc.ir.estimate import CostEstimate
from infc.ir.price import Price
from infc.ir.problem import BaseProblem, HardwareOption
from infc.ir.quantity import HOURS_PER_MONTH

HOURS_PER_DAY = 24


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


def usd_per_hour(problem: BaseProblem, option: HardwareOption, needed: int, *, devices: int = 1) -> float | None:
    """Mean cost of an hour of `needed` replicas of so many `devices`; None where the device has no price.

    With one price every replica of the peak runs all day. With a reserved and an on-demand price (commitment mixed) the
    baseline that is cheapest over the day is reserved, and the hours above it are rented on demand.
    """
    if option.price is None:
        return None
    running = fleet(problem, needed)
    if option.reserved is None:
        return _rent(problem, option.price, running.peak * devices)
    best = math.inf
    for baseline in sorted({0, *running.hourly}):  # piecewise linear: the optimum is at a breakpoint
        burst = sum(_rent(problem, option.price, max(0, count - baseline) * devices) for count in running.hourly)
        best = min(best, _rent(problem, option.reserved, baseline * devices) + burst / HOURS_PER_DAY)
    return best


def cost_estimate(
    problem: BaseProblem,
    option: HardwareOption,
    needed: int,
    *,
    devices: int = 1,
    tokens_per_request: float | None = None,
) -> CostEstimate | None:
    """Cost of the deployment by hour, by month of 730 hours, and by million requests at the mean rate.

    `needed` replicas have `devices` each. `tokens_per_request` are the mean generated tokens of a language model's
    request, which the cost by million tokens counts.
    """
    hourly = usd_per_hour(problem, option, needed, devices=devices)
    if hourly is None or option.price is None:
        return None
    per_request = hourly / 3600.0 / problem.traffic.rate_rps
    return CostEstimate(
        usd_per_hour=hourly,
        usd_per_month=hourly * HOURS_PER_MONTH,
        usd_per_million_requests=per_request * 1e6,
        price_source=_price_words(option),
        usd_per_million_tokens=None if tokens_per_request is None else per_request / tokens_per_request * 1e6,
    )


def _rent(problem: BaseProblem, price: Price, devices: int) -> float:
    """Dollars per hour of so many devices; whole skus when the spec names the provider."""
    per_unit = price.accelerators_per_unit if problem.is_provider_named else 1
    return math.ceil(devices / per_unit) * per_unit * price.usd_per_hour


def _price_words(option: HardwareOption) -> str:
    price = option.price
    assert price is not None  # noqa: S101 - the caller has checked
    words = f"{price.provider} {price.sku} {price.region}, {price.commitment}, {price.date}"
    if option.reserved is not None:
        words += f"; baseline {option.reserved.sku}, {option.reserved.commitment}, {option.reserved.date}"
    return words
