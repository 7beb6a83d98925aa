"""Money, energy and spare capacity of a plan, as rows of the text report."""

from collections.abc import Iterator

from infc.ir.estimate import CostEstimate, Estimate
from infc.ir.interval import Interval
from infc.ir.plan import Plan
from infc.ir.problem import BaseProblem
from infc.plan.capacity_words import capacity_sentences
from infc.plan.words import figure_text, money_text, month_text, rate_text
from infc.report.layout import Style, bullets, heading, row, wrapped_row

_SAME = 1e-6
"""An interval narrower than this share of its value is not worth showing."""


def energy_rows(problem: BaseProblem, estimate: Estimate, style: Style) -> Iterator[str]:
    """Power at the peak and energy at the mean rate."""
    if estimate.power_w is not None and estimate.requests_per_joule is not None:
        words = f"{_spread(estimate.power_w)} W at the peak, {estimate.requests_per_joule:.3g} requests per joule"
        if estimate.tokens_per_joule is not None:
            words += f", {estimate.tokens_per_joule:.3g} generated tokens per joule"
        yield from wrapped_row("power", words, style)
    energy = estimate.energy
    if energy is not None:
        words = (
            f"{_spread(energy.joules_per_request)} J per request at the mean of {rate_text(problem.traffic.mean_rps)}"
        )
        if energy.joules_per_token is not None:
            words += f", {_spread(energy.joules_per_token)} J per generated token"
        yield from wrapped_row("energy", f"{words}; {energy.kwh_per_month.value:,.3g} kWh/month", style)


def cost_rows(estimate: Estimate, style: Style) -> Iterator[str]:
    """What the deployment costs, of what that is made, and whose price it is."""
    cost = estimate.cost
    if cost is None:
        yield row("cost", "no price known", style)
        return
    yield from wrapped_row("cost", cost_words(cost), style)
    if len(cost.parts) > 1:
        yield from wrapped_row("", f"made of {', '.join(_part_words(cost))}", style)
    yield from wrapped_row("price", cost.price_source, style)
    for note in cost.notes:
        yield from wrapped_row("", note, style)


def cost_words(cost: CostEstimate) -> str:
    """By hour, month, million requests and tokens, with the interval where it is wider than the value."""
    words = f"{money_text(cost.usd_per_hour)}, {month_text(cost.usd_per_month)} (730 h)"
    interval = cost.scaled_interval(cost.usd_per_month)
    if _is_wide(interval):
        words += f", {month_text(interval.low)} .. {month_text(interval.high)} at the ends of the prediction"
    words += f"; ${cost.usd_per_million_requests:.3g} per million requests"
    if cost.usd_per_million_tokens is not None:
        words += f", ${cost.usd_per_million_tokens:.3g} per million generated tokens"
        words += f" ({1e6 / cost.usd_per_million_tokens:,.0f} tokens per dollar)"
    if cost.usd_per_million_all_tokens is not None:
        words += f", ${cost.usd_per_million_all_tokens:.3g} per million tokens with the prompts"
    return words


def capacity_rows(problem: BaseProblem, plan: Plan, style: Style) -> Iterator[str]:
    """Over-provisioning, availability, rolling updates."""
    sentences = capacity_sentences(problem, plan)
    if sentences:
        yield heading("capacity", style)
        yield from bullets(sentences)


def _part_words(cost: CostEstimate) -> Iterator[str]:
    for part in cost.parts:
        devices = f"{part.devices:g}" if part.devices == int(part.devices) else f"{part.devices:.2f} in the mean"
        yield f"{part.name} {money_text(part.usd_per_hour)} ({devices})"


def _spread(interval: Interval) -> str:
    value = figure_text(interval.value)
    if not _is_wide(interval):
        return value
    return f"{value} ({figure_text(interval.low)} .. {figure_text(interval.high)})"


def _is_wide(interval: Interval) -> bool:
    return interval.high - interval.low > _SAME * abs(interval.value)
