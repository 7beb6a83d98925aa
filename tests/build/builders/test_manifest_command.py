"""`infc worker manifest`: the Job of a build, to read before anything is sent to a cluster."""

from pathlib import Path

import pytest
import yaml

from infc.build.job_folder import job_from_request, write_job
from infc.cli import app
from infc.cli.edge import guarded
from infc.ir.precision import Precision
from tests.build.build_requests import request

PLACE = "k8s://lab/builds?image=nvcr.io/nvidia/tensorrt:25.10-py3&pvc=infc"


def infc(*arguments: str) -> int:
    """Run the command line."""
    return guarded(app, args=("worker", "manifest", *arguments), usage_error=64)


@pytest.fixture
def job(tmp_path: Path) -> Path:
    """A job folder for an H100."""
    asked = request("h100-sxm", Precision.FP16, kind="tensorrt")
    write_job(tmp_path / "job", job_from_request(asked, {"tensorrt": "10.13.3"}), asked.model.path)
    return tmp_path / "job"


def test_a_manifest_is_printed(job: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The same one twice, as plain YAML."""
    assert infc("--job", str(job), "--builder", PLACE) == 0
    first = capsys.readouterr().out
    assert infc("--job", str(job / "job.json"), "--builder", PLACE) == 0
    assert capsys.readouterr().out == first
    assert "&id" not in first
    manifest = yaml.safe_load(first)
    assert (manifest["kind"], manifest["metadata"]["namespace"]) == ("Job", "builds")
    assert "NVIDIA-H100-80GB-HBM3" in first


def test_what_cannot_be_printed(job: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Another builder, a mistake in its address, an edited job."""
    assert infc("--job", str(job), "--builder", "ray://auto") == 64
    assert infc("--job", str(job), "--builder", "k8s://builds") == 64
    assert "names no image" in capsys.readouterr().err
    (job / "job.json").write_text((job / "job.json").read_text().replace("h100-sxm", "h200-sxm"))
    assert infc("--job", str(job), "--builder", PLACE) == 5
    assert "was edited" in capsys.readouterr().err
