"""Outputs of the built engine beside the reference's: within tolerance, or refused with the figures."""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx.parser
import pytest

from infc.emit.jetson.device.codes import Refusal
from infc.emit.jetson.device.engine import build_or_reuse
from infc.emit.jetson.device.outputs import OutputErrorSum, check_outputs, misses
from infc.emit.jetson.device.tensor_bytes import numbers_of
from tests.emit.jetson.device.stand_ins import Bench, bench


def checked(place: Bench) -> dict[str, Any]:
    """What the part returns for the engine that the device builds."""
    engine = build_or_reuse(place.release, place.manifest, place.target, place.facts, place.engines, place.said.append)
    return check_outputs(place.release, place.manifest, Path(engine["path"]), place.said.append)


@pytest.mark.parametrize("version", ["10.3.0", pytest.param("11.4.1", marks=pytest.mark.slow)])
def test_an_engine_that_computes_the_model(version: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both majors; the figures are those of the worst output."""
    place = bench(tmp_path, monkeypatch)
    place.device.set_tensorrt(version)
    place.facts["tensorrt"] = version
    found = checked(place)
    assert found["verdict"] == "pass"
    assert found["samples"] >= 1
    assert found["worst"]["scores"]["max_absolute"] < 1e-5
    assert found["worst"]["scores"]["argmax_agreement"] == 1.0
    run = next(call for call in place.device.calls("trtexec") if any(each.startswith("--loadEngine") for each in call))
    assert "--iterations=1" in run


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (0.5, "scores: off by up to 0.5 (allowed "),
        (math.nan, "scores: holds what is no number, or infinite, where the reference does not"),
        pytest.param(math.inf, "scores: holds what is no number, or infinite", marks=pytest.mark.slow),
    ],
)
def test_an_engine_that_computes_something_else(
    error: float, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Code 32, with the worst figure and its limit."""
    place = bench(tmp_path, monkeypatch, output_error=error)
    with pytest.raises(Refusal, match=r".") as caught:
        checked(place)
    assert caught.value.code == 32
    assert caught.value.message.startswith(said)


def test_an_engine_that_does_not_load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The library's words."""
    place = bench(tmp_path, monkeypatch)
    plan = tmp_path / "model.plan"
    plan.write_bytes(b"no engine")
    with pytest.raises(Refusal) as caught:
        check_outputs(place.release, place.manifest, plan, place.said.append)
    assert caught.value.code == 32
    assert "Magic tag does not match" in caught.value.message


@pytest.mark.slow
def test_open_sizes_are_named_for_every_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The shapes of the sample, where the model leaves them open."""
    place = bench(tmp_path, monkeypatch)
    path = place.release / place.entry["model"]
    model = onnx.load(path)
    for value in (*model.graph.input, *model.graph.output):
        value.type.tensor_type.shape.dim[0].dim_param = "batch"
    onnx.save(model, path)
    assert checked(place)["verdict"] == "pass"
    assert "--minShapes=image:1x4" in place.device.calls("trtexec")[-2]
    assert "--shapes=image:1x4" in place.device.calls("trtexec")[-1]


@pytest.mark.parametrize(
    "dtype", ["float64", "float32", "float16", "int64", "int32", "int16", "int8", "uint8", "uint16", "bool"]
)
def test_raw_numbers_of_every_type(dtype: str) -> None:
    """As NumPy reads them."""
    values = np.array([0, 1, -3, 100, 7], np.int64).astype(dtype)
    assert [float(value) for value in numbers_of(values.tobytes(), dtype)] == [float(value) for value in values]


def test_bfloat16_and_what_is_no_tensor() -> None:
    """The upper half of a float32; other types and cut bytes are refused."""
    wide = np.array([1.0, -2.5, 3.140625, np.inf], np.float32)
    raw = (wide.view(np.uint32) >> 16).astype(np.uint16).tobytes()
    assert list(numbers_of(raw, "bfloat16")) == wide.tolist()
    with pytest.raises(ValueError, match="float8 cannot be read"):
        numbers_of(b"", "float8")
    with pytest.raises(ValueError, match="3 bytes are no whole number"):
        numbers_of(b"abc", "float16")


def test_errors_are_added_up_over_samples() -> None:
    """Largest, mean and the share of equal largest elements; equal infinities are no error."""
    total = OutputErrorSum()
    total.add([1.0, -math.inf, 0.0], [1.5, -math.inf, 0.0])
    total.add([3.0, 0.0, 1.0], [1.0, 2.0, 1.0])
    assert total.facts() == {"max_absolute": 2.0, "mean_absolute": 4.5 / 6, "argmax_agreement": 0.5}
    tolerance = {"max_absolute": 1.0, "mean_absolute": 0.1, "min_argmax_agreement": 0.9}
    assert misses("scores", total.facts(), tolerance) == [
        "scores: off by up to 2 (allowed 1), off by 0.75 on average (allowed 0.1), "
        "largest element the same in 50% of samples (needed 90%)"
    ]
    total.add([math.nan], [0.0])
    assert total.facts()["max_absolute"] == math.inf


@pytest.mark.slow
def test_another_shape_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both shapes are told."""
    place = bench(tmp_path, monkeypatch)
    path = place.release / "verify" / "samples.json"
    document = json.loads(path.read_text())
    document["samples"][0]["outputs"][0]["shape"] = [3, 1]
    path.write_text(json.dumps(document))
    with pytest.raises(Refusal, match=r"output scores has shape \[1, 3\], the reference \[3, 1\]"):
        checked(place)
