"""What keeps jobs and results on a machine behind ssh, run here as it runs there: the packed file and Python alone."""

import ast
import json
import os
import subprocess
import sys
import tarfile
import time
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import pytest

import infc.build.far
from infc.build.far.desk import HALF_WRITTEN_S, KEPT_S, sweep
from infc.build.job_folder import job_from_request, write_job
from infc.build.toolchain import installed_version
from infc.build.worker_archive import worker_archive
from infc.ir.precision import Precision
from tests.build.build_requests import request

Desk = Callable[..., "subprocess.CompletedProcess[bytes]"]
ME, OTHER = "a" * 16, "b" * 16


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    """Run one of its commands, as the ssh builder does, with a cache of its own."""
    archive = tmp_path / "tools" / "worker.pyz"
    archive.parent.mkdir()
    archive.write_bytes(worker_archive())
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "PYTHONPATH": str(archive)}

    def run(*arguments: str, stdin: bytes = b"") -> "subprocess.CompletedProcess[bytes]":
        command = [sys.executable, "-m", "far.desk", *arguments]
        return subprocess.run(command, input=stdin, capture_output=True, env=environment, check=False, timeout=120)

    return run


def packed(folder: Path) -> bytes:
    """The files of a folder as a tar stream."""
    content = BytesIO()
    with tarfile.open(fileobj=content, mode="w|") as archive:
        for path in sorted(folder.iterdir()):
            archive.add(path, arcname=path.name)
    return content.getvalue()


def test_the_far_side_runs_on_python_3_8() -> None:
    """Every file parses as that version, which is what a Jetson may still have."""
    for path in Path(infc.build.far.__file__).parent.glob("*.py"):
        ast.parse(path.read_text("utf-8"), feature_version=(3, 8))


def test_a_job_is_built_in_the_background_and_kept(desk: Desk, tmp_path: Path) -> None:
    """State, progress and result by key; a second start finds it finished, a stranger cannot end it."""
    pytest.importorskip("tensorrt_rtx", reason="extra rtx is not installed")
    asked = request("l4", Precision.FP16)
    version = installed_version("tensorrt_rtx")
    assert version is not None
    job = job_from_request(asked, {"tensorrt_rtx": version})
    folder = write_job(tmp_path / "job", job, asked.model.path).folder
    assert desk("state", job.key).stdout == b"none\n"
    assert desk("put", job.key, stdin=packed(folder)).returncode == 0
    assert desk("state", job.key).stdout == b"ready\n"
    assert desk("start", job.key, ME).returncode == 0
    assert desk("stop", job.key, OTHER).returncode == 0
    followed = desk("follow", job.key)
    assert followed.returncode == 0, followed.stderr
    assert b"building" in followed.stdout
    assert desk("state", job.key).stdout == b"finished\n"
    with tarfile.open(fileobj=BytesIO(desk("collect", job.key).stdout)) as archive:
        assert sorted(archive.getnames()) == ["job.json", "model.plan", "result.json"]
        result = archive.extractfile("result.json")
        assert result is not None
        assert json.load(result)["key"] == job.key
    assert desk("start", job.key, OTHER).returncode == 0
    assert desk("state", job.key).stdout == b"finished\n"


def test_what_is_no_key_and_no_plain_file_is_refused(desk: Desk, tmp_path: Path) -> None:
    """Nothing outside the cache can be named, by a key or by a file in the stream."""
    for key in ("../../etc", "a" * 63, "$(id)", ""):
        assert desk("state", key).returncode == 64
    content = BytesIO()
    with tarfile.open(fileobj=content, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("../escaped"), BytesIO())
    key = "0" * 64
    assert desk("put", key, stdin=content.getvalue()).returncode == 64
    assert desk("put", key, stdin=b"not a tar").returncode == 1
    assert desk("collect", key).returncode == 44
    jobs = tmp_path / ".cache" / "infc" / "jobs"
    assert not [path for path in jobs.rglob("*") if path.is_file()]
    assert not (jobs / "escaped").exists()


def test_what_nobody_used_is_swept(tmp_path: Path) -> None:
    """Results stay two weeks after they were last fetched, half-written jobs a day."""
    root = tmp_path / "jobs"
    ages = {"old": KEPT_S + 60, "recent": KEPT_S - 60, ".put-old": HALF_WRITTEN_S + 60, ".put-new": 60}
    for name, age_s in ages.items():
        (root / name).mkdir(parents=True)
        os.utime(root / name, (time.time() - age_s,) * 2)
    sweep(root)
    assert sorted(path.name for path in root.iterdir()) == [".put-new", "recent"]
