"""Axes, batch and sizes: found symbolically, by folding, or fitted, and reported where they cannot be found."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("onnx", reason="the extra `onnx` reads models")

from infc.resolve.onnx_analysis.fitted import fitted_law

from .models import analysed, model_from_text, profiled


def test_axes_keep_the_names_of_the_file(tmp_path: Path) -> None:
    """The batch axis leads every input and output; the others are what the spec's workload.axes names."""
    profile = profiled(
        tmp_path,
        "g (int64[N, seq] ids, float[N, seq] mask, float scale) => (float[N, seq] y)"
        "{ c = Cast<to=1>(ids) m = Mul(c, mask) y = Mul(m, scale) }",
    )
    assert (profile.batch_axis, profile.fixed_batch, profile.axes) == ("N", None, ("seq",))
    assert [(spec.name, spec.dtype, spec.shape) for spec in profile.inputs] == [
        ("ids", "int64", ("N", "seq")),
        ("mask", "float32", ("N", "seq")),
        ("scale", "float32", ()),
    ]


def test_unnamed_leading_dimensions_are_the_batch_and_other_unnamed_ones_are_axes(tmp_path: Path) -> None:
    """Paddle writes `?` and others nothing; each such dimension but the first is an axis named after its input."""
    model = model_from_text("g (float[a, 3, c, d] x) => (float[a, 3, c, d] y) { y = Relu(x) }")
    dims = model.graph.input[0].type.tensor_type.shape.dim
    dims[0].dim_param = dims[2].dim_param = "?"
    dims[3].ClearField("dim_param")
    result = analysed(tmp_path, model)
    assert result.profile is not None
    assert result.profile.inputs[0].shape == ("batch", 3, "x_dim2", "x_dim3")
    assert result.profile.batch_axis == "batch"


def test_leading_dimensions_with_made_up_names_are_one_batch(tmp_path: Path) -> None:
    """torch.export names unnamed dimensions itself, the batch of each input differently; other axes keep names."""
    profile = profiled(
        tmp_path,
        "g (float[s72, s53] x, float[s43, s53] mask) => (float[s72, s53] y) { y = Mul(x, mask) }",
    )
    assert (profile.batch_axis, profile.axes) == ("batch", ("s53",))
    alone = profiled(tmp_path, "g (float[s77, 8] x) => (float[s77, 8] y) { y = Relu(x) }")
    assert alone.batch_axis == "s77", "one name is a name"


@pytest.mark.parametrize(
    ("body", "fixed"),
    [
        ("g (float[1, 8] x) => (float[1, 8] y) { y = Relu(x) }", 1),
        ("g (float[4, 8] x) => (float[4, 8] y) { y = Relu(x) }", 4),
        ("g (float[n, 8] x, float[2, n, 8] state) => (float[2, n, 8] y) { y = Add(x, state) }", 1),
        ("g (float[n, 8] x) => (float[8] y) <int64[1] a = {0}> { y = ReduceSum<keepdims=0>(x, a) }", 1),
    ],
    ids=["fixed at one", "fixed at four", "state leads with layers", "output has no batch"],
)
def test_model_without_a_batch_axis_says_so(tmp_path: Path, body: str, fixed: int) -> None:
    """A server cannot stack requests of such a model; the caveat travels with the profile."""
    result = analysed(tmp_path, model_from_text(body))
    assert result.profile is not None
    assert (result.profile.batch_axis, result.profile.fixed_batch) == (None, fixed)
    assert [caveat.id for caveat in result.profile.caveats] == ["model-batch-fixed"]


def test_initializers_listed_as_inputs_are_weights(tmp_path: Path) -> None:
    """Files of IR version 3 list every initializer among the inputs."""
    model = model_from_text("g (float[b, 8] x) => (float[b, 4] y) <float[8, 4] k> { y = MatMul(x, k) }", opset=9)
    model.ir_version = 3
    model.graph.input.append(model.graph.input[0])
    model.graph.input[1].CopyFrom(next(_value_infos(model)))
    result = analysed(tmp_path, model)
    assert result.profile is not None
    assert [spec.name for spec in result.profile.inputs] == ["x"]
    assert result.profile.parameter_elements == 32


def _value_infos(model: "object") -> "object":
    import onnx

    for tensor in model.graph.initializer:  # type: ignore[attr-defined]
        yield onnx.helper.make_tensor_value_info(tensor.name, tensor.data_type, tensor.dims)


def test_stale_shapes_in_the_file_are_not_believed(tmp_path: Path) -> None:
    """Exporters leave sizes of the traced example on intermediate tensors; sizes are inferred anew."""
    profile = profiled(
        tmp_path, "g (float[b, 8] x) => (float[1, 4] y) <float[8, 4] k, float[1, 4] m> { m = MatMul(x, k) y = Relu(m) }"
    )
    assert profile.outputs[0].shape == ("b", 4)


def test_pads_computed_from_constants_are_folded(tmp_path: Path) -> None:
    """PyTorch writes pads as a chain of operators on constants; sizes behind the Pad are known all the same."""
    profile = profiled(
        tmp_path,
        """g (float[b, 3, w] x) => (float[b, 3, v] y)
        <int64[1] zeros = {4}, int64[2] given = {1, 2}, int64[2] grid = {-1, 2}, int64[1] flat = {-1},
         int64[1] starts = {-1}, int64[1] ends = {-9223372036854775807}, int64[1] axes = {0}, int64[1] steps = {-1}> {
          rest = ConstantOfShape<value = int64[1] {0}>(zeros)
          all = Concat<axis=0>(given, rest)
          pairs = Reshape(all, grid)
          reversed = Slice(pairs, starts, ends, axes, steps)
          turned = Transpose<perm=[1, 0]>(reversed)
          pads = Reshape(turned, flat)
          y = Pad(x, pads)
        }""",
    )
    assert profile.outputs[0].shape == ("b", 3, "w + 3")


def test_branch_that_asks_for_the_rank_is_taken(tmp_path: Path) -> None:
    """`If rank(x) == 3` is decided; no control flow remains."""
    profile = profiled(
        tmp_path,
        """g (float[b, 8] x) => (float[b, 4] y) <int64 three = {3}, float[8, 4] k> {
          shape = Shape(x)
          rank = Size(shape)
          is_three = Equal(rank, three)
          chosen = If<
            then_branch = t () => (float[b, 8] a) { a = Neg(x) },
            else_branch = e () => (float[b, 8] c) { c = Relu(x) }
          >(is_three)
          y = MatMul(chosen, k)
        }""",
    )
    assert [op.op_type for op in profile.operators] == ["Relu", "MatMul"]


def test_sizes_that_symbols_cannot_follow_are_fitted_to_fixed_sizes(tmp_path: Path) -> None:
    """A grid from Range over a size divided by a stride: unknown symbolically, exact by fitting."""
    profile = profiled(
        tmp_path,
        """g (float[b, 4, h, w] x) => (float[n, 1] y)
        <int64 two = {2}, int64 three = {3}, int64[1] head = {0}, int64[1] tail = {1}> {
          shape = Shape(x)
          rows = Gather(shape, two)
          columns = Gather(shape, three)
          cells = Mul(rows, columns)
          count = Unsqueeze(cells, head)
          target = Concat<axis=0>(count, tail)
          y = ConstantOfShape(target)
        }""",
    )
    assert profile.outputs[0].shape == ("h*w", 1)


def test_sizes_that_the_data_decides_are_reported(tmp_path: Path) -> None:
    """NonZero has as many columns as the input has nonzero elements; nobody can know."""
    result = analysed(
        tmp_path,
        model_from_text("g (float[b, 8] x) => (int64[2, n] y) { z = NonZero(x) y = Neg(z) }"),
    )
    assert result.profile is not None
    assert "model-shape-unknown" in [d.id for d in result.diagnostics]


@settings(max_examples=60, deadline=None)
@given(st.integers(-50, 50), st.integers(0, 40), st.integers(0, 40), st.integers(0, 40), st.sampled_from([1, 4, 64]))
def test_fitted_law_finds_every_multilinear_function(a: int, b: int, c: int, d: int, divisor: int) -> None:
    """Any a + b*x + c*y + d*x*y (over a divisor) that holds at the probes holds elsewhere."""
    sizes = [(64, 64), (128, 64), (192, 64), (64, 128), (64, 192), (128, 192), (192, 192)]
    points = [{"x": x, "y": y} for x, y in sizes]
    values = [a + (b * x + c * y + d * x * y) // divisor for x, y in sizes]
    law = fitted_law(values, points)
    assert law is not None
    assert law.at({"x": 320.0, "y": 448.0}) == pytest.approx(a + (b * 320 + c * 448 + d * 320 * 448) / divisor)


def test_no_law_is_made_up_for_values_that_follow_none() -> None:
    """Sizes that no function of the axes explains stay unknown."""
    assert fitted_law((3, 1, 4, 1, 5), tuple({"x": 64 * i} for i in range(1, 6))) is None
