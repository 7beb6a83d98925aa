"""Operators with weights or windows: products, convolutions, pooling, normalisation, resizing."""

import math
from collections.abc import Mapping, Sequence

import torch
from torch.nn import functional

from infc.build.torch_graph.node import Conversion, Node
from infc.build.torch_graph.values import Sizes, Value, integers

_Pads = list[tuple[int, int]]


def _gemm(node: Node, left: Value, right: Value, addend: Value | None = None) -> Value:
    a, b = node.tensor(left), node.tensor(right)
    alpha, beta = node.number("alpha", 1.0), node.number("beta", 1.0)
    a = a.t() if node.integer("transA", 0) else a
    is_transposed = node.integer("transB", 0) == 1
    if alpha == 1.0 and beta == 1.0 and addend is not None and is_transposed:
        bias = node.tensor(addend)
        if bias.dim() == 1:
            return functional.linear(a, b, bias)
    product = torch.matmul(a, b.t() if is_transposed else b)
    product = product if alpha == 1.0 else alpha * product
    if addend is None:
        return product
    bias = node.tensor(addend)
    return product + (bias if beta == 1.0 else beta * bias)


def _matmul(node: Node, left: Value, right: Value) -> Value:
    return torch.matmul(node.tensor(left), node.tensor(right))


def _einsum(node: Node, *values: Value) -> Value:
    return torch.einsum(node.text("equation", ""), *(node.tensor(value) for value in values))


def _convolution(node: Node, value: Value, weight: Value, bias: Value | None = None) -> Value:
    data, kernel = node.tensor(value), node.tensor(weight)
    rank = data.dim() - 2
    strides, dilations = node.integers("strides", [1] * rank), node.integers("dilations", [1] * rank)
    pads = _pads(node, data, list(kernel.shape[2:]), strides, dilations)
    padding = [before for before, _ in pads]
    if any(before != after for before, after in pads):
        data, padding = _padded(data, pads, 0.0), [0] * rank
    offset = None if bias is None else node.tensor(bias)
    group = node.integer("group", 1)
    return torch.convolution(data, kernel, offset, strides, padding, dilations, False, [0] * rank, group)


def _transposed_convolution(node: Node, value: Value, weight: Value, bias: Value | None = None) -> Value:
    data, kernel = node.tensor(value), node.tensor(weight)
    rank = data.dim() - 2
    if node.text("auto_pad", "NOTSET") != "NOTSET" or "output_shape" in node.attributes:
        raise node.refused("auto_pad and output_shape are not supported")
    strides, dilations = node.integers("strides", [1] * rank), node.integers("dilations", [1] * rank)
    pads = node.integers("pads", [0] * 2 * rank)
    begins, ends = pads[:rank], pads[rank:]
    extra = node.integers("output_padding", [0] * rank)
    # A smaller pad at the end is more output there, which is what torch calls output padding.
    output_padding = [more + begin - end for more, begin, end in zip(extra, begins, ends, strict=True)]
    if any(more < 0 for more in output_padding):
        raise node.refused("pads at the end are larger than those at the beginning")
    offset = None if bias is None else node.tensor(bias)
    group = node.integer("group", 1)
    return torch.convolution(data, kernel, offset, strides, begins, dilations, True, output_padding, group)


def _pads(node: Node, data: torch.Tensor, kernel: Sequence[int], strides: list[int], dilations: list[int]) -> _Pads:
    """What to add before and after every spatial dimension."""
    rank = data.dim() - 2
    mode = node.text("auto_pad", "NOTSET")
    if mode == "VALID":
        return [(0, 0)] * rank
    if mode in ("SAME_UPPER", "SAME_LOWER"):
        pads: _Pads = []
        for size, window, stride, dilation in zip(data.shape[2:], kernel, strides, dilations, strict=True):
            reach = (window - 1) * dilation + 1
            total = max((-(-size // stride) - 1) * stride + reach - size, 0)
            small = total // 2
            pads.append((small, total - small) if mode == "SAME_UPPER" else (total - small, small))
        return pads
    given = node.integers("pads", [0] * 2 * rank)
    return list(zip(given[:rank], given[rank:], strict=True))


def _padded(data: torch.Tensor, pads: _Pads, fill: float) -> torch.Tensor:
    flat = [side for pair in reversed(pads) for side in pair]
    return functional.pad(data, flat, value=fill)


def _max_pool(node: Node, value: Value) -> Value:
    if node.outputs > 1 or node.integer("storage_order", 0):
        raise node.refused("indices of maxima are not supported")
    data = node.tensor(value)
    rank = data.dim() - 2
    kernel = node.integers("kernel_shape", ())
    strides, dilations = node.integers("strides", [1] * rank), node.integers("dilations", [1] * rank)
    pads = _pads(node, data, kernel, strides, dilations)
    padding = [before for before, _ in pads]
    if any(before != after or 2 * before > size for (before, after), size in zip(pads, kernel, strict=True)):
        data, padding = _padded(data, pads, -math.inf), [0] * rank
    pool = (functional.max_pool1d, functional.max_pool2d, functional.max_pool3d)[rank - 1]
    return pool(data, kernel, strides, padding, dilations, ceil_mode=bool(node.integer("ceil_mode", 0)))


def _average_pool(node: Node, value: Value) -> Value:
    data = node.tensor(value)
    rank = data.dim() - 2
    kernel = node.integers("kernel_shape", ())
    strides, dilations = node.integers("strides", [1] * rank), node.integers("dilations", [1] * rank)
    if any(dilation != 1 for dilation in dilations):
        raise node.refused("dilations are not supported")
    pads = _pads(node, data, kernel, strides, dilations)
    has_pads_counted = bool(node.integer("count_include_pad", 0))
    is_ceiled = bool(node.integer("ceil_mode", 0))
    pool = (functional.avg_pool1d, functional.avg_pool2d, functional.avg_pool3d)[rank - 1]
    padding = [before for before, _ in pads]
    if all(before == after and 2 * before <= size for (before, after), size in zip(pads, kernel, strict=True)):
        return pool(data, kernel, strides, padding, is_ceiled, has_pads_counted)
    sums = pool(_padded(data, pads, 0.0), kernel, strides, 0, is_ceiled)
    if has_pads_counted:
        return sums
    ones = torch.ones_like(data[:1, :1])
    return sums / pool(_padded(ones, pads, 0.0), kernel, strides, 0, is_ceiled)


def _global_pool(node: Node, value: Value) -> Value:
    data = node.tensor(value)
    spatial = tuple(range(2, data.dim()))
    if node.op_type == "GlobalMaxPool":
        return torch.amax(data, spatial, keepdim=True)
    return torch.mean(data, spatial, keepdim=True)


def _batch_norm(node: Node, value: Value, scale: Value, bias: Value, mean: Value, variance: Value) -> Value:
    if node.outputs > 1 or node.integer("training_mode", 0):
        raise node.refused("training mode is not supported")
    return functional.batch_norm(
        node.tensor(value),
        node.tensor(mean),
        node.tensor(variance),
        node.tensor(scale),
        node.tensor(bias),
        training=False,
        eps=node.number("epsilon", 1e-5),
    )


def _layer_norm(node: Node, value: Value, scale: Value, bias: Value | None = None) -> Value:
    if node.outputs > 1:
        raise node.refused("mean and deviation as outputs are not supported")
    data, weight = node.tensor(value), node.tensor(scale)
    axis = node.integer("axis", -1)
    shape = data.shape[axis:]
    offset = None if bias is None else node.tensor(bias)
    epsilon = node.number("epsilon", 1e-5)
    if weight.dim() == len(shape):
        return functional.layer_norm(data, shape, weight, offset, epsilon)
    normalised = functional.layer_norm(data, shape, None, None, epsilon) * weight
    return normalised if offset is None else normalised + offset


def _instance_norm(node: Node, value: Value, scale: Value, bias: Value) -> Value:
    epsilon = node.number("epsilon", 1e-5)
    return functional.instance_norm(node.tensor(value), weight=node.tensor(scale), bias=node.tensor(bias), eps=epsilon)


def _group_norm(node: Node, value: Value, scale: Value, bias: Value) -> Value:
    data, weight, offset = node.tensor(value), node.tensor(scale), node.tensor(bias)
    groups = node.integer("num_groups", 1)
    if weight.shape[0] == groups and groups != data.shape[1]:  # operator set 18 has one scale for each group
        weight = weight.repeat_interleave(data.shape[1] // groups)
        offset = offset.repeat_interleave(data.shape[1] // groups)
    return functional.group_norm(data, groups, weight, offset, node.number("epsilon", 1e-5))


def _rms_norm(node: Node, value: Value, scale: Value) -> Value:
    data = node.tensor(value)
    shape = list(data.shape[node.integer("axis", -1) :])
    return functional.rms_norm(data, shape, node.tensor(scale), node.number("epsilon", 1e-5))


def _local_response_norm(node: Node, value: Value) -> Value:
    return functional.local_response_norm(
        node.tensor(value),
        node.integer("size", 1),
        node.number("alpha", 1e-4),
        node.number("beta", 0.75),
        node.number("bias", 1.0),
    )


def _resize(node: Node, value: Value, *rest: Value | None) -> Value:
    """Only what `interpolate` does exactly as ONNX says it."""
    data = node.tensor(value)
    coordinates = node.text("coordinate_transformation_mode", "half_pixel")
    kind = node.text("mode", "nearest")
    modes = {3: "linear", 4: "bilinear", 5: "trilinear"}
    if kind == "nearest" and coordinates == "asymmetric" and node.text("nearest_mode", "") == "floor":
        mode, corners = "nearest", None
    elif kind == "linear" and coordinates in ("half_pixel", "pytorch_half_pixel", "align_corners"):
        mode, corners = modes[data.dim()], coordinates == "align_corners"
    elif kind == "cubic" and data.dim() == 4 and node.number("cubic_coeff_a", -0.75) == -0.75:
        if coordinates not in ("half_pixel", "align_corners"):
            raise node.refused(f"mode cubic with {coordinates} coordinates is not supported")
        mode, corners = "bicubic", coordinates == "align_corners"
    else:
        raise node.refused(f"mode {kind} with {coordinates} coordinates is not supported")
    if node.integer("antialias", 0) or "axes" in node.attributes:
        raise node.refused("antialias and axes are not supported")
    return functional.interpolate(data, size=_target_sizes(node, data, rest), mode=mode, align_corners=corners)


def _target_sizes(node: Node, data: torch.Tensor, rest: Sequence[Value | None]) -> list[int]:
    """Spatial sizes from the inputs roi, scales and sizes."""
    sizes = rest[2] if len(rest) > 2 else None
    if sizes is not None:
        return list(integers(sizes, f"sizes of Resize {node.name}"))[2:]
    scales = rest[1] if len(rest) > 1 else None
    if not isinstance(scales, Sizes):
        raise node.refused("scales are computed from data")
    return [math.floor(size * factor) for size, factor in zip(data.shape[2:], scales.numbers[2:], strict=True)]


LAYERS: Mapping[str, Conversion] = {
    "AveragePool": _average_pool,
    "BatchNormalization": _batch_norm,
    "Conv": _convolution,
    "ConvTranspose": _transposed_convolution,
    "Einsum": _einsum,
    "Gemm": _gemm,
    "GlobalAveragePool": _global_pool,
    "GlobalMaxPool": _global_pool,
    "GroupNormalization": _group_norm,
    "InstanceNormalization": _instance_norm,
    "LRN": _local_response_norm,
    "LayerNormalization": _layer_norm,
    "MatMul": _matmul,
    "MaxPool": _max_pool,
    "RMSNormalization": _rms_norm,
    "Resize": _resize,
}
"""Conversions by operator."""
