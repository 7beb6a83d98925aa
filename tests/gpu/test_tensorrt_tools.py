"""TensorRT's timing cache and its command-line tool, on the real GPU."""

import json
from pathlib import Path

import pytest

from infc.build import build, shape_ranges
from infc.build.builders.local import LocalBuilder
from infc.build.far.trtexec import build_with_trtexec, find_trtexec, trtexec_version
from infc.build.job_folder import job_from_request
from infc.build.job_json import bytes_from_job
from infc.build.libraries import LIBRARIES, library_entry
from infc.ir.engine import BuildRequest
from infc.ir.precision import Precision
from infc.lower.lowering import lower
from infc.lower.settings import LoweringSettings

from .checks import MAX_BATCH_SIZE, MODEL, Machine

pytestmark = [pytest.mark.gpu, pytest.mark.slow]


def fp16_request(machine: Machine) -> BuildRequest:
    """The example's model in FP16 for this GPU."""
    lowered, problems = lower(
        MODEL, machine.model, Precision.FP16, None, LoweringSettings(), machine.folder / "lowered"
    )
    assert lowered is not None, problems
    return BuildRequest(
        kind="tensorrt",
        model=lowered,
        shapes=shape_ranges(machine.model, MAX_BATCH_SIZE, {}),
        hardware_id=machine.hardware.id,
        compute_capability=machine.hardware.compute_capability,
    )


def test_kernel_times_are_kept_for_the_next_build(machine: Machine, tmp_path: Path) -> None:
    """A build leaves one cache for this GPU and version; the next reads and rewrites it."""
    if machine.kind != "tensorrt":
        pytest.skip("TensorRT-RTX has no timing cache")
    builder = LocalBuilder(tmp_path / "timing")
    for name in ("first", "second"):
        engine, problems = build(fp16_request(machine), tmp_path / name, builder=builder)
        assert engine is not None, problems
        (cache,) = (tmp_path / "timing").iterdir()
        assert cache.stat().st_size > 0


def test_trtexec_builds_the_same_kind_of_engine(
    machine: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the tool is installed: its engine reads FP16, and its layers are told."""
    tool, version = find_trtexec(), trtexec_version()
    if machine.kind != "tensorrt" or tool is None or version is None:
        pytest.skip("trtexec is not installed")
    versions = LIBRARIES["tensorrt"].at(version)
    assert versions is not None
    request = fp16_request(machine)
    job = json.loads(bytes_from_job(job_from_request(request, {"tensorrt": version})))
    (tmp_path / "model.onnx").write_bytes(request.model.path.read_bytes())
    monkeypatch.chdir(tmp_path)
    entry = json.loads(json.dumps(library_entry("tensorrt", LIBRARIES["tensorrt"], versions)))
    answer = build_with_trtexec(tool, job, entry, version, None)
    assert answer["errors"] == []
    assert any("Half" in layer["input_dtype"] for layer in answer["facts"]["layers"])
