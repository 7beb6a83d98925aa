"""Reference outputs: of real data where there is some, with tolerances that a broken engine misses."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from infc.build.edge_release_json import SAMPLES_NAME, samples_from_json
from infc.ir.engine import LoweredModel
from infc.ir.precision import Precision
from infc.ir.problem import AxisDistribution, Problem
from tests.emit import samples

pytest.importorskip("onnxruntime", reason="runs the model with the extra onnx")

from infc.emit.jetson.verification import tolerance_of, verification


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """The sample model: ids int64[batch, sequence] -> scores float32[batch, 4]."""
    return samples.write_onnx(tmp_path / "model.onnx")


def lowered(path: Path) -> LoweredModel:
    """The model as it is, for a lowered one."""
    return LoweredModel(
        path=path, digest="1" * 64, source_digest="", precision=Precision.FP32, recipe_digest="", passes=()
    )


def quiet(_what: str, _done: int, _total: int) -> None:
    """Show nothing."""


def problem_with(maximum: int) -> Problem:
    """The sample problem with requests of at most so many ids."""
    base = samples.problem()
    axes = {"sequence": AxisDistribution(percentiles={}, maximum=maximum)}
    return replace(base, traffic=replace(base.traffic, axes=axes))


def test_rows_of_the_dataset_are_spread_over_it(model: Path, tmp_path: Path) -> None:
    """Behind those that calibrate, and cut to what an engine takes; the files are the tensors' bytes."""
    rows = np.tile(np.arange(100, dtype=np.int32)[:, None] % 10, (1, 6))
    np.savez(tmp_path / "data.npz", ids=rows, labels=np.zeros(100, dtype=np.int64))
    found, problems = verification(model, [lowered(model)], problem_with(4), tmp_path / "data.npz", quiet)
    assert problems == ()
    assert found is not None
    listed, problems = samples_from_json(found.files[SAMPLES_NAME])
    assert problems == ()
    assert listed is not None
    assert len(listed.samples) == 16
    assert listed.samples[0].inputs[0].shape == (1, 4)
    values = [np.frombuffer(found.files[sample.inputs[0].file], dtype="<i8") for sample in listed.samples]
    assert [int(each[0]) for each in values] == [row % 10 for row in range(20, 100, 5)]
    outputs = np.frombuffer(found.files[listed.samples[1].outputs[0].file], dtype="<f4")
    assert outputs.tolist() == [20.0, 21.0, 22.0, 23.0]
    assert listed.samples[1].outputs[0].file in found.outputs
    assert listed.samples[1].inputs[0].file not in found.outputs


def test_without_data_inputs_are_seeded(model: Path) -> None:
    """The same every time, of the largest size."""
    first, _ = verification(model, [lowered(model)], problem_with(8), None, quiet)
    second, _ = verification(model, [lowered(model)], problem_with(8), None, quiet)
    assert first is not None
    assert first == second
    assert np.frombuffer(first.files["verify/0/ids.bin"], dtype="<i8").shape == (8,)


def test_a_model_that_does_not_run_here_goes_unchecked(model: Path, tmp_path: Path) -> None:
    """A warning, and no samples."""
    broken = tmp_path / "broken.onnx"
    broken.write_bytes(model.read_bytes().replace(b"Gather", b"Gothar"))
    found, problems = verification(broken, [lowered(model)], problem_with(4), None, quiet)
    assert found is None
    assert [problem.id for problem in problems] == ["edge-outputs-unchecked"]


def test_names_of_tensors_become_names_of_files(tmp_path: Path) -> None:
    """Two names that differ only in what no file may be called stay two files."""
    import onnx
    from onnx import TensorProto, helper

    names = ["in:0", "in/0"]
    graph = helper.make_graph(
        [helper.make_node("Add", names, ["out:0"])],
        "add",
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", 2]) for name in names],
        [helper.make_tensor_value_info("out:0", TensorProto.FLOAT, ["batch", 2])],
    )
    path = tmp_path / "add.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10), path)
    specs = [replace(samples.SCORES, name=name, shape=("batch", 2)) for name in (*names, "out:0")]
    profile = samples.model_profile(inputs=tuple(specs[:2]), outputs=(specs[2],), axes=())
    found, _ = verification(path, [lowered(path)], samples.problem(profile), None, quiet)
    assert found is not None
    assert {"verify/0/in_0.bin", "verify/0/in_0-2.bin", "verify/0/out_0.bin"} <= set(found.files)


def test_a_tolerance_holds_for_like_errors_and_not_for_others() -> None:
    """Errors of the size that the precision costs pass; outputs of other inputs, or zeros, do not."""
    rng = np.random.default_rng(0)
    reference = rng.standard_normal((16, 10)).astype(np.float32)
    emulated = reference + rng.normal(0.0, 0.02, reference.shape).astype(np.float32)
    tolerance = tolerance_of(reference, [emulated], rows=1, is_classes=True)
    engine = reference + rng.normal(0.0, 0.02, reference.shape).astype(np.float32)
    assert np.abs(engine - reference).max() <= tolerance.max_absolute
    assert np.abs(engine - reference).mean() <= tolerance.mean_absolute
    assert tolerance.min_argmax_agreement is not None
    assert tolerance.min_argmax_agreement >= 0.75
    for broken in (np.zeros_like(reference), reference[::-1]):
        assert np.abs(broken - reference).max() > tolerance.max_absolute
        assert np.abs(broken - reference).mean() > tolerance.mean_absolute


def test_exact_models_are_allowed_the_noise_of_sums() -> None:
    """An unquantised model differs by nothing here; on a GPU it sums in another order."""
    reference = np.linspace(-8.0, 8.0, 32, dtype=np.float32).reshape(4, 8)
    tolerance = tolerance_of(reference, [reference], rows=1, is_classes=False)
    assert tolerance.max_absolute == pytest.approx(8.0 * 2.0**-10)
    assert tolerance.min_argmax_agreement is None


def test_infinities_on_both_sides_are_the_same() -> None:
    """A mask of minus infinity is not an error, one on one side only is a huge one, and everything stays a number."""
    reference = np.array([[0.0, -np.inf]], dtype=np.float32)
    assert tolerance_of(reference[:, 1:], [reference[:, 1:]], rows=1, is_classes=False).max_absolute < 1e30
    apart = tolerance_of(reference, [np.zeros_like(reference)], rows=1, is_classes=False)
    assert np.isfinite(apart.max_absolute)
    assert apart.max_absolute > 1e29
