"""FP16 and BF16: the whole graph in 16-bit floats, inputs and outputs in FP32, unsafe regions left in FP32.

Own conversion instead of a library's, because Q/DQ scales need care, BF16 is not offered there, and every kept region
must have a reason.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import ml_dtypes
import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from infc.diag import Diagnostic
from infc.ir.engine import PassReport
from infc.ir.precision import Precision
from infc.lower import graph as g
from infc.lower.passes import PassContext
from infc.lower.qdq import FP16_MAX, FP16_TINY, fp16_ceiling
from infc.lower.ranges import SENTINEL, activation_peaks
from infc.lower.regions import region_notes
from infc.lower.unsafe import mask_thresholds, unsafe_operators

HEADROOM = 0.5
MASK = FP16_MAX / 2
"""Where masks saturate: the sum of two is still finite, and its exponential still zero."""

_FP32_INPUTS: Mapping[str, frozenset[int]] = {"Resize": frozenset({1, 2}), "Upsample": frozenset({1})}
_SCALED = ("QuantizeLinear", "DequantizeLinear")


@dataclass(frozen=True, kw_only=True)
class Format:
    """A 16-bit float format."""

    name: str
    onnx_type: int
    numpy_type: np.dtype[np.generic]


FORMATS: Mapping[Precision, Format] = {
    Precision.FP16: Format(name="fp16", onnx_type=TensorProto.FLOAT16, numpy_type=np.dtype(np.float16)),
    Precision.BF16: Format(name="bf16", onnx_type=TensorProto.BFLOAT16, numpy_type=np.dtype(ml_dtypes.bfloat16)),
}


@dataclass(kw_only=True)
class _Rewrite:
    """The graph under construction: where each source value lives in FP32 and in the low format."""

    low: Format
    types: Mapping[str, int]
    weights: dict[str, TensorProto]
    masks: frozenset[str]
    nodes: list[onnx.NodeProto] = field(default_factory=list)
    added: dict[str, TensorProto] = field(default_factory=dict)
    in_fp32: dict[str, str] = field(default_factory=dict)
    in_low: dict[str, str] = field(default_factory=dict)
    made_low: set[str] = field(default_factory=set)

    def is_float(self, name: str) -> bool:
        return self.types.get(name) == TensorProto.FLOAT

    def low_name(self, name: str) -> str:
        """The name of the low copy of an FP32 value; a constant is converted, anything else cast once."""
        if name not in self.in_low:
            copy = f"{name}__{self.low.name}"
            if name in self.weights:
                limit = MASK if name in self.masks else FP16_MAX
                self.added[copy] = _rounded(self.weights[name], copy, self.low, limit)
            else:
                self._cast(self.in_fp32.get(name, name), copy, self.low.onnx_type)
            self.in_low[name] = copy
        return self.in_low[name]

    def fp32_name(self, name: str) -> str:
        """The name of the FP32 form of a value."""
        if name in self.weights or name not in self.in_low:
            return name
        if name not in self.in_fp32:
            self._cast(self.in_low[name], f"{name}__fp32", TensorProto.FLOAT)
            self.in_fp32[name] = f"{name}__fp32"
        return self.in_fp32[name]

    def _cast(self, source: str, target: str, to: int) -> None:
        self.nodes.append(helper.make_node("Cast", [source], [target], name=f"{target}__cast", to=to))


def to_fp16(model: onnx.ModelProto, context: PassContext) -> tuple[onnx.ModelProto, PassReport] | Diagnostic:
    """Convert to FP16.

    Values that calibration shows (or constants are) beyond its range keep their operators in FP32.
    """
    return _to_half(model, context, FORMATS[Precision.FP16])


def to_bf16(model: onnx.ModelProto, context: PassContext) -> tuple[onnx.ModelProto, PassReport] | Diagnostic:
    """Convert to BF16, which has FP32's range."""
    return _to_half(model, context, FORMATS[Precision.BF16])


def remainder_to_fp16(model: onnx.ModelProto, context: PassContext) -> tuple[onnx.ModelProto, PassReport] | Diagnostic:
    """Convert what quantisation left alone to FP16, the Q/DQ scales included, where the settings ask for it."""
    if context.settings.remainder is not Precision.FP16:
        return model, PassReport(name="remainder-to-fp16", changed=0, notes=("the remainder stays FP32",))
    result = _to_half(model, context, FORMATS[Precision.FP16])
    if isinstance(result, Diagnostic):
        return result
    converted, report = result
    return converted, PassReport(name="remainder-to-fp16", changed=report.changed, notes=report.notes, kept=report.kept)


def _to_half(
    model: onnx.ModelProto, context: PassContext, low: Format
) -> tuple[onnx.ModelProto, PassReport] | Diagnostic:
    name = f"to-{low.name}"
    if any(tensor.data_type == low.onnx_type for tensor in model.graph.initializer):
        return model, PassReport(name=name, changed=0, notes=("already converted",))
    masks = mask_thresholds(model)
    kept = _kept_nodes(model, context, low, masks)
    converted, changed = convert(model, kept, low, frozenset(masks))
    return converted, PassReport(name=name, changed=changed, notes=region_notes(model, kept, "FP32"), kept=kept)


def convert(
    model: onnx.ModelProto, kept: Mapping[str, str], low: Format, masks: frozenset[str]
) -> tuple[onnx.ModelProto, int]:
    """The model in a 16-bit format but for the operators named in `kept`, and how many were converted.

    Constants named in `masks` saturate where two of them still add up to a finite number.
    """
    model = g.copy(model)
    rewrite = _Rewrite(low=low, types=g.element_types(model), weights=g.initializers(model.graph), masks=masks)
    outputs = {value.name for value in model.graph.output}
    if low.onnx_type == TensorProto.FLOAT16:
        _round_scales(model, rewrite, kept)
    changed = 0
    for node in model.graph.node:
        if node.name in kept:
            _append_kept(node, rewrite)
        else:
            changed += _append_low(node, rewrite, outputs)
    for name_out in sorted(outputs & rewrite.made_low):
        rewrite.nodes.append(
            helper.make_node(
                "Cast", [rewrite.in_low[name_out]], [name_out], name=f"{name_out}__cast", to=TensorProto.FLOAT
            )
        )
    _assemble(model, rewrite)
    return model, changed


def _append_kept(node: onnx.NodeProto, rewrite: _Rewrite) -> None:
    copy = onnx.NodeProto()
    copy.CopyFrom(node)
    for index, name in enumerate(node.input):
        if name and rewrite.is_float(name):
            copy.input[index] = rewrite.fp32_name(name)
    rewrite.nodes.append(copy)


def _append_low(node: onnx.NodeProto, rewrite: _Rewrite, outputs: set[str]) -> bool:
    touches = False
    copy = onnx.NodeProto()
    copy.CopyFrom(node)
    for index, name in enumerate(node.input):
        if not name or not rewrite.is_float(name):
            continue
        if index in _FP32_INPUTS.get(node.op_type, ()):
            copy.input[index] = rewrite.fp32_name(name)
            continue
        copy.input[index] = rewrite.low_name(name)
        touches = True
    _retype_attributes(copy, rewrite.low)
    for index, name in enumerate(node.output):
        if name and rewrite.is_float(name):
            low = f"{name}__{rewrite.low.name}" if name in outputs else name
            copy.output[index] = low
            rewrite.in_low[name] = low
            rewrite.made_low.add(name)
            touches = True
    rewrite.nodes.append(copy)
    return touches


def _retype_attributes(node: onnx.NodeProto, low: Format) -> None:
    for entry in node.attribute:
        if node.op_type == "Cast" and entry.name == "to" and entry.i == TensorProto.FLOAT:
            entry.i = low.onnx_type
        if node.op_type == "ConstantOfShape" and entry.name == "value" and entry.t.data_type == TensorProto.FLOAT:
            entry.t.CopyFrom(_rounded(entry.t, entry.t.name, low))


def _rounded(tensor: TensorProto, name: str, low: Format, limit: float = FP16_MAX) -> TensorProto:
    """The tensor in the low format: sentinels saturate, and a tiny positive scalar (an epsilon) never becomes zero."""
    values = numpy_helper.to_array(tensor).astype(np.float32)
    if low.onnx_type == TensorProto.FLOAT16:
        values = np.where(np.isinf(values), values, np.clip(values, -limit, limit))
        if values.size == 1 and 0 < abs(float(values.flat[0])) < FP16_TINY:
            values = np.sign(values) * np.float32(FP16_TINY)
    return numpy_helper.from_array(values.astype(low.numpy_type), name)


def _round_scales(model: onnx.ModelProto, rewrite: _Rewrite, kept: Mapping[str, str]) -> None:
    """Give Q/DQ scales a value that FP16 holds, rounded up, and requantise the constants behind them to match.

    ONNX allows 16-bit scales from opset 19; the result is dequantised in FP16.
    """
    for node in model.graph.node:
        if node.op_type not in _SCALED or node.input[1] not in rewrite.weights or node.name in kept:
            continue
        name = f"{node.input[1]}__{rewrite.low.name}"
        scale = numpy_helper.to_array(rewrite.weights[node.input[1]]).astype(np.float32)
        exact = fp16_ceiling(scale)
        rewrite.added[name] = numpy_helper.from_array(exact, name)
        rewrite.in_low[node.input[1]] = name
        stored = rewrite.weights.get(node.input[0])
        if stored is not None and stored.data_type == TensorProto.INT8:
            axis = g.int_attribute(node, "axis", 1)
            ratio = scale / exact.astype(np.float32)
            if ratio.ndim == 1:
                ratio = ratio.reshape([-1 if i == axis % len(stored.dims) else 1 for i in range(len(stored.dims))])
            values = np.clip(np.rint(numpy_helper.to_array(stored) * ratio), -127, 127).astype(np.int8)
            stored.CopyFrom(numpy_helper.from_array(values, stored.name))


def _kept_nodes(
    model: onnx.ModelProto, context: PassContext, low: Format, masks: Mapping[str, float]
) -> dict[str, str]:
    """Operators that stay in FP32, with the reason, in graph order."""
    is_fp16 = low.onnx_type == TensorProto.FLOAT16
    peaks: Mapping[str, float] = {}
    if is_fp16 and context.calibration is not None:
        peaks = activation_peaks(model, context.calibration, context.profile.fixed_batch or 1, masks)
    kept = unsafe_operators(model, is_fp16=is_fp16, has_peaks=bool(peaks))
    if is_fp16:
        weights = g.initializers(model.graph)
        for node in model.graph.node:
            reason = _range_reason(node, weights, peaks, masks)
            if reason is not None:
                kept.setdefault(node.name, reason)
        _keep_dequantized(model, kept)
    return {node.name: kept[node.name] for node in model.graph.node if node.name in kept}


def _range_reason(
    node: onnx.NodeProto, weights: Mapping[str, TensorProto], peaks: Mapping[str, float], masks: Mapping[str, float]
) -> str | None:
    for name in node.input if node.op_type not in _SCALED else ():
        tensor = weights.get(name)
        if tensor is None or tensor.data_type != TensorProto.FLOAT or name in masks:
            continue
        peak = _finite_peak(numpy_helper.to_array(tensor))
        if peak > FP16_MAX:
            return f"constant {name} reaches {peak:.3g}, FP16 ends at {FP16_MAX:g}"
    for name in (*node.input, *node.output):
        peak = peaks.get(name, 0.0)
        if peak > FP16_MAX * HEADROOM:
            is_product = node.op_type in g.WEIGHTED_OPS
            limit = " (SM 7.5 has no FP32 matrix product)" if is_product else ""
            return f"value {name} reaches {peak:.3g} in calibration, FP16 ends at {FP16_MAX:g}{limit}"
    return None


def _keep_dequantized(model: onnx.ModelProto, kept: dict[str, str]) -> None:
    """Weights behind a DequantizeLinear come in FP32 where everything that reads them stays FP32."""
    readers = g.consumers(model.graph)
    for node in model.graph.node:
        if node.op_type == "DequantizeLinear" and node.name not in kept:
            reading = [reader.name for reader in readers.get(node.output[0], [])]
            if reading and all(name in kept for name in reading):
                kept[node.name] = kept[reading[0]]


def _finite_peak(values: g.Array) -> float:
    """The largest magnitude that is meant as a number (infinities and stand-ins for them saturate safely)."""
    magnitudes = np.abs(values[np.abs(values) < SENTINEL])
    return float(magnitudes.max()) if magnitudes.size else 0.0


def _assemble(model: onnx.ModelProto, rewrite: _Rewrite) -> None:
    used = {name for node in rewrite.nodes for name in node.input}
    tensors = [tensor for tensor in model.graph.initializer if tensor.name in used]
    tensors += [rewrite.added[name] for name in sorted(rewrite.added) if name in used]
    del model.graph.node[:]
    model.graph.node.extend(rewrite.nodes)
    kept = [onnx.TensorProto.FromString(tensor.SerializeToString()) for tensor in tensors]
    del model.graph.initializer[:]
    model.graph.initializer.extend(kept)
    del model.graph.value_info[:]
