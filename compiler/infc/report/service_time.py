"""Measured service times as text and as JSON."""

import json
import math
from collections.abc import Sequence

from infc.ir.service_time import ServiceTimePoint, ServiceTimeProfile


def render_service_times_text(profiles: Sequence[ServiceTimeProfile]) -> str:
    """One table per precision: batch, axes, median with its 90% bounds, throughput of one instance."""
    return "\n\n".join(_table(profile) for profile in profiles)


def render_service_times_json(profiles: Sequence[ServiceTimeProfile]) -> str:
    """The profiles as one JSON object; times in milliseconds."""
    document = {
        "format_version": "1.0",
        "profiles": [
            {
                "model_digest": profile.model_digest,
                "precision": profile.precision.value,
                "hardware": profile.hardware_id,
                "engine": profile.engine_kind,
                "instances": profile.instances,
                "environment": dict(profile.environment),
                "points": [
                    {
                        "batch_size": point.batch_size,
                        "axes": dict(point.axes),
                        "ms": {
                            "value": point.seconds.value * 1e3,
                            "low": point.seconds.low * 1e3,
                            "high": point.seconds.high * 1e3 if math.isfinite(point.seconds.high) else None,
                        },
                        "executions": point.executions,
                    }
                    for point in profile.points
                ],
            }
            for profile in profiles
        ],
    }
    return json.dumps(document, indent=2)


def _table(profile: ServiceTimeProfile) -> str:
    instances = f"{profile.instances} instance{'s' if profile.instances > 1 else ''}"
    threads = profile.environment.get("threads", "1")
    title = (
        f"{profile.precision.value} on {profile.hardware_id} ({profile.environment.get('device', 'unknown device')}), "
        f"{instances}, {threads} thread{'s' if threads != '1' else ''} each"
    )
    rows = [("batch", *_axis_names(profile), "median ms", "90% bounds", "items/s", "executions")]
    rows += [_row(point) for point in profile.points]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = ["  " + "  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)) for row in rows]
    return "\n".join([title, *lines])


def _axis_names(profile: ServiceTimeProfile) -> tuple[str, ...]:
    return tuple(profile.points[0].axes) if profile.points else ()


def _row(point: ServiceTimePoint) -> tuple[str, ...]:
    seconds = point.seconds
    return (
        str(point.batch_size),
        *(str(size) for size in point.axes.values()),
        f"{seconds.value * 1e3:.3f}",
        f"{seconds.low * 1e3:.3f} - {seconds.high * 1e3:.3f}",
        f"{point.batch_size / seconds.value:.0f}",
        str(point.executions),
    )
