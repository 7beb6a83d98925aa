"""`infc calibrate`: real service times of this machine, stored where the next plan finds them."""

import json
import shutil
from pathlib import Path

import click
import jsonschema
import pytest
from click.testing import CliRunner

from infc.cli.calibrate import command
from infc.diag import DiagnosticError
from infc.ir.precision import Precision
from infc.report.service_time_schema import calibration_schema
from infc.resolve.model import model_profile
from infc.resolve.store import ProfileStore

EXAMPLE = Path(__file__).parents[2] / "specs" / "fashion-mnist"


@pytest.fixture
def spec(tmp_path: Path) -> Path:
    """The example in a workspace of its own."""
    folder = tmp_path / "fashion-mnist"
    shutil.copytree(EXAMPLE, folder, ignore=shutil.ignore_patterns(".infc", "infc-profiles"))
    return folder / "fashion-mnist.infc.yaml"


def run(*arguments: object) -> str:
    """Standard output of a call that must succeed."""
    result = CliRunner().invoke(command, [str(a) for a in arguments], standalone_mode=False, catch_exceptions=False)
    assert result.return_value == 0
    return result.stdout


def test_a_spec_is_measured_in_fp32_and_int8_and_stored(spec: Path) -> None:
    """Two profiles with a median and bounds per batch; JSON on standard output, the same numbers in the store."""
    output = run(spec, "--batches", "1,4", "--budget", "0.4s", "--format", "json")
    jsonschema.validate(json.loads(output), calibration_schema())
    profiles = json.loads(output)["profiles"]
    assert [p["precision"] for p in profiles] == ["fp32", "int8"]
    for profile in profiles:
        assert [point["batch_size"] for point in profile["points"]] == [1, 4]
        assert all(p["ms"]["low"] <= p["ms"]["value"] <= p["ms"]["high"] for p in profile["points"])
        assert all(point["executions"] >= 8 for point in profile["points"])
        assert profile["environment"]["threads"] == "1"
    store = ProfileStore(root=spec.parent, cache=spec.parent / ".infc")
    model, _ = model_profile(spec.parent / "resnet8.onnx", store, None)
    assert model is not None
    stored = store.service_times(model.digest)
    assert {p.precision for p in stored} == {Precision.FP32, Precision.INT8}
    assert {p.points[0].seconds.value * 1e3 for p in stored} == {p["points"][0]["ms"]["value"] for p in profiles}


def test_text_is_a_table_with_the_prediction(spec: Path) -> None:
    """One row per batch with the throughput of an instance and what was predicted, then how good that was."""
    output = run(spec.parent / "resnet8.onnx", "--batches", "2", "--budget", "0.2s", "--instances", "2")
    title, header, row, verdict = output.splitlines()
    assert title.startswith("fp32 on cpu (")
    assert "2 instances, 1 thread each" in title
    assert header.split()[:3] == ["batch", "median", "ms"]
    assert "predicted ms (90%)" in header
    assert row.split()[0] == "2"
    assert verdict.startswith("predicted (analytic): ")


def test_without_sizes_the_plan_says_what_to_measure(spec: Path) -> None:
    """The largest batch and the instances of the plan for this hardware, and batches up to twice that."""
    arguments = (spec, "--precision", "fp32", "--budget", "0.4s", "--format", "json")
    result = CliRunner().invoke(command, [str(a) for a in arguments], standalone_mode=False, catch_exceptions=False)
    assert "the plan for cpu is fp32/cpu/b1/i1" in result.stderr
    (profile,) = json.loads(result.stdout)["profiles"]
    assert [point["batch_size"] for point in profile["points"]] == [1, 2]
    assert profile["instances"] == 1


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [(("--endpoint", "grpc://x"), "--through triton"), (("--through", "triton", "-o", "none"), "holds no bundle")],
)
def test_a_server_is_only_measured_where_there_is_one(spec: Path, arguments: tuple[str, ...], reason: str) -> None:
    """An address without the wish to use it, and a bundle that was never compiled, are told."""
    with pytest.raises((click.UsageError, DiagnosticError), match=reason):
        run(spec, *arguments)


def test_other_hardware_is_told_where_to_measure(spec: Path) -> None:
    """An L4 is not this machine: the message says which machine is needed, and nothing is written."""
    with pytest.raises(DiagnosticError) as caught:
        run(spec, "--hardware", "l4")
    (problem,) = caught.value.diagnostics
    assert problem.id == "calibrate-other-machine"
    assert caught.value.exit_code == 1
    assert not (spec.parent / "infc-profiles").exists()


def test_a_precision_that_does_not_run_is_told_and_the_others_go_on(spec: Path) -> None:
    """BF16 has no CPU kernels; FP32 is measured all the same."""
    arguments = (spec, "--precision", "bf16,fp32", "--batches", "1", "--budget", "0.2s", "--format", "json")
    assert [p["precision"] for p in json.loads(run(*arguments))["profiles"]] == ["fp32"]


@pytest.mark.parametrize("arguments", [("--batches", "0"), ("--batches", "a"), ("--axes", "x"), ("--precision", "fp7")])
def test_wrong_options_are_usage_errors(spec: Path, arguments: tuple[str, str]) -> None:
    """A wrong option is refused before anything runs."""
    result = CliRunner().invoke(command, [str(spec), *arguments])
    assert result.exit_code == 2
    assert arguments[0] in result.output
