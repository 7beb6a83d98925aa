"""The analysis reads every opset from 9 to the newest alike."""

from pathlib import Path

import pytest

onnx = pytest.importorskip("onnx", reason="the extra `onnx` reads models")

from .models import LATEST_OPSET, flops, profiled  # noqa: E402

OPSETS = range(9, LATEST_OPSET + 1)


def _squeeze(opset: int, value: str, axis: int) -> str:
    return f"Squeeze<axes=[{axis}]>({value})" if opset < 13 else f"Squeeze({value}, axis_{axis})"


def _convolution_net(opset: int) -> str:
    scale = (
        'Upsample<mode="nearest">(pooled, scales)'
        if opset == 9
        else (
            'Resize<mode="nearest">(pooled, scales)' if opset == 10 else 'Resize<mode="nearest">(pooled, none, scales)'
        )
    )
    clip = "Clip<min=0.0, max=6.0>(normed)" if opset < 11 else "Clip(normed, zero, six)"
    return f"""
    net (float[batch, 3, h, w] x) => (float[batch, 4] y)
    <float[8, 3, 3, 3] weight, float[8] gain, float[8] bias, float[8] mean, float[8] var, float[4, 8] head,
     float[4] last, float[4] scales = {{1.0, 1.0, 2.0, 2.0}}, float zero = {{0.0}}, float six = {{6.0}},
     float[0] none = {{}}, int64[1] axis_3 = {{3}}, int64[1] axis_2 = {{2}}>
    {{
      conv = Conv<pads=[1, 1, 1, 1], strides=[2, 2]>(x, weight)
      normed = BatchNormalization(conv, gain, bias, mean, var)
      clipped = {clip}
      pooled = MaxPool<kernel_shape=[2, 2], strides=[2, 2]>(clipped)
      scaled = {scale}
      mean_of_all = GlobalAveragePool(scaled)
      flat_3 = {_squeeze(opset, "mean_of_all", 3)}
      flat = {_squeeze(opset, "flat_3", 2)}
      logits = Gemm<transB=1>(flat, head, last)
      y = Softmax<axis=1>(logits)
    }}"""


@pytest.mark.parametrize("opset", OPSETS)
def test_convolutional_net_has_the_same_closed_form_in_every_opset(tmp_path: Path, opset: int) -> None:
    """Convolution FLOPs are 2 * batch * out_h * out_w * 8 * 27, whatever form the operators around it have."""
    profile = profiled(tmp_path, _convolution_net(opset), opset=opset)
    assert profile.opset == opset
    assert (profile.batch_axis, profile.axes) == ("batch", ("h", "w"))
    (conv,) = [op for op in profile.operators if op.op_type == "Conv"]
    (gemm,) = [op for op in profile.operators if op.op_type == "Gemm"]
    assert conv.flops.at({"batch": 2, "h": 33, "w": 64}) == 2 * 2 * 17 * 32 * 8 * 27
    assert gemm.flops.at({"batch": 2}) == 2 * 2 * 8 * 4 + 2 * 4
    pool = next(op for op in profile.operators if op.op_type == "MaxPool")
    assert pool.output_elements.at({"batch": 2, "h": 33, "w": 64}) == 2 * 8 * 8 * 16


def _encoder_block(opset: int) -> str:
    def reduce_mean(value: str) -> str:
        return f"ReduceMean<axes=[-1], keepdims=1>({value})" if opset < 18 else f"ReduceMean<keepdims=1>({value}, last)"

    return f"""
    block (float[batch, seq, 16] x) => (float[batch, seq, 16] y)
    <float[16, 48] qkv, float[16, 16] out, float[16] gain, float[16] shift, float eps = {{0.00001}},
     float two = {{2.0}}, float scale = {{0.5}},
     int64[1] last = {{-1}}, int64[4] heads = {{0, 0, 4, 4}}, int64[3] merged = {{0, 0, 16}}>
    {{
      packed = MatMul(x, qkv)
      q, k, v = Split<axis=2{", num_outputs=3" if opset >= 18 else ""}>(packed)
      q4 = Reshape(q, heads)
      k4 = Reshape(k, heads)
      v4 = Reshape(v, heads)
      qt = Transpose<perm=[0, 2, 1, 3]>(q4)
      kt = Transpose<perm=[0, 2, 3, 1]>(k4)
      vt = Transpose<perm=[0, 2, 1, 3]>(v4)
      scores = MatMul(qt, kt)
      scaled = Mul(scores, scale)
      weights = Softmax<axis=3>(scaled)
      mixed = MatMul(weights, vt)
      back = Transpose<perm=[0, 2, 1, 3]>(mixed)
      joined = Reshape(back, merged)
      projected = MatMul(joined, out)
      residual = Add(x, projected)
      mean = {reduce_mean("residual")}
      centred = Sub(residual, mean)
      squared = Pow(centred, two)
      variance = {reduce_mean("squared")}
      safe = Add(variance, eps)
      deviation = Sqrt(safe)
      normed = Div(centred, deviation)
      gained = Mul(normed, gain)
      y = Add(gained, shift)
    }}"""


@pytest.mark.parametrize("opset", OPSETS)
def test_encoder_block_has_the_same_closed_form_and_kernels_in_every_opset(tmp_path: Path, opset: int) -> None:
    """Products cost 2*b*s*16*(48 + 16) + 4*b*s*s*16; attention and the decomposed layer norm are one kernel each."""
    profile = profiled(tmp_path, _encoder_block(opset), opset=opset)
    products = sum(op.flops.at({"batch": 3, "seq": 10}) for op in profile.operators if op.op_type == "MatMul")
    assert products == 2 * 30 * 16 * 48 + 2 * 30 * 16 * 16 + 4 * 3 * 10 * 10 * 16
    by_group = {op.name: op.fusion_group for op in profile.operators}
    softmax = next(op for op in profile.operators if op.op_type == "Softmax")
    attention = [op.op_type for op in profile.operators if op.fusion_group == softmax.fusion_group]
    assert [kind for kind in attention if kind in ("MatMul", "Mul", "Softmax")] == [
        "MatMul",
        "Mul",
        "Softmax",
        "MatMul",
    ]
    layer_norm = [op.op_type for op in profile.operators if op.fusion_group == profile.operators[-1].fusion_group]
    assert layer_norm == ["ReduceMean", "Sub", "Pow", "ReduceMean", "Add", "Sqrt", "Div", "Mul", "Add"]
    assert len(set(by_group.values())) == 4  # QKV product, attention, projection + residual, layer norm
    assert flops(profile, batch=6, seq=10) == pytest.approx(2 * flops(profile, batch=3, seq=10))


@pytest.mark.parametrize("opset", [9, 13, 14, 22, LATEST_OPSET])
def test_recurrent_cell_has_the_same_closed_form_in_old_and_new_opsets(tmp_path: Path, opset: int) -> None:
    """Each of 2 directions costs 2 * steps * batch * 4 * hidden * (input + hidden) FLOPs, and its gating."""
    profile = profiled(
        tmp_path,
        """lstm (float[time, batch, 10] x) => (float[time, 2, batch, 6] y)
        <float[2, 24, 10] w, float[2, 24, 6] r, float[2, 48] b>
        { y = LSTM<hidden_size=6, direction="bidirectional">(x, w, r, b) }""",
        opset=opset,
    )
    assert flops(profile, time=7, batch=3) == 2 * 7 * 3 * 4 * 6 * (2 * (10 + 6) + 12)


@pytest.mark.parametrize("opset", [9, 10, 13, LATEST_OPSET])
def test_slices_of_every_form_are_read_for_what_they_keep(tmp_path: Path, opset: int) -> None:
    """Slice took attributes before opset 10 and takes inputs since; only the kept elements are read."""
    cut = "Slice<axes=[1], starts=[2], ends=[6]>(x)" if opset < 10 else "Slice(x, starts, ends, axes)"
    profile = profiled(
        tmp_path,
        f"""cut (float[batch, 100] x) => (float[batch, 4] y)
        <int64[1] starts = {{2}}, int64[1] ends = {{6}}, int64[1] axes = {{1}}> {{ y = {cut} }}""",
        opset=opset,
    )
    assert profile.operators[0].external_input_elements.at({"batch": 5}) == 20
