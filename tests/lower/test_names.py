"""Operators keep one name from the source to the lowered model, so that exceptions and reports mean the same."""

from pathlib import Path

import onnx

from infc.diag import Diagnostic
from infc.ir.precision import Precision
from infc.lower.lowering import PASSES, run_passes
from infc.lower.names import name_operators, operator_names
from infc.lower.placement import place
from infc.lower.settings import LoweringSettings
from infc.resolve.onnx_analysis import analyse
from tests.lower.models import ATTENTION, CONV_NET, context_for, model, normal


def test_an_operator_without_a_name_is_called_after_its_output(tmp_path: Path) -> None:
    """The same name that the model's profile gives it."""
    value = model(CONV_NET)
    assert operator_names(value) == ("c", "r", "p", "f", "y")
    onnx.save(value, tmp_path / "net.onnx")
    profile = analyse(tmp_path / "net.onnx", "net").profile
    assert profile is not None
    assert {operator.name for operator in profile.operators} <= set(operator_names(value))


def test_a_name_that_was_taken_gets_a_number() -> None:
    """The first operator keeps the name; names that others were given are not taken either."""
    value = model("g (float[2] x) => (float[2] y) { a = Neg (x)  b = Abs (a)  c = Neg (b)  y = Abs (c) }")
    for node, name in zip(value.graph.node, ("same", "same", "", "c"), strict=True):
        node.name = name
    assert operator_names(value) == ("same", "same_2", "c_2", "c")


def test_names_survive_every_pass(tmp_path: Path) -> None:
    """What was named at the start is found again in every precision."""
    before = model(ATTENTION)
    names = {name for name, node in zip(operator_names(before), before.graph.node, strict=True)}
    for precision in (Precision.FP16, Precision.BF16, Precision.INT8, Precision.FP8):
        context = context_for(before, tmp_path, precision, samples={"x": normal(8, 4, 8)})
        result = run_passes(before, PASSES[precision], context)
        assert not isinstance(result, Diagnostic)
        assert names <= {node.name for node in result[0].graph.node}


def test_an_operator_that_does_not_exist_cannot_be_kept(tmp_path: Path) -> None:
    """The message names it and the nearest one."""
    before = model(CONV_NET)
    before.graph.node[0].name = "node_conv_1"
    settings = LoweringSettings(kept=("node_conv_11",))
    refusal = name_operators(before, context_for(before, tmp_path, Precision.INT8, settings))
    assert isinstance(refusal, Diagnostic)
    assert refusal.id == "lower-unknown-operator"
    assert "node_conv_11" in refusal.message
    assert refusal.notes == ("near names: node_conv_1",)


def test_only_operators_of_the_model_are_placed() -> None:
    """Shape arithmetic is no candidate, and the order is the graph's."""
    placement = place(model(ATTENTION), Precision.INT8, LoweringSettings())
    assert placement.left == {}
    assert len(placement.chosen) == 4
