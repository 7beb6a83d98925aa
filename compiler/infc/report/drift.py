"""`infc drift` in the format that is asked for."""

from typing import Literal

from infc.lock.drift import DriftReport
from infc.lock.drift.fleet import FleetDrift


def render_drift(
    found: DriftReport | FleetDrift,
    format: Literal["text", "json", "prometheus"],
    *,
    detailed: bool = False,
    color: bool = False,
    at_s: float | None = None,
) -> str:
    """The report without a final newline. `at_s` is the unix time of the run, for the metrics."""
    if format == "prometheus":
        from infc.report.drift_prometheus import render_drift_prometheus

        return render_drift_prometheus(found, at_s=at_s)
    if isinstance(found, FleetDrift):
        from infc.report.drift_fleet import fleet_drift_json, render_fleet_text

        return fleet_drift_json(found) if format == "json" else render_fleet_text(found, detailed=detailed, color=color)
    if format == "json":
        from infc.report.drift_json import drift_json

        return drift_json(found)
    from infc.report.drift_text import render_drift_text

    return render_drift_text(found, detailed=detailed, color=color)
