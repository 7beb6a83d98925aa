"""Figures and effects of a change in the words of its reports."""

from infc.ir.change import DeploymentChange, Effect, Evidence, Figure
from infc.plan.words import duration_text, figure_text, month_text

_SYMBOLS = {"added": "+", "changed": "~", "rebuilt": "±", "removed": "-", "unchanged": "="}
ACTION_VERBS = {"added": "add", "changed": "change", "rebuilt": "rebuild", "removed": "remove"}
_LATENCY_MARKS = ("p", "ttft-p", "tpot-p", "itl-p", "e2e-p")


def figure_words(figure: Figure | None) -> str:
    """The value with its unit, without its interval.

    >>> figure_words(Figure(value=6.41, unit="ms")), figure_words(Figure(value=1022.4, unit="USD/month"))
    ('6.41 ms', '$1,022/month')
    >>> figure_words(Figure(value="fp16")), figure_words(None)
    ('fp16', 'none')
    """
    if figure is None or figure.value is None:
        return "none"
    return quantity_words(figure.value, figure.unit)


def interval_words(figure: Figure | None) -> str:
    """The bounds, empty where there are none or no difference between them.

    >>> interval_words(Figure(value=6.4, unit="ms", low=6.1, high=6.72))
    '6.1 ms .. 6.72 ms'
    """
    if figure is None or figure.low is None or figure.high is None:
        return ""
    low, high = quantity_words(figure.low, figure.unit), quantity_words(figure.high, figure.unit)
    return "" if low == high else f"{low} .. {high}"


def quantity_words(value: str | int | float | bool, unit: str) -> str:
    """A number in its unit, or a word.

    >>> quantity_words(0.9, "ms"), quantity_words(75.84, "%"), quantity_words(16, ""), quantity_words(True, "")
    ('900 us', '75.84%', '16', 'yes')
    """
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, str):
        return f"{value} {unit}".rstrip()
    match unit:
        case "ms":
            return duration_text(value / 1e3)
        case "USD/month":
            return month_text(value)
        case "%":
            return f"{value:.4g}%"
    number = f"{value:,}" if isinstance(value, int) else figure_text(value)
    return f"{number} {unit}".rstrip()


def before_after(effect: Effect, *, arrow: str = "->") -> str:
    """What it was and what it becomes; once where it stays.

    >>> before_after(Effect(id="replicas", label="replicas", old=Figure(value=3), new=Figure(value=2)))
    '3 -> 2'
    """
    old, new = figure_words(effect.old), figure_words(effect.new)
    if effect.old is None and effect.new is None:
        return "none"
    if effect.old is None:
        return new
    if effect.new is None:
        return f"was {old}"
    return f"{old} {arrow} {new}" if effect.is_changed else new


def limit_words(effect: Effect) -> str:
    """`of 7 ms`, or `of at least 75.5%`; with `missed` where it does not hold; empty where nothing limits it."""
    if effect.limit is None:
        return ""
    figure = effect.new or effect.old
    limit = quantity_words(effect.limit, figure.unit if figure else "")
    floor = "at least " if _is_floor(effect) else ""
    return f"of {floor}{limit}" + (", missed" if effect.is_met is False else "")


def evidence_words(effect: Effect) -> str:
    """Where the numbers come from, both sides where they differ.

    >>> evidence_words(Effect(id="p99", label="p99", old=None, new=Figure(value=1.0, unit="ms")))
    'chosen'
    """
    old = effect.old.evidence.value if effect.old else None
    new = effect.new.evidence.value if effect.new else None
    if old is None or new is None or old == new:
        return new or old or ""
    return f"{old}, now {new}"


def is_promise(effect: Effect) -> bool:
    """Whether the spec promises it: it has a limit, or is a percentile of a latency or the accuracy."""
    return effect.limit is not None or effect.id == "accuracy" or _is_latency(effect.id)


def is_choice(effect: Effect) -> bool:
    """Whether the plan chose it (hardware, precision, batching, replicas and the like)."""
    figure = effect.new or effect.old
    return figure is not None and figure.evidence is Evidence.CHOSEN and not is_promise(effect)


def has_no_plan(change: DeploymentChange) -> bool:
    """Whether the change leaves the deployment without a plan."""
    return change.status in ("infeasible", "invalid")


def symbol(change: DeploymentChange) -> str:
    """One sign for what happens to it."""
    return "!" if has_no_plan(change) else _SYMBOLS[change.action]


def cost_delta(change: DeploymentChange) -> float | None:
    """Dollars a month more (or less, negative); None where a price is unknown on a side that is there."""
    before = 0.0 if change.action == "added" else change.usd_per_month_before
    after = 0.0 if change.action == "removed" else change.usd_per_month_after
    return None if before is None or after is None else after - before


def signed_month(usd_per_month: float) -> str:
    """A difference of cost.

    >>> signed_month(1299.0), signed_month(-511.4), signed_month(0.0)
    ('+$1,299/month', '-$511/month', 'no change')
    """
    if abs(usd_per_month) < 0.005:
        return "no change"
    return f"{'+' if usd_per_month > 0 else '-'}{month_text(abs(usd_per_month))}"


def _is_floor(effect: Effect) -> bool:
    """Whether the limit is the least that will do, by which side of it the figure is on."""
    value = effect.new.value if effect.new else None
    if effect.limit is None or not isinstance(value, int | float) or value == effect.limit:
        return False
    return (value > effect.limit) is (effect.is_met is True)


def _is_latency(id: str) -> bool:
    return any(id.startswith(mark) and id[len(mark) : len(mark) + 1].isdigit() for mark in _LATENCY_MARKS)
