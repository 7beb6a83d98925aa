"""Measured service times that a load test adds to what is already known."""

from collections.abc import Sequence
from dataclasses import replace

from infc.ir.service_time import POWER_MODE, ServiceTimeProfile


def merged_profile(measured: ServiceTimeProfile, known: Sequence[ServiceTimeProfile]) -> ServiceTimeProfile:
    """`measured`, with the points of known profiles of the same setup for batch sizes and axes that it did not see.

    A load test forms only the batch sizes that its traffic makes; a calibration visits all of them.
    """
    points = {(p.batch_size, tuple(sorted(p.axes.items()))): p for p in measured.points}
    for profile in known:
        if _setup(profile) != _setup(measured):
            continue
        for point in profile.points:
            points.setdefault((point.batch_size, tuple(sorted(point.axes.items()))), point)
    return replace(measured, points=tuple(points[key] for key in sorted(points)))


def _setup(profile: ServiceTimeProfile) -> tuple[object, ...]:
    """What two profiles must share to be one: times taken inside a server hold its own cost, others do not."""
    return (
        profile.model_digest,
        profile.precision,
        profile.hardware_id,
        profile.environment.get(POWER_MODE),
        profile.engine_kind,
        profile.instances,
        "server" in profile.environment,
    )
