"""From a problem about a language model to its decision."""

from dataclasses import replace

from infc.ir.plan import Decision, Infeasible, Plan, RunnerUp
from infc.ir.problem import LlmProblem
from infc.plan.llm.assess import assess, candidate_of
from infc.plan.llm.comments import comments
from infc.plan.llm.explain import reasons
from infc.plan.llm.load import TokenLoaders
from infc.plan.llm.search import LlmOutcome, search
from infc.plan.relax import Market

RUNNERS_UP = 3


def solve_llm(problem: LlmProblem, market: Market = tuple, *, scale: float = 1.0) -> Decision:
    """The best feasible plan, or what stands in the way.

    `market` names devices outside the problem that a relaxation may propose. `scale` makes the simulations longer or
    shorter than they are to judge a plan. Deterministic, and independent of the order of the options.
    """
    loaders = TokenLoaders(problem, scale=scale)
    outcome = search(problem, wanted=1 + RUNNERS_UP, loaders=loaders)
    return plan_of(problem, outcome) if outcome.found else infeasible_of(problem, outcome, loaders, market)


def plan_of(problem: LlmProblem, outcome: LlmOutcome, runners_up: tuple[RunnerUp, ...] | None = None) -> Plan:
    """The plan for the best of what a search has found; `runners_up` replaces those that it found besides."""
    best, *others = outcome.found
    sizer = outcome.sizer
    sized = best.sized
    estimate = assess(problem, sized, sizer, is_chosen=True)
    if runners_up is None:
        runners_up = tuple(
            RunnerUp(candidate=candidate_of(other.sized), estimate=assess(problem, other.sized, sizer))
            for other in others
        )
    return Plan(
        name=problem.name,
        spec_path=problem.spec_path,
        candidate=candidate_of(sized),
        estimate=estimate,
        reasons=reasons(problem, sized, estimate, runners_up, outcome.rejections, sizer),
        comments=comments(problem, sized, sizer),
        rejections=outcome.rejections,
        runners_up=runners_up,
        search=replace(outcome.summary, simulations=sizer.loaders.simulations),
    )


def infeasible_of(problem: LlmProblem, outcome: LlmOutcome, loaders: TokenLoaders, market: Market) -> Infeasible:
    """What stands in the way of a problem for which a search has found nothing."""
    from infc.plan.llm.fit import described, smallest_hardware, with_smallest  # most specs are feasible
    from infc.plan.llm.nearest_mode import nearest_modes
    from infc.plan.llm.relax import best_site, looser_slo
    from infc.plan.relax import binding_constraints, relaxations

    relaxed = relaxations(
        problem, lambda changed: best_site(changed, loaders), market, lambda: looser_slo(problem, loaders)
    )
    smallest = smallest_hardware(problem, market)
    if smallest is not None:
        relaxed += tuple(with_smallest(problem, smallest, relaxed, lambda changed: best_site(changed, loaders)))
    return Infeasible(
        name=problem.name,
        spec_path=problem.spec_path,
        binding=binding_constraints(relaxed, outcome.rejections),
        rejections=outcome.rejections,
        relaxations=relaxed,
        search=replace(outcome.summary, simulations=loaders.simulations),
        smallest=None if smallest is None else described(problem, smallest),
        power_modes=nearest_modes(problem, lambda changed: best_site(changed, loaders)),
    )
