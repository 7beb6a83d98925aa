"""Validating a bundle, end to end: serve, load, judge, and keep what was measured for the next plan."""

from pathlib import Path

from infc.ir.measurement import Measurement
from infc.pipeline.plan import profile_store
from infc.spec import Workspace
from infc.validate.profile import merged_profile


def store_service_times(measurement: Measurement, workspace: Workspace) -> Path | None:
    """Keep measured service times in the workspace's profiles; None when there are none (a rehearsal measures none)."""
    measured = measurement.service_time
    if measured is None:
        return None
    store = profile_store(workspace)
    return store.add_service_time(merged_profile(measured, store.service_times(measured.model_digest)))
