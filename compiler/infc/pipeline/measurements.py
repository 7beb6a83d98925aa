"""Load tests that were run before: `.infc/measurements/<key>.json` in a workspace, ignored by git, safe to delete.

A page shows the one of a decision beside its prediction. The key is that of the model and of everything that was
decided, so that a measurement of another deployment is never taken for one of this.
"""

import contextlib
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

from infc.ir.llm_measurement import LlmMeasurement
from infc.ir.measurement import Measurement
from infc.ir.plan import Plan
from infc.ir.problem import AnyProblem
from infc.report.json_values import Json
from infc.report.llm_measurement_json import KIND, llm_measurement_document, llm_measurement_from_document
from infc.report.measurement_json import measurement_document, measurement_from_document
from infc.report.plan_json import decision_json
from infc.resolve.atomic_write import write_text_atomically
from infc.spec import Workspace
from infc.validate.contract import CONTRACT_NAME

FOLDER = "measurements"
_PLAN = "plan.json"


def keep_measurement(measurement: Measurement | LlmMeasurement, bundle: Path, workspace: Workspace) -> Path | None:
    """Remember what a load test of a bundle showed, in place of an earlier one.

    Returns: the file; None when the bundle does not say what it is of, or the disk cannot be written to.
    """
    key = _key_of_bundle(bundle)
    if key is None:
        return None
    if isinstance(measurement, LlmMeasurement):
        document = llm_measurement_document(measurement)
    else:
        document = measurement_document(measurement)
    path = workspace.cache / FOLDER / f"{key}.json"
    with contextlib.suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        write_text_atomically(path, json.dumps(document, ensure_ascii=False, separators=(",", ":")))
        return path
    return None


def known_measurement(problem: AnyProblem, plan: Plan, workspace: Workspace) -> Measurement | LlmMeasurement | None:
    """The last load test of exactly this decision; None when there is none, or it cannot be read."""
    key = _key(problem.model.digest, decision_json(plan)["decision"])
    try:
        document = json.loads((workspace.cache / FOLDER / f"{key}.json").read_text(encoding="utf-8"))
        is_llm = document.get("kind") == KIND
        return llm_measurement_from_document(document) if is_llm else measurement_from_document(document)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def _key_of_bundle(bundle: Path) -> str | None:
    """The key of what a bundle was planned as, by its contract and its plan."""
    try:
        contract = json.loads((bundle / CONTRACT_NAME).read_bytes())
        planned = json.loads((bundle / _PLAN).read_bytes())
        return _key(contract["model"]["digest"], planned["specs"][0]["decision"])
    except (OSError, ValueError, KeyError, TypeError, IndexError):
        return None


def _key(model_digest: str, decision: Json | Mapping[str, Json]) -> str:
    identity = json.dumps([model_digest, decision], sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(identity.encode()).hexdigest()
