"""The ladder: what compilation, precision, batching, instances and replicas each buy on the chosen device.

Each rung adds one thing to the one before it, so that a reviewer sees at which of them the SLO was met, and that no
precision was given up for nothing. Made on demand only: it takes some dozens of short simulations.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from infc.ir.interval import Basis, Interval
from infc.ir.plan import Plan
from infc.ir.problem import AnyProblem, Problem
from infc.plan.words import counted, month_text


@dataclass(frozen=True, kw_only=True)
class Rung:
    """One step, with the fewest replicas that hold the SLO with it (redundant ones left out, but in the last).

    `step` is what is added, `settings` what then runs. `latency_s` are the judged percentiles at the peak with
    `replicas`; `alone_s` is the worst of them with one replica, None where that is overloaded. Where no number of
    replicas holds the SLO, `replicas` is None and `latency_s` is what many of them would see. Money is at the mean
    rate, None where no price is known. `is_taken` is False for what was left out of the plan, with the reason in
    `note`.
    """

    step: str
    settings: str
    replicas: int | None
    latency_s: Mapping[str, Interval]
    alone_s: float | None
    meets_slo: bool
    usd_per_month: float | None
    usd_per_million_requests: float | None
    basis: Basis
    is_taken: bool = True
    note: str = ""


def ladder(problem: AnyProblem, plan: Plan) -> tuple[Rung, ...]:
    """The steps from an uncompiled model to the plan, and what was left out; deterministic."""
    if isinstance(problem, Problem):
        from infc.plan.onnx_ladder import onnx_ladder

        return onnx_ladder(problem, plan)
    from infc.plan.llm.ladder import llm_ladder

    return llm_ladder(problem, plan)


def ladder_sentences(rungs: Sequence[Rung]) -> tuple[str, ...]:
    """Where the SLO was first met, what each step after it saved, and what giving up precision would have bought."""
    taken = [rung for rung in rungs if rung.is_taken]
    first = next((rung for rung in taken if rung.meets_slo), None)
    if first is None:
        return ()
    words = f"the SLO is first met {first.step} ({first.settings})"
    if first.replicas is not None:
        words += f" with {counted(first.replicas, 'replica')}"
    if first.usd_per_month is not None:
        words += f" for {month_text(first.usd_per_month)}"
    said = [words]
    for before, after in pairwise(taken):
        saved = _saved(before, after)
        if before.meets_slo and saved:
            said.append(f"{after.step} ({after.settings}) saves {month_text(saved)}")
    said += [f"{rung.settings} is not taken: {rung.note}" for rung in rungs if not rung.is_taken and rung.note]
    return tuple(said)


def _saved(before: Rung, after: Rung) -> float:
    if before.usd_per_month is None or after.usd_per_month is None:
        return 0.0
    saved = before.usd_per_month - after.usd_per_month
    return saved if saved > 1e-9 * before.usd_per_month else 0.0
