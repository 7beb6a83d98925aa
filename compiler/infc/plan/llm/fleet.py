"""Several models that would do: one search over the places of all of them, so that the choice is the best of all.

A model whose best possible value is no better than what was reached is not simulated, like any other place.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

from infc.ir.plan import (
    Decision,
    Infeasible,
    ModelOption,
    ModelVerdict,
    Plan,
    Rejection,
    Relaxation,
    RunnerUp,
)
from infc.ir.problem import AnyProblem, LlmProblem
from infc.plan.contest import Ranking, best_first
from infc.plan.llm.assess import assess, candidate_of
from infc.plan.llm.load import TokenLoaders
from infc.plan.llm.search import REACH, Found, LlmOutcome, Sites
from infc.plan.llm.site import LlmSite
from infc.plan.llm.sizing import LlmSized, LlmSizer
from infc.plan.llm.solve import RUNNERS_UP, infeasible_of, plan_of
from infc.plan.llm.space import sites
from infc.plan.relax import Market
from infc.plan.why import Check, Why, why
from infc.plan.words import counted, objective_text


@dataclass(frozen=True, kw_only=True)
class _Member:
    """One of the models: its problem, what sizes its places, and those that arithmetic did not rule out."""

    problem: LlmProblem
    contest: Sites
    sizer: LlmSizer
    places: tuple[LlmSite, ...]
    rejections: tuple[Rejection, ...]

    @property
    def name(self) -> str:
        """Its name in the spec."""
        return _name(self.problem)


def models_of(problem: LlmProblem) -> tuple[LlmProblem, ...]:
    """The problem of each model that the spec names, in its order: one problem where it names one model."""
    return (replace(problem, alternatives=()), *problem.alternatives)


def chosen_model(problem: LlmProblem, decision: Decision) -> LlmProblem:
    """The problem of the model that was chosen; of the first where none was."""
    models = models_of(problem)
    name = decision.candidate.model if isinstance(decision, Plan) else None
    return next((model for model in models if model.source.name == name), models[0])


def why_model(models: Sequence[LlmProblem], chosen: AnyProblem, label: str) -> Why | None:
    """What is known of a candidate whose model goes before a colon, `qwen3-4b:bf16/l4`; without one, of the chosen's.

    None when no model has that name, or its constraints leave no such device and precision.
    """
    name, colon, rest = label.partition(":")
    problem = next((model for model in models if model.source.name == name), None) if colon else chosen
    answer = None if problem is None else why(problem, rest if colon else label)
    if answer is None or not isinstance(problem, LlmProblem) or problem.min_accuracy is None:
        return answer
    stated = problem.source.accuracy
    check = Check(
        constraint="model.min_accuracy",
        predicted="not stated" if stated is None else f"{stated:g}",
        limit=f"{problem.min_accuracy:g}",
        holds=_is_accurate(problem),
    )
    return replace(answer, checks=(check, *answer.checks))


def solve_fleet(problem: LlmProblem, market: Market = tuple, *, scale: float = 1.0) -> Decision:
    """The best feasible plan over all models that are accurate enough, or what stands in the way.

    At equal values the more accurate model goes first. Deterministic, and independent of the order of the models.
    """
    loaders = TokenLoaders(problem, scale=scale)
    members = [_member(model, loaders) for model in models_of(problem)]
    able = [member for member in members if _is_accurate(member.problem)]
    unable = [member for member in members if not _is_accurate(member.problem)]
    contest = _Fleet(able)
    ranking = _ranked(contest, able)
    rejections = (*(_inaccurate(member.problem) for member in unable), *ranking.rejections)
    if not ranking.found:
        return _infeasible(problem, able, unable, rejections, ranking, loaders, market)
    best, *others = ranking.found
    runners_up = tuple(_runner_up(contest.of(other.place), other) for other in others)
    outcome = LlmOutcome(
        found=(best,), rejections=rejections, summary=ranking.summary, sizer=contest.of(best.place).sizer
    )
    chosen = contest.of(best.place).problem
    plan = plan_of(chosen, outcome, runners_up=runners_up)
    options = tuple(_option(member, plan, best, ranking) for member in members)
    reason = _reason(plan, chosen, able, options)
    return replace(plan, models=options, reasons=(reason, *plan.reasons))


class _Fleet:
    """The contest of the places of all models, each judged by its own."""

    def __init__(self, members: Sequence[_Member]) -> None:
        self._members = {member.name: member for member in members}
        figures = sorted({_accuracy(member.problem) for member in members}, reverse=True)
        self._ranks = {member.name: figures.index(_accuracy(member.problem)) for member in members}

    def of(self, site: LlmSite) -> _Member:
        """The model that a place is for."""
        return self._members[_name(site.problem)]

    def label(self, site: LlmSite) -> str:
        return f"{_name(site.problem)}:{site.label}"

    def rank(self, site: LlmSite) -> int:
        return self._ranks[_name(site.problem)] * 4 + self.of(site).contest.rank(site)

    def ruled_out(self, site: LlmSite) -> Rejection | None:
        reason = self.of(site).contest.ruled_out(site)
        return None if reason is None else _named(site.problem, reason)

    def bound(self, site: LlmSite) -> float:
        return self.of(site).contest.bound(site)

    def size(self, site: LlmSite, worst: float | None, *, is_contender: bool) -> LlmSized | Rejection:
        sized = self.of(site).contest.size(site, worst, is_contender=is_contender)
        return _named(site.problem, sized) if isinstance(sized, Rejection) else sized

    def value(self, site: LlmSite, sized: LlmSized) -> float:
        return self.of(site).contest.value(site, sized)

    def tie_break(self, site: LlmSite, sized: LlmSized) -> tuple[int, float, bool, str]:
        _, room, is_parallel, _ = self.of(site).contest.tie_break(site, sized)
        return (self.rank(site), room, is_parallel, self.label(site))

    def words(self, value: float) -> str:
        return next(iter(self._members.values())).contest.words(value)


def _member(problem: LlmProblem, loaders: TokenLoaders) -> _Member:
    sizer = LlmSizer(problem, loaders)
    places, rejections = sites(problem)
    named = tuple(_named(problem, rejection) for rejection in rejections)
    return _Member(problem=problem, contest=Sites(problem, sizer), sizer=sizer, places=places, rejections=named)


def _ranked(contest: _Fleet, members: Sequence[_Member]) -> Ranking[LlmSite, LlmSized]:
    """The best places over all models; the first of them judged on every full draw of the traffic."""
    places = sorted((place for member in members for place in member.places), key=contest.label)
    rejected = [rejection for member in members for rejection in member.rejections]
    ranking = best_first(contest, places, rejected, 1 + RUNNERS_UP, REACH)
    while ranking.found and not ranking.found[0].sized.is_full:
        best = ranking.found[0]
        contest.of(best.place).sizer.confirm(best.sized)
        ranking = best_first(contest, places, rejected, 1 + RUNNERS_UP, REACH)
    return ranking


def _runner_up(member: _Member, found: Found) -> RunnerUp:
    return RunnerUp(candidate=candidate_of(found.sized), estimate=assess(member.problem, found.sized, member.sizer))


def _option(member: _Member, plan: Plan, best: Found, ranking: Ranking[LlmSite, LlmSized]) -> ModelOption:
    """What became of one model. One that was not needed to decide is looked at on short runs."""
    option = ModelOption(
        name=member.name, accuracy=member.problem.source.accuracy, verdict=ModelVerdict.INFEASIBLE, words=""
    )
    if member.name == plan.candidate.model:
        return replace(
            option, verdict=ModelVerdict.CHOSEN, words="chosen", candidate=plan.candidate, estimate=plan.estimate
        )
    found = next((f for f in ranking.found if _name(f.place.problem) == member.name), None)
    verdict = ModelVerdict.FEASIBLE
    if found is None:
        alone = best_first(member.contest, member.places, member.rejections, 1, REACH)
        if not alone.found:
            return replace(option, words=_infeasible_words(alone.rejections))
        found, verdict = alone.found[0], ModelVerdict.OUTBID
    reached = objective_text(member.problem.objective, found.value)
    words = f"{reached} against {objective_text(member.problem.objective, best.value)}"
    if not _is_accurate(member.problem):
        refusal = _inaccurate(member.problem)
        verdict, words = ModelVerdict.INACCURATE, f"{refusal.predicted} against {refusal.limit} ({reached})"
    runner_up = _runner_up(member, found)
    return replace(option, verdict=verdict, words=words, candidate=runner_up.candidate, estimate=runner_up.estimate)


def _infeasible_words(rejected: Sequence[Rejection]) -> str:
    """The constraints that its places break, the one that most of them break first."""
    counts = Counter(rejection.constraint for rejection in rejected)
    broken = ", ".join(f"{name} {count}" for name, count in sorted(counts.items(), key=lambda c: (-c[1], c[0])))
    return f"no place holds every constraint ({broken})" if broken else "no place to run it on"


def _reason(plan: Plan, chosen: LlmProblem, able: Sequence[_Member], options: Sequence[ModelOption]) -> str:
    """Why this model, and why each other one is not it."""
    what = {"cost": "cheapest", "latency": "fastest", "energy": "most economical"}[chosen.objective]
    words = f"{plan.candidate.model}: the {what} of {counted(len(able), 'model')}"
    if chosen.min_accuracy is not None:
        words += f" with an accuracy of {chosen.min_accuracy:g} or more"
    if chosen.source.accuracy is not None:
        words += f" (stated: {chosen.source.accuracy:g})"
    others = [f"{option.name}: {option.words}" for option in options if option.verdict is not ModelVerdict.CHOSEN]
    return "; ".join((words, *others))


def _infeasible(
    problem: LlmProblem,
    able: Sequence[_Member],
    unable: Sequence[_Member],
    rejections: tuple[Rejection, ...],
    ranking: Ranking[LlmSite, LlmSized],
    loaders: TokenLoaders,
    market: Market,
) -> Infeasible:
    """What stands in the way of all of them; relaxations are those of the smallest model that is accurate enough."""
    smallest = min(able, key=lambda member: (member.problem.model.parameters, member.name))
    outcome = LlmOutcome(found=(), rejections=rejections, summary=ranking.summary, sizer=smallest.sizer)
    decision = infeasible_of(smallest.problem, outcome, loaders, market)
    worse = _less_accurate(problem, unable, loaders)
    options = []
    for member in (*able, *unable):
        words = _infeasible_words([r for r in rejections if r.candidate.startswith(f"{member.name}:")])
        verdict = ModelVerdict.INFEASIBLE
        if not _is_accurate(member.problem):
            refusal = _inaccurate(member.problem)
            verdict, words = ModelVerdict.INACCURATE, f"{refusal.predicted} against {refusal.limit}"
        options.append(
            ModelOption(name=member.name, accuracy=member.problem.source.accuracy, verdict=verdict, words=words)
        )
    order = [_name(model) for model in models_of(problem)]
    return replace(
        decision,
        relaxations=(*decision.relaxations, *worse),
        binding=(*decision.binding, *(r.path for r in worse)),
        models=tuple(sorted(options, key=lambda option: order.index(option.name))),
    )


def _less_accurate(problem: LlmProblem, unable: Sequence[_Member], loaders: TokenLoaders) -> tuple[Relaxation, ...]:
    """The most accurate of the models that are not accurate enough which has a feasible place."""
    from infc.plan.llm.relax import best_site
    from infc.plan.relax import relaxation

    for member in sorted(unable, key=lambda m: (-_accuracy(m.problem), m.name)):
        best = best_site(member.problem, loaders)
        if best is not None:
            figures = f"{problem.min_accuracy:g}", f"{member.problem.source.accuracy:g}"
            return (relaxation(best, "model.min_accuracy", *figures),)
    return ()


def _is_accurate(problem: LlmProblem) -> bool:
    return problem.min_accuracy is None or _accuracy(problem) >= problem.min_accuracy


def _inaccurate(problem: LlmProblem) -> Rejection:
    stated = problem.source.accuracy
    return Rejection(
        candidate=_name(problem),
        constraint="accuracy",
        predicted="no stated accuracy" if stated is None else f"accuracy {stated:g}",
        limit=f"model.min_accuracy {problem.min_accuracy:g}",
    )


def _accuracy(problem: LlmProblem) -> float:
    """The stated figure; less than any where there is none."""
    return float("-inf") if problem.source.accuracy is None else problem.source.accuracy


def _name(problem: LlmProblem) -> str:
    name = problem.source.name
    assert name is not None  # noqa: S101 - a candidate among several has one
    return name


def _named(problem: LlmProblem, rejection: Rejection) -> Rejection:
    return replace(rejection, candidate=f"{_name(problem)}:{rejection.candidate}")
