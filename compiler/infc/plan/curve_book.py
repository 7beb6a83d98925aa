"""Service times that problems about the same model share: predicted once for many specs."""

from collections.abc import Mapping

from infc.ir.model_profile import ModelProfile
from infc.ir.problem import Problem
from infc.ir.service_time import ServiceTimeProfile
from infc.plan.site import planned_axes
from infc.plan.space import Curves

_MOST_MODELS = 32


class CurveBook:
    """Curves by model, sizes of its axes and measurements, for the devices of one catalogue."""

    def __init__(self) -> None:
        self._known: list[tuple[ModelProfile, Mapping[str, int], tuple[ServiceTimeProfile, ...], Curves]] = []

    def of(self, problem: Problem) -> Curves:
        """The curves that the problem may use and add to: whatever is in them holds for it, too."""
        axes = planned_axes(problem)
        for model, known_axes, measurements, curves in self._known:
            if known_axes == axes and measurements == problem.measurements and model == problem.model:
                return curves
        curves = {}
        self._known = [(problem.model, axes, problem.measurements, curves), *self._known[: _MOST_MODELS - 1]]
        return curves
