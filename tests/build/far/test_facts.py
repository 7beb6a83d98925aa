"""What a builder's log and an engine's inspector say of an engine."""

import json

from infc.build.far.facts import facts_from_log, layers_from_inspector

SHAPES = [{"input": "x", "minimum": [1, 4], "optimum": [8, 4], "maximum": [8, 4]}]
TABLE = (
    "Layers:\n"
    "Name: __mye1_myl0_0, LayerType: shape_call, Inputs: [], Constants: [], Outputs: [], TacticName: \n"
    "Name: __myl_Mul_myl0_1, LayerType: kgen, Inputs: [ { Name: x, Dimensions: [-1,4], Datatype: Float, Format: f }], "
    "Constants: [], Outputs: [ { Name: y, Dimensions: [-1,4], Datatype: Int8, Format: f }], TacticName: t, "
    "StreamId: 0, Metadata: [ONNX Layer: a]\x1f[ONNX Layer: b][ONNX Layer: a]\n\n"
    "I/O Tensors:\n Name: x, IOMode: Input\n"
)


def test_facts_come_from_the_log() -> None:
    """Memory and the layer table, under the model's own names where the log has them."""
    facts = facts_from_log(["Total Activation Memory: 12 bytes", "Total Weights Memory: 34 bytes", TABLE], SHAPES)
    assert (facts["activation_bytes"], facts["weight_bytes"]) == (12, 34)
    assert facts["layers"] == [
        {"name": "a+b", "kind": "kgen", "dtype": "Int8", "input_dtype": "Float", "operators": ["a", "b"]}
    ]


def test_a_log_without_facts_says_nothing() -> None:
    """No number is invented."""
    facts = facts_from_log([], SHAPES)
    assert (facts["activation_bytes"], facts["weight_bytes"], facts["layers"]) == (None, None, [])


def test_the_inspector_of_tensorrt_10_and_11() -> None:
    """Types are given in one word or in a sentence; the operators are in the metadata."""
    conv = {
        "Name": "conv1 + relu1",
        "LayerType": "CaskConvolution",
        "Inputs": [{"Name": "a", "Format/Datatype": "Thirty-two wide channel vectorized row major Int8 format"}],
        "Outputs": [{"Name": "b", "Format/Datatype": "Row major linear FP16 format"}],
        "Metadata": "[ONNX Layer: conv1]\x1f[ONNX Layer: relu1]",
    }
    gemm = {
        "Name": "__myl_gemm",
        "LayerType": "gemm",
        "Inputs": [{"Name": "b", "Format/Datatype": "BFloat16"}, {"Name": "w", "Format/Datatype": "FP8"}],
        "Outputs": [{"Name": "c", "Format/Datatype": "Float"}],
        "Metadata": "",
    }
    layers = layers_from_inspector(json.dumps({"Layers": [conv, gemm, "only a name"], "Bindings": []}))
    assert [(layer["name"], layer["input_dtype"], layer["dtype"]) for layer in layers] == [
        ("conv1+relu1", "Int8", "Half"),
        ("gemm", "BFloat16+FP8", "Float"),
        ("only a name", "", ""),
    ]


def test_names_with_control_characters_are_plain_text() -> None:
    """Names end in JSON and reports that other programs read."""
    (layer,) = layers_from_inspector(json.dumps({"Layers": [{"Name": "a\x1fb\n", "LayerType": "x\ty"}]}))
    assert (layer["name"], layer["kind"]) == ("a b", "x y")
