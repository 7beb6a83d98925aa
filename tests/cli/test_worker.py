"""`infc worker`: one job in, one result folder out; and what a machine can build."""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import jsonschema
import pytest

from infc.build.cache import read_engine
from infc.build.job_folder import job_from_request, write_job
from infc.build.toolchain import toolchain_for
from infc.cli import app
from infc.cli.edge import guarded
from infc.ir.precision import Precision
from infc.lower.settings import settings_for
from infc.report.worker_json import worker_build_schema, worker_probe_schema
from tests.build.build_requests import request

pytest.importorskip("onnxruntime", reason="builds with the extra onnx")
Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """Run the command line; gives the exit code and what went to standard output and error."""

    def run_infc(*arguments: str) -> tuple[int, str, str]:
        code = guarded(app, args=["worker", *arguments])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return run_infc


@pytest.fixture
def job(tmp_path: Path) -> Path:
    """A job for the CPU of this machine."""
    asked = request("cpu", Precision.FP32, kind="onnxruntime", settings=settings_for("cpu"))
    described = job_from_request(asked, toolchain_for("onnxruntime"))
    return write_job(tmp_path / "job", described, asked.model.path).folder


def test_a_job_becomes_a_cache_entry(run: Run, job: Path, tmp_path: Path) -> None:
    """OUT is what the cache of engines holds; a second run leaves it, and other content is never replaced."""
    out = tmp_path / "deeper" / "out"
    code, shown, progress = run("build", "--job", str(job / "job.json"), "--out", str(out))
    assert code == 0
    assert "onnxruntime engine for cpu in fp32 built in" in shown
    assert "checking the model" in progress
    assert sorted(path.name for path in out.iterdir()) == ["attestation.json", "job.json", "model.onnx"]
    asked = request("cpu", Precision.FP32, kind="onnxruntime", settings=settings_for("cpu"))
    key = json.loads((job / "job.json").read_text())["key"]
    shutil.copytree(out, tmp_path / "cache" / key)
    assert read_engine(tmp_path / "cache", key, asked) is not None

    before = (out / "attestation.json").read_bytes()
    code, text, _ = run("build", "--job", str(job), "--out", str(out), "--format", "json")
    document = json.loads(text)
    jsonschema.validate(document, worker_build_schema())
    assert (code, document["status"], document["key"]) == (0, "present", key)
    assert (out / "attestation.json").read_bytes() == before

    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("do not touch")
    code, _, errors = run("build", "--job", str(job), "--out", str(tmp_path / "mine"))
    assert code == 1
    assert "build-output-taken" in errors
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["thesis.txt"]
    assert not [path.name for path in tmp_path.rglob(".building-*")]


def values_of(document: object) -> set[str]:
    """Every text of a JSON document that is not a key."""
    if isinstance(document, dict | list):
        parts = document.values() if isinstance(document, dict) else document
        return {value for part in parts for value in values_of(part)}
    return {document} if isinstance(document, str) else set()


def test_an_attestation_names_no_person_or_place(run: Run, job: Path, tmp_path: Path) -> None:
    """GPU, driver, versions and digests; no host, user or path of the machine that built."""
    import getpass
    import socket

    assert run("build", "--job", str(job), "--out", str(tmp_path / "out"))[0] == 0
    text = (tmp_path / "out" / "attestation.json").read_text()
    for folder in (tmp_path, Path.home(), Path(sys.prefix)):
        assert str(folder) not in text or folder == Path("/")
    assert {socket.gethostname(), getpass.getuser()}.isdisjoint(values_of(json.loads(text)))


def test_a_job_that_may_not_be_built_is_5(run: Run, job: Path, tmp_path: Path) -> None:
    """Edited by hand: exit 5, every reason, and nothing is written."""
    document = json.loads((job / "job.json").read_text())
    (job / "job.json").write_text(json.dumps(document | {"precision": "int8"}))
    code, text, errors = run("build", "--job", str(job), "--out", str(tmp_path / "out"), "--format", "json")
    result = json.loads(text)
    jsonschema.validate(result, worker_build_schema())
    assert (code, result["status"], result["diagnostics"][0]["id"]) == (5, "invalid", "job-edited")
    assert "job-edited" in errors
    assert not (tmp_path / "out").exists()
    assert run("build", "--job", str(tmp_path / "nowhere" / "job.json"), "--out", str(tmp_path / "out"))[0] == 5


def test_usage_errors_are_64(run: Run, job: Path) -> None:
    """A file that is no job, a missing option, an unknown command."""
    assert run("build", "--job", str(job / "model.onnx"), "--out", "x")[0] == 64
    assert run("build", "--job", str(job))[0] == 64
    assert run("bild")[0] == 64


def test_other_versions_are_refused(run: Run, tmp_path: Path) -> None:
    """A job for another ONNX Runtime is not built with this one: its key would be a lie."""
    asked = request("cpu", Precision.FP32, kind="onnxruntime", settings=settings_for("cpu"))
    tools = {**toolchain_for("onnxruntime"), "onnxruntime": "1.2.3"}
    job = write_job(tmp_path / "job", job_from_request(asked, tools), asked.model.path).folder
    code, _, errors = run("build", "--job", str(job), "--out", str(tmp_path / "out"))
    assert code == 1
    assert "job-toolchain-differs" in errors
    assert "1.2.3" in errors


def test_refusals_of_the_library_are_attested(run: Run, tmp_path: Path) -> None:
    """TensorRT-RTX has no FP32 products for SM 7.5: exit 1, the reason, and an attestation without an engine."""
    pytest.importorskip("tensorrt_rtx", reason="extra rtx is not installed")
    asked = request("t4", Precision.FP32)
    described = job_from_request(asked, toolchain_for("tensorrt_rtx"))
    job = write_job(tmp_path / "job", described, asked.model.path).folder
    code, text, errors = run("build", "--job", str(job), "--out", str(tmp_path / "out"), "--format", "json")
    result = json.loads(text)
    jsonschema.validate(result, worker_build_schema())
    assert (code, result["status"], result["attestation"]["engine"]) == (1, "refused", None)
    assert "build-precision-unsupported" in errors
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["attestation.json", "job.json"]


def test_probe_says_what_can_be_built(run: Run) -> None:
    """Every kind with its version and devices, or with what is missing."""
    code, text, _ = run("probe", "--format", "json")
    document = json.loads(text)
    jsonschema.validate(document, worker_probe_schema())
    assert code == 0
    kinds = {row["kind"]: row for row in document["kinds"]}
    assert kinds["onnxruntime"]["missing"] is None
    assert (kinds["tensorrt"]["missing"] is None) is bool(kinds["tensorrt"]["compute_capabilities"])
    code, text, _ = run("probe")
    assert code == 0
    assert "yes  " in text
    assert "this machine: " in text


def test_a_scheduler_that_ends_the_worker_finds_no_half_result(job: Path, tmp_path: Path) -> None:
    """SIGTERM is taken like Ctrl-C: exit 130, and only a finished OUT is ever seen."""
    command = [sys.executable, "-m", "infc", "worker", "build", "--job", str(job), "--out", str(tmp_path / "out")]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if "checking the model" in line:
                process.terminate()
                break
        rest = process.stderr.read()
    assert process.returncode == 130
    assert "interrupted" in rest
    assert sorted(path.name for path in tmp_path.iterdir()) == ["job"]
