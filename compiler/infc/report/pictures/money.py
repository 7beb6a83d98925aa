"""Money in pictures: what a deployment cost before, and what it costs now."""

from collections.abc import Sequence

from infc.ir.change import DeploymentChange
from infc.plan.savings import Savings
from infc.plan.words import month_text
from infc.report.change_words import signed_month
from infc.report.charts.drawing import Absent, Picture
from infc.report.charts.stacked_bars import Bar, Part, stacked_bars
from infc.report.plan_review import savings_words

_TITLE = "Cost before and after"
_NO_PRICE = "No price is known on both sides: a price book in `targets/prices/` provides it."


def savings_picture(saved: Savings | None) -> Picture | Absent:
    """The locked deployment beside the plan, both at the prices of today."""
    if saved is None:
        return Absent(
            title=_TITLE,
            sentence="infc.lock holds no other deployment of this spec, so there is none to compare with;"
            " `infc compile` locks one.",
        )
    before, after = saved.before_usd_per_month, saved.after_usd_per_month
    if before is None or after is None:
        return Absent(title=_TITLE, sentence=_NO_PRICE)
    rows = [
        (f"before: {saved.before.replicas} x {saved.before.label}", before),
        (f"after: {saved.after.replicas} x {saved.after.label}", after),
    ]
    return cost_picture(rows, sentence=f"At today's prices the plan {savings_words(saved)}.")


def change_picture(change: DeploymentChange) -> Picture | Absent:
    """What a deployment costs on both sides of a change."""
    before, after = change.usd_per_month_before, change.usd_per_month_after
    if change.action == "unchanged":
        return Absent(title=_TITLE, sentence="The deployment is the same on both sides.")
    if change.action == "added" or (before is None and after is None):
        words = "It is not deployed on the other side" if change.action == "added" else _NO_PRICE.removesuffix(".")
        cost = "" if after is None or change.action != "added" else f": {month_text(after)} more"
        return Absent(title=_TITLE, sentence=f"{words}{cost}.")
    if before is None or after is None:
        return Absent(title=_TITLE, sentence=_NO_PRICE)
    return cost_picture([("before", before), ("after", after)], sentence=f"{signed_month(after - before)}.")


def cost_picture(rows: Sequence[tuple[str, float]], *, sentence: str, title: str = _TITLE) -> Picture:
    """Dollars of a month, one bar each: the last is what is planned."""
    bars = [
        Bar(
            label=label,
            parts=(Part(kind="cost-after" if n == len(rows) - 1 else "cost-before", name="cost", value=usd),),
        )
        for n, (label, usd) in enumerate(rows)
    ]
    return stacked_bars(title, bars, month_text, sentence=sentence)
