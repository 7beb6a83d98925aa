"""Small ONNX models in ONNX's own text form, for every opset."""

from pathlib import Path

import numpy as np
import onnx
import onnx.parser

from infc.ir.model_profile import ModelProfile, OperatorProfile
from infc.resolve.onnx_analysis import AnalysisResult, analyse

LATEST_OPSET = onnx.defs.onnx_opset_version()


def model_from_text(body: str, *, opset: int = 18, domains: str = "") -> onnx.ModelProto:
    """The model of a graph in ONNX's text form; `domains` are more opset imports, as `, "com.microsoft": 1`.

    Tensors that are declared between < and > without a value become weights of zeros.
    """
    ir_version = 4 if opset < 13 else 8 if opset < 20 else 10
    model = onnx.parser.parse_model(f'<ir_version: {ir_version}, opset_import: ["": {opset}{domains}]>\n{body}')
    made = {name for node in model.graph.node for name in node.output}
    for info in [info for info in model.graph.value_info if info.name not in made]:
        dims = [dim.dim_value for dim in info.type.tensor_type.shape.dim]
        dtype = onnx.helper.tensor_dtype_to_np_dtype(info.type.tensor_type.elem_type)
        model.graph.initializer.append(onnx.numpy_helper.from_array(np.zeros(dims, dtype=dtype), info.name))
    return model


def analysed(tmp_path: Path, model: onnx.ModelProto) -> AnalysisResult:
    """What the analysis says of a model, through a file."""
    path = tmp_path / "model.onnx"
    path.write_bytes(model.SerializeToString())
    return analyse(path, "model")


def profiled(tmp_path: Path, body: str, *, opset: int = 18, domains: str = "") -> ModelProfile:
    """The profile of a graph in text form, which must be analysed without a word."""
    result = analysed(tmp_path, model_from_text(body, opset=opset, domains=domains))
    assert result.profile is not None, result.diagnostics
    assert not [d for d in result.diagnostics if d.id != "model-batch-fixed"], result.diagnostics
    return result.profile


def flops(profile: ModelProfile, **axes: float) -> float:
    """FLOPs of the whole model."""
    return sum(operator.flops.at(axes) for operator in profile.operators)


def groups(profile: ModelProfile) -> list[list[str]]:
    """Operator types by fusion group."""
    count = max(operator.fusion_group for operator in profile.operators) + 1
    return [[op.op_type for op in profile.operators if op.fusion_group == group] for group in range(count)]


def operator(profile: ModelProfile, op_type: str) -> OperatorProfile:
    """The only operator of a type."""
    (found,) = [op for op in profile.operators if op.op_type == op_type]
    return found
