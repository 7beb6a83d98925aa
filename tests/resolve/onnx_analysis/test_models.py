"""Real models: multiply-adds, parameters and kernels against numbers found elsewhere."""

from collections import Counter
from pathlib import Path

import pytest

pytest.importorskip("onnx", reason="the extra `onnx` reads models")

from infc.ir.model_profile import ModelProfile
from infc.resolve.onnx_analysis import analyse
from infc.resolve.profile_json import text_from_model

SPECS = Path(__file__).parents[3] / "specs"
MATRIX_CLASSES = ("conv", "depthwise-conv", "gemm")


def profile_of(path: str) -> ModelProfile:
    """The profile of a model under specs/; skips when it was not fetched."""
    file = SPECS / path
    if not file.exists():
        pytest.skip(f"{path} is fetched by `make models`")
    result = analyse(file, file.stem)
    assert result.profile is not None
    assert result.diagnostics == ()
    return result.profile


def multiply_adds(profile: ModelProfile, **axes: float) -> float:
    """Multiply-adds of convolutions and products, biases left out as usual in the literature."""
    total = 0.0
    for op in profile.operators:
        if op.operator_class in MATRIX_CLASSES:
            written = op.output_elements.at(axes)
            has_bias = op.flops.at(axes) % (2 * written) != 0
            total += (op.flops.at(axes) - (written if has_bias else 0.0)) / 2.0
    return total


def test_resnet8() -> None:
    """77 k parameters, 9.4 M multiply-adds, 11 kernels: nine convolutions, a mean and the classifier."""
    profile = profile_of("fashion-mnist/resnet8.onnx")
    assert (profile.batch_axis, profile.axes, profile.opset) == ("batch", (), 18)
    assert profile.parameter_elements == 77420
    assert multiply_adds(profile, batch=1) == pytest.approx(0.00935e9, rel=0.01)
    assert multiply_adds(profile, batch=32) == 32 * multiply_adds(profile, batch=1)
    assert len({op.fusion_group for op in profile.operators}) == 11
    assert len(text_from_model(profile)) < 5_000


def test_resnet8_is_profiled_alike_every_time() -> None:
    """The same file gives the same bytes."""
    first, second = (text_from_model(profile_of("fashion-mnist/resnet8.onnx")) for _ in range(2))
    assert first == second


@pytest.mark.slow
@pytest.mark.parametrize(("batch", "sequence"), [(1, 128), (32, 256), (8, 16)])
def test_minilm_has_the_closed_form_of_its_architecture(batch: int, sequence: int) -> None:
    """Six layers of 12*384^2 weights and two products with 384 columns: exact at every size."""
    profile = profile_of("minilm/minilm-l6-v2.onnx")
    tokens = batch * sequence
    expected = 12 * 384**2 * 6 * tokens + 2 * sequence**2 * 384 * 6 * batch
    assert multiply_adds(profile, batch=batch, seq=sequence) == expected
    assert (profile.batch_axis, profile.axes) == ("batch", ("seq",))
    assert profile.parameter_elements == pytest.approx(22.57e6, rel=0.001)


@pytest.mark.slow
def test_minilm_kernels_are_those_of_an_encoder() -> None:
    """Each of six layers runs 3 projections, 1 attention, 1 output product, 2 norms and 2 feed-forward products."""
    profile = profile_of("minilm/minilm-l6-v2.onnx")
    kinds = Counter()
    for group in {op.fusion_group for op in profile.operators}:
        types = [op.op_type for op in profile.operators if op.fusion_group == group]
        kinds["attention" if "Softmax" in types else "product" if "MatMul" in types else types[0]] += 1
    assert kinds["attention"] == 6
    assert kinds["product"] == 6 * 6
    assert kinds["LayerNormalization"] == 12
    assert len(text_from_model(profile)) < 100_000


@pytest.mark.slow
@pytest.mark.parametrize(
    ("path", "tensorrt_kernels"),
    [
        ("fashion-mnist/resnet8.onnx", 11),
        ("efficientnet-lite0/efficientnet-lite0.onnx", 52),
        ("minilm/minilm-l6-v2.onnx", 66),
        ("magika/magika-v3-3.onnx", 13),
    ],
)
def test_there_are_as_many_kernels_as_tensorrt_builds(path: str, tensorrt_kernels: int) -> None:
    """Within two of TensorRT-RTX 1.7.1's layers for the FP16 model on SM 8.9, shape and cast kernels aside."""
    profile = profile_of(path)
    assert abs(len({op.fusion_group for op in profile.operators}) - tensorrt_kernels) <= 2


@pytest.mark.slow
def test_minilm_activations_match_the_liveness_of_its_tensors() -> None:
    """At batch 32 and length 128 about 84 MB of FP32 activations are alive at once."""
    profile = profile_of("minilm/minilm-l6-v2.onnx")
    assert profile.peak_activation_elements.at({"batch": 32, "seq": 128}) * 4 == pytest.approx(83.9e6, rel=0.02)


@pytest.mark.slow
def test_magika_whose_symbolic_sizes_are_wrong_is_fitted() -> None:
    """Symbolic inference returns a batch of 1e9; the profile has 0.3667 G multiply-adds an item."""
    profile = profile_of("magika/magika-v3-3.onnx")
    assert profile.batch_axis is not None
    assert multiply_adds(profile, **{profile.batch_axis: 1}) == pytest.approx(0.3667e9, rel=0.001)
    assert profile.outputs[0].shape == (profile.batch_axis, 214)


@pytest.mark.slow
def test_efficientnet_lite0() -> None:
    """0.3852 G multiply-adds, 4.63 M parameters, 48 convolutions with their activations, 38.5 MB of FP16 at batch 8."""
    profile = profile_of("efficientnet-lite0/efficientnet-lite0.onnx")
    assert multiply_adds(profile, batch=1) == pytest.approx(0.3852e9, rel=0.002)
    assert profile.parameter_elements == pytest.approx(4.63e6, rel=0.001)
    assert len({op.fusion_group for op in profile.operators}) == 51
    assert profile.peak_activation_elements.at({"batch": 8}) * 2 == pytest.approx(38.5e6, rel=0.01)
