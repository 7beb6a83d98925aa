"""The quality shadow as it is emitted: two models beside the served one, and nothing anywhere without it."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from infc.emit.triton import emit
from infc.emit.triton.shadow import (
    LEAST_TOLERANCE,
    QUANTISED_TOLERANCE,
    ShadowSource,
    comparison_of,
    shadow_folders,
    shadow_outputs,
    tolerance_of,
)
from infc.ir.accuracy import AccuracyEvidence, OutputErrors, Verdict
from infc.ir.bundle import Bundle
from infc.ir.interval import Interval
from infc.ir.model_profile import TensorSpec
from infc.ir.precision import Precision
from infc.ir.problem import Problem, ShadowGoal

from . import samples

pytest.importorskip("tritonclient.grpc", reason="the extra `triton` is not installed")

GOAL = ShadowGoal(one_in=100, min_agreement=0.97, tolerance=None, capture_s=1e-4)


def emitted(folder: Path, problem: Problem) -> Bundle:
    """The sample bundle of a problem on a GPU."""
    pytest.importorskip("onnx", reason="the extra `onnx` is not installed")
    source = samples.write_onnx(folder / "lookup.onnx")
    (folder / "weights").mkdir(exist_ok=True)
    (folder / "weights" / "table.bin").write_bytes(b"weights")
    external = (folder / "weights" / "table.bin",)
    bundle, problems = emit(
        problem,
        samples.plan(),
        samples.engine(source, kind="tensorrt"),
        shadow=ShadowSource(model=source, external_files=external),
    )
    assert bundle is not None
    assert problems == ()
    return bundle


def evidence(p99: float | None) -> AccuracyEvidence:
    """A passed accuracy test that saw distances of outputs, or none."""
    errors = None if p99 is None else OutputErrors(median=p99 / 3, p99=p99, worst=1.0, worst_sample=0)
    return AccuracyEvidence(
        model_digest="",
        precision=Precision.INT8,
        recipe_digest="",
        subject="lowered",
        dataset_digest="",
        metric="top1",
        samples=1000,
        confidence=0.95,
        reference=0.9,
        value=Interval.exact(0.9),
        drop=Interval.exact(0.0),
        floor=None,
        max_drop=0.01,
        verdict=Verdict.PASS,
        samples_needed=None,
        errors=errors,
    )


def test_the_shadow_lies_beside_the_served_model_and_the_server_is_told_to_capture(tmp_path: Path) -> None:
    """The reference is the model file with its external data, on the CPU; the program has its settings beside it."""
    bundle = emitted(tmp_path, replace(samples.problem(), shadow=GOAL))
    repository = "model_repository/lookup"
    assert {path.removeprefix(repository) for path in bundle.files if path.startswith(f"{repository}-")} == {
        "-reference/config.pbtxt",
        "-reference/1/model.onnx",
        "-reference/1/weights/table.bin",
        "-shadow/config.pbtxt",
        "-shadow/1/agreement.py",
        "-shadow/1/captures.py",
        "-shadow/1/model.py",
        "-shadow/1/shadow.json",
    }
    settings = json.loads(bundle.files[f"{repository}-shadow/1/shadow.json"])  # type: ignore[arg-type]
    assert settings["one_in"] == 100
    assert settings["outputs"] == [{"name": "scores", "compare": "argmax", "tolerance": QUANTISED_TOLERANCE}]
    reference = bundle.files[f"{repository}-reference/config.pbtxt"]
    assert isinstance(reference, bytes)
    assert b"KIND_CPU" in reference
    assert b"dynamic_batching" not in reference
    launch = bundle.files["launch.sh"]
    assert isinstance(launch, bytes)
    assert b"--trace-config=rate=100 " in launch
    assert b"--tmpfs /run/infc-shadow:rw,size=64m,mode=1777" in launch


def test_the_served_model_is_the_same_with_and_without_a_shadow(tmp_path: Path) -> None:
    """Name, tensors, batching and instances do not change; without a shadow nothing is emitted of one."""
    without = emitted(tmp_path, samples.problem())
    with_one = emitted(tmp_path, replace(samples.problem(), shadow=GOAL))
    config = "model_repository/lookup/config.pbtxt"
    assert without.files[config] == with_one.files[config]
    assert not any("shadow" in path or "reference" in path for path in without.files)
    assert not any(b"shadow" in content for content in without.files.values() if isinstance(content, bytes))
    assert shadow_folders(samples.problem()) == shadow_outputs(samples.problem()) == {}


def test_monitoring_is_told_what_to_alert_on() -> None:
    """Every output, with the agreement of the spec."""
    assert shadow_outputs(replace(samples.problem(), shadow=GOAL)) == {"scores": 0.97}


@pytest.mark.parametrize(
    ("dtype", "shape", "metric", "kind"),
    [
        ("float32", ("batch", 10), "top1", "argmax"),
        ("float32", ("batch", 10), "cosine", "close"),
        ("float32", ("batch", 10), None, "close"),
        ("float32", ("batch", "classes"), "top1", "close"),
        ("float32", ("batch", 1), "f1", "close"),
        ("float32", ("batch", 3, 10), "top1", "close"),
        ("int64", ("batch", 10), "top1", "equal"),
        ("bool", ("batch",), "top1", "equal"),
    ],
)
def test_outputs_are_compared_as_what_they_are(
    dtype: str, shape: tuple[int | str, ...], metric: str | None, kind: str
) -> None:
    """Classes by the best score where the spec judges classes, whole numbers exactly, everything else by distance."""
    assert comparison_of(TensorSpec(name="y", dtype=dtype, shape=shape), samples.model_profile(), metric) == kind


def test_the_tolerance_comes_from_the_spec_then_the_evidence_then_the_precision() -> None:
    """What the accuracy test accepted, twice, is not a disagreement."""
    said = replace(GOAL, tolerance=0.3)
    assert tolerance_of(said, evidence(0.05), Precision.INT8) == 0.3
    assert tolerance_of(GOAL, evidence(0.05), Precision.INT8) == 0.1
    assert tolerance_of(GOAL, evidence(0.0), Precision.FP32) == LEAST_TOLERANCE
    assert tolerance_of(GOAL, evidence(None), Precision.FP16) == 1e-2
    assert tolerance_of(GOAL, None, Precision.INT8) == QUANTISED_TOLERANCE
