"""Every converted operator answers as ONNX Runtime does, and every size stays dynamic when the model is exported."""

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the extra `torch` is not installed")
onnx = pytest.importorskip("onnx", reason="the extra `onnx` is not installed")
ort = pytest.importorskip("onnxruntime", reason="the extra `onnx` is not installed")

from infc.build.torch_graph.module import OnnxModule, unsupported_operators  # noqa: E402
from infc.build.torch_graph.values import UnsupportedModelError  # noqa: E402

CPU = torch.device("cpu")
IMAGE = "float[N,4,9,7] x"
ROWS = "float[N,6] x"

CASES: dict[str, tuple[int, str, str, str]] = {
    # name: (operator set, inputs, constants, body that ends in y)
    "unary": (18, ROWS, "", "a = Erf(x) b = Softplus(a) c = HardSwish(b) d = Sin(c) y = Reciprocal(d)"),
    "activations": (20, ROWS, "", "a = Gelu(x) b = LeakyRelu<alpha=0.2>(a) c = Elu(b) d = Selu(c) y = HardSigmoid(d)"),
    "gelu-tanh": (20, ROWS, "", 'y = Gelu<approximate="tanh">(x)'),
    "celu-prelu": (18, ROWS, "float[1] s = {0.3}", "a = Celu<alpha=2.0>(x) y = PRelu(a, s)"),
    "clip": (18, ROWS, "float l = {0.2}, float h = {0.6}", "y = Clip(x, l, h)"),
    "clip-low": (18, ROWS, "float l = {0.2}", "y = Clip(x, l)"),
    "variadic": (18, ROWS, "", "a = Max(x, x) b = Sum(a, x, x) y = Mean(b, x)"),
    "power": (18, ROWS, "float t = {2.0}", "y = Pow(x, t)"),
    "where": (18, ROWS, "float h = {0.5}", "m = Greater(x, h) n = Neg(x) y = Where(m, x, n)"),
    "conv": (18, IMAGE, "", "w = Constant<value=@w>() y = Conv<pads=[1,1,1,1], strides=[2,2]>(x, w)"),
    "conv-uneven-pads": (18, IMAGE, "", "w = Constant<value=@w>() y = Conv<pads=[0,1,2,0]>(x, w)"),
    "conv-same": (18, IMAGE, "", 'w = Constant<value=@w>() y = Conv<auto_pad="SAME_UPPER", strides=[2,2]>(x, w)'),
    "conv-transposed": (
        18,
        IMAGE,
        "",
        "w = Constant<value=@t>() y = ConvTranspose<strides=[2,2], pads=[1,1,0,0]>(x, w)",
    ),
    "max-pool": (18, IMAGE, "", "y = MaxPool<kernel_shape=[3,3], strides=[2,2], pads=[1,1,1,1]>(x)"),
    "max-pool-uneven": (18, IMAGE, "", "y = MaxPool<kernel_shape=[2,2], pads=[0,0,1,1]>(x)"),
    "average-pool": (18, IMAGE, "", "y = AveragePool<kernel_shape=[3,3], pads=[1,1,1,1]>(x)"),
    "average-pool-uneven": (18, IMAGE, "", "y = AveragePool<kernel_shape=[2,2], pads=[0,0,1,1]>(x)"),
    "global-pools": (18, IMAGE, "", "a = GlobalAveragePool(x) b = GlobalMaxPool(x) y = Add(a, b)"),
    "instance-norm": (
        18,
        IMAGE,
        "float[4] s = {1,2,3,4}, float[4] b = {0,1,0,1}",
        "y = InstanceNormalization(x, s, b)",
    ),
    "batch-norm": (
        15,
        IMAGE,
        "float[4] s = {1,2,3,4}, float[4] b = {0,1,0,1}, float[4] m = {0,0,1,1}, float[4] v = {1,1,2,2}",
        "y = BatchNormalization(x, s, b, m, v)",
    ),
    "layer-norm": (18, ROWS, "float[6] s = {1,2,3,4,5,6}", "y = LayerNormalization(x, s)"),
    "group-norm": (
        21,
        IMAGE,
        "float[4] s = {1,2,3,4}, float[4] b = {0,1,0,1}",
        "y = GroupNormalization<num_groups=2>(x, s, b)",
    ),
    "lrn": (18, IMAGE, "", "y = LRN<size=3, alpha=0.1>(x)"),
    "resize-nearest": (
        18,
        IMAGE,
        "float[4] k = {1,1,2,2}",
        'y = Resize<mode="nearest", coordinate_transformation_mode="asymmetric", nearest_mode="floor">(x, , k)',
    ),
    "resize-linear": (18, IMAGE, "float[4] k = {1,1,2,2}", 'y = Resize<mode="linear">(x, , k)'),
    "depth-to-space": (18, IMAGE, "", "a = DepthToSpace<blocksize=2>(x) y = SpaceToDepth<blocksize=2>(a)"),
    "gemm": (18, ROWS, "", "w = Constant<value=@g>() y = Gemm<alpha=0.5, transB=1>(x, w)"),
    "einsum": (18, ROWS, "", 'y = Einsum<equation="ni,nj->nij">(x, x)'),
    "softmax": (18, ROWS, "", "y = Softmax(x)"),
    "softmax-old": (11, IMAGE, "", "y = Softmax(x)"),
    "log-softmax": (18, ROWS, "", "y = LogSoftmax<axis=1>(x)"),
    "reductions": (
        18,
        IMAGE,
        "int64[2] a = {2,3}",
        "b = ReduceL2<keepdims=0>(x, a) c = ReduceLogSumExp<keepdims=0>(x, a) y = Add(b, c)",
    ),
    "reduce-all": (18, IMAGE, "", "s = ReduceMax(x) y = Sub(x, s)"),
    "arg-max": (18, ROWS, "", "i = ArgMax<axis=1, keepdims=0>(x) y = Cast<to=1>(i)"),
    "cumulative": (18, ROWS, "int64 a = {1}", "y = CumSum(x, a)"),
    "top-k": (18, ROWS, "int64[1] k = {3}", "v, i = TopK(x, k) j = Cast<to=1>(i) y = Add(v, j)"),
    "split": (18, ROWS, "", "a, b, c = Split<axis=1, num_outputs=3>(x) d = Mul(a, b) y = Concat<axis=1>(d, c)"),
    "slice": (
        18,
        IMAGE,
        "int64[2] s = {1,6}, int64[2] e = {100,0}, int64[2] a = {2,3}, int64[2] t = {2,-2}",
        "y = Slice(x, s, e, a, t)",
    ),
    "pad": (18, IMAGE, "int64[8] p = {0,0,1,0,0,0,2,1}, float v = {1.5}", "y = Pad(x, p, v)"),
    "pad-reflect": (18, IMAGE, "int64[8] p = {0,0,1,2,0,0,2,1}", 'y = Pad<mode="reflect">(x, p)'),
    "tile-trilu": (18, ROWS, "int64[2] r = {1,2}", "a = Tile(x, r) y = Trilu(a)"),
    "gather": (18, ROWS, "int64[2,2] i = {0,-1,2,3}", "y = Gather<axis=1>(x, i)"),
    "gather-elements": (18, ROWS, "", "i = ArgMax<axis=1>(x) y = GatherElements<axis=1>(x, i)"),
    "one-hot": (18, ROWS, "int64 d = {6}, float[2] v = {0,2}", "i = ArgMax<axis=1, keepdims=0>(x) y = OneHot(i, d, v)"),
    "flatten": (18, IMAGE, "", "y = Flatten(x)"),
    "reshape-by-shape": (
        18,
        IMAGE,
        "int64[1] z = {0}, int64[1] o = {1}, int64[1] r = {-1}",
        "s = Shape(x) n = Slice(s, z, o) t = Concat<axis=0>(n, r) y = Reshape(x, t)",
    ),
    "expand-by-shape": (
        18,
        ROWS,
        "int64 z = {0}, int64[1] a = {0}, int64[1] six = {6}, float[1] one = {1.0}",
        "s = Shape(x) n = Gather(s, z) u = Unsqueeze(n, a) t = Concat<axis=0>(u, six) e = Expand(one, t) y = Mul(e, x)",
    ),
    "range-by-shape": (
        18,
        ROWS,
        "int64 zero = {0}, int64 one = {1}, int64[1] a = {1}",
        "s = Shape(x) n = Gather(s, zero) r = Range(zero, n, one) f = Cast<to=1>(r) u = Unsqueeze(f, a) y = Mul(u, x)",
    ),
    "constant-of-shape": (18, ROWS, "", "s = Shape(x) z = ConstantOfShape<value=@f>(s) y = Add(z, x)"),
    "scale-by-size": (
        18,
        IMAGE,
        "int64 two = {2}",
        "s = Shape(x) n = Gather(s, two) f = Cast<to=1>(n) r = Sqrt(f) y = Div(x, r)",
    ),
}


def model_of(name: str) -> "onnx.ModelProto":
    """The model of a case; `@w` and the like stand for arrays that the text form has no room for."""
    opset, inputs, constants, body = CASES[name]
    random = np.random.default_rng(3)
    arrays = {
        "@w": random.random((5, 4, 3, 3), dtype=np.float32),
        "@t": random.random((4, 5, 3, 3), dtype=np.float32),
        "@g": random.random((3, 6), dtype=np.float32),
        "@f": np.array([2.0], dtype=np.float32),
    }
    text = body
    for mark in arrays:
        text = text.replace(f"value={mark}", f'value_string="{mark}"')
    header = f'<ir_version: 10, opset_import: ["": {opset}]> g ({inputs}) => (float y)'
    model = onnx.parser.parse_model(f"{header} {f'<{constants}>' if constants else ''} {{ {text} }}")
    for node in model.graph.node:
        for attribute in node.attribute:
            mark = attribute.s.decode() if attribute.name == "value_string" else ""
            if mark in arrays:
                value = onnx.helper.make_attribute("value", onnx.numpy_helper.from_array(arrays[mark]))
                attribute.CopyFrom(value)
    return model


def example(model: "onnx.ModelProto", batch: int) -> "np.ndarray[tuple[int, ...], np.dtype[np.float32]]":
    """Numbers between 0.1 and 0.9."""
    dims = model.graph.input[0].type.tensor_type.shape.dim
    shape = [dim.dim_value or batch for dim in dims]
    return (0.1 + 0.8 * np.random.default_rng(batch).random(shape)).astype(np.float32)


@pytest.mark.parametrize("name", sorted(CASES))
def test_operators_answer_as_onnx_runtime_does(name: str) -> None:
    """The module and ONNX Runtime agree, for a batch of 2 and of 5."""
    model = model_of(name)
    module = OnnxModule(model, CPU).eval()
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    for batch in (2, 5):
        values = example(model, batch)
        (answer,) = module(torch.from_numpy(values))
        (expected,) = session.run(None, {"x": values})
        assert answer.shape == expected.shape
        np.testing.assert_allclose(answer.numpy(), expected, rtol=2e-4, atol=2e-5)


@pytest.mark.parametrize("name", ["reshape-by-shape", "expand-by-shape", "range-by-shape", "constant-of-shape", "conv"])
def test_exported_models_keep_their_batch_dynamic(name: str) -> None:
    """What was traced with 3 rows answers for 1, 7 and 30: no size was fixed on the way."""
    model = model_of(name)
    module = OnnxModule(model, CPU).eval()
    batch = torch.export.Dim("batch", min=1, max=64)
    with torch.no_grad():
        traced = (torch.from_numpy(example(model, 3)),)
        program = torch.export.export(module, traced, dynamic_shapes=(({0: batch},),), strict=False).module()
    for rows in (1, 7, 30):
        values = torch.from_numpy(example(model, rows))
        assert torch.allclose(program(values)[0], module(values)[0], rtol=1e-4, atol=1e-5)


def test_what_has_no_counterpart_is_named() -> None:
    """Operators that are not converted are listed, Q/DQ models are refused with the reason."""
    header = '<ir_version: 10, opset_import: ["": 18]> g (float[N,6] x) => (float[N,6] y)'
    loops = onnx.parser.parse_model(header + " { a = NonZero(x) b = Relu(x) y = Identity(b) }")
    assert unsupported_operators(loops) == ("NonZero",)
    with pytest.raises(UnsupportedModelError, match="NonZero"):
        OnnxModule(loops, CPU)
    quantised = onnx.parser.parse_model(
        header + " <float s = {0.1}, int8 z = {0}> { q = QuantizeLinear(x, s, z) y = DequantizeLinear(q, s, z) }"
    )
    with pytest.raises(UnsupportedModelError, match="Q/DQ"):
        OnnxModule(quantised, CPU)


def test_sizes_from_data_are_refused() -> None:
    """A shape that is computed from the values of an input cannot be exported; the operator is named."""
    header = '<ir_version: 10, opset_import: ["": 18]> g (float[6] x, int64[1] n) => (float[M] y)'
    model = onnx.parser.parse_model(header + " { y = Expand(x, n) }")
    module = OnnxModule(model, CPU)
    with pytest.raises(UnsupportedModelError, match="computed from data"):
        module(torch.ones(6), torch.ones(1, dtype=torch.int64))
