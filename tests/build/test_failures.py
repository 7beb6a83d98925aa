"""The reasons in a builder's log become diagnostics, also those that this machine cannot provoke."""

from pathlib import Path

from infc.build.builder_log import facts_from_log
from infc.build.failures import crashed, diagnose
from infc.build.support import can_build
from infc.ir.precision import Precision
from tests.build.build_requests import request


def test_out_of_memory_says_how_much() -> None:
    """The size that TensorRT asked for is in the message, the limit in the note."""
    error = "IBuilder: Error Code 2: OutOfMemory (Requested size was 26039216 bytes.)"
    problem = diagnose(request("l4", Precision.FP16, workspace_bytes=16 * 2**20), [error], [])
    assert problem.id == "build-out-of-memory"
    assert "25 MiB" in problem.message
    assert problem.notes == ("the limit was 16 MiB",)


def test_contradictory_shapes_show_the_ranges() -> None:
    """A profile that the model does not accept is shown with the ranges that infc asked for."""
    error = "Error Code 4: contradictory IOptimizationProfile dimensions for x"
    problem = diagnose(request("l4", Precision.FP16), [error], [])
    assert problem.id == "build-shapes"
    assert any(note.startswith("input: (1, 1, 28, 28)") for note in problem.notes)


def test_an_unknown_reason_is_passed_on() -> None:
    """What infc does not know is quoted, once, and cut to a line."""
    problem = diagnose(request("l4", Precision.FP16), ["strange\nthing", "strange\nother"], [])
    assert problem.id == "build-failed"
    assert problem.notes == ("strange",)


def test_parser_errors_name_the_node() -> None:
    """A model that the ONNX parser refuses is told apart from a failed build."""
    problem = diagnose(request("l4", Precision.FP16), [], ["node_9: no importer for Foo"])
    assert problem.id == "build-parse-failed"
    assert problem.notes == ("node_9: no importer for Foo",)


def test_a_killed_builder_is_no_traceback() -> None:
    """Signal 9 points to memory."""
    problem = crashed(request("l4", Precision.FP16), -9, ["", "last words"])
    assert problem.id == "build-crashed"
    assert "signal 9" in problem.message
    assert "last words" in problem.notes


def test_tensorrt_needs_the_gpu_itself() -> None:
    """An H100 engine on a machine without one: what is missing and how to get it."""
    problem = can_build(request("h100-sxm", Precision.FP16, kind="tensorrt"))
    assert problem is not None
    assert problem.id == "build-needs-gpu"
    assert "h100-sxm" in problem.message
    assert "infc[tensorrt]" in (problem.help or "")


def test_facts_come_from_the_log() -> None:
    """Memory and the layer table, under the model's own names where the log has them."""
    table = (
        "Layers:\n"
        "Name: __mye1_myl0_0, LayerType: shape_call, Inputs: [], Constants: [], Outputs: [], TacticName: \n"
        "Name: __myl_Mul_myl0_1, LayerType: kgen, Inputs: [ { Name: x, Datatype: Float, Format: f }], Constants: [], "
        "Outputs: [ { Name: y, Dimensions: [-1], Datatype: Int8, Format: f }], TacticName: t, StreamId: 0, "
        "Metadata: [ONNX Layer: a][ONNX Layer: b][ONNX Layer: a]\n\nI/O Tensors:\n Name: x, IOMode: Input\n"
    )
    facts = facts_from_log(["Total Activation Memory: 12 bytes", "Total Weights Memory: 34 bytes", table], {"t": "1"})
    assert (facts.activation_bytes, facts.weight_bytes) == (12, 34)
    assert [(layer.name, layer.kind, layer.dtype) for layer in facts.layers] == [("a+b", "kgen", "Int8")]


def test_a_log_without_facts_says_nothing(tmp_path: Path) -> None:
    """No number is invented."""
    facts = facts_from_log([], {})
    assert (facts.activation_bytes, facts.weight_bytes, facts.layers) == (None, None, ())
