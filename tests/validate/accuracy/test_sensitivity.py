"""What single operators cost, measured in one session with switches, against models that are lowered for real."""

from pathlib import Path

import numpy as np
import onnx
import pytest

from infc.ir.model_profile import ModelProfile
from infc.ir.precision import Precision
from infc.lower.arrays import Calibration, calibration_from_file
from infc.lower.lowering import lower, quantized_operators
from infc.lower.settings import LoweringSettings
from infc.resolve.onnx_analysis import analyse
from infc.validate.accuracy.inference import open_session, run_batches
from infc.validate.accuracy.sensitivity import Sensitivity, measure_sensitivity, order
from infc.validate.accuracy.sensitivity_file import kept_sensitivity
from infc.validate.accuracy.switches import SwitchedSession, switched, switches_of

FOLDER = Path(__file__).parents[3] / "specs" / "fashion-mnist"
SOURCE = FOLDER / "resnet8.onnx"
SETTINGS = LoweringSettings(remainder=Precision.FP32)


@pytest.fixture(scope="module")
def profile() -> ModelProfile:
    """The Fashion-MNIST network."""
    result = analyse(SOURCE, "resnet8").profile
    assert result is not None
    return result


@pytest.fixture(scope="module")
def calibration(profile: ModelProfile) -> Calibration:
    """Its calibration images."""
    data, problems = calibration_from_file(FOLDER / "calibration-256.npz", profile.inputs, 256)
    assert data is not None, problems
    return data


def lowered(
    profile: ModelProfile, calibration: Calibration, precision: Precision, folder: Path, kept: tuple[str, ...] = ()
) -> onnx.ModelProto:
    """The network in a precision, as `lower` makes it."""
    settings = LoweringSettings(remainder=Precision.FP32, kept=kept)
    model, problems = lower(SOURCE, profile, precision, calibration, settings, folder)
    assert model is not None, problems
    return onnx.load(model.path)


@pytest.mark.parametrize("precision", [Precision.INT8, Precision.FP8])
def test_switches_give_what_lowering_with_exceptions_gives(
    precision: Precision, profile: ModelProfile, calibration: Calibration, tmp_path: Path
) -> None:
    """All on is the quantised model, all off the FP32 model, some on the model that is lowered with the others kept."""
    quantised = lowered(profile, calibration, precision, tmp_path)
    exact = lowered(profile, calibration, Precision.FP32, tmp_path)
    operators = quantized_operators(SOURCE, profile, precision, SETTINGS)
    probe = switched(quantised, exact, operators)
    onnx.checker.check_model(probe, full_check=True)
    names = switches_of(probe)
    assert names == operators
    inputs = {name: values[:8] for name, values in calibration.inputs.items()}
    session = open_session(probe.SerializeToString(), has_rewrites=False, threads=0)

    def with_on(on: tuple[str, ...]) -> np.ndarray:
        return run_batches(SwitchedSession(session, names, on, np.array(True), np.array(False)), profile, inputs)[0]

    def alone(model: onnx.ModelProto) -> np.ndarray:
        one = open_session(model.SerializeToString(), has_rewrites=False, threads=0)
        return run_batches(one, profile, inputs)[0]

    np.testing.assert_allclose(with_on(names), alone(quantised), rtol=0, atol=1e-5)
    np.testing.assert_allclose(with_on(()), alone(exact), rtol=0, atol=1e-5)
    kept = (names[1], names[-2])
    mixed = lowered(profile, calibration, precision, tmp_path, kept)
    on = tuple(name for name in names if name not in kept)
    np.testing.assert_allclose(with_on(on), alone(mixed), rtol=0, atol=1e-5)


def test_single_errors_predict_the_error_of_any_recipe(
    profile: ModelProfile, calibration: Calibration, tmp_path: Path
) -> None:
    """Errors add up: what is left after raising operators is predicted from single measurements, roughly."""
    quantised = lowered(profile, calibration, Precision.INT8, tmp_path)
    exact = lowered(profile, calibration, Precision.FP32, tmp_path)
    operators = quantized_operators(SOURCE, profile, Precision.INT8, SETTINGS)
    seen: list[tuple[int, int]] = []
    found = measure_sensitivity(
        quantised, exact, operators, calibration, profile, lambda done, total: seen.append((done, total))
    )
    assert seen[-1] == (len(operators), len(operators))
    again = measure_sensitivity(quantised, exact, operators, calibration, profile, lambda *_: None)
    assert np.array_equal(found.products, again.products)
    ordering = order(found)
    assert sorted(ordering.units) == list(range(len(operators)))
    assert list(ordering.left) == sorted(ordering.left, reverse=True)
    session = open_session(switched(quantised, exact, operators).SerializeToString(), has_rewrites=False, threads=0)
    inputs = {name: values[::4] for name, values in calibration.inputs.items()}

    def power(on: tuple[str, ...]) -> float:
        one = SwitchedSession(session, operators, on, np.array(True), np.array(False))
        error = run_batches(one, profile, inputs)[0] - truth
        return float(np.mean((error**2).sum(axis=1) / (truth**2).sum(axis=1)))

    truth = run_batches(SwitchedSession(session, operators, (), np.array(True), np.array(False)), profile, inputs)[0]
    whole = power(operators)
    for count in (3, 5, 6):
        raised = {operators[unit] for unit in ordering.units[:count]}
        left = power(tuple(name for name in operators if name not in raised)) / whole
        assert left == pytest.approx(ordering.left[count], rel=0.4, abs=0.02)


def test_a_stored_sensitivity_is_read_back_and_a_damaged_one_measured_again(tmp_path: Path) -> None:
    """The file holds what was measured, to the last digit."""
    fresh = Sensitivity(units=(("a",), ("b", "c")), products=np.array([[0.1, 1 / 3], [1 / 3, 2.0]]), samples=9)
    path = tmp_path / "sensitivity" / "x.json"
    calls: list[int] = []

    def measured() -> Sensitivity:
        calls.append(1)
        return fresh

    assert kept_sensitivity(path, measured) is fresh
    stored = kept_sensitivity(path, measured)
    assert (stored.units, stored.samples) == (fresh.units, fresh.samples)
    assert np.array_equal(stored.products, fresh.products)
    path.write_text(path.read_text()[:20])
    assert kept_sensitivity(path, measured) is fresh
    assert len(calls) == 2
