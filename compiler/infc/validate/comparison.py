"""What the performance model predicted beside what was measured, point by point."""

from collections.abc import Sequence
from dataclasses import dataclass

from infc.ir.hardware import Hardware
from infc.ir.interval import Basis, Interval
from infc.ir.model_profile import ModelProfile
from infc.ir.service_time import NeighbourMeasurement, ServiceTimePoint, ServiceTimeProfile
from infc.perf import Unsupported, service_time


@dataclass(frozen=True, kw_only=True)
class ComparedPoint:
    """A measured point with its prediction, which knew no measurement of this model on this device."""

    point: ServiceTimePoint
    predicted: Interval

    @property
    def error(self) -> float:
        """Predicted over measured, minus one: 0.1 is predicted 10% too slow."""
        return self.predicted.value / self.point.seconds.value - 1.0

    @property
    def is_inside(self) -> bool:
        """Whether the measured median lies in the predicted interval."""
        return self.predicted.low <= self.point.seconds.value <= self.predicted.high


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """A measured profile beside its prediction; `reason` says why there is none where there is none."""

    profile: ServiceTimeProfile
    basis: Basis | None
    points: tuple[ComparedPoint, ...]
    reason: str = ""


def compare(
    profile: ServiceTimeProfile,
    model: ModelProfile,
    hardware: Hardware,
    neighbours: Sequence[NeighbourMeasurement] = (),
) -> Comparison:
    """Predict every point of a profile as a plan would have done before it was measured.

    Copies are included on both sides; the server's own cost where the profile was taken inside a server.
    """
    points: list[ComparedPoint] = []
    basis: Basis | None = None
    by_axes: dict[tuple[tuple[str, int], ...], list[ServiceTimePoint]] = {}
    for point in profile.points:
        by_axes.setdefault(tuple(sorted(point.axes.items())), []).append(point)
    for axes, measured in by_axes.items():
        curve = service_time(
            model,
            hardware,
            profile.precision,
            dict(axes),
            max(point.batch_size for point in measured),
            (),
            instances=profile.instances,
            with_server="server" in profile.environment,
            neighbours=neighbours,
        )
        if isinstance(curve, Unsupported):
            return Comparison(profile=profile, basis=None, points=(), reason=curve.reason)
        basis = curve.basis
        points += [ComparedPoint(point=point, predicted=curve.at(point.batch_size)) for point in measured]
    return Comparison(profile=profile, basis=basis, points=tuple(points))
