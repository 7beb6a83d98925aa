"""FLOPs, weights and moved elements of single operators against their closed forms."""

from dataclasses import dataclass
from pathlib import Path

import pytest

onnx = pytest.importorskip("onnx", reason="the extra `onnx` reads models")

from infc.resolve.onnx_analysis.flops import STANDARD  # noqa: E402

from .models import analysed, flops, model_from_text, profiled  # noqa: E402

AXES = {"b": 3.0, "s": 10.0, "h": 30.0, "w": 40.0}
MICROSOFT = ', "com.microsoft": 1'


@dataclass(frozen=True, kw_only=True)
class Case:
    """A graph of one operator and its FLOPs at `AXES`."""

    id: str
    body: str
    flops: float
    opset: int = 18
    domains: str = ""


def _pixels(height: int, width: int) -> int:
    return 3 * height * width


CASES = (
    Case(
        id="conv: output elements times filter size, and the bias",
        body="g (float[b, 6, h, w] x) => (float[b, 8, p, q] y) <float[8, 6, 3, 5] k, float[8] bias>"
        "{ y = Conv<pads=[1, 2, 1, 2]>(x, k, bias) }",
        flops=_pixels(30, 40) * 8 * (2 * 6 * 15 + 1),
    ),
    Case(
        id="grouped conv: each output sees the channels of its group",
        body="g (float[b, 6, h, w] x) => (float[b, 8, p, q] y) <float[8, 3, 1, 1] k> { y = Conv<group=2>(x, k) }",
        flops=_pixels(30, 40) * 8 * 2 * 3,
    ),
    Case(
        id="strided dilated conv: floor((size + pads - dilation*(kernel-1) - 1)/stride) + 1",
        body="g (float[b, 6, h, w] x) => (float[b, 8, p, q] y) <float[8, 6, 3, 3] k>"
        "{ y = Conv<strides=[2, 3], dilations=[2, 1]>(x, k) }",
        flops=_pixels((30 - 4 - 1) // 2 + 1, (40 - 2 - 1) // 3 + 1) * 8 * 2 * 54,
    ),
    Case(
        id="1-d conv",
        body="g (float[b, 6, s] x) => (float[b, 8, t] y) <float[8, 6, 3] k> { y = Conv(x, k) }",
        flops=3 * 8 * 8 * 2 * 18,
    ),
    Case(
        id="transposed conv: every input element is spread over the filter",
        body="g (float[b, 6, h, w] x) => (float[b, 8, p, q] y) <float[6, 8, 2, 2] k>"
        "{ y = ConvTranspose<strides=[2, 2]>(x, k) }",
        flops=_pixels(30, 40) * 6 * 2 * 8 * 4,
    ),
    Case(
        id="quantised conv",
        body="g (uint8[b, 6, h, w] x) => (uint8[b, 8, p, q] y)"
        "<float xs, uint8 xz, int8[8, 6, 1, 1] k, float ks, int8 kz, float ys, uint8 yz>"
        "{ y = QLinearConv(x, xs, xz, k, ks, kz, ys, yz) }",
        flops=_pixels(30, 40) * 8 * 2 * 6,
    ),
    Case(
        id="gemm with transposed operands",
        body="g (float[16, b] x) => (float[b, 4] y) <float[4, 16] k, float[4] c>"
        "{ y = Gemm<transA=1, transB=1>(x, k, c) }",
        flops=3 * 4 * (2 * 16 + 1),
    ),
    Case(
        id="com.microsoft quantised gemm",
        body="g (uint8[b, 16] x) => (uint8[b, 4] y)"
        "<float xs, uint8 xz, int8[16, 4] k, float ks, int8 kz, int32[4] c, float ys, uint8 yz>"
        "{ y = com.microsoft.QGemm(x, xs, xz, k, ks, kz, c, ys, yz) }",
        flops=3 * 4 * (2 * 16 + 1),
        domains=MICROSOFT,
    ),
    Case(
        id="matmul by a weight",
        body="g (float[b, s, 16] x) => (float[b, s, 4] y) <float[16, 4] k> { y = MatMul(x, k) }",
        flops=2 * 30 * 16 * 4,
    ),
    Case(
        id="batched matmul of activations",
        body="g (float[b, 2, s, 5] x, float[b, 2, 5, s] z) => (float[b, 2, s, s] y) { y = MatMul(x, z) }",
        flops=2 * 3 * 2 * 10 * 10 * 5,
    ),
    Case(
        id="integer matmul",
        body="g (uint8[b, 16] x) => (int32[b, 4] y) <uint8[16, 4] k> { y = MatMulInteger(x, k) }",
        flops=2 * 3 * 16 * 4,
    ),
    Case(
        id="einsum: a multiply-add for each combination of labels",
        body="g (float[b, s, 2, 5] x, float[b, s, 2, 5] z) => (float[b, 2, s, s] y)"
        '{ y = Einsum<equation="bqhd,bkhd->bhqk">(x, z) }',
        flops=2 * 3 * 2 * 10 * 10 * 5,
    ),
    Case(
        id="einsum with an ellipsis",
        body="g (float[b, s, 16] x) => (float[b, s, 4] y) <float[16, 4] k>"
        '{ y = Einsum<equation="...i,ij->...j">(x, k) }',
        flops=2 * 30 * 16 * 4,
    ),
    Case(
        id="gru: three gates",
        body="g (float[s, b, 8] x) => (float[s, 1, b, 6] y) <float[1, 18, 8] k, float[1, 18, 6] r>"
        "{ y = GRU<hidden_size=6>(x, k, r) }",
        flops=30 * 6 * 3 * (2 * (8 + 6) + 12),
    ),
    Case(
        id="attention of opset 23: two products and a softmax",
        body="g (float[b, 4, s, 8] q, float[b, 4, t, 8] k, float[b, 4, t, 8] v) => (float[b, 4, s, 8] y)"
        "{ y = Attention(q, k, v) }",
        flops=3 * 4 * 10 * 10 * (2 * 16 + 7),
        opset=23,
    ),
    Case(
        id="attention of opset 23 on packed heads",
        body="g (float[b, s, 32] q, float[b, t, 16] k, float[b, t, 16] v) => (float[b, s, 32] y)"
        "{ y = Attention<q_num_heads=4, kv_num_heads=2>(q, k, v) }",
        flops=3 * 10 * 10 * (2 * 64 + 4 * 7),
        opset=23,
    ),
    Case(
        id="linear attention: the state of 4 heads of 8 x 6 is read, written and read again for each token",
        body="g (float[b, s, 32] q, float[b, s, 32] k, float[b, s, 24] v, float[b, s, 4] beta) => (float[b, s, 24] y)"
        '{ y = LinearAttention<q_num_heads=4, kv_num_heads=4, update_rule="delta">(q, k, v, , , beta) }',
        flops=30 * 4 * 8 * 6 * 6,
        opset=27,
    ),
    Case(
        id="com.microsoft attention: packed projection, then attention",
        body="g (float[b, s, 32] x) => (float[b, s, 32] y) <float[32, 96] k, float[96] c>"
        "{ y = com.microsoft.Attention<num_heads=4>(x, k, c) }",
        flops=2 * 30 * 32 * 96 + 3 * 10 * 10 * (4 * 32 + 4 * 7),
        domains=MICROSOFT,
    ),
    Case(
        id="com.microsoft multi-head attention",
        body="g (float[b, s, 32] q, float[b, t, 32] k, float[b, t, 32] v) => (float[b, s, 32] y)"
        "{ y = com.microsoft.MultiHeadAttention<num_heads=4>(q, k, v) }",
        flops=3 * 10 * 10 * (4 * 32 + 4 * 7),
        domains=MICROSOFT,
    ),
    Case(
        id="com.microsoft 4-bit matmul",
        body="g (float[b, 64] x) => (float[b, 16] y) <uint8[16, 2, 16] k, float[32] scales>"
        "{ y = com.microsoft.MatMulNBits<K=64, N=16, bits=4, block_size=32>(x, k, scales) }",
        flops=2 * 3 * 64 * 16,
        domains=MICROSOFT,
    ),
    Case(
        id="max pool: kernel size for each output",
        body="g (float[b, 4, h, w] x) => (float[b, 4, p, q] y) { y = MaxPool<kernel_shape=[2, 2], strides=[2, 2]>(x) }",
        flops=_pixels(15, 20) * 4 * 4,
    ),
    Case(
        id="reductions read every input element once",
        body="g (float[b, s, 16] x) => (float[b, 1, 16] y) <int64[1] axes = {1}> { y = ReduceMean(x, axes) }",
        flops=3 * 10 * 16,
    ),
    Case(
        id="softmax: 7 an element",
        body="g (float[b, s] x) => (float[b, s] y) { y = Softmax(x) }",
        flops=7 * 30,
    ),
    Case(
        id="layer normalisation: 8 an element",
        body="g (float[b, s, 16] x) => (float[b, s, 16] y) <float[16] gain> { y = LayerNormalization(x, gain) }",
        flops=8 * 480,
    ),
    Case(
        id="addition broadcasts to the larger side",
        body="g (float[b, 1, 16] x, float[b, s, 1] z) => (float[b, s, 16] y) { y = Add(x, z) }",
        flops=480,
    ),
    Case(
        id="linear upsampling blends four neighbours",
        body="g (float[b, 4, h, w] x) => (float[b, 4, p, q] y) <float[0] roi = {}, float[4] f = {1.0, 1.0, 2.0, 2.0}>"
        '{ y = Resize<mode="linear">(x, roi, f) }',
        flops=_pixels(60, 80) * 4 * 7,
    ),
    Case(
        id="moving data costs no arithmetic",
        body="g (float[b, s, 16] x) => (float[s, b, 16] y) { y = Transpose<perm=[1, 0, 2]>(x) }",
        flops=0,
    ),
)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_flops_equal_the_closed_form(tmp_path: Path, case: Case) -> None:
    """One operator costs what its textbook formula says, at sizes of the axes chosen afterwards."""
    profile = profiled(tmp_path, case.body, opset=case.opset, domains=case.domains)
    assert flops(profile, **AXES, t=10.0, p=0.0, q=0.0) == pytest.approx(case.flops)


def test_every_operator_of_the_standard_has_a_rule() -> None:
    """A new ONNX release that adds operators fails here, not in somebody's plan."""
    known = {schema.name for schema in onnx.defs.get_all_schemas_with_history() if schema.domain == ""}
    assert known - set(STANDARD) == set()


def test_embedding_reads_the_rows_it_gathers_and_not_the_table(tmp_path: Path) -> None:
    """A table of 1000 x 16 costs s * 16 elements and the indices to read, and counts among the parameters."""
    profile = profiled(
        tmp_path, "g (int64[b, s] ids) => (float[b, s, 16] y) <float[1000, 16] table> { y = Gather(table, ids) }"
    )
    (gather,) = profile.operators
    assert gather.operator_class == "embedding"
    assert gather.weight_elements == 0
    assert gather.external_input_elements.at(AXES) == 30 + 30 * 16
    assert profile.parameter_elements == 16000


def test_depthwise_convolution_is_its_own_class(tmp_path: Path) -> None:
    """One filter per channel runs at another efficiency than a dense convolution."""
    body = "g (float[b, 8, h, w] x) => (float[b, 8, p, q] y) <float[8, 1, 3, 3] k> {{ y = Conv<group={group}>(x, k) }}"
    assert profiled(tmp_path, body.format(group=8)).operators[0].operator_class == "depthwise-conv"


def test_constants_are_folded_into_the_weights_of_their_reader(tmp_path: Path) -> None:
    """A weight that is quantised, dequantised and transposed in the graph is still one weight of the product."""
    profile = profiled(
        tmp_path,
        """g (float[b, 16] x) => (float[b, 4] y) <float[4, 16] k, float scale = {0.1}, int8 zero = {0}> {
          q = QuantizeLinear(k, scale, zero)
          d = DequantizeLinear(q, scale, zero)
          t = Transpose<perm=[1, 0]>(d)
          y = MatMul(x, t)
        }""",
    )
    assert [op.op_type for op in profile.operators] == ["MatMul"]
    assert profile.operators[0].weight_elements == 64


def test_shape_arithmetic_runs_on_the_host_and_costs_nothing(tmp_path: Path) -> None:
    """Shape, Gather, Concat and what else computes a target shape are not kernels."""
    profile = profiled(
        tmp_path,
        """g (float[b, s, 16] x) => (float[b, t] y) <int64 zero = {0}, int64[1] first = {0}, int64[1] rest = {-1}> {
          shape = Shape(x)
          batch = Gather(shape, zero)
          head = Unsqueeze(batch, first)
          target = Concat<axis=0>(head, rest)
          y = Reshape(x, target)
        }""",
    )
    assert [op.op_type for op in profile.operators] == ["Reshape"]
    assert profile.outputs[0].shape == ("b", "16*s")
    assert profile.outputs[0].bytes_at(AXES) == 4 * 3 * 160


def test_weights_stored_in_constant_nodes_are_parameters(tmp_path: Path) -> None:
    """Some exporters (Paddle) keep weights in Constant nodes."""
    profile = profiled(
        tmp_path,
        "g (float[b, 2] x) => (float[b, 2] y) {"
        "k = Constant<value = float[2, 2] {1.0, 2.0, 3.0, 4.0}>() y = MatMul(x, k) }",
    )
    assert (profile.parameter_elements, profile.weight_bytes) == (4, 16)


def test_unknown_operator_is_reported_and_counted_as_data_movement(tmp_path: Path) -> None:
    """An operator of a private domain costs its inputs and outputs, and a warning names it."""
    result = analysed(
        tmp_path,
        model_from_text(
            "g (float[b, 8] x) => (float[b, 8] y) { z = my.domain.Fancy(x) y = Relu(z) }", domains=', "my.domain": 1'
        ),
    )
    assert result.profile is not None
    assert [d.id for d in result.diagnostics if d.id == "model-operator-unknown"]
    assert any("my.domain::Fancy" in d.message for d in result.diagnostics)
    assert [caveat.id for caveat in result.profile.caveats] == [d.id for d in result.diagnostics]
    fancy = result.profile.operators[0]
    assert (fancy.operator_class, fancy.flops.at(AXES), fancy.input_elements.at(AXES)) == ("data-movement", 0.0, 24.0)


def test_bodies_of_control_flow_are_counted_once_with_a_caveat(tmp_path: Path) -> None:
    """A loop over a matrix product counts one product."""
    result = analysed(
        tmp_path,
        model_from_text(
            """g (float[b, 8] x, int64 trips) => (float[b, 8] y) <float[8, 8] k, bool go = {1}> {
              y = Loop<body = body (int64 i, bool c, float[b, 8] state) => (bool c_out, float[b, 8] state_out) {
                c_out = Identity(c)
                state_out = MatMul(state, k)
              }>(trips, go, x)
            }"""
        ),
    )
    assert result.profile is not None
    assert "model-control-flow" in [d.id for d in result.diagnostics]
    assert sum(op.flops.at(AXES) for op in result.profile.operators) == 2 * 3 * 8 * 8


def test_functions_of_the_model_are_inlined(tmp_path: Path) -> None:
    """A call of a model-local function costs what its body costs."""
    model = model_from_text(
        """g (float[b, 8] x) => (float[b, 4] y) <float[8, 4] k> { y = local.project(x, k) }
        <domain: "local", opset_import: ["": 18]>
        project (a, w) => (c) { p = MatMul(a, w) c = Relu(p) }""",
        domains=', "local": 1',
    )
    result = analysed(tmp_path, model)
    assert result.profile is not None
    assert [op.op_type for op in result.profile.operators] == ["MatMul", "Relu"]
    assert sum(op.flops.at(AXES) for op in result.profile.operators) == 2 * 3 * 8 * 4 + 12
