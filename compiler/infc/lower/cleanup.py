"""Passes that change no number: drop what no engine needs, name everything once, fold what only depends on shapes."""

import numpy as np
import onnx
import onnx_ir as ir
from onnx import numpy_helper
from onnx.reference import ReferenceEvaluator
from onnx_ir.passes import common

from infc.diag import Diagnostic
from infc.ir.engine import PassReport
from infc.lower import graph as g
from infc.lower.passes import PassContext

# fmt: off
SHAPE_OPS = frozenset({
    "Add", "Cast", "Concat", "ConstantOfShape", "Div", "Equal", "Expand", "Floor", "Gather", "Mul", "Neg", "Range",
    "Reshape", "Shape", "Size", "Slice", "Squeeze", "Sub", "Transpose", "Unsqueeze", "Where",
})
# fmt: on
MAX_FOLDED_ELEMENTS = 65_536


def clean_up(model: onnx.ModelProto, context: PassContext) -> tuple[onnx.ModelProto, PassReport] | Diagnostic:
    """Lift constants to initialisers, drop identities, dead nodes and metadata, give every node and value one name."""
    if any(g.has_subgraph(node) for node in model.graph.node):
        names = ", ".join(sorted({node.op_type for node in model.graph.node if g.has_subgraph(node)}))
        return Diagnostic(
            id="lower-control-flow",
            message=f"{context.profile.name} holds control flow ({names}), which infc cannot lower",
            help="export the model without If, Loop and Scan, for example with fixed branches",
        )
    before = len(model.graph.node)
    value = ir.from_proto(model)
    ir.passes.Sequential(
        common.LiftConstantsToInitializersPass(lift_all_constants=True, size_limit=0),
        common.IdentityEliminationPass(),
        common.RemoveUnusedNodesPass(),
        common.ClearMetadataAndDocStringPass(),
        common.NameFixPass(),
        common.TopologicalSortPass(),
    )(value)
    result = g.without_stale_types(ir.to_proto(value))
    result.producer_name, result.producer_version, result.domain = "", "", ""
    del result.metadata_props[:]
    del result.training_info[:]
    del result.functions[:]
    _drop_unused_opsets(result)
    return result, PassReport(name="clean-up", changed=before - len(result.graph.node), notes=())


def _drop_unused_opsets(model: onnx.ModelProto) -> None:
    used = {node.domain for node in model.graph.node}
    kept = [entry for entry in model.opset_import if entry.domain in used or entry.domain in g.STANDARD_DOMAINS]
    kept.sort(key=lambda entry: entry.domain)
    entries = [onnx.helper.make_opsetid(entry.domain, entry.version) for entry in kept]
    del model.opset_import[:]
    model.opset_import.extend(entries)


def fold_shapes(model: onnx.ModelProto, context: PassContext) -> tuple[onnx.ModelProto, PassReport]:
    """Compute, once and for all, small values that depend on constants and on fixed dimensions only.

    Transposed weights are folded whatever their size: a product is recognised by the constant that it reads.
    """
    model = g.copy(model)
    shapes = _static_shapes(model)
    transposed = {node.input[0] for node in model.graph.node if node.op_type == "Transpose"}
    constants = {
        tensor.name: numpy_helper.to_array(tensor)
        for tensor in model.graph.initializer
        if int(np.prod(tensor.dims)) <= MAX_FOLDED_ELEMENTS or tensor.name in transposed
    }
    kept: list[onnx.NodeProto] = []
    outputs = {output.name for output in model.graph.output}
    folded = 0
    for node in model.graph.node:
        value = None if node.output[0] in outputs else _folded(node, constants, shapes, g.opset(model))
        if value is None:
            kept.append(node)
            continue
        constants[node.output[0]] = value
        model.graph.initializer.append(numpy_helper.from_array(value, node.output[0]))
        folded += 1
    del model.graph.node[:]
    model.graph.node.extend(kept)
    _drop_unused_initializers(model)
    return g.without_stale_types(model), PassReport(name="fold-shapes", changed=folded, notes=())


def _folded(
    node: onnx.NodeProto,
    constants: dict[str, g.Array],
    shapes: dict[str, tuple[int, ...]],
    version: int,
) -> g.Array | None:
    if node.op_type not in SHAPE_OPS or node.domain not in g.STANDARD_DOMAINS or len(node.output) != 1:
        return None
    if node.op_type == "Shape" and node.input[0] in shapes:
        shape = shapes[node.input[0]]
        end = g.attribute(node, "end")
        part = shape[g.int_attribute(node, "start", 0) : len(shape) if end is None else end.i]
        return np.array(part, dtype=np.int64)
    if not all(name == "" or name in constants for name in node.input):
        return None
    feeds = {name: constants[name] for name in node.input if name}
    if node.op_type != "Transpose" and any(value.size > MAX_FOLDED_ELEMENTS for value in feeds.values()):
        return None
    results = list(ReferenceEvaluator(node, opsets={"": version}).run(None, feeds))
    value = np.asarray(results[0])
    return value if value.size <= MAX_FOLDED_ELEMENTS or node.op_type == "Transpose" else None


def _static_shapes(model: onnx.ModelProto) -> dict[str, tuple[int, ...]]:
    inferred = onnx.shape_inference.infer_shapes(model)
    shapes: dict[str, tuple[int, ...]] = {}
    for info in (*inferred.graph.input, *inferred.graph.value_info, *inferred.graph.output):
        if not info.type.tensor_type.HasField("shape"):
            continue
        dims = info.type.tensor_type.shape.dim
        if all(dim.HasField("dim_value") for dim in dims):
            shapes[info.name] = tuple(dim.dim_value for dim in dims)
    return shapes


def _drop_unused_initializers(model: onnx.ModelProto) -> None:
    used = {name for node in model.graph.node for name in node.input} | {value.name for value in model.graph.output}
    kept = [tensor for tensor in model.graph.initializer if tensor.name in used]
    del model.graph.initializer[:]
    model.graph.initializer.extend(kept)
