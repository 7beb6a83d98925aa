"""What the performance model predicted of each step beside what was measured, and how well the fit holds them."""

from dataclasses import dataclass

from infc.ir.interval import Interval
from infc.ir.step_time import StepTimeModel, StepTimePoint, StepTimeProfile
from infc.perf.llm.step_fit import StepTimeFit
from infc.sim.continuous_batching import step_s


@dataclass(frozen=True, kw_only=True)
class ComparedStep:
    """A measured step, the server's part around it included, in seconds: measured, fitted, and predicted before.

    `predicted` knew no measurement of this model on this device; None where there is no prediction.
    """

    point: StepTimePoint
    measured_s: float
    fitted_s: float
    predicted: Interval | None

    @property
    def error(self) -> float | None:
        """Predicted over measured, minus one: 0.1 is predicted 10% too slow."""
        return None if self.predicted is None else self.predicted.value / self.measured_s - 1.0

    @property
    def is_inside(self) -> bool | None:
        """Whether the measured time lies in the predicted interval."""
        return None if self.predicted is None else self.predicted.low <= self.measured_s <= self.predicted.high


@dataclass(frozen=True, kw_only=True)
class StepComparison:
    """A measured profile with the fit that plans will use; `reason` says why nothing was predicted where it was not."""

    profile: StepTimeProfile
    fit: StepTimeFit
    steps: tuple[ComparedStep, ...]
    reason: str = ""


def compare_steps(
    profile: StepTimeProfile, fit: StepTimeFit, predicted: StepTimeModel | None, reason: str = ""
) -> StepComparison:
    """Every measured step beside its fit and its prediction. `fit` is of the profile's points."""
    steps = []
    for point in profile.points:
        around_s = (profile.overhead_s or 0.0) + (profile.sequence_overhead_s or 0.0) * _sequences(point)
        steps.append(
            ComparedStep(
                point=point,
                measured_s=point.seconds + around_s,
                fitted_s=_seconds(fit.model, point) + around_s,
                predicted=None if predicted is None else _interval(predicted, point),
            )
        )
    return StepComparison(profile=profile, fit=fit, steps=tuple(steps), reason=reason)


def _sequences(point: StepTimePoint) -> int:
    return point.decode_seqs + (point.prefill_seqs if point.prefill_tokens else 0)


def _seconds(model: StepTimeModel, point: StepTimePoint) -> float:
    is_decode = point.decode_seqs > 0
    return step_s(
        model,
        decode_seqs=point.decode_seqs,
        context_tokens=point.context_tokens if is_decode else 0,
        prefill_tokens=point.prefill_tokens,
        prefill_seqs=point.prefill_seqs if point.prefill_tokens else 0,
        prefill_context_tokens=0 if is_decode else point.context_tokens,
    )


def _interval(model: StepTimeModel, point: StepTimePoint) -> Interval:
    value = _seconds(model, point)
    spread = model.prefill_spread if point.prefill_tokens else model.decode_spread
    return Interval(value=value, low=value / spread, high=value * spread)
