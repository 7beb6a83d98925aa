"""What is read of an ONNX file without the onnx package."""

import contextlib
from pathlib import Path

import numpy as np
import onnx
import onnx.helper
import onnx.parser
import pytest

from infc.build.far.onnx_file import has_dynamic_inputs, node_count
from infc.ir.precision import Precision
from tests.build.build_requests import lowered

TEXT = """<ir_version: 8, opset_import: ["" : 17]>
tiny (float[{batch}, 4] x, int64[2] sizes) => (float[{batch}, 4] z)
<float[4] w = {{1, 2, 3, 4}}> {{
    two = Constant <value = float {{2.0}}> ()
    y = Mul(x, w)
    z = Mul(y, two)
}}"""


def written(folder: Path, batch: str) -> Path:
    """The model as a file, with its weight also among the inputs, as old exporters write it."""
    model = onnx.parser.parse_model(TEXT.format(batch=batch))
    model.graph.input.append(onnx.helper.make_tensor_value_info("w", onnx.TensorProto.FLOAT, ["open"]))
    onnx.save(model, folder / "model.onnx")
    return folder / "model.onnx"


@pytest.mark.parametrize(("batch", "is_open"), [("N", True), ("1", False), ("?", True)])
def test_sizes_that_are_left_open(batch: str, is_open: bool, tmp_path: Path) -> None:
    """A name or nothing where a size could stand; a weight is no input."""
    path = written(tmp_path, batch)
    assert has_dynamic_inputs(path) is is_open
    assert node_count(path) == 2


def test_a_real_model() -> None:
    """As many operators as the onnx package counts."""
    path = lowered(Precision.FP16).path
    model = onnx.load(path)
    assert node_count(path) == sum(node.op_type != "Constant" for node in model.graph.node)
    assert has_dynamic_inputs(path)


def test_what_is_no_model_is_refused(tmp_path: Path) -> None:
    """Any bytes end in an answer or a ValueError."""
    content = bytearray(written(tmp_path, "N").read_bytes())
    generator = np.random.default_rng(1)
    path = tmp_path / "other.onnx"
    for _ in range(300):
        damaged = bytearray(content[: generator.integers(1, len(content))])
        damaged[generator.integers(len(damaged))] = generator.integers(256)
        path.write_bytes(damaged)
        with contextlib.suppress(ValueError):
            node_count(path)
        with contextlib.suppress(ValueError):
            has_dynamic_inputs(path)
