"""The verifier finds what TensorRT or a server would only refuse later, and names the pass that did it."""

from pathlib import Path

import onnx
import pytest
from onnx import TensorProto

from infc.diag import Diagnostic, InternalError
from infc.ir.engine import PassReport
from infc.ir.precision import Precision
from infc.lower.lowering import run_passes
from infc.lower.passes import PassContext
from infc.lower.settings import LoweringSettings
from infc.lower.verifier import verify
from tests.lower.models import HEADER, context_for, model

QDQ = """
g (float[n, 2] x) => (float[n, 2] y) <
  int8[2, 2] w = {1, 2, 3, 4}, float[2] s = {0.1, 0.2}, int8[2] z = {%s},
  float sx = {0.1}, int8 zx = {0}
> {
  q = QuantizeLinear (x, sx, zx)
  d = DequantizeLinear (q, sx, zx)
  wf = DequantizeLinear <axis = %d> (w, s, z)
  y = MatMul (d, wf)
}
"""
FP8 = """
g (float[n, 2] x) => (float[n, 2] y) <
  %s[2, 2] w = {1, 2, 3, 4}, float[2] s = {0.1, 0.2}, float sx = {0.1}, %s zx = {0}
> {
  q = QuantizeLinear (x, sx, zx)
  d = DequantizeLinear (q, sx, zx)
  wf = DequantizeLinear <axis = 1> (w, s)
  y = MatMul (d, wf)
}
"""
SOURCE = "g (float[n, 2] x) => (float[n, 2] y) <float[2, 2] w = {1, 2, 3, 4}> { y = MatMul (x, w) }"


def context(tmp_path: Path, dialect: str = "tensorrt") -> PassContext:
    """A context for the source of these models."""
    settings = LoweringSettings(dialect=dialect)  # type: ignore[arg-type]
    return context_for(model(SOURCE), tmp_path, Precision.INT8, settings)


def test_legal_qdq_passes(tmp_path: Path) -> None:
    """Symmetric int8 with scales along the output channels is legal."""
    assert verify(model(QDQ % ("0, 0", 1)), context(tmp_path)) == ()


def test_a_zero_point_is_refused_for_tensorrt_only(tmp_path: Path) -> None:
    """TensorRT takes symmetric quantisation only; ONNX Runtime takes any."""
    asymmetric = model(QDQ % ("0, 3", 1))
    assert any("symmetric" in problem for problem in verify(asymmetric, context(tmp_path)))
    assert verify(asymmetric, context(tmp_path, "onnxruntime")) == ()


def test_scales_along_the_wrong_axis_are_refused(tmp_path: Path) -> None:
    """Per-channel scales run along the output channels."""
    (problem,) = verify(model(QDQ % ("0, 0", 0)), context(tmp_path))
    assert "axis 0" in problem
    assert "MatMul needs axis 1" in problem


def test_a_quantised_bias_is_refused(tmp_path: Path) -> None:
    """TensorRT has no int32 behind DequantizeLinear."""
    value = model(
        """
        g (float[n, 2] x) => (float[n, 2] y) <int32[2] b = {5, 6}, float s = {0.5}> {
          d = DequantizeLinear (b, s)
          y = Add (x, d)
        }
        """
    )
    assert any("int32" in problem for problem in verify(value, context(tmp_path)))


def test_a_changed_interface_is_refused(tmp_path: Path) -> None:
    """Inputs and outputs keep name and type: clients must not notice the precision."""
    value = model("g (float16[n, 2] x) => (float[n, 2] y) { y = Cast <to = 1> (x) }")
    assert any("inputs changed" in problem for problem in verify(value, context(tmp_path)))


def test_half_weights_do_not_belong_in_fp32(tmp_path: Path) -> None:
    """A 16-bit weight in an FP32 model is a leftover."""
    value = model(
        """
        g (float[n, 2] x) => (float[n, 2] y) <float16[2] w = {1, 2}> { f = Cast <to = 1> (w)  y = Add (x, f) }
        """
    )
    assert any("leftover" in p or "FP16" in p for p in verify(value, context_for(model(SOURCE), tmp_path)))


def test_a_name_that_occurs_twice_is_refused(tmp_path: Path) -> None:
    """Two nodes of one name cannot be told apart in a report."""
    value = model("g (float[n, 2] x) => (float[n, 2] y) { h = Neg (x)  y = Neg (h) }")
    for node in value.graph.node:
        node.name = "same"
    assert "node name same occurs 2 times" in verify(value, context_for(value, tmp_path))


def test_the_guilty_pass_is_named(tmp_path: Path) -> None:
    """A pass that breaks a sound model is a bug of infc, and the error says which pass it was."""

    def breaks(value: onnx.ModelProto, _context: PassContext) -> tuple[onnx.ModelProto, PassReport]:
        broken = onnx.ModelProto()
        broken.CopyFrom(value)
        broken.graph.node[0].input[1] = "nowhere"
        return broken, PassReport(name="breaks-things", changed=1, notes=())

    with pytest.raises(InternalError, match="lowering pass breaks-things broke"):
        run_passes(model(SOURCE), (breaks,), context(tmp_path))


def test_a_source_that_is_quantised_already_is_refused(tmp_path: Path) -> None:
    """An asymmetric Q/DQ source cannot become a TensorRT engine: infc asks for the FP32 model."""
    value = model(QDQ % ("0, 3", 1))
    result = run_passes(value, (), context_for(value, tmp_path, Precision.FP16))
    assert isinstance(result, Diagnostic)
    assert result.id == "lower-source-precision"
    assert "symmetric" in result.notes[0]


def test_a_source_in_half_precision_is_refused_for_int8(tmp_path: Path) -> None:
    """BF16 weights are no source for INT8."""
    value = model(
        "g (float[n, 2] x) => (float[n, 2] y) <bfloat16[2] w = {1, 2}> { f = Cast <to = 1> (w)  y = Add (x, f) }"
    )
    result = run_passes(value, (), context_for(value, tmp_path, Precision.INT8))
    assert isinstance(result, Diagnostic)
    assert result.id == "lower-source-precision"


def test_a_source_that_is_not_sound_is_the_users_problem(tmp_path: Path) -> None:
    """A broken source is a diagnostic, before any pass runs."""
    value = onnx.parser.parse_model(HEADER + SOURCE)
    value.graph.node[0].input[1] = "nowhere"
    result = run_passes(value, (), context(tmp_path))
    assert isinstance(result, Diagnostic)
    assert result.id == "model-corrupt"


def test_fp8_is_e4m3(tmp_path: Path) -> None:
    """E4M3 is legal in an FP8 model and in no other; E5M2 is not what TensorRT takes."""
    header = HEADER.replace("18", "19")
    for_fp8 = context_for(model(SOURCE), tmp_path, Precision.FP8)
    legal = model(FP8 % ("float8e4m3fn", "float8e4m3fn"), header)
    assert verify(legal, for_fp8) == ()
    assert any("fp8 in a model for int8" in problem for problem in verify(legal, context(tmp_path)))
    other = model(FP8 % ("float8e5m2", "float8e5m2"), header)
    assert any("E4M3 only" in problem for problem in verify(other, for_fp8))
    assert any("int8 in a model for fp8" in problem for problem in verify(model(QDQ % ("0, 0", 1)), for_fp8))


def blocks(*, rows: int, size: int, scales: tuple[int, int], axis: int = 0) -> onnx.ModelProto:
    """A product whose INT4 weights stand in blocks."""
    make = onnx.helper.make_tensor
    graph = onnx.parser.parse_graph(f"g (float[n, {rows}] x) => (float[n, 128] y) {{ y = MatMul (x, wf) }}")
    node = onnx.helper.make_node("DequantizeLinear", ["w", "s"], ["wf"], name="dq", axis=axis, block_size=size)
    graph.node.insert(0, node)
    graph.initializer.append(make("w", TensorProto.INT4, [rows, 128], [1] * (rows * 128)))
    graph.initializer.append(make("s", TensorProto.FLOAT, scales, [0.5] * (scales[0] * scales[1])))
    return onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 21)], ir_version=10)


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (blocks(rows=256, size=128, scales=(2, 128)), None),
        (blocks(rows=256, size=32, scales=(8, 128)), "blocks of 32"),
        (blocks(rows=320, size=128, scales=(3, 128)), "whole blocks of 128"),
        (blocks(rows=256, size=128, scales=(256, 1), axis=1), "MatMul sums over 0"),
    ],
)
def test_int4_stands_in_whole_blocks_along_the_sum(value: onnx.ModelProto, words: str | None, tmp_path: Path) -> None:
    """Blocks of 64 or 128 that divide the summed axis are legal; TensorRT-RTX refuses a rest as it is refused here."""
    rows = value.graph.input[0].type.tensor_type.shape.dim[1].dim_value
    source = onnx.helper.make_model(
        onnx.parser.parse_graph(
            f"g (float[n, {rows}] x, float[{rows}, 128] w) => (float[n, 128] y) {{ y = MatMul (x, w) }}"
        ),
        opset_imports=[onnx.helper.make_opsetid("", 21)],
        ir_version=10,
    )
    for_int4 = context_for(source, tmp_path, Precision.INT4)
    problems = [problem for problem in verify(value, for_int4) if "inputs changed" not in problem]
    assert problems == [] if words is None else any(words in problem for problem in problems)


def test_an_exception_with_qdq_is_refused(tmp_path: Path) -> None:
    """An operator that was to keep its precision has none in front of it."""
    value = model(QDQ % ("0, 0", 1))
    value.graph.node[-1].name = "product"
    kept = context_for(model(SOURCE), tmp_path, Precision.INT8, LoweringSettings(kept=("product",)))
    said = PassReport(name="quantize", changed=0, notes=(), kept={"product": "raised back"})
    assert verify(value, kept, [said]) == ("product was to keep its precision and has Q/DQ",)


def test_a_product_that_was_forgotten_is_refused(tmp_path: Path) -> None:
    """After quantising, every operator of its types has Q/DQ or a reason."""
    value = model(SOURCE)
    value.graph.node[0].name = "product"
    said = PassReport(name="quantize", changed=0, notes=())
    assert verify(value, context(tmp_path)) == ()
    assert verify(value, context(tmp_path), [said]) == ("MatMul product has no Q/DQ and no reason for it",)
    reason = PassReport(name="quantize", changed=0, notes=(), kept={"product": "its weights are computed"})
    assert verify(value, context(tmp_path), [reason]) == ()
