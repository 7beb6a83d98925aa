"""The gate on real data: the Fashion-MNIST network on 2,000 labelled images, and every wrong dataset told."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest

from infc.build import build, shape_ranges
from infc.ir.accuracy import EMULATED, LOWERED, Verdict
from infc.ir.engine import BuildRequest, LoweredModel
from infc.ir.model_profile import ModelProfile
from infc.ir.precision import Precision
from infc.ir.problem import AccuracyGoal
from infc.lower.arrays import calibration_from_file
from infc.lower.lowering import lower
from infc.lower.settings import LoweringSettings, settings_for
from infc.resolve.onnx_analysis import analyse
from infc.validate.accuracy import MeasureOptions, gate, measure

FOLDER = Path(__file__).parents[3] / "specs" / "fashion-mnist"
SOURCE, DATASET = FOLDER / "resnet8.onnx", FOLDER / "test-2000.npz"
GOAL = AccuracyGoal(dataset="test-2000.npz", metric="top1", floor=0.90, max_drop=0.01, confidence=0.95)


@pytest.fixture(scope="module")
def profile() -> ModelProfile:
    """The analysed network."""
    result = analyse(SOURCE, "resnet8").profile
    assert result is not None
    return result


@pytest.fixture(scope="module")
def some(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The first 400 images, where 2,000 would only take longer."""
    path = tmp_path_factory.mktemp("data") / "some.npz"
    with np.load(DATASET) as stored:
        arrays = {name: stored[name] for name in stored.files}
    np.savez(path, **{name: array[:400] if array.ndim else array for name, array in arrays.items()})
    return path


@pytest.fixture(scope="module")
def lowered(profile: ModelProfile, tmp_path_factory: pytest.TempPathFactory) -> dict[str, LoweredModel]:
    """The network in what the tests compare."""
    folder = tmp_path_factory.mktemp("lowered")
    data, _ = calibration_from_file(FOLDER / "calibration-256.npz", profile.inputs, 256)
    models = {}
    for name, precision, settings in (
        ("fp16", Precision.FP16, LoweringSettings()),
        ("bf16", Precision.BF16, LoweringSettings()),
        ("int8", Precision.INT8, LoweringSettings()),
        ("int8-cpu", Precision.INT8, settings_for("cpu")),
    ):
        model, problems = lower(SOURCE, profile, precision, data, settings, folder)
        assert model is not None, problems
        models[name] = model
    return models


@pytest.mark.parametrize("name", ["fp16", "int8", "int8-cpu"])
def test_real_precisions_pass(name: str, profile: ModelProfile, lowered: dict[str, LoweredModel]) -> None:
    """FP16 and INT8 keep the floor and the drop; the reference is right on 92.85% of these images."""
    seen: list[tuple[str, int, int]] = []
    evidence, problems = measure(
        SOURCE, lowered[name], DATASET, GOAL, model=profile, progress=lambda *step: seen.append(step)
    )
    assert problems == ()
    assert evidence is not None
    assert evidence.verdict is Verdict.PASS
    assert evidence.reference == pytest.approx(0.9285)
    assert abs(evidence.value.value - 0.928) < 0.004
    assert evidence.value.low > 0.90
    assert evidence.drop.high < 0.01
    subject = LOWERED if name == "int8-cpu" else EMULATED
    assert (evidence.samples, evidence.subject, evidence.samples_needed) == (2000, subject, None)
    assert (evidence.slices_judged, len(evidence.slices)) == (10, 8)
    assert evidence.errors is not None
    assert 0 <= evidence.errors.median <= evidence.errors.p99 <= evidence.errors.worst < 0.5
    assert evidence.recipe_digest == lowered[name].recipe_digest
    assert seen[-1][1:] == (2000, 2000)


def test_the_cpu_engine_is_measured_as_it_is_served(
    profile: ModelProfile, lowered: dict[str, LoweredModel], tmp_path: Path
) -> None:
    """The built ONNX Runtime engine passes with its server's settings."""
    request = BuildRequest(
        kind="onnxruntime",
        model=lowered["int8-cpu"],
        shapes=shape_ranges(profile, 8, {}),
        hardware_id="cpu",
        compute_capability=None,
    )
    engine, _ = build(request, tmp_path)
    assert engine is not None
    evidence, problems = measure(SOURCE, engine, DATASET, GOAL, model=profile)
    assert problems == ()
    assert evidence is not None
    assert (evidence.verdict, evidence.subject) == (Verdict.PASS, "onnxruntime")
    other, (note,) = measure(SOURCE, replace(engine, kind="tensorrt_rtx"), DATASET, GOAL, model=profile)
    assert other is None
    assert note.id == "accuracy-needs-gpu"


def test_the_reference_runs_once_for_all_precisions(
    profile: ModelProfile, lowered: dict[str, LoweredModel], some: Path, tmp_path: Path
) -> None:
    """With a cache the second measurement needs no reference, gives the same evidence, and survives a damaged entry."""
    options = MeasureOptions(cache=tmp_path)
    ran: list[str] = []

    def measured() -> object:
        ran.clear()
        return measure(
            SOURCE,
            lowered["fp16"],
            some,
            GOAL,
            model=profile,
            options=options,
            progress=lambda what, *_: ran.append(what),
        )[0]

    first = measured()
    assert "the reference" in ran
    assert measured() == first
    assert "the reference" not in ran
    (entry,) = tmp_path.iterdir()
    entry.write_bytes(entry.read_bytes()[:100])
    assert measured() == first
    assert "the reference" in ran


def broken(model: LoweredModel, folder: Path) -> LoweredModel:
    """The model with its last bias turned upside down: a corruption that raises no error."""
    value = onnx.load(model.path)
    bias = next(t for t in value.graph.initializer if t.name.startswith("f.bias"))
    wrong = onnx.numpy_helper.to_array(bias) + np.arange(10, dtype=np.float16)
    bias.CopyFrom(onnx.numpy_helper.from_array(wrong.astype(np.float16), bias.name))
    onnx.save(value, folder / "broken.onnx")
    return replace(model, path=folder / "broken.onnx")


def test_a_corrupted_model_fails_with_its_evidence(
    profile: ModelProfile, lowered: dict[str, LoweredModel], some: Path, tmp_path: Path
) -> None:
    """A silent corruption is caught, and the warning says by how much and what infc does next."""
    result = gate(SOURCE, broken(lowered["fp16"], tmp_path), some, GOAL, model=profile)
    assert result.verdict is Verdict.FAIL
    (warning,) = result.diagnostics
    assert warning.id == "accuracy-below-goal"
    assert "fp16 does not keep" in warning.message
    assert any("400 samples" in note for note in warning.notes)


def test_a_floor_inside_the_bounds_is_inconclusive(
    profile: ModelProfile, lowered: dict[str, LoweredModel], some: Path
) -> None:
    """A floor near the measured value is not settled by 400 images; the number that would is said."""
    result = gate(SOURCE, lowered["fp16"], some, replace(GOAL, floor=0.91), model=profile)
    assert result.verdict is Verdict.INCONCLUSIVE
    assert result.evidence is not None
    assert result.evidence.samples_needed is not None
    assert result.evidence.samples_needed > 400
    assert any("would settle it" in note for note in result.diagnostics[0].notes)


def test_bf16_runs_emulated(profile: ModelProfile, lowered: dict[str, LoweredModel], some: Path) -> None:
    """BF16 convolutions have no kernel here: they run in FP32, rounded after every operator; the evidence says so."""
    result = gate(SOURCE, lowered["bf16"], some, GOAL, model=profile)
    assert result.evidence is not None
    assert result.evidence.subject == EMULATED
    assert result.evidence.errors is not None
    assert 0.001 < result.evidence.errors.median < 0.05


@pytest.mark.parametrize(("metric", "expected"), [("f1", 0.9245), ("top5", 1.0), ("cosine", 1.0)])
def test_other_metrics(
    metric: str, expected: float, profile: ModelProfile, lowered: dict[str, LoweredModel], some: Path
) -> None:
    """Macro F1, top5 and agreement with the reference come with bounds, too."""
    goal = replace(GOAL, metric=metric, floor=0.9)
    evidence, problems = measure(SOURCE, lowered["fp16"], some, goal, model=profile)
    assert problems == ()
    assert evidence is not None
    assert evidence.reference == pytest.approx(expected, abs=1e-4)
    assert evidence.value.low <= evidence.value.value <= evidence.value.high


def test_calibration_samples_are_left_out(profile: ModelProfile, lowered: dict[str, LoweredModel], some: Path) -> None:
    """When the dataset calibrated, its leading share is no test data."""
    options = MeasureOptions(is_calibration_source=True)
    evidence, _ = measure(SOURCE, lowered["fp16"], some, GOAL, model=profile, options=options)
    assert evidence is not None
    assert evidence.samples == 400 - 80


METRIC = """
import numpy as np

def share_right(outputs, dataset):
    return float((outputs["logits"].argmax(1) == dataset["labels"]).mean())

def fails(outputs, dataset):
    raise ValueError("no such thing")
"""


def test_a_python_metric_runs_only_when_allowed(
    profile: ModelProfile, lowered: dict[str, LoweredModel], some: Path, tmp_path: Path
) -> None:
    """The repository's code runs with permission only; then it gives what the built-in metric gives."""
    (tmp_path / "infc_test_metric.py").write_text(METRIC)
    goal = replace(GOAL, metric="python:infc_test_metric:share_right")
    evidence, (refusal,) = measure(SOURCE, lowered["fp16"], some, goal, model=profile)
    assert evidence is None
    assert refusal.id == "accuracy-code-not-allowed"
    options = MeasureOptions(allow_code=True, code_root=tmp_path)
    evidence, problems = measure(SOURCE, lowered["fp16"], some, goal, model=profile, options=options)
    assert problems == ()
    assert evidence is not None
    assert evidence.reference == pytest.approx(0.925)
    bad = replace(goal, metric="python:infc_test_metric:fails")
    evidence, (failure,) = measure(SOURCE, lowered["fp16"], some, bad, model=profile, options=options)
    assert evidence is None
    assert failure.id == "accuracy-metric-failed"
    assert "no such thing" in failure.notes[0]


def test_wrong_datasets_are_told(profile: ModelProfile, lowered: dict[str, LoweredModel], tmp_path: Path) -> None:
    """Labels that are missing, out of range, of another count, or too few: one diagnostic each."""
    images = np.zeros((20, 1, 28, 28), np.float32)
    labels = np.zeros(20, np.int64)
    path = tmp_path / "data.npz"

    def told(**arrays: np.ndarray) -> list[str]:
        np.savez(path, **arrays)
        return [d.id for d in measure(SOURCE, lowered["fp16"], path, GOAL, model=profile)[1]]

    assert told(input=images) == ["dataset-labels"]
    assert told(input=images, labels=labels + 11) == ["dataset-labels"]
    assert told(input=images, labels=labels[:-1]) == ["dataset-labels"]
    assert told(input=images, labels=labels.astype(np.float32)) == ["dataset-labels"]
    assert told(labels=labels) == ["dataset-array-missing"]
    assert told(input=images[:4], labels=labels[:4]) == ["dataset-too-small"]
    assert told(input=images, labels=labels) == []
