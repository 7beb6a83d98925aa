"""Drift: a running server against its lock entry and its spec. Pure: what the server said is an argument."""

from infc.lock.drift.deployment import deployment_items
from infc.lock.drift.objective import objective_items, prediction_items
from infc.lock.drift.values import (
    DriftItem,
    DriftReport,
    DriftVerdict,
    ObjectiveItem,
    Observed,
    ObservedPlan,
    Window,
)
from infc.lock.drift.workload import observed_peak_rps, observed_tokens, workload_items

__all__ = [
    "DriftItem",
    "DriftReport",
    "DriftVerdict",
    "ObjectiveItem",
    "Observed",
    "ObservedPlan",
    "Window",
    "deployment_items",
    "objective_items",
    "observed_peak_rps",
    "observed_tokens",
    "prediction_items",
    "workload_items",
]
