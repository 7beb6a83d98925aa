"""A plan against the thresholds of a team's policy. Each is one comparison of a prediction with a limit."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase

from infc.ir.interval import Basis
from infc.ir.plan import Plan
from infc.ir.policy import PolicyFinding, Threshold
from infc.ir.problem import AnyProblem, LlmProblem
from infc.plan.capacity import option_of
from infc.plan.words import month_text

_EQUAL = 1e-9
"""A prediction within this share of its limit keeps it: more digits are noise of the arithmetic."""
_BEST_FIRST = tuple(basis.value for basis in Basis)


@dataclass(frozen=True, kw_only=True)
class _Predicted:
    """A figure of the plan and its words; `value` None where nothing is known, with the reason as the words."""

    value: float | None
    words: str


def judge(thresholds: Iterable[Threshold], problem: AnyProblem, plan: Plan, spec: str) -> tuple[PolicyFinding, ...]:
    """The thresholds that the plan is beyond, or that cannot be judged, in the order of the file.

    Args:
        thresholds: of the policy file.
        problem: what was planned.
        plan: the decision.
        spec: path of the spec from the policy file, POSIX, that the patterns of a rule are compared with.
    """
    own = [t for t in thresholds if t.specs is None or any(fnmatchcase(spec, pattern) for pattern in t.specs)]
    figures = _figures(problem, plan) if own else {}
    return tuple(finding for t in own for finding in _findings(t, figures, plan))


def _findings(threshold: Threshold, figures: Mapping[str, _Predicted | None], plan: Plan) -> Iterator[PolicyFinding]:
    if threshold.rule == "min_basis":
        basis = plan.estimate.basis.value
        if _BEST_FIRST.index(basis) > _BEST_FIRST.index(str(threshold.limit)):
            yield PolicyFinding(threshold=threshold, outcome="violated", predicted=basis)
        return
    predicted = figures[threshold.rule.partition("_")[2]]
    if predicted is None:
        return
    if predicted.value is None:
        yield PolicyFinding(threshold=threshold, outcome="unknown", predicted=predicted.words)
        return
    limit = float(threshold.limit)
    is_beyond = predicted.value > limit * (1 + _EQUAL)
    if threshold.rule.startswith("min_"):
        is_beyond = predicted.value < limit * (1 - _EQUAL)
    if is_beyond:
        yield PolicyFinding(threshold=threshold, outcome="violated", predicted=predicted.words)


def _figures(problem: AnyProblem, plan: Plan) -> dict[str, _Predicted | None]:
    """Every figure that a threshold may be for, by its key without `min_` and `max_`; None where it does not apply."""
    estimate = plan.estimate
    return {
        **_money(problem, plan),
        "utilization": _Predicted(value=estimate.utilization, words=f"busy {estimate.utilization:.1%} at the peak"),
        "memory": _memory(problem, plan),
        "power": _Predicted(value=None, words="the device's power is not known")
        if estimate.power_w is None
        else _Predicted(value=estimate.power_w.value, words=f"{estimate.power_w.value:.4g} W"),
        "interval_width": _interval_width(problem, plan),
        "redundancy": _Predicted(value=problem.limits.redundancy, words=f"redundancy {problem.limits.redundancy}"),
    }


def _money(problem: AnyProblem, plan: Plan) -> dict[str, _Predicted | None]:
    cost = plan.estimate.cost
    is_llm = isinstance(problem, LlmProblem)
    keys = ("cost", "cost_per_million_requests", "cost_per_inference", "cost_per_million_tokens", "tokens_per_dollar")
    if cost is None:
        unknown = _Predicted(value=None, words="no price is known")
        return {key: unknown if is_llm or "token" not in key else None for key in keys}
    requests, tokens = cost.usd_per_million_requests, cost.usd_per_million_tokens
    figures: dict[str, _Predicted | None] = {
        "cost": _Predicted(value=cost.usd_per_hour, words=month_text(cost.usd_per_month)),
        "cost_per_million_requests": _Predicted(value=requests, words=f"${requests:.4g}"),
        "cost_per_inference": _Predicted(value=requests / 1e6, words=_small_usd(requests / 1e6)),
        "cost_per_million_tokens": None,
        "tokens_per_dollar": None,
    }
    if tokens:
        figures["cost_per_million_tokens"] = _Predicted(value=tokens, words=f"${tokens:.4g}")
        figures["tokens_per_dollar"] = _Predicted(value=1e6 / tokens, words=f"{1e6 / tokens:,.0f} tokens")
    return figures


def _memory(problem: AnyProblem, plan: Plan) -> _Predicted:
    option = option_of(problem, plan.candidate.hardware_id)
    if option is None:
        return _Predicted(value=None, words="the device is not in the problem")
    share = plan.estimate.memory.total_bytes / option.hardware.memory_bytes
    return _Predicted(value=share, words=f"{share:.1%} of the device's memory")


def _interval_width(problem: AnyProblem, plan: Plan) -> _Predicted:
    """The widest of the SLO's percentiles."""
    estimate = plan.estimate
    judged = []
    if isinstance(problem, LlmProblem):
        tokens = estimate.tokens
        for name, targets, values in (
            ("TTFT ", problem.ttft, tokens.ttft_s if tokens else {}),
            ("TPOT ", problem.tpot, tokens.tpot_s if tokens else {}),
            ("e2e ", problem.e2e, estimate.e2e_s),
        ):
            judged += [(f"{name}{t.label}", values[t.label]) for t in targets if t.label in values]
    else:
        judged = [(t.label, estimate.e2e_s[t.label]) for t in problem.latency]
    widths = [((value.high - value.low) / value.value, label) for label, value in judged if value.value > 0]
    if not widths:
        return _Predicted(value=None, words="no percentile is judged")
    width, label = max(widths)
    return _Predicted(value=width, words=f"{width:.0%} of {label}")


def _small_usd(value: float) -> str:
    """Dollars with four significant digits and no exponent.

    >>> _small_usd(9.7412e-07), _small_usd(0.25)
    ('$0.0000009741', '$0.25')
    """
    return "$" + f"{float(f'{value:.4g}'):.15f}".rstrip("0").rstrip(".")
