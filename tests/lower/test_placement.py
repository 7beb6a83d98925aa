"""Which operators get Q/DQ in which precision, and the reason of every other one."""

from pathlib import Path

import pytest

from infc.diag import DiagnosticError
from infc.ir.precision import Precision
from infc.lower.lowering import quantized_operators
from infc.lower.names import name_operators
from infc.lower.passes import PassContext
from infc.lower.placement import Placement, place
from infc.lower.settings import LoweringSettings, settings_for
from infc.resolve.onnx_analysis import analyse
from tests.lower.models import ATTENTION, CONV_NET, context_for, model

SOURCE = Path(__file__).parents[2] / "specs" / "fashion-mnist" / "resnet8.onnx"
GEMMS = """
g (float[n, 256] x, float[n, 256] a) => (float[n, 128] y, float[n, 100] z, float[n, n] p, float[n, 8] s) <
  float[256, 128] big, float[100, 256] turned, float[256, 8] small, float[200, 100] odd, float[256, 200] wide
> {
  y = MatMul (x, big)
  z = Gemm <transB = 1> (x, turned)
  s = MatMul (x, small)
  w = MatMul (x, wide)
  o = MatMul (w, odd)
  t = Transpose <perm = [1, 0]> (a)
  p = MatMul (x, t)
}
"""


def placed(text: str, precision: Precision, tmp_path: Path, **settings: object) -> Placement:
    """Where Q/DQ go in a model whose weights do not matter."""
    chosen = LoweringSettings(**settings)  # type: ignore[arg-type]
    value = model(text)
    context: PassContext = context_for(value, tmp_path, precision, LoweringSettings())
    named = name_operators(value, context)
    assert isinstance(named, tuple)
    return place(named[0], precision, chosen)


def test_int4_takes_weights_in_whole_blocks(tmp_path: Path) -> None:
    """Products with enough weights whose summed axis divides; every other one has its reason."""
    text = GEMMS
    for name, shape in (("big", (256, 128)), ("turned", (100, 256)), ("small", (256, 8)), ("odd", (200, 100))):
        text = text.replace(f"float[{shape[0]}, {shape[1]}] {name}", weights(name, *shape))
    text = text.replace("float[256, 200] wide", weights("wide", 256, 200))
    found = placed(text, Precision.INT4, tmp_path)
    assert found.chosen == ("y", "z", "w")
    assert found.left == {
        "s": "2048 weights are too few to gain",
        "o": "200 summed elements are not a multiple of 64",
        "p": "product of two activations: it has no weights",
    }


def weights(name: str, *shape: int) -> str:
    """A weight of zeros in ONNX text."""
    count = 1
    for size in shape:
        count *= size
    return f"float[{', '.join(map(str, shape))}] {name} = {{{', '.join(['0'] * count)}}}"


@pytest.mark.parametrize(
    ("shape", "group", "reason"),
    [
        ((32, 32, 3, 3), 1, None),
        ((32, 16, 3, 3), 1, "FP8 gains nothing up to 16 channels"),
        ((32, 1, 3, 3), 32, "TensorRT has no FP8 kernel for convolutions in groups"),
        ((32, 32, 7, 7), 1, "TensorRT has no FP8 kernel above 32 filter taps"),
    ],
)
def test_fp8_leaves_convolutions_without_kernels(
    shape: tuple[int, ...], group: int, reason: str | None, tmp_path: Path
) -> None:
    """Grouped, narrow and large filters stay in the remainder's precision; INT8 takes them all."""
    channels = shape[1] * group
    text = (
        f"g (float[n, {channels}, 8, 8] x) => (float[n, {shape[0]}, h, v] y) <{weights('w', *shape)}> "
        f"{{ y = Conv <group = {group}> (x, w) }}"
    )
    assert placed(text, Precision.FP8, tmp_path).left == ({} if reason is None else {"y": reason})
    assert placed(text, Precision.INT8, tmp_path).left == {}


def test_what_is_kept_has_its_reason(tmp_path: Path) -> None:
    """Kept operators leave the list; attention's products leave it by their setting, and only they."""
    assert placed(ATTENTION, Precision.FP8, tmp_path).chosen == ("q", "k", "s", "y")
    assert placed(ATTENTION, Precision.FP8, tmp_path, kept=("k",)).left == {"k": "raised back to keep the accuracy"}
    assert placed(ATTENTION, Precision.INT8, tmp_path, is_attention_quantized=False).chosen == ("q", "k")


def test_computed_weights_are_left(tmp_path: Path) -> None:
    """A convolution whose filter comes out of the graph, and a product with its weights on the left."""
    text = """
    g (float[n, 2, 4, 4] x, float[2, 2, 1, 1] f) => (float[n, 2, 4, 4] y) <float[4, 4] left = {
      1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1}> { c = Conv (x, f)  y = MatMul (left, c) }
    """
    found = placed(text, Precision.INT8, tmp_path)
    assert found.left == {"c": "its weights are computed", "y": "its weights stand on the left"}


def test_the_search_gets_names_in_graph_order(tmp_path: Path) -> None:
    """`quantized_operators` lists what can be raised back, without what was raised; nothing for FP16."""
    profile = analyse(SOURCE, "resnet8").profile
    assert profile is not None
    names = quantized_operators(SOURCE, profile, Precision.INT8, LoweringSettings())
    assert (len(names), names[0], names[-1]) == (10, "node_Conv_133", "node_linear")
    fewer = quantized_operators(SOURCE, profile, Precision.INT8, LoweringSettings(kept=(names[0],)))
    assert fewer == names[1:]
    on_cpu = quantized_operators(SOURCE, profile, Precision.INT8, settings_for("cpu"))
    assert set(names) < set(on_cpu)
    assert quantized_operators(SOURCE, profile, Precision.FP16, LoweringSettings()) == ()
    with pytest.raises(DiagnosticError, match="lower-unknown-operator"):
        quantized_operators(SOURCE, profile, Precision.INT8, LoweringSettings(kept=("nowhere",)))
    with pytest.raises(DiagnosticError, match="model-missing"):
        quantized_operators(tmp_path / "absent.onnx", profile, Precision.INT8, LoweringSettings())


def test_a_small_network_has_its_places(tmp_path: Path) -> None:
    """On the CPU what stands between convolutions is quantised, too."""
    assert placed(CONV_NET, Precision.INT8, tmp_path).chosen == ("c", "y")
    assert placed(CONV_NET, Precision.INT8, tmp_path, dialect="onnxruntime").chosen == ("c", "r", "p", "f", "y")
