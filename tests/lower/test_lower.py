"""`lower` on the real Fashion-MNIST network: every precision, the cache, and the same bytes every time."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest

from infc.ir.model_profile import ModelProfile
from infc.ir.precision import Precision
from infc.lower.arrays import Calibration, calibration_from_file
from infc.lower.emulate import emulated
from infc.lower.lowering import lower, quantized_operators
from infc.lower.recipe import recipe_digest
from infc.lower.settings import LoweringSettings, settings_for
from infc.resolve.onnx_analysis import analyse
from tests.lower.models import answers

FOLDER = Path(__file__).parents[2] / "specs" / "fashion-mnist"
SOURCE = FOLDER / "resnet8.onnx"


@pytest.fixture(scope="module")
def profile() -> ModelProfile:
    """The analysed network."""
    result = analyse(SOURCE, "resnet8").profile
    assert result is not None
    return result


@pytest.fixture(scope="module")
def calibration(profile: ModelProfile) -> Calibration:
    """The committed calibration images."""
    data, problems = calibration_from_file(FOLDER / "calibration-256.npz", profile.inputs, 64)
    assert data is not None, problems
    return data


@pytest.mark.parametrize(
    "precision", [Precision.FP32, Precision.TF32, Precision.FP16, Precision.BF16, Precision.INT8, Precision.FP8]
)
def test_the_network_keeps_its_answers(
    precision: Precision, profile: ModelProfile, calibration: Calibration, tmp_path: Path
) -> None:
    """Every precision agrees with the source on nearly every image, in the arithmetic of a GPU."""
    model, problems = lower(SOURCE, profile, precision, calibration, LoweringSettings(), tmp_path)
    assert problems == ()
    assert model is not None
    feeds = {"input": calibration.inputs["input"]}
    got, want = answers(emulated(onnx.load(model.path)), feeds)[0], answers(onnx.load(SOURCE), feeds)[0]
    assert float((got.argmax(1) == want.argmax(1)).mean()) >= 0.98
    assert model.source_digest == profile.digest
    assert model.precision is precision


def test_the_second_call_reads_the_cache(profile: ModelProfile, tmp_path: Path) -> None:
    """A model that was lowered before is not made again; a damaged file is."""
    first, _ = lower(SOURCE, profile, Precision.FP16, None, LoweringSettings(), tmp_path)
    assert first is not None
    stamp = first.path.stat().st_mtime_ns
    second, _ = lower(SOURCE, profile, Precision.FP16, None, LoweringSettings(), tmp_path)
    assert second == first
    assert first.path.stat().st_mtime_ns == stamp
    content = first.path.read_bytes()
    first.path.write_bytes(content[:-100])
    third, _ = lower(SOURCE, profile, Precision.FP16, None, LoweringSettings(), tmp_path)
    assert third == first
    assert first.path.read_bytes() == content
    assert [p.name for p in tmp_path.iterdir()] == [first.recipe_digest]


def test_the_cache_works_without_the_source(profile: ModelProfile, tmp_path: Path) -> None:
    """Weights are only needed to lower for the first time."""
    first, _ = lower(SOURCE, profile, Precision.FP16, None, LoweringSettings(), tmp_path)
    again, _ = lower(tmp_path / "absent.onnx", profile, Precision.FP16, None, LoweringSettings(), tmp_path)
    assert again == first
    missing, problems = lower(tmp_path / "absent.onnx", profile, Precision.FP32, None, LoweringSettings(), tmp_path)
    assert missing is None
    assert [p.id for p in problems] == ["model-missing"]


def test_the_recipe_names_everything_that_decides_the_bytes(profile: ModelProfile, calibration: Calibration) -> None:
    """Another source, precision, setting or calibration is another recipe."""
    base = recipe_digest(profile.digest, Precision.INT8, LoweringSettings(), calibration)
    others = {
        recipe_digest("other", Precision.INT8, LoweringSettings(), calibration),
        recipe_digest(profile.digest, Precision.FP16, LoweringSettings(), calibration),
        recipe_digest(profile.digest, Precision.INT8, settings_for("cpu"), calibration),
        recipe_digest(profile.digest, Precision.INT8, LoweringSettings(is_attention_quantized=False), calibration),
        recipe_digest(profile.digest, Precision.INT8, LoweringSettings(calibration_method="entropy"), calibration),
        recipe_digest(profile.digest, Precision.INT8, LoweringSettings(), Calibration(inputs={}, digest="x")),
    }
    assert len(others) == 6
    assert base not in others
    assert base == recipe_digest(profile.digest, Precision.INT8, LoweringSettings(), calibration)


def test_settings_that_do_not_matter_are_no_part_of_the_recipe(profile: ModelProfile, calibration: Calibration) -> None:
    """FP8 has one dialect, INT4 needs no ranges, FP16 none of them; what matters to a precision tells recipes apart."""

    def recipe(precision: Precision, **settings: object) -> str:
        return recipe_digest(profile.digest, precision, LoweringSettings(**settings), calibration)  # type: ignore[arg-type]

    every = {"dialect": "onnxruntime", "calibration_method": "entropy", "is_attention_quantized": False, "kept": ("a",)}
    assert recipe(Precision.FP16, **every) == recipe(Precision.FP16)
    assert recipe(Precision.FP8, dialect="onnxruntime") == recipe(Precision.FP8)
    assert recipe(Precision.INT4, calibration_method="entropy") == recipe(Precision.INT4)
    assert recipe(Precision.INT4, kept=("a",)) != recipe(Precision.INT4)
    assert len({recipe(Precision.FP8), *(recipe(Precision.FP8, **{k: every[k]}) for k in list(every)[1:])}) == 4


def test_an_exception_is_made_and_the_next_one_calibrates_no_more(
    profile: ModelProfile, calibration: Calibration, tmp_path: Path
) -> None:
    """A kept operator has no Q/DQ in the file, the report names it, and ranges are calibrated once for a search."""
    names = quantized_operators(SOURCE, profile, Precision.INT8, LoweringSettings())
    first, _ = lower(SOURCE, profile, Precision.INT8, calibration, LoweringSettings(), tmp_path)
    (ranges,) = (tmp_path / "ranges").iterdir()
    model, problems = lower(SOURCE, profile, Precision.INT8, calibration, LoweringSettings(kept=names[:2]), tmp_path)
    assert model is not None, problems
    assert first is not None
    assert model.recipe_digest != first.recipe_digest
    assert list((tmp_path / "ranges").iterdir()) == [ranges]
    report = next(report for report in model.passes if report.name == "quantize")
    assert dict(report.kept) == dict.fromkeys(names[:2], "raised back to keep the accuracy")
    again, _ = lower(SOURCE, profile, Precision.INT8, calibration, LoweringSettings(kept=names[:2]), tmp_path)
    assert again == model


def test_precisions_without_a_pass_are_refused(profile: ModelProfile, tmp_path: Path) -> None:
    """FP4 is not lowered; the message names what is."""
    model, (problem,) = lower(SOURCE, profile, Precision.FP4, None, LoweringSettings(), tmp_path)
    assert model is None
    assert problem.id == "precision-not-lowered"
    assert "int8" in problem.notes[0]


SCRIPT = """
import sys
from pathlib import Path
from infc.ir.precision import Precision
from infc.lower.arrays import calibration_from_file
from infc.lower.lowering import lower
from infc.lower.settings import settings_for
from infc.resolve.onnx_analysis import analyse
folder, out = Path(sys.argv[1]), Path(sys.argv[2])
profile = analyse(folder / "resnet8.onnx", "resnet8").profile
data, _ = calibration_from_file(folder / "calibration-256.npz", profile.inputs, 32)
for precision in (Precision.FP16, Precision.BF16, Precision.INT8, Precision.FP8):
    for kind in ("gpu", "cpu"):
        settings = settings_for(kind, method="entropy")
        model, _ = lower(folder / "resnet8.onnx", profile, precision, data, settings, out)
        print(model.recipe_digest, model.digest)
"""


def test_the_same_inputs_give_the_same_bytes_in_any_process(tmp_path: Path) -> None:
    """Hash seed, time zone, umask and folder change nothing."""
    outputs = []
    for index, (seed, zone) in enumerate((("1", "UTC"), ("77", "Asia/Tokyo"))):
        environment = {**os.environ, "PYTHONHASHSEED": seed, "TZ": zone}
        command = [sys.executable, "-c", SCRIPT, str(FOLDER), str(tmp_path / f"out{index}")]
        outputs.append(subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout)
    assert outputs[0] == outputs[1]
    assert len(set(outputs[0].split())) == 12


def test_calibration_reads_stored_integers_through_mean_and_std(profile: ModelProfile) -> None:
    """The images are stored as bytes; the model is fed normalised floats."""
    data, _ = calibration_from_file(FOLDER / "calibration-256.npz", profile.inputs, 8)
    assert data is not None
    assert data.inputs["input"].dtype == np.float32
    assert abs(float(data.inputs["input"].astype(np.float64).mean())) < 1.0
