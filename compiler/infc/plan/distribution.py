"""What a plan is predicted to do beyond its percentiles: whole distributions and the layers of its mean."""

from infc.ir.distribution import Behaviour
from infc.ir.plan import Plan
from infc.ir.problem import AnyProblem, Problem


def behaviour(problem: AnyProblem, plan: Plan) -> Behaviour | None:
    """The simulation of the chosen candidate again, every percent of it kept; None where its place is gone.

    Takes up to a second: for reports, not for plans. The percentiles are those of the plan's estimate.
    """
    if isinstance(problem, Problem):
        from infc.plan import onnx_distribution

        return onnx_distribution.behaviour(problem, plan)
    from infc.plan.llm import distribution

    return distribution.behaviour(problem, plan)
