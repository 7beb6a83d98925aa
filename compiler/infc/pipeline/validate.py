"""Validating a bundle, end to end: serve, load, judge, and keep what was measured for the next plan."""

import json
from pathlib import Path

from infc.ir.llm_measurement import LlmMeasurement
from infc.ir.measurement import Measurement
from infc.ir.step_time import StepTimeProfile
from infc.pipeline.plan import profile_store
from infc.spec import Workspace
from infc.validate.contract import CONTRACT_NAME
from infc.validate.llm.contract_json import KIND
from infc.validate.profile import merged_profile


def is_language_model(bundle: Path) -> bool:
    """Whether a bundle is of a language model: its contract says so. One that cannot be read says nothing."""
    try:
        document = json.loads((bundle / CONTRACT_NAME).read_bytes())
    except (OSError, ValueError):
        return False
    return isinstance(document, dict) and document.get("kind") == KIND


def store_service_times(measurement: Measurement, workspace: Workspace) -> Path | None:
    """Keep measured service times in the workspace's profiles; None when there are none (a rehearsal measures none)."""
    measured = measurement.service_time
    if measured is None:
        return None
    store = profile_store(workspace)
    return store.add_service_time(merged_profile(measured, store.service_times(measured.model_digest)))


def store_step_times(measurement: LlmMeasurement, workspace: Workspace) -> Path | None:
    """Keep steps that the server logged, where the workspace has none of this setup: a calibration knows more."""
    measured = measurement.step_times
    if measured is None:
        return None
    store = profile_store(workspace)
    if any(_is_same_setup(measured, known) for known in store.step_times(measured.model_digest)):
        return None
    return store.add_step_times(measured)


def _is_same_setup(one: StepTimeProfile, other: StepTimeProfile) -> bool:
    names = ("precision", "kv_precision", "hardware_id", "tensor_parallel")
    return all(getattr(one, name) == getattr(other, name) for name in names)
