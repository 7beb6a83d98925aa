"""Q/DQ nodes as TensorRT reads them: symmetric, before each input of the operators that were chosen.

Source: TensorRT's explicit quantisation (per-tensor activations, per-channel weights that are stored quantised behind
a DequantizeLinear, inputs of weighted operators quantised and their outputs not, biases in the remainder's precision).
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import ml_dtypes
import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

from infc.ir.precision import Precision
from infc.lower import graph as g
from infc.lower.calibrate import Range
from infc.lower.placement import block_size, channel_axis, summed_axis

FP16_MAX = 65504.0
FP16_TINY = 2.0**-24
Floats = npt.NDArray[np.float32]


@dataclass(frozen=True, kw_only=True)
class StoredFormat:
    """A quantised format: its ONNX type, and the largest magnitude that a scale maps to."""

    name: str
    onnx_type: int
    numpy_type: np.dtype[np.generic]
    largest: float
    is_integer: bool


FORMATS: Mapping[Precision, StoredFormat] = {
    Precision.INT8: StoredFormat(
        name="int8", onnx_type=TensorProto.INT8, numpy_type=np.dtype(np.int8), largest=127, is_integer=True
    ),
    Precision.FP8: StoredFormat(
        name="fp8",
        onnx_type=TensorProto.FLOAT8E4M3FN,
        numpy_type=np.dtype(ml_dtypes.float8_e4m3fn),
        largest=448,
        is_integer=False,
    ),
    Precision.INT4: StoredFormat(
        name="int4", onnx_type=TensorProto.INT4, numpy_type=np.dtype(ml_dtypes.int4), largest=7, is_integer=True
    ),
}


@dataclass(kw_only=True)
class _Insertion:
    """The graph under construction; `dequantized` maps (value, axis) to the output of its DequantizeLinear."""

    format: StoredFormat
    is_half: bool
    weights: Mapping[str, TensorProto]
    ranges: Mapping[str, Range]
    nodes: list[onnx.NodeProto] = field(default_factory=list)
    added: list[TensorProto] = field(default_factory=list)
    dequantized: dict[tuple[str, int | None], str] = field(default_factory=dict)

    def scale(self, peaks: Floats) -> Floats:
        """Scales that map peaks to the largest stored magnitude; exact in FP16 where the remainder is FP16."""
        scales = np.where(peaks > 0, peaks, np.float32(1)) / np.float32(self.format.largest)
        return fp16_ceiling(scales).astype(np.float32) if self.is_half else scales.astype(np.float32)

    def store(self, values: g.Array, name: str) -> str:
        self.added.append(numpy_helper.from_array(values, name))
        return name


def insert(
    model: onnx.ModelProto,
    chosen: Iterable[str],
    ranges: Mapping[str, Range],
    precision: Precision,
    *,
    is_half: bool,
) -> onnx.ModelProto:
    """The model with Q/DQ on both inputs of the chosen operators (INT4: on their weights alone).

    Operators that read one activation share its Q/DQ pair; one that was not chosen keeps reading the activation
    itself. `is_half` rounds scales up to what FP16 holds before anything is quantised with them.
    """
    model = g.copy(model)
    names = set(chosen)
    work = _Insertion(format=FORMATS[precision], is_half=is_half, weights=g.initializers(model.graph), ranges=ranges)
    for node in model.graph.node:
        if node.name in names:
            for index in (0, 1):
                name = node.input[index]
                if name in work.weights:
                    node.input[index] = _weights(node, name, work)
                elif precision is not Precision.INT4:
                    node.input[index] = _activation(name, work)
        work.nodes.append(node)
    _assemble(model, work)
    return g.without_stale_types(model)


def _activation(name: str, work: _Insertion) -> str:
    if (name, None) not in work.dequantized:
        peak = np.asarray(work.ranges[name].magnitude, dtype=np.float32)
        scale = work.store(work.scale(peak), f"{name}__scale")
        zero = work.store(np.zeros((), dtype=work.format.numpy_type), f"{name}__zero")
        stored, back = f"{name}__{work.format.name}", f"{name}__dequantized"
        work.nodes.append(helper.make_node("QuantizeLinear", [name, scale, zero], [stored], name=f"{name}__quantize"))
        work.nodes.append(helper.make_node("DequantizeLinear", [stored, scale, zero], [back], name=f"{back}__node"))
        work.dequantized[name, None] = back
    return work.dequantized[name, None]


def _weights(node: onnx.NodeProto, name: str, work: _Insertion) -> str:
    """The weights, stored quantised: per output channel, INT4 in blocks along the summed axis."""
    values = numpy_helper.to_array(work.weights[name]).astype(np.float32)
    is_blocks = work.format.onnx_type == TensorProto.INT4
    axis = summed_axis(node) if is_blocks else channel_axis(node, values.ndim)
    if (name, axis) in work.dequantized:
        return work.dequantized[name, axis]
    label = f"{name}__{work.format.name}" + (f"_axis{axis}" if any(n == name for n, _ in work.dequantized) else "")
    size = block_size(values.shape[axis]) if is_blocks else None
    if size is not None:
        stored, scales = in_blocks(values, axis, size, work)
    else:
        peaks = np.abs(values).max(axis=tuple(i for i in range(values.ndim) if i != axis))
        scales = work.scale(peaks)
        wide = scales.reshape([-1 if i == axis else 1 for i in range(values.ndim)])
        stored = quantized(values / wide, work.format)
    inputs = [work.store(stored, label), work.store(scales, f"{label}_scale")]
    if size is None:
        inputs.append(work.store(np.zeros(scales.shape, dtype=work.format.numpy_type), f"{label}_zero"))
    back = f"{label}_dequantized"
    node_name = f"{back}__node"
    if size is None:
        work.nodes.append(helper.make_node("DequantizeLinear", inputs, [back], name=node_name, axis=axis))
    else:
        work.nodes.append(
            helper.make_node("DequantizeLinear", inputs, [back], name=node_name, axis=axis, block_size=size)
        )
    work.dequantized[name, axis] = back
    return back


def in_blocks(values: Floats, axis: int, size: int, work: _Insertion) -> tuple[g.Array, Floats]:
    """A matrix in blocks of `size` elements along `axis`, each with its own scale, rounded to the nearest level."""
    blocks = np.moveaxis(values, axis, 0)
    blocks = blocks.reshape(blocks.shape[0] // size, size, -1)
    scales = work.scale(np.abs(blocks).max(axis=1))
    stored = quantized(blocks / scales[:, None, :], work.format).reshape(-1, blocks.shape[2])
    return np.ascontiguousarray(np.moveaxis(stored, 0, axis)), np.ascontiguousarray(np.moveaxis(scales, 0, axis))


def quantized(values: Floats, stored: StoredFormat) -> g.Array:
    """Scaled values in a stored format: to the nearest, ties to even, what is beyond the largest clipped."""
    clipped = np.clip(values, -stored.largest, stored.largest)
    return (np.rint(clipped) if stored.is_integer else clipped).astype(stored.numpy_type)


def fp16_ceiling(scale: Floats) -> npt.NDArray[np.float16]:
    """The smallest positive FP16 number that is not below each scale."""
    nearest = np.clip(scale, FP16_TINY, FP16_MAX).astype(np.float16)
    below = nearest.astype(np.float32) < scale
    return np.asarray(np.where(below, np.nextafter(nearest, np.float16(np.inf)), nearest), dtype=np.float16)


def _assemble(model: onnx.ModelProto, work: _Insertion) -> None:
    nodes = [onnx.NodeProto.FromString(node.SerializeToString()) for node in work.nodes]
    used = {name for node in nodes for name in node.input}
    tensors = [*(tensor for tensor in model.graph.initializer if tensor.name in used), *work.added]
    kept = [TensorProto.FromString(tensor.SerializeToString()) for tensor in tensors]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    del model.graph.initializer[:]
    model.graph.initializer.extend(kept)
