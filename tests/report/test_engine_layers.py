"""The layers of an engine in words, and as a folded table."""

from infc.ir.engine import EngineFacts, EngineLayer
from infc.report.engine_layers import engine_layers_html, layers_sentences, layers_summary


def layer(operators: tuple[str, ...], kind: str, read: str, written: str) -> EngineLayer:
    """A layer that does some operators."""
    return EngineLayer(
        name="+".join(operators) or kind, kind=kind, dtype=written, input_dtype=read, operators=operators
    )


def facts(*layers: EngineLayer, fallbacks: tuple[str, ...] = ()) -> EngineFacts:
    """An engine of these layers."""
    return EngineFacts(activation_bytes=1, weight_bytes=1, layers=layers, toolchain={}, fallbacks=fallbacks)


INT8_ENGINE = facts(
    layer(("q", "conv<1>"), "kgen", "Float", "Int8"),
    layer(("conv<1>", "dq"), "correlation", "Int8", "Float"),
    layer(("conv<1>", "relu", "q2"), "kgen", "Float", "Int8"),
    layer(("head",), "gemm", "Int8", "Half"),
    fallbacks=("tail: Half instead of Int8",),
)


def test_operators_are_counted_once() -> None:
    """An operator whose parts run in three layers is still one."""
    summary = layers_summary(INT8_ENGINE)
    assert (summary.layers, summary.operators) == (4, 6)
    assert summary.read == (("Float", 2), ("Int8", 2))


def test_what_the_reader_should_know() -> None:
    """Fusion and precision, memory that a narrow product still takes, and what fell back."""
    assert list(layers_sentences(INT8_ENGINE)) == [
        "4 layers for 6 operators of the model: 2 read Float, 2 read Int8",
        "1 layer computes in Int8 and writes Float: results take four bytes a value until the next layer narrows them",
        "1 operator fell back: tail: Half instead of Int8",
    ]


def test_a_builder_that_tells_only_what_layers_write() -> None:
    """ONNX Runtime names the type of a node's output."""
    engine = facts(
        layer((), "QLinearConv", "", "int8"), layer((), "QLinearConv", "", "int8"), layer((), "Cast", "", "f")
    )
    assert list(layers_sentences(engine)) == ["3 layers: 2 int8, 1 f"]


def test_an_engine_without_layers_says_nothing() -> None:
    """No row at all."""
    assert list(layers_sentences(facts())) == []
    assert engine_layers_html(facts()) == ""


def test_the_table_is_folded_and_escaped() -> None:
    """Names come from the model's file: they are text, never markup."""
    page = engine_layers_html(INT8_ENGINE)
    assert page.startswith('<details class="engine-layers"><summary>4 layers')
    assert page.count("<tr>") == 1 + len(INT8_ENGINE.layers)
    assert "conv&lt;1&gt;" in page
    assert "conv<1>" not in page
