"""What must hold of the model before and after every pass. A violation names the pass that broke it."""

from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np
import onnx
from onnx import TensorProto

from infc.ir.engine import PassReport
from infc.ir.precision import Precision
from infc.lower import graph as g
from infc.lower.passes import PassContext
from infc.lower.qdq_rules import placement_problems, qdq_problems

_LOW = {TensorProto.FLOAT16: "FP16", TensorProto.BFLOAT16: "BF16"}
_ALLOWED_LOW = {
    Precision.FP32: frozenset[int](),
    Precision.FP16: frozenset({TensorProto.FLOAT16}),
    Precision.BF16: frozenset({TensorProto.BFLOAT16}),
    Precision.INT8: frozenset({TensorProto.FLOAT16}),
    Precision.FP8: frozenset({TensorProto.FLOAT16}),
    Precision.INT4: frozenset({TensorProto.FLOAT16}),
}


def verify(model: onnx.ModelProto, context: PassContext, reports: Sequence[PassReport] = ()) -> tuple[str, ...]:
    """Every violated rule in words; empty when the model is sound. `reports` are those of the passes so far.

    Rules: onnx.checker with type and shape inference; names are unique; inputs and outputs are those of the source;
    the only 16-bit float type is the one asked for; Q/DQ nodes are legal for their reader, and stand before every
    operator that the precision quantises but those that were left alone with a reason.
    """
    unsound = checker_problem(model)
    if unsound is not None:
        return (unsound,)
    return (
        *_name_problems(model),
        *_interface_problems(model, context),
        *_leftover_problems(model, context),
        *qdq_problems(model, context),
        *placement_problems(model, context, reports),
    )


def checker_problem(model: onnx.ModelProto) -> str | None:
    """What onnx.checker says of the model, with types and shapes inferred; None when it has no objection."""
    try:
        onnx.checker.check_model(model, full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        return f"onnx.checker: {str(error).strip().splitlines()[0]}"
    return None


def source_problems(model: onnx.ModelProto, context: PassContext) -> tuple[str, ...]:
    """Why a sound source cannot be lowered to this precision: 16-bit weights or Q/DQ nodes that no pass would make."""
    return (*_leftover_problems(model, context), *qdq_problems(model, context))


def _name_problems(model: onnx.ModelProto) -> list[str]:
    graph = model.graph
    nodes = Counter(node.name for node in graph.node if node.name)
    values = Counter(output for node in graph.node for output in node.output if output)
    values.update(value.name for value in graph.input)
    values.update(tensor.name for tensor in graph.initializer if tensor.name not in {v.name for v in graph.input})
    return [f"node name {name} occurs {count} times" for name, count in nodes.items() if count > 1] + [
        f"value {name} is defined {count} times" for name, count in values.items() if count > 1
    ]


def _interface_problems(model: onnx.ModelProto, context: PassContext) -> list[str]:
    problems = []
    weights = g.initializers(model.graph)
    inputs = [value for value in model.graph.input if value.name not in weights]
    for what, values, specs in (
        ("input", inputs, context.profile.inputs),
        ("output", list(model.graph.output), context.profile.outputs),
    ):
        have = {value.name: value.type.tensor_type.elem_type for value in values}
        want = {spec.name: onnx.helper.np_dtype_to_tensor_dtype(np.dtype(spec.dtype)) for spec in specs}
        if have != want:
            problems.append(f"the model's {what}s changed from {_typed(want)} to {_typed(have)}")
    return problems


def _typed(values: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {TensorProto.DataType.Name(kind).lower()}" for name, kind in values.items())


def _leftover_problems(model: onnx.ModelProto, context: PassContext) -> list[str]:
    allowed = _ALLOWED_LOW.get(context.precision, frozenset())
    source = {onnx.helper.np_dtype_to_tensor_dtype(np.dtype(s.dtype)) for s in context.profile.inputs}
    return [
        f"initialiser {tensor.name} is {_LOW[tensor.data_type]} in a {context.precision.value} model"
        for tensor in model.graph.initializer
        if tensor.data_type in _LOW and tensor.data_type not in allowed and tensor.data_type not in source
    ]
