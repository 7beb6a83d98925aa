"""From a problem to its decision."""

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeAlias

from infc.ir.plan import Decision, Infeasible, Plan, RunnerUp
from infc.ir.problem import AnyProblem, HardwareOption, LlmProblem, Problem
from infc.plan.assess import assess, candidate_of
from infc.plan.explain import comments, reasons
from infc.plan.load import loader_for
from infc.plan.search import Outcome, is_feasible, search
from infc.plan.tune import tuned

if TYPE_CHECKING:
    from infc.plan.curve_book import CurveBook

RUNNERS_UP = 3
Market: TypeAlias = Callable[[], tuple[HardwareOption, ...]]
"""Devices that `constraints.hardware` rules out; only asked for when the spec is infeasible."""


def solve(problem: AnyProblem, market: Market = tuple, book: "CurveBook | None" = None) -> Decision:
    """The best feasible plan, or what stands in the way.

    `market` names devices outside the problem that a relaxation may propose; it is called for an infeasible problem
    only. `book` shares service times between problems about the same model and catalogue. Deterministic, and
    independent of the order of the options.
    """
    if isinstance(problem, LlmProblem) and problem.alternatives:
        from infc.plan.llm.fleet import solve_fleet  # most specs name one model

        return solve_fleet(problem, market)
    if isinstance(problem, LlmProblem):
        from infc.plan.llm.solve import solve_llm  # a plan of an ONNX model needs none of it

        return solve_llm(problem, market)
    loader = loader_for(problem, None if book is None else book.of(problem))
    outcome = search(problem, wanted=1 + RUNNERS_UP, loader=loader)
    return _plan(problem, outcome) if outcome.found else _infeasible(problem, outcome, market)


def _plan(problem: Problem, outcome: Outcome) -> Plan:
    best, *others = outcome.found
    tuning = tuned(problem, best.sized, outcome.sizer)
    sized = tuning.sized
    estimate = assess(problem, best.place.option, sized, outcome.loader)
    runners_up = tuple(
        RunnerUp(
            candidate=candidate_of(other.sized),
            estimate=assess(problem, other.place.option, other.sized, outcome.loader, is_quick=True),
        )
        for other in others
    )
    return Plan(
        name=problem.name,
        spec_path=problem.spec_path,
        candidate=candidate_of(sized),
        estimate=estimate,
        reasons=reasons(problem, sized, estimate, runners_up, outcome.rejections, outcome.sizer),
        comments=comments(problem, sized, tuning),
        rejections=outcome.rejections,
        runners_up=runners_up,
        search=outcome.summary,
    )


def _infeasible(problem: Problem, outcome: Outcome, market: Market) -> Infeasible:
    from infc.plan.nearest_mode import nearest_modes
    from infc.plan.relax import binding_constraints, relaxations  # most specs are feasible
    from infc.plan.relax_latency import best_place, looser_latency

    loader = outcome.loader
    relaxed = relaxations(
        problem,
        lambda changed: best_place(changed, loader),
        market,
        lambda: looser_latency(problem, loader),
        lambda changed: is_feasible(changed, loader),
    )
    return Infeasible(
        name=problem.name,
        spec_path=problem.spec_path,
        binding=binding_constraints(relaxed, outcome.rejections),
        rejections=outcome.rejections,
        relaxations=relaxed,
        search=outcome.summary,
        power_modes=nearest_modes(problem, loader),
    )
