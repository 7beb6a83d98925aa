"""Reasons of failed loads, read from the lines that the real server writes."""

from infc.serve.log import failure_reasons

HARMLESS = 'E1121 11:47:15.717747 8979 server.cc:241] "CudaDriverHelper has not been initialized."\n'
INFO = 'I1121 11:47:20.421155 8979 server.cc:345] "Timeout 3: Found 1 live models"\n'


def test_a_syntax_error_comes_with_its_place() -> None:
    """The parser's own message, with line and column, joins the server's."""
    log = (
        HARMLESS
        + "[libprotobuf ERROR /build/text_format.cc:337] Error parsing text-format inference.ModelConfig: 4:9: "
        + 'Message type "inference.ModelConfig" has no field named "nonsense".\n'
        + "E1121 11:48:28.909090 9662 model_repository_manager.cc:1460] "
        + "\"Poll failed for model directory 'm': failed to read text proto from config.pbtxt\"\n"
    )
    (reason,) = failure_reasons(log)
    assert reason.startswith("m: failed to read text proto from config.pbtxt (line:column 4:9: Message type")


def test_a_python_error_comes_without_its_stack() -> None:
    """What a python-based backend raised is told, where it was raised is not."""
    log = (
        "E1121 11:48:01.000001 9662 model_lifecycle.cc:642] \"failed to load 'm' version 1: Internal: "
        'TritonModelException: no time is given\\n\\nAt:\\n  /x/model.py(24): initialize\\n"\n' + INFO
    )
    assert failure_reasons(log) == ("m: no time is given",)


def test_each_reason_once_and_all_models() -> None:
    """Two models that fail are both named; what the server repeats is not."""
    line = "E1121 11:48:01.000001 1 model_lifecycle.cc:642] \"failed to load '{}' version 1: Invalid argument: {}\"\n"
    log = line.format("a", "no GPU") + line.format("b", "bad shape") + line.format("a", "no GPU")
    assert failure_reasons(log) == ("a: no GPU", "b: bad shape")


def test_other_errors_are_told_when_no_model_is_named() -> None:
    """A port in use has no model, and harmless errors are left out."""
    log = HARMLESS + 'E1121 11:48:01.000001 1 http_server.cc:9] "failed to start HTTP service: Address in use"\n'
    assert failure_reasons(log) == ("failed to start HTTP service: Address in use",)


def test_nothing_wrong_nothing_told() -> None:
    """Information is no reason."""
    assert failure_reasons(HARMLESS + INFO) == ()
