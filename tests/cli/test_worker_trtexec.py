"""`infc worker trtexec`: the command for a machine where nothing of infc runs."""

import shlex
from dataclasses import replace
from pathlib import Path

from click.testing import CliRunner

from infc.build.job_folder import job_from_request, write_job
from infc.cli import app
from infc.ir.build_options import BuildOptions
from infc.ir.precision import Precision
from tests.build.build_requests import request


def job(folder: Path, options: BuildOptions) -> Path:
    """A job folder for an Orin."""
    asked = replace(
        request("jetson-agx-orin-64gb", Precision.FP16, kind="tensorrt"), options=options, compute_capability="8.7"
    )
    write_job(folder, job_from_request(asked, {"tensorrt": "10.3.0"}), asked.model.path)
    return folder


def run(*arguments: str) -> tuple[int, str, str]:
    """Exit code, standard output and standard error."""
    result = CliRunner().invoke(app, ["worker", "trtexec", *arguments], standalone_mode=False)
    return int(result.return_value or 0), result.stdout, result.stderr


def test_the_command_is_ready_for_a_shell(tmp_path: Path) -> None:
    """One line, for the job's folder."""
    code, out, _ = run("--job", str(job(tmp_path / "job", BuildOptions())), "--tensorrt", "10.3.0")
    assert code == 0
    assert shlex.split(out)[:3] == ["trtexec", "--onnx=model.onnx", "--saveEngine=model.plan"]


def test_a_jetpack_names_its_tensorrt(tmp_path: Path) -> None:
    """JetPack 6.2 brings TensorRT 10.3, which has the DLA; 7.2 brings one without."""
    folder = str(job(tmp_path / "job", BuildOptions(dla_core=0)))
    code, out, _ = run("--job", folder, "--jetpack", "6.2.1")
    assert code == 0
    assert "--useDLACore=0" in out
    code, _, err = run("--job", folder, "--jetpack", "7.2")
    assert code == 1
    assert "TensorRT 10.16" in err


def test_an_option_that_the_version_lacks_is_told(tmp_path: Path) -> None:
    """TensorRT 11.2 has no DLA."""
    code, out, err = run("--job", str(job(tmp_path / "job", BuildOptions(dla_core=0))), "--tensorrt", "11.2.1")
    assert code == 1
    assert out == ""
    assert "build-option-unsupported" in err
