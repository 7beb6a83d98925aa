"""Jobs for later: written once, taken when their result is there, and refused when it is not what was asked."""

import json
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from infc.build import build, engine_key
from infc.build.builders.job import JobBuilder
from infc.build.finished import finished_engine
from infc.build.toolchain import toolchain_for
from infc.diag import Severity
from infc.ir.precision import Precision
from infc.lower.settings import settings_for
from tests.build.build_requests import request

pytest.importorskip("tensorrt_rtx", reason="extra rtx is not installed")
pytest.importorskip("onnx", reason="lowers with the extra onnx")


def test_a_job_waits_until_its_result_is_there(tmp_path: Path) -> None:
    """First a note and a folder that any machine can run; with the bare worker's result beside it, an engine."""
    tools = toolchain_for("tensorrt_rtx")
    builder = JobBuilder(tmp_path / "jobs", {"tensorrt_rtx": tools})
    asked = request("l4", Precision.FP16)
    place = tmp_path / "jobs" / engine_key(asked, tools)
    for _ in range(2):
        engine, (note,) = build(asked, tmp_path / "engines", builder=builder)
        assert engine is None
        assert (note.id, note.severity) == ("build-pending", Severity.NOTE)
        assert str(place) in note.notes[0]
        assert [path.name for path in place.parent.iterdir()] == [place.name]
    assert finished_engine(asked, place.name, tmp_path / "engines", tmp_path / "jobs") is None

    command = [sys.executable, "worker.pyz", "build", ".", "result"]
    subprocess.run(command, cwd=place, check=True, capture_output=True, env={"PATH": "/usr/bin:/bin"})
    assert sorted(path.name for path in (place / "result").iterdir()) == ["model.plan", "result.json"]
    engine, problems = build(asked, tmp_path / "engines", builder=builder)
    assert problems == ()
    assert engine is not None
    assert engine.path == tmp_path / "engines" / place.name / "model.plan"
    found = finished_engine(asked, place.name, tmp_path / "elsewhere", tmp_path / "jobs")
    assert found == replace(engine, path=tmp_path / "elsewhere" / place.name / "model.plan")


def test_a_finished_engine_is_found_by_the_key_of_the_lock(tmp_path: Path) -> None:
    """Copied into the cache by hand, whatever builder is at hand; for another model, or damaged, it does not count."""
    tools = {"tensorrt_rtx": toolchain_for("tensorrt_rtx")["tensorrt_rtx"]}
    asked = request("l4", Precision.FP16)
    built, _ = build(asked, tmp_path / "far")
    assert built is not None
    assert built.key == engine_key(asked, tools)
    shutil.copytree(tmp_path / "far" / built.key, tmp_path / "near" / built.key)
    found = finished_engine(asked, built.key, tmp_path / "near", tmp_path / "jobs")
    assert found is not None
    assert (found.digest, found.kind) == (built.digest, "tensorrt_rtx")
    assert finished_engine(request("t4", Precision.FP16), built.key, tmp_path / "near", tmp_path / "jobs") is None
    (tmp_path / "near" / built.key / "model.plan").write_bytes(b"not it")
    assert finished_engine(asked, built.key, tmp_path / "near", tmp_path / "jobs") is None


def test_results_that_do_not_fit_are_told(tmp_path: Path) -> None:
    """A result of another key, or of a job that was edited, is an error and not an engine."""
    builder = JobBuilder(tmp_path / "jobs", {"tensorrt_rtx": toolchain_for("tensorrt_rtx")})
    asked, other = request("l4", Precision.FP16), request("t4", Precision.FP16)
    built, _ = build(asked, tmp_path / "engines")
    assert built is not None
    build(other, tmp_path / "none", builder=builder)
    (place,) = (tmp_path / "jobs").iterdir()
    shutil.copytree(tmp_path / "engines" / built.key, place / "result")
    engine, (problem,) = build(other, tmp_path / "none", builder=builder)
    assert engine is None
    assert (problem.id, problem.severity) == ("build-result-damaged", Severity.ERROR)
    shutil.rmtree(place / "result")
    document = json.loads((place / "job.json").read_text())
    (place / "job.json").write_text(json.dumps(document | {"timeout_s": 1.0, "precision": "int8"}))
    engine, (problem,) = build(other, tmp_path / "none", builder=builder)
    assert engine is None
    assert problem.id == "job-edited"


def test_what_needs_no_gpu_is_built_here(tmp_path: Path) -> None:
    """Only kinds with a pinned toolchain become jobs: the CPU's engine is there at once."""
    asked = request("cpu", Precision.FP32, kind="onnxruntime", settings=settings_for("cpu"))
    engine, problems = build(asked, tmp_path / "engines", builder=JobBuilder(tmp_path / "jobs", {"tensorrt": {}}))
    assert problems == ()
    assert engine is not None
    assert not (tmp_path / "jobs").exists()
