"""The reasons in a builder's log become diagnostics, also those that this machine cannot provoke."""

import pytest

from infc.build.failures import crashed, diagnose
from infc.build.libraries import refused_options
from infc.build.support import can_build
from infc.ir.build_options import BuildOptions
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


def test_an_option_that_the_library_lacks_says_what_to_do() -> None:
    """The worker's words become a diagnostic under the spec's own name of the option."""
    (error,) = refused_options("tensorrt_rtx", "1.7.1.116", BuildOptions(is_version_compatible=True), "l4")
    problem = diagnose(request("l4", Precision.FP16), [error], [])
    assert problem.id == "build-option-unsupported"
    assert problem.message == "TensorRT-RTX 1.7.1 has no build option version_compatible"
    assert "lean runtime" in problem.notes[0]
    assert problem.help == "build again after an upgrade, or take version_compatible out of build"


def test_values_that_set_shapes_are_told() -> None:
    """A plan fixes the shapes of inputs, not their values."""
    error = "shape tensor: the values of the input target set shapes inside the model"
    problem = diagnose(request("l4", Precision.FP16), [error], [])
    assert problem.id == "build-shapes"
    assert "target" in problem.notes[0]


@pytest.mark.parametrize("exit_code", [-11, 139])
def test_a_signal_is_named_however_the_process_was_run(exit_code: int) -> None:
    """A shell and the worker say 128 more than the signal's number."""
    assert "signal 11" in crashed(request("l4", Precision.FP16), exit_code, []).message


def test_tensorrt_needs_the_gpu_itself() -> None:
    """An H100 engine on a machine without one: what is missing and how to get it."""
    problem = can_build(request("h100-sxm", Precision.FP16, kind="tensorrt"))
    assert problem is not None
    assert problem.id == "build-needs-gpu"
    assert "h100-sxm" in problem.message
    assert "infc[tensorrt]" in (problem.help or "")
