"""The packed worker as a program: what it takes, what it refuses, how it ends."""

import ast
import json
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest

from infc.build.job_folder import job_from_request, write_job
from infc.build.toolchain import toolchain_for
from infc.build.worker_archive import WORKER_NAME, worker_archive, write_worker
from infc.ir.precision import Precision
from tests.build.build_requests import request

BUILT, UNACCEPTABLE, TIMED_OUT = 0, 2, 124


def job_folder(folder: Path) -> Path:
    """A job for the small network, with the worker in it."""
    asked = request("l4", Precision.FP16)
    toolchain = toolchain_for("tensorrt_rtx") if has_rtx() else {"tensorrt_rtx": "1.7.1.116"}
    write_job(folder, job_from_request(asked, toolchain), asked.model.path)
    return folder


def has_rtx() -> bool:
    """Whether the library is installed."""
    return (
        subprocess.run([sys.executable, "-c", "import tensorrt_rtx"], capture_output=True, check=False).returncode == 0
    )


def edited(folder: Path, **changes: Any) -> Path:
    """The job with other values in its `job.json`."""
    path = folder / "job.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))
    return folder


def run(folder: Path, out: Path) -> tuple[int, str]:
    """Exit code and standard error of a build."""
    ended = subprocess.run(
        [sys.executable, str(folder / WORKER_NAME), "build", str(folder), str(out)],
        capture_output=True,
        text=True,
        check=False,
    )
    return ended.returncode, ended.stderr.strip()


def test_a_job_becomes_an_engine_and_a_result(tmp_path: Path) -> None:
    """Both are in OUT, the result last; the job's folder stays as it was."""
    pytest.importorskip("tensorrt_rtx", reason="extra rtx is not installed")
    folder = job_folder(tmp_path / "job")
    before = sorted(path.name for path in folder.iterdir())
    code, words = run(folder, tmp_path / "out")
    assert (code, words) == (BUILT, "")
    result = json.loads((tmp_path / "out" / "result.json").read_text())
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["model.plan", "result.json"]
    assert result["status"] == "built"
    assert result["engine"]["size_bytes"] == (tmp_path / "out" / "model.plan").stat().st_size
    assert result["environment"]["versions"] == result["facts"]["toolchain"]
    assert sorted(path.name for path in folder.iterdir()) == before


def test_a_name_that_leads_out_of_the_folder_is_refused(tmp_path: Path) -> None:
    """Neither a path nor a link."""
    folder = job_folder(tmp_path / "job")
    stated = json.loads((folder / "job.json").read_text())["model"]
    code, words = run(edited(folder, model={**stated, "name": "../secret.onnx"}), tmp_path / "out")
    assert (code, words) == (UNACCEPTABLE, "the job names no model file inside its own folder")
    (tmp_path / "secret.onnx").write_bytes((folder / "model.onnx").read_bytes())
    (folder / "link.onnx").symlink_to(tmp_path / "secret.onnx")
    code, words = run(edited(folder, model={**stated, "name": "link.onnx"}), tmp_path / "out")
    assert (code, words) == (UNACCEPTABLE, "link.onnx is not a file of the job's folder")
    assert not (tmp_path / "out").exists()


def test_another_model_than_the_job_names_is_refused(tmp_path: Path) -> None:
    """The digest decides."""
    folder = job_folder(tmp_path / "job")
    with (folder / "model.onnx").open("r+b") as file:
        file.write(b"\0")
    code, words = run(folder, tmp_path / "out")
    assert code == UNACCEPTABLE
    assert "digest" in words


def test_another_version_than_the_job_names_is_refused(tmp_path: Path) -> None:
    """The engine would not be the one of the key."""
    folder = edited(job_folder(tmp_path / "job"), toolchain={"tensorrt_rtx": "1.6.0.1"})
    code, words = run(folder, tmp_path / "out")
    assert code == UNACCEPTABLE
    assert "tensorrt_rtx" in words


def test_a_build_over_its_time_is_ended(tmp_path: Path) -> None:
    """The limit is the job's own, so that it holds on machines that nobody watches."""
    pytest.importorskip("tensorrt_rtx", reason="extra rtx is not installed")
    folder = edited(job_folder(tmp_path / "job"), timeout_s=0.05)
    code, words = run(folder, tmp_path / "out")
    assert (code, words) == (TIMED_OUT, "the build took longer than 0.05 s")
    assert not (tmp_path / "out").exists()


def test_the_archive_is_the_same_bytes_and_python_3_8(tmp_path: Path) -> None:
    """Machines in the field have old Pythons; equal sources make equal archives."""
    write_worker(tmp_path)
    assert (tmp_path / WORKER_NAME).read_bytes() == worker_archive()
    with zipfile.ZipFile(tmp_path / WORKER_NAME) as archive:
        for name in archive.namelist():
            tree = ast.parse(archive.read(name), feature_version=(3, 8))
            imported = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and not node.level}
            assert not any((module or "").startswith("infc") for module in imported), name
