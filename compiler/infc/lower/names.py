"""Names of a source model's operators: what reports, evidence and `LoweringSettings.kept` refer to."""

import difflib

import onnx

from infc.diag import Diagnostic
from infc.ir.engine import PassReport
from infc.lower import graph as g
from infc.lower.passes import PassContext


def name_operators(model: onnx.ModelProto, context: PassContext) -> tuple[onnx.ModelProto, PassReport] | Diagnostic:
    """Give every operator a name of its own, once, before anything changes; later passes keep these names.

    An operator without a name is called after its first output, as in the model's profile; one whose name was taken by
    an earlier operator gets a number behind it. Names in the settings that no operator has are a diagnostic.
    """
    names = operator_names(model)
    unknown = [name for name in context.settings.kept if name not in set(names)]
    if unknown:
        return _unknown(unknown, names, context)
    changed = [node.name for node in model.graph.node] != list(names)
    if not changed:
        return model, PassReport(name="name-operators", changed=0, notes=())
    model = g.copy(model)
    count = 0
    for node, name in zip(model.graph.node, names, strict=True):
        count += node.name != name
        node.name = name
    return model, PassReport(name="name-operators", changed=count, notes=())


def operator_names(model: onnx.ModelProto) -> tuple[str, ...]:
    """The name of each operator, in graph order; the same for the same model, whoever asks.

    >>> nodes = onnx.parser.parse_graph("g (float[1] x) => (float[1] z) { y = Neg (x)  z = Abs (y) }")
    >>> operator_names(onnx.helper.make_model(nodes))
    ('y', 'z')
    """
    given = {node.name for node in model.graph.node if node.name}
    taken: set[str] = set()
    names = []
    for node in model.graph.node:
        name = node.name or next((output for output in node.output if output), node.op_type)
        if name in taken or (not node.name and name in given):
            name = _numbered(name, taken | given)
        taken.add(name)
        names.append(name)
    return tuple(names)


def _numbered(name: str, taken: set[str]) -> str:
    number = 2
    while f"{name}_{number}" in taken:
        number += 1
    return f"{name}_{number}"


def _unknown(unknown: list[str], names: tuple[str, ...], context: PassContext) -> Diagnostic:
    near = [match for name in unknown[:3] for match in difflib.get_close_matches(name, names, n=1)]
    listed = ", ".join(unknown[:3]) + (f" and {len(unknown) - 3} more" if len(unknown) > 3 else "")
    return Diagnostic(
        id="lower-unknown-operator",
        message=f"{context.profile.name} has no operator {listed}",
        notes=(f"near names: {', '.join(near)}",) if near else (),
        help="operators keep their precision by the names that the source model gives them; without one, by the name "
        "of their first output",
    )
