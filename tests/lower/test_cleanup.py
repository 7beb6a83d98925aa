"""Cleaning and folding change no number and leave a graph that is easy to read."""

from pathlib import Path

import numpy as np
import onnx

from infc.diag import Diagnostic
from infc.lower.cleanup import clean_up, fold_shapes
from tests.lower.models import answers, context_for, model, normal, text_of


def test_identities_dead_nodes_and_constants_go(tmp_path: Path) -> None:
    """An identity and a dead node disappear; a Constant node becomes an initialiser."""
    before = model(
        """
        g (float[2, 3] x) => (float[2, 3] y) {
          two = Constant <value = float[1] {2.0}> ()
          same = Identity (x)
          unused = Neg (x)
          y = Mul (same, two)
        }
        """
    )
    expected = model("g (float[2, 3] x) => (float[2, 3] y) <float[1] two = {2.0}> { y = Mul (x, two) }")
    after, report = clean_up(before, context_for(before, tmp_path))
    assert text_of(after) == text_of(expected)
    assert report.changed == 3
    assert np.array_equal(answers(before, {"x": normal(2, 3)})[0], answers(after, {"x": normal(2, 3)})[0])


def test_shape_arithmetic_on_fixed_sizes_is_folded(tmp_path: Path) -> None:
    """What depends only on fixed sizes becomes a constant; the dynamic batch stays dynamic."""
    before = model(
        """
        g (float[n, 3, 4] x) => (float[n, 12] y) <int64[1] minus = {-1}, int64[1] one = {1}, int64 axis = {0}> {
          w = Transpose <perm = [0, 2, 1]> (x)
          fixed = Constant <value = float[3, 4] {1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1}> ()
          shape = Shape (fixed)
          size = ReduceProd <keepdims = 1> (shape)
          all = Concat <axis = 0> (minus, size)
          y = Reshape (w, all)
        }
        """
    )
    clean, _ = clean_up(before, context_for(before, tmp_path))
    after, report = fold_shapes(clean, context_for(before, tmp_path))
    assert "Shape" not in [node.op_type for node in after.graph.node]
    assert report.changed == 1
    feeds = {"x": normal(5, 3, 4)}
    assert np.array_equal(answers(before, feeds)[0], answers(after, feeds)[0])


def test_transposed_weights_are_constants_again(tmp_path: Path) -> None:
    """A Linear layer exported as a product with a Transpose of its weights has weights, whatever their size."""
    graph = onnx.parser.parse_graph(
        "g (float[n, 300] x) => (float[n, 400] y) { t = Transpose <perm = [1, 0]> (w)  y = MatMul (x, t) }"
    )
    weights = normal(400, 300)
    graph.initializer.append(onnx.numpy_helper.from_array(weights, "w"))
    before = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 18)], ir_version=10)
    after, report = fold_shapes(before, context_for(before, tmp_path))
    assert report.changed == 1
    assert [node.op_type for node in after.graph.node] == ["MatMul"]
    assert np.array_equal(onnx.numpy_helper.to_array(after.graph.initializer[0]), weights.T)


def test_the_shape_of_a_dynamic_value_is_left_alone(tmp_path: Path) -> None:
    """A Shape that depends on the batch is no constant."""
    before = model(
        """
        g (float[n, 3] x) => (float[m, 1, 3] y) <int64[1] axis = {1}> {
          shape = Shape (x)
          full = Concat <axis = 0> (shape, axis)
          first = Constant <value = int64[3] {0, 2, 1}> ()
          to = Gather (full, first)
          r = Relu (x)
          y = Reshape (r, to)
        }
        """
    )
    clean, _ = clean_up(before, context_for(before, tmp_path))
    after, report = fold_shapes(clean, context_for(before, tmp_path))
    assert report.changed == 0
    assert answers(after, {"x": normal(7, 3)})[0].shape == (7, 1, 3)


def test_cleaning_twice_is_cleaning_once(tmp_path: Path) -> None:
    """The passes are idempotent, byte for byte."""
    source = onnx.load(Path(__file__).parents[2] / "specs/fashion-mnist/resnet8.onnx")
    context = context_for(source, tmp_path)
    once = fold_shapes(clean_up(source, context)[0], context)[0]
    twice = fold_shapes(clean_up(once, context)[0], context)[0]
    assert once.SerializeToString(deterministic=True) == twice.SerializeToString(deterministic=True)


def test_control_flow_is_refused_with_its_name(tmp_path: Path) -> None:
    """A model with If cannot be lowered, and the message says which operator is in the way."""
    before = model(
        """
        g (bool c, float[2] x) => (float[2] y) {
          y = If (c) <
            then_branch = a () => (float[2] p) { p = Neg (x) },
            else_branch = b () => (float[2] q) { q = Abs (x) }
          >
        }
        """
    )
    refusal = clean_up(before, context_for(before, tmp_path))
    assert isinstance(refusal, Diagnostic)
    assert refusal.id == "lower-control-flow"
    assert "If" in refusal.message
