"""Sizes that a graph computes from other sizes at run time, as exported vision models do, are followed exactly."""

from pathlib import Path

import onnx_ir as ir
import pytest

pytest.importorskip("onnx", reason="the extra `onnx` reads models")

from infc.resolve.onnx_analysis.interpretation import Interpreter

from .models import analysed, flops, model_from_text, operator, profiled

SAME_PADDING = """
g (float[batch, 3, 21, 21] x) => (float[batch, 8, p, q] y)
<float[8, 3, 3, 3] k, int64 axis = {2}, float two = {2.0}, float one = {1.0}, float three = {3.0}, float zero = {0.0},
 int64[1] unit = {0}, int64[4] nothing = {0, 0, 0, 0}, float half = {2.0}> {
  shape = Shape(x)
  size = Gather(shape, axis)
  real = Cast<to=1>(size)
  ratio = Div(real, two)
  out = Ceil(ratio)
  steps = Sub(out, one)
  reach = Mul(steps, two)
  need = Add(reach, three)
  lack = Sub(need, real)
  pad = Max(lack, zero)
  before_real = Div(pad, half)
  before_floor = Floor(before_real)
  after_real = Sub(pad, before_floor)
  before_0 = Cast<to=7>(before_floor)
  after_0 = Cast<to=7>(after_real)
  before = Unsqueeze(before_0, unit)
  after = Unsqueeze(after_0, unit)
  no_pad = Slice(nothing, unit, two_i, unit)
  pads = Concat<axis=0>(no_pad, before, before, no_pad, after, after)
  padded = Pad(x, pads)
  y = Conv<strides=[2, 2]>(padded, k)
}""".replace("float half = {2.0}>", "float half = {2.0}, int64[1] two_i = {2}>")

WINDOWS = """
g (float[batch, 64, 6] x) => (float[batch, 64, 6] y)
<float[6, 6] k, int64 zero = {0}, int64 one = {1}, int64 two = {2}, int64 side = {8}, int64 window = {4},
 int64[1] unit = {0}, int64[1] four = {4}, int64[1] rest = {-1}, int64[1] area = {16}> {
  shape = Shape(x)
  items = Gather(shape, zero)
  width = Gather(shape, two)
  cells = Div(side, window)
  items_1 = Unsqueeze(items, unit)
  cells_1 = Unsqueeze(cells, unit)
  width_1 = Unsqueeze(width, unit)
  grid = Concat<axis=0>(items_1, cells_1, four, cells_1, four, width_1)
  cut = Reshape(x, grid)
  turned = Transpose<perm=[0, 1, 3, 2, 4, 5]>(cut)
  flat = Concat<axis=0>(rest, area, width_1)
  windows = Reshape(turned, flat)
  mixed = MatMul(windows, k)
  back = Concat<axis=0>(items_1, cells_1, cells_1, four, four, width_1)
  split = Reshape(mixed, back)
  joined = Transpose<perm=[0, 1, 3, 2, 4, 5]>(split)
  whole = Concat<axis=0>(items_1, rest, width_1)
  y = Reshape(joined, whole)
}"""


def test_padding_computed_from_the_size_of_the_input(tmp_path: Path) -> None:
    """TensorFlow's "same" padding: 21 pixels with stride 2 give ceil(21 / 2) = 11, and the batch stays an axis."""
    profile = profiled(tmp_path, SAME_PADDING)
    assert profile.batch_axis == "batch"
    assert profile.outputs[0].shape == ("batch", 8, 11, 11)
    assert operator(profile, "Conv").flops.at({"batch": 3}) == 3 * 8 * 11 * 11 * 2 * 27


def test_windows_cut_by_computed_sizes(tmp_path: Path) -> None:
    """Windows are folded into the batch and back: 4 windows of 16 rows an item."""
    profile = profiled(tmp_path, WINDOWS)
    assert profile.batch_axis == "batch"
    assert profile.outputs[0].shape == ("batch", 64, 6)
    assert flops(profile, batch=5) == 5 * 64 * 6 * 2 * 6


def test_model_of_fixed_batch_is_followed_too(tmp_path: Path) -> None:
    """Without any axis, sizes are plain numbers."""
    profile = profiled(tmp_path, WINDOWS.replace("batch", "2"))
    assert (profile.batch_axis, profile.fixed_batch) == (None, 2)
    assert flops(profile) == 2 * 64 * 6 * 2 * 6


def test_positions_from_a_range_that_is_expanded_and_chosen(tmp_path: Path) -> None:
    """Range, ConstantOfShape, Equal, Where and Expand, as exporters write `expand(batch, -1)`."""
    profile = profiled(
        tmp_path,
        """g (float[batch, 12] x) => (float[batch, 12, 4] y)
        <float[20, 4] table, int64 zero = {0}, int64 one = {1}, int64[1] unit = {0}, int64[2] asked = {-1, 12},
         int64[2] minus = {-1, -1}, float[4, 4] k> {
          shape = Shape(x)
          length = Gather(shape, one)
          positions = Range(zero, length, one)
          row = Unsqueeze(positions, unit)
          is_kept = Equal(asked, minus)
          target = Where(is_kept, shape, asked)
          rows = Expand(row, target)
          embedded = Gather(table, rows)
          y = MatMul(embedded, k)
        }""",
    )
    assert profile.outputs[0].shape == ("batch", 12, 4)
    assert operator(profile, "MatMul").flops.at({"batch": 2}) == 2 * 12 * 4 * 2 * 4


def test_branch_whose_condition_is_computed_from_sizes_is_taken(tmp_path: Path) -> None:
    """`If width > 5` is the same at every batch size; the branch that never runs is gone."""
    profile = profiled(
        tmp_path,
        """g (float[batch, 8] x) => (float[batch, 4] y)
        <int64 one = {1}, int64 five = {5}, float[8, 4] k, float[8, 8] big> {
          shape = Shape(x)
          width = Gather(shape, one)
          is_wide = Greater(width, five)
          chosen = If<
            then_branch = t () => (float[batch, 8] a) { a = Neg(x) },
            else_branch = e () => (float[batch, 8] c) { c = MatMul(x, big) }
          >(is_wide)
          y = MatMul(chosen, k)
        }""",
    )
    assert [op.op_type for op in profile.operators] == ["Neg", "MatMul"]
    assert profile.outputs[0].shape == ("batch", 4)


def test_sizes_of_a_second_axis_are_followed_through_shape_arithmetic(tmp_path: Path) -> None:
    """Heads are split by sizes that the graph computes; the sequence stays an axis."""
    profile = profiled(
        tmp_path,
        """g (float[batch, seq, 8] x) => (float[batch, seq, 8] y)
        <int64 zero = {0}, int64 one = {1}, int64[1] unit = {0}, int64[1] heads = {2}, int64[1] width = {4},
         int64[1] all = {8}, float[8, 8] k> {
          shape = Shape(x)
          items = Gather(shape, zero)
          length = Gather(shape, one)
          items_1 = Unsqueeze(items, unit)
          length_1 = Unsqueeze(length, unit)
          split = Concat<axis=0>(items_1, length_1, heads, width)
          cut = Reshape(x, split)
          q = Transpose<perm=[0, 2, 1, 3]>(cut)
          keys = Transpose<perm=[0, 2, 3, 1]>(cut)
          scores = MatMul(q, keys)
          weights = Softmax<axis=-1>(scores)
          mixed = MatMul(weights, q)
          merged = Transpose<perm=[0, 2, 1, 3]>(mixed)
          joined = Concat<axis=0>(items_1, length_1, all)
          flat = Reshape(merged, joined)
          y = MatMul(flat, k)
        }""",
    )
    assert (profile.batch_axis, profile.axes) == ("batch", ("seq",))
    products = sum(op.flops.at({"batch": 3, "seq": 7}) for op in profile.operators if op.op_type == "MatMul")
    assert products == 3 * (2 * 7 * 7 * 8 * 2 + 7 * 8 * 8 * 2)


def test_products_whose_size_the_data_decides_are_named(tmp_path: Path) -> None:
    """Never silently nothing: the diagnostic counts the products without FLOPs, and the caveat travels along."""
    result = analysed(
        tmp_path,
        model_from_text(
            """g (float[batch, 8] x) => (float[n, 4] y) <float[8, 8] a, float[2, 4] k> {
              first = MatMul(x, a)
              found = NonZero(first)
              turned = Transpose<perm=[1, 0]>(found)
              real = Cast<to=1>(turned)
              y = MatMul(real, k)
            }"""
        ),
    )
    (said,) = [d for d in result.diagnostics if d.id == "model-flops-unknown"]
    assert said.message.startswith("the FLOPs of 1 of 2 convolutions and matrix products of model.onnx")
    assert result.profile is not None
    assert "model-flops-unknown" in [caveat.id for caveat in result.profile.caveats]
    assert result.profile.batch_axis is None, "what was found in the whole batch cannot be told apart"


def test_batch_remains_behind_an_operator_that_nobody_knows(tmp_path: Path) -> None:
    """An output whose size is unknown for want of a rule does not take the batch axis away."""
    result = analysed(
        tmp_path,
        model_from_text(
            "g (float[batch, 8] x) => (y) { y = my.domain.Fancy(x) }",
            domains=', "my.domain": 1',
        ),
    )
    assert result.profile is not None
    assert result.profile.batch_axis == "batch"
    assert "model-operator-unknown" in [d.id for d in result.diagnostics]


def test_state_of_a_loop_keeps_its_size(tmp_path: Path) -> None:
    """What a loop leaves has the size of what it was given; the product behind it has all its FLOPs."""
    result = analysed(
        tmp_path,
        model_from_text(
            """g (float[batch, 8] x) => (float[batch, 4] y)
            <float[8, 8] a, float[8, 4] k, bool go = {1}, int64 trips = {5}> {
              state = Loop<body = body (int64 i, bool c, float[p, q] before) => (bool c_out, float[p, q] after) {
                c_out = Identity(c)
                after = MatMul(before, a)
              }>(trips, go, x)
              y = MatMul(state, k)
            }"""
        ),
    )
    assert result.profile is not None
    assert [d.id for d in result.diagnostics] == ["model-control-flow"]
    assert flops(result.profile, batch=3) == 3 * 2 * (8 * 8 + 8 * 4)


def test_sizes_behind_an_operator_that_only_symbols_know_are_followed(tmp_path: Path) -> None:
    """A vendor operator's size comes from symbolic inference, the shape arithmetic behind it from interpretation."""
    profile = profiled(
        tmp_path,
        """g (float[batch, 6, 8] x) => (float[batch, 12, 4] y)
        <float[8] gain, int64 zero = {0}, int64 one = {1}, int64[1] unit = {0}, int64[1] rest = {-1}, int64 two = {2},
         float[4, 4] k, int64[1] four = {4}> {
          normed = com.microsoft.FastGelu(x)
          shape = Shape(normed)
          items = Gather(shape, zero)
          rows = Gather(shape, one)
          doubled = Mul(rows, two)
          items_1 = Unsqueeze(items, unit)
          doubled_1 = Unsqueeze(doubled, unit)
          target = Concat<axis=0>(items_1, doubled_1, four)
          cut = Reshape(normed, target)
          y = MatMul(cut, k)
        }""",
        domains=', "com.microsoft": 1',
    )
    assert profile.outputs[0].shape == ("batch", 12, 4)


def test_repeated_blocks_and_further_sizes_agree_with_a_walk_of_their_own() -> None:
    """What is remembered of a block never leaks into another size."""
    model = ir.serde.deserialize_model(model_from_text(WINDOWS))
    interpreter = Interpreter(model=model, symbolic={})
    for batch in (2, 3, 2):
        alone = Interpreter(model=model, symbolic={}).at({"batch": batch})
        assert interpreter.at({"batch": batch}) == alone
        output = model.graph.outputs[0]
        assert alone.shapes[id(output)] == (batch, 64, 6)
