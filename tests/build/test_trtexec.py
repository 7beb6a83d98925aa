"""Command lines of `trtexec`, against the options that each major version reads."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from infc.build.job_folder import job_from_request
from infc.build.trtexec import trtexec_command
from infc.diag import Diagnostic
from infc.ir.build_options import BuildOptions
from infc.ir.engine_kind import EngineKind
from infc.ir.job import BuildJob
from infc.ir.precision import Precision
from tests.build.build_requests import request
from tests.edge.trtexec_lists import options_of_version

OPTIONS = json.loads((Path(__file__).parent / "data" / "trtexec_options.json").read_text())
EVERYTHING = BuildOptions(
    optimization_level=4,
    workspace_bytes=2**30,
    is_version_compatible=True,
    hardware_compatibility="ampere_plus",
    is_weight_streaming=True,
    is_refittable=True,
    dla_core=1,
)


def job(kind: EngineKind, options: BuildOptions, hardware_id: str = "jetson-agx-orin-64gb") -> BuildJob:
    """An FP16 job."""
    asked = replace(request(hardware_id, Precision.FP16, kind=kind), options=options, compute_capability="8.9")
    return job_from_request(asked, {kind: "1.0"})


def command(kind: EngineKind, version: str, options: BuildOptions, **settings: str) -> tuple[str, ...]:
    """A command that the version can run."""
    found = trtexec_command(job(kind, options), version, **settings)
    assert not isinstance(found, Diagnostic), found
    return found


@pytest.mark.parametrize("version", ["10.3.0", "10.7.0", "11.4.1"])
def test_every_option_exists_in_its_major_version(version: str) -> None:
    """Nothing that the tool would refuse, whatever is asked."""
    tool, *arguments = command("tensorrt", version, EVERYTHING, timing_cache="cache")
    assert tool == "trtexec"
    assert {argument.partition("=")[0] for argument in arguments} <= options_of_version(version)
    assert ("--stronglyTyped" in arguments) is version.startswith("10.")
    assert "--memPoolSize=workspace:1024" in arguments
    assert "--hardwareCompatibilityLevel=ampere+" in arguments
    assert {"--useDLACore=1", "--allowGPUFallback", "--timingCacheFile=cache"} <= {*arguments}


def test_the_default_command_in_full() -> None:
    """What a person on a Jetson would type."""
    assert command("tensorrt", "10.3.0", BuildOptions()) == (
        "trtexec",
        "--onnx=model.onnx",
        "--saveEngine=model.plan",
        "--skipInference",
        "--minShapes=input:1x1x28x28",
        "--optShapes=input:8x1x28x28",
        "--maxShapes=input:8x1x28x28",
        "--stronglyTyped",
        "--profilingVerbosity=detailed",
        "--exportLayerInfo=layers.json",
    )


def test_fp32_turns_tf32_off() -> None:
    """TensorRT computes FP32 products in TF32 unless it is told not to."""
    asked = job("tensorrt", BuildOptions())
    found = trtexec_command(replace(asked, precision=Precision.FP32), "11.4.1")
    assert not isinstance(found, Diagnostic)
    assert "--noTF32" in found


def test_a_name_with_a_colon_is_quoted() -> None:
    """The tool splits name and shape at the colon, but not inside single quotes."""
    asked = job("tensorrt", BuildOptions())
    renamed = replace(asked, shapes=tuple(replace(shape, input_name="input:0") for shape in asked.shapes))
    found = trtexec_command(renamed, "11.4.1")
    assert not isinstance(found, Diagnostic)
    assert "--minShapes='input:0':1x1x28x28" in found


def test_the_tool_of_tensorrt_rtx() -> None:
    """Only flags that its documentation names; it builds for a compute capability without a GPU."""
    tool, *arguments = command("tensorrt_rtx", "1.7.1", BuildOptions())
    assert tool == "tensorrt_rtx"
    assert {argument.partition("=")[0] for argument in arguments} <= {*OPTIONS["tensorrt_rtx 1"]["options"]}
    assert "--computeCapabilities=89" in arguments


@pytest.mark.parametrize(
    ("kind", "version", "options"),
    [
        ("tensorrt", "10.3.0", BuildOptions(hardware_compatibility="same_compute_capability")),
        ("tensorrt", "11.2.1", BuildOptions(dla_core=0)),
        ("tensorrt", "9.3.0", BuildOptions()),
        ("tensorrt_rtx", "1.7.1", BuildOptions(is_version_compatible=True)),
        ("tensorrt_rtx", "1.7.1", BuildOptions(workspace_bytes=2**30)),
    ],
)
def test_what_a_version_lacks_is_a_diagnostic(kind: EngineKind, version: str, options: BuildOptions) -> None:
    """No command that would build another engine than the one that was asked for."""
    found = trtexec_command(job(kind, options), version)
    assert isinstance(found, Diagnostic)
    assert found.id == "build-option-unsupported"
    assert found.help
