"""Operators that TensorRT runs as one kernel are one group, and only what crosses its border moves."""

from itertools import pairwise
from pathlib import Path

import pytest

pytest.importorskip("onnx", reason="the extra `onnx` reads models")

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from .models import groups, operator, profiled

AXES = {"b": 2.0, "s": 6.0, "h": 8.0, "w": 8.0}


def test_convolution_takes_normalisation_activation_and_residual(tmp_path: Path) -> None:
    """Conv + BatchNormalization + residual Add + Relu are one kernel that reads its input and the shortcut."""
    profile = profiled(
        tmp_path,
        """g (float[b, 4, h, w] x) => (float[b, 4, h, w] y)
        <float[4, 4, 3, 3] k1, float[4, 4, 3, 3] k2, float[4] g1, float[4] b1, float[4] m1, float[4] v1> {
          c1 = Conv<pads=[1, 1, 1, 1]>(x, k1)
          r1 = Relu(c1)
          c2 = Conv<pads=[1, 1, 1, 1]>(r1, k2)
          n2 = BatchNormalization(c2, g1, b1, m1, v1)
          sum = Add(n2, x)
          y = Relu(sum)
        }""",
    )
    assert groups(profile) == [["Conv", "Relu"], ["Conv", "BatchNormalization", "Add", "Relu"]]
    moved = [op.external_input_elements.at(AXES) for op in profile.operators]
    assert moved == [512, 0, 512, 0, 512, 0]
    assert [op.is_group_output for op in profile.operators] == [False, True, False, False, False, True]


def test_gated_activation_stays_in_the_kernel_of_its_convolution(tmp_path: Path) -> None:
    """X * sigmoid(x) reads x twice but moves nothing."""
    profile = profiled(
        tmp_path,
        """g (float[b, 4, h, w] x) => (float[b, 4, h, w] y) <float[4, 4, 1, 1] k> {
          c = Conv(x, k) s = Sigmoid(c) y = Mul(c, s)
        }""",
    )
    assert groups(profile) == [["Conv", "Sigmoid", "Mul"]]
    assert sum(op.external_input_elements.at(AXES) for op in profile.operators) == 512


def test_squeeze_and_excite_scaling_is_not_part_of_the_small_convolution(tmp_path: Path) -> None:
    """The product over all pixels cannot be the epilogue of a 1x1 convolution on pooled channels."""
    profile = profiled(
        tmp_path,
        """g (float[b, 4, h, w] x) => (float[b, 4, h, w] y) <float[4, 4, 3, 3] k, float[4, 4, 1, 1] k2> {
          c = Conv<pads=[1, 1, 1, 1]>(x, k)
          pooled = GlobalAveragePool(c)
          excite = Conv(pooled, k2)
          gate = Sigmoid(excite)
          y = Mul(c, gate)
        }""",
    )
    assert groups(profile) == [["Conv"], ["GlobalAveragePool"], ["Conv", "Sigmoid"], ["Mul"]]
    assert operator(profile, "Mul").external_input_elements.at(AXES) == 512 + 8


ATTENTION = """g (float[b, s, 16] x, float[b, 1, 1, s] mask) => (float[b, s, 16] y)
  <float[16, 16] wq, float[16, 16] wk, float[16, 16] wv, float[16, 16] wo, float scale = {0.5},
   int64[4] heads = {0, 0, 4, 4}, int64[3] merged = {0, 0, 16}> {
    q = MatMul(x, wq)
    k = MatMul(x, wk)
    v = MatMul(x, wv)
    q4 = Reshape(q, heads)
    k4 = Reshape(k, heads)
    v4 = Reshape(v, heads)
    qt = Transpose<perm=[0, 2, 1, 3]>(q4)
    kt = Transpose<perm=[0, 2, 3, 1]>(k4)
    vt = Transpose<perm=[0, 2, 1, 3]>(v4)
    scores = MatMul(qt, kt)
    scaled = Mul(scores, scale)
    masked = Add(scaled, mask)
    weights = Softmax(masked)
    mixed = MatMul(weights, vt)
    back = Transpose<perm=[0, 2, 1, 3]>(mixed)
    joined = Reshape(back, merged)
    y = MatMul(joined, wo)
  }"""


def test_attention_is_one_kernel_that_moves_q_k_v_mask_and_result(tmp_path: Path) -> None:
    """The scores of b * heads * s * s never leave the kernel; head transposes are strides of the products."""
    profile = profiled(tmp_path, ATTENTION)
    softmax = operator(profile, "Softmax")
    core = [op for op in profile.operators if op.fusion_group == softmax.fusion_group]
    assert {op.op_type for op in core} == {"Transpose", "MatMul", "Mul", "Add", "Softmax", "Reshape"}
    assert sum(op.external_input_elements.at(AXES) for op in core) == 3 * 2 * 6 * 16 + 2 * 6
    assert sum(op.output_elements.at(AXES) for op in core if op.is_group_output) == 2 * 6 * 16
    assert len(groups(profile)) == 5


def test_softmax_that_someone_else_reads_is_not_hidden_in_attention(tmp_path: Path) -> None:
    """Attention weights that are an output of the model must be written."""
    body = ATTENTION.replace("=> (float[b, s, 16] y)", "=> (float[b, s, 16] y, float[b, 4, s, s] weights)")
    profile = profiled(tmp_path, body)
    assert operator(profile, "Softmax").is_group_output


def test_attention_reads_through_dropout_casts_and_guards(tmp_path: Path) -> None:
    """PyTorch writes softmax, IsNaN, Where before the product with V; it is the same kernel."""
    guarded = ATTENTION.replace(
        "mixed = MatMul(weights, vt)",
        "isnan = IsNaN(weights) safe = Where(isnan, zero, weights) mixed = MatMul(safe, vt)",
    ).replace("float scale", "float zero = {0.0}, float scale")
    profile = profiled(tmp_path, guarded)
    assert operator(profile, "Where").fusion_group == operator(profile, "Softmax").fusion_group
    assert len(groups(profile)) == 5


def test_quantise_and_dequantise_fold_into_their_neighbours(tmp_path: Path) -> None:
    """Q belongs to the kernel before it, DQ to the one after it, and the pair moves the tensor once."""
    profile = profiled(
        tmp_path,
        """g (float[b, 4, h, w] x) => (float[b, 4, h, w] y)
        <float[4, 4, 1, 1] k, float[4, 4, 1, 1] k2, float s = {0.1}, int8 z = {0}> {
          c = Conv(x, k)
          r = Relu(c)
          q = QuantizeLinear(r, s, z)
          d = DequantizeLinear(q, s, z)
          y = Conv(d, k2)
        }""",
    )
    assert groups(profile) == [["Conv", "Relu", "QuantizeLinear"], ["DequantizeLinear", "Conv"]]
    assert profile.operators[-1].external_input_elements.at(AXES) == 512


def test_reductions_over_other_axes_are_kernels_of_their_own(tmp_path: Path) -> None:
    """A normalisation over channels and a mean over the sequence read the tensor in different orders."""
    profile = profiled(
        tmp_path,
        """g (float[b, s, 16] x) => (float[b, 16] y) <float[16] gain, int64[1] axis = {1}> {
          n = LayerNormalization(x, gain)
          y = ReduceMean<keepdims=0>(n, axis)
        }""",
    )
    assert groups(profile) == [["LayerNormalization"], ["ReduceMean"]]


def test_mean_and_mean_square_are_one_pass(tmp_path: Path) -> None:
    """A normalisation that takes both moments of one tensor is one kernel, not two."""
    profile = profiled(
        tmp_path,
        """g (float[b, s, 16] x) => (float[b, s, 16] y) <float[16, 16] k, int64[1] last = {-1}> {
          a = MatMul(x, k)
          square = Mul(a, a)
          first = ReduceMean<keepdims=1>(a, last)
          second = ReduceMean<keepdims=1>(square, last)
          bias = Mul(first, first)
          variance = Sub(second, bias)
          y = Mul(a, variance)
        }""",
    )
    assert groups(profile) == [["MatMul", "Mul"], ["ReduceMean", "ReduceMean", "Mul", "Sub", "Mul"]]


def test_views_move_nothing_even_between_kernels(tmp_path: Path) -> None:
    """A Reshape between two products has no elements of its own, and the second product reads the first's output."""
    profile = profiled(
        tmp_path,
        """g (float[b, 16] x) => (float[t, 4] y) <float[16, 16] k, float[8, 4] k2, int64[2] to = {-1, 8}> {
          a = MatMul(x, k) r = Reshape(a, to) y = MatMul(r, k2)
        }""",
    )
    reshape = operator(profile, "Reshape")
    assert not reshape.is_group_output
    assert not reshape.external_input_elements.terms
    assert [op.external_input_elements.at(AXES) for op in profile.operators if op.op_type == "MatMul"] == [32, 32]


OPERATIONS = (
    "Relu({0})",
    "MatMul({0}, k)",
    "Add({0}, {1})",
    "Softmax({0})",
    "ReduceMean<keepdims=1>({0}, last)",
    "Mul({0}, {1})",
)


@st.composite
def random_graphs(draw: st.DrawFn) -> str:
    """A random acyclic graph of pointwise operators, products and reductions over [b, 8, 8]."""
    lines, full, small = [], ["x"], []
    for index in range(draw(st.integers(1, 12))):
        template = draw(st.sampled_from(OPERATIONS))
        first, second = draw(st.sampled_from(full)), draw(st.sampled_from(full + small))
        lines.append(f"v{index} = {template.format(first, second)}")
        (small if template.startswith("ReduceMean") else full).append(f"v{index}")
    lines.append(f"y = Add({full[-1]}, {(full + small)[-1]})")
    body = "\n".join(lines)
    return "g (float[b, 8, 8] x) => (float[b, 8, 8] y) <float[8, 8] k, int64[1] last = {-1}> {\n" + body + "\n}"


@given(body=random_graphs())
@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
def test_groups_of_any_graph_can_run_one_after_another(tmp_path: Path, body: str) -> None:
    """No two groups wait for each other; what is read from outside is written; FLOPs are linear in the batch."""
    profile = profiled(tmp_path, body)
    made_by: dict[str, int] = {}
    waits_for: dict[int, set[int]] = {}
    reads = dict(line.split(" = ") for line in body.splitlines() if " = " in line and "<" not in line.split(" = ")[0])
    for op in profile.operators:
        made_by[op.name] = op.fusion_group
    for op in profile.operators:
        for name, group in made_by.items():
            if group != op.fusion_group and name in _names(reads[op.name]):
                waits_for.setdefault(op.fusion_group, set()).add(group)
                maker = next(other for other in profile.operators if other.name == name)
                assert maker.is_group_output
    assert _is_acyclic(waits_for)
    totals = [sum(op.flops.at({"b": size}) for op in profile.operators) for size in (1.0, 2.0, 3.0, 4.0)]
    steps = [b - a for a, b in pairwise(totals)]
    assert steps == pytest.approx([totals[0]] * 3)


def _names(call: str) -> set[str]:
    return {name.strip() for name in call[call.index("(") + 1 : -1].split(",")}


def _is_acyclic(waits_for: dict[int, set[int]]) -> bool:
    done: set[int] = set()
    pending = set(waits_for) | {group for groups in waits_for.values() for group in groups}
    while pending:
        ready = {group for group in pending if waits_for.get(group, set()) <= done}
        if not ready:
            return False
        done |= ready
        pending -= ready
    return True
