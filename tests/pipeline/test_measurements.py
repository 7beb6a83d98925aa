"""Load tests that a workspace remembers: found again for the same decision, and for no other."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from infc.ir.measurement import Measurement
from infc.ir.plan import Plan
from infc.ir.problem import Problem
from infc.pipeline.measurements import keep_measurement, known_measurement
from infc.plan import solve
from infc.report.llm_measurement_json import llm_measurement_document, llm_measurement_from_document
from infc.report.measurement_json import measurement_document, measurement_from_document
from infc.report.plan_json import render_plan_json
from infc.report.planned import PlannedEntry
from infc.spec import Workspace, find_workspace
from infc.validate.contract import CONTRACT_NAME, contract_from
from infc.validate.contract_json import to_json
from tests.plan.problems import problem
from tests.report import test_llm_measurement, test_measurement

MEASURED = replace(
    test_measurement.MEASURED, service_time=None, curve_s=((50.0, 0.0064), (99.0, 0.0171)), is_rehearsal=True
)


@pytest.fixture(scope="module")
def decided() -> tuple[Problem, Plan]:
    """A problem and its plan."""
    asked = problem()
    plan = solve(asked)
    assert isinstance(plan, Plan)
    return asked, plan


def bundle(folder: Path, asked: Problem, plan: Plan) -> Path:
    """What a bundle says of itself."""
    entry = PlannedEntry(
        name=plan.name,
        path="a.infc.yaml",
        target=None,
        status="feasible",
        problem=asked,
        decision=plan,
        changes=(),
        diagnostics=(),
    )
    folder.mkdir()
    (folder / "plan.json").write_text(render_plan_json([entry]))
    (folder / CONTRACT_NAME).write_bytes(to_json(contract_from(asked, plan, "onnxruntime")))
    return folder


def workspace(folder: Path) -> Workspace:
    """An empty workspace."""
    (folder / "infc.lock").write_text("version = 1\n")
    return find_workspace(folder / "a.infc.yaml")


def test_a_measurement_is_found_for_its_decision_only(tmp_path: Path, decided: tuple[Problem, Plan]) -> None:
    """As it was kept; not for more replicas, another model, or from a file that is broken."""
    asked, plan = decided
    place = workspace(tmp_path)
    path = keep_measurement(MEASURED, bundle(tmp_path / "dist", asked, plan), place)
    assert path is not None
    found = known_measurement(asked, plan, place)
    assert isinstance(found, Measurement)
    assert rounded(measurement_document(found)) == rounded(measurement_document(MEASURED))
    other = replace(plan, candidate=replace(plan.candidate, replicas=plan.candidate.replicas + 1))
    assert known_measurement(asked, other, place) is None
    newer = replace(asked, model=replace(asked.model, digest="sha256:" + "9" * 64))
    assert known_measurement(newer, plan, place) is None
    path.write_text('{"name": "half')
    assert known_measurement(asked, plan, place) is None


def test_a_folder_that_says_nothing_of_itself_is_not_remembered(tmp_path: Path) -> None:
    """A bundle without plan or contract, or an unreadable one."""
    place = workspace(tmp_path)
    assert keep_measurement(MEASURED, tmp_path, place) is None
    (tmp_path / CONTRACT_NAME).write_text("[]")
    (tmp_path / "plan.json").write_text("{}")
    assert keep_measurement(MEASURED, tmp_path, place) is None
    assert not (tmp_path / ".infc").exists()


def test_what_is_written_is_read_again() -> None:
    """Both kinds of measurements, but for times of executions and steps, which are profiles."""
    measured = measurement_document(MEASURED)
    assert rounded(measurement_document(measurement_from_document(measured))) == rounded(measured)
    curves = {"ttft": ((50.0, 0.1), (99.0, 0.3)), "e2e": ()}
    known = llm_measurement_document(replace(test_llm_measurement.MEASURED, step_times=None, curves_s=curves))
    assert rounded(llm_measurement_document(llm_measurement_from_document(known))) == rounded(known)


def rounded(value: Any) -> Any:
    """JSON values with numbers of nine digits: seconds and milliseconds differ by less."""
    match value:
        case float():
            return float(f"{value:.9g}")
        case dict():
            return {name: rounded(each) for name, each in value.items()}
        case list():
            return [rounded(each) for each in value]
        case _:
            return value
