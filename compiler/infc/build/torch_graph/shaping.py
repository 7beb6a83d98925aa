"""Operators that make, move or cut shapes."""

import math
from collections.abc import Mapping
from dataclasses import replace

import torch
from torch.nn import functional

from infc.build.torch_graph.node import Conversion, Node
from infc.build.torch_graph.values import NUMPY_TYPES, Sizes, Value, are_sizes, integers

_FAR = 2**31
"""An end this large means all of a dimension."""


def _shape(node: Node, value: Value) -> Value:
    sizes = (len(value.numbers),) * value.is_vector if isinstance(value, Sizes) else tuple(value.shape)
    return Sizes(numbers=sizes[_bounds(node, len(sizes))], is_vector=True)


def _bounds(node: Node, rank: int) -> slice:
    return slice(node.integer("start", 0), node.integer("end", rank))


def _size(node: Node, value: Value) -> Value:
    sizes = (len(value.numbers),) if isinstance(value, Sizes) else tuple(value.shape)
    return Sizes(numbers=(math.prod(sizes),), is_vector=False)


def _identity(node: Node, value: Value, *ignored: Value | None) -> Value:
    """Also Dropout, which does nothing when a model is used."""
    if node.outputs > 1:
        raise node.refused("only the first output is supported")
    return value


def _cast(node: Node, value: Value) -> Value:
    import onnx

    name = onnx.helper.tensor_dtype_to_np_dtype(node.integer("to", 1)).name
    if name not in NUMPY_TYPES:
        raise node.refused(f"type {name} is not supported")
    dtype = NUMPY_TYPES[name]
    return value.cast(dtype) if isinstance(value, Sizes) else value.to(dtype)


def _cast_like(node: Node, value: Value, like: Value) -> Value:
    return value.cast(like.dtype) if isinstance(value, Sizes) else value.to(like.dtype)


def _reshape(node: Node, value: Value, shape: Value) -> Value:
    target = list(integers(shape, f"the shape of Reshape {node.name}"))
    if isinstance(value, Sizes) and target in ([], [1], [-1]):
        return replace(value, is_vector=bool(target))
    data = node.tensor(value)
    if not node.integer("allowzero", 0):
        target = [data.shape[axis] if isinstance(size, int) and size == 0 else size for axis, size in enumerate(target)]
    return torch.reshape(data, target)


def _flatten(node: Node, value: Value) -> Value:
    data = node.tensor(value)
    axis = node.integer("axis", 1)
    axis += data.dim() if axis < 0 else 0
    if axis == 1:
        return torch.flatten(data, 1) if data.dim() > 1 else data.unsqueeze(1)
    return torch.reshape(data, (math.prod(data.shape[:axis]), math.prod(data.shape[axis:])))


def _transpose(node: Node, value: Value) -> Value:
    data = node.tensor(value)
    return torch.permute(data, node.integers("perm", range(data.dim())[::-1]))


def _squeeze(node: Node, value: Value, *rest: Value | None) -> Value:
    axes = node.axes((value, *rest), 1)
    if isinstance(value, Sizes):
        return replace(value, is_vector=False) if len(value.numbers) == 1 else value
    data = node.tensor(value)
    return torch.squeeze(data) if axes is None else torch.squeeze(data, tuple(axes))


def _unsqueeze(node: Node, value: Value, *rest: Value | None) -> Value:
    axes = node.axes((value, *rest), 1) or []
    if isinstance(value, Sizes) and not value.is_vector and axes in ([0], [-1]):
        return replace(value, is_vector=True)
    data = node.tensor(value)
    rank = data.dim() + len(axes)
    for axis in sorted(axis + rank if axis < 0 else axis for axis in axes):
        data = torch.unsqueeze(data, axis)
    return data


def _concat(node: Node, *values: Value) -> Value:
    parts = [value for value in values if isinstance(value, Sizes)]
    if len(parts) == len(values):
        return replace(parts[0], numbers=tuple(number for part in parts for number in part.numbers))
    return torch.cat([node.tensor(value) for value in values], node.integer("axis", 0))


def _split(node: Node, value: Value, given: Value | None = None) -> tuple[Value, ...]:
    data = node.tensor(value)
    axis = node.integer("axis", 0)
    if given is not None:
        return tuple(torch.split(data, list(integers(given, f"sizes of Split {node.name}")), axis))
    if "split" in node.attributes:
        return tuple(torch.split(data, node.integers("split", ()), axis))
    size = -(-data.shape[axis] // node.integer("num_outputs", node.outputs))
    return tuple(torch.split(data, size, axis))


def _slice(node: Node, value: Value, *rest: Value | None) -> Value:
    if "starts" in node.attributes:
        starts, ends = node.integers("starts", ()), node.integers("ends", ())
        axes, steps = node.integers("axes", range(len(starts))), [1] * len(starts)
    else:
        starts, ends = (list(integers(rest[i], f"bounds of Slice {node.name}")) for i in (0, 1))
        axes = node.axes((value, *rest), 3) or list(range(len(starts)))
        has_steps = len(rest) > 3 and rest[3] is not None
        steps = list(integers(rest[3], "steps")) if has_steps else [1] * len(starts)
    if isinstance(value, Sizes):
        return replace(value, numbers=value.numbers[slice(starts[0], _end(ends[0]), steps[0])])
    data = node.tensor(value)
    for start, end, axis, step in zip(starts, ends, axes, steps, strict=True):
        data = _cut(data, axis + data.dim() if axis < 0 else axis, start, end, step)
    return data


def _end(end: int) -> int | None:
    return None if isinstance(end, int) and abs(end) >= _FAR else end


def _cut(data: torch.Tensor, axis: int, start: int, end: int, step: int) -> torch.Tensor:
    if step > 0:
        return data[(slice(None),) * axis + (slice(start, _end(end), step),)]
    # Backwards: torch has no negative steps, so the mirrored dimension is cut forwards.
    size = data.shape[axis]
    first = size - 1 if _end(start) is None or start >= size else start % size
    last = -1 if _end(end) is None else (end % size if end >= -size else -1)
    return torch.flip(data, [axis])[(slice(None),) * axis + (slice(size - 1 - first, size - 1 - last, -step),)]


def _expand(node: Node, value: Value, shape: Value) -> Value:
    data = node.tensor(value)
    target = list(integers(shape, f"the shape of Expand {node.name}"))
    missing = data.dim() - len(target)
    target = [1] * missing + target
    own = [1] * (len(target) - data.dim()) + list(data.shape)
    # ONNX broadcasts both ways: where the target says 1, the data keeps its size.
    kept = [
        size if (isinstance(wanted, int) and wanted == 1) or (isinstance(size, int) and size != 1) else wanted
        for size, wanted in zip(own, target, strict=True)
    ]
    return data.expand(kept)


def _tile(node: Node, value: Value, repeats: Value) -> Value:
    return node.tensor(value).repeat(integers(repeats, f"repeats of Tile {node.name}"))


def _pad(node: Node, value: Value, *rest: Value | None) -> Value:
    data = node.tensor(value)
    given = rest[0] if rest else None
    pads = node.integers("pads", ()) if given is None else list(integers(given, f"pads of Pad {node.name}"))
    axes = node.axes((value, *rest), 3) or list(range(data.dim()))
    flat = [0] * 2 * data.dim()
    for position, axis in enumerate(axes):
        place = 2 * (data.dim() - 1 - (axis + data.dim() if axis < 0 else axis))
        flat[place], flat[place + 1] = pads[position], pads[position + len(axes)]
    mode = node.text("mode", "constant")
    if mode == "constant":
        fill = rest[1] if len(rest) > 1 else None
        number = fill.scalar if isinstance(fill, Sizes) else node.number("value", 0.0)
        return functional.pad(data, flat, value=number)
    if mode not in ("reflect", "edge"):
        raise node.refused(f"mode {mode} is not supported")
    while len(flat) > 2 and flat[-2:] == [0, 0]:
        flat = flat[:-2]
    return functional.pad(data, flat, mode="replicate" if mode == "edge" else "reflect")


def _range(node: Node, start: Value, limit: Value, step: Value) -> Value:
    if not are_sizes((start, limit, step)):
        raise node.refused("its bounds are computed from data")
    assert isinstance(start, Sizes) and isinstance(limit, Sizes) and isinstance(step, Sizes)  # noqa: S101, PT018
    return torch.arange(start.scalar, limit.scalar, step.scalar, dtype=start.dtype, device=node.device)


def _trilu(node: Node, value: Value, diagonal: Value | None = None) -> Value:
    offset = 0 if diagonal is None else integers(diagonal, f"the diagonal of Trilu {node.name}")[0]
    return (torch.triu if node.integer("upper", 1) else torch.tril)(node.tensor(value), offset)


def _depth_to_space(node: Node, value: Value) -> Value:
    data, block = node.tensor(value), node.integer("blocksize", 1)
    if node.text("mode", "DCR") == "CRD":
        return functional.pixel_shuffle(data, block)
    batch, depth, height, width = data.shape
    split = data.reshape(batch, block, block, depth // block**2, height, width)
    return split.permute(0, 3, 4, 1, 5, 2).reshape(batch, depth // block**2, height * block, width * block)


def _space_to_depth(node: Node, value: Value) -> Value:
    data, block = node.tensor(value), node.integer("blocksize", 1)
    batch, depth, height, width = data.shape
    split = data.reshape(batch, depth, height // block, block, width // block, block)
    return split.permute(0, 3, 5, 1, 2, 4).reshape(batch, depth * block**2, height // block, width // block)


SHAPING: Mapping[str, Conversion] = {
    "Cast": _cast,
    "CastLike": _cast_like,
    "Concat": _concat,
    "DepthToSpace": _depth_to_space,
    "Dropout": _identity,
    "Expand": _expand,
    "Flatten": _flatten,
    "Identity": _identity,
    "Pad": _pad,
    "Range": _range,
    "Reshape": _reshape,
    "Shape": _shape,
    "Size": _size,
    "Slice": _slice,
    "SpaceToDepth": _space_to_depth,
    "Split": _split,
    "Squeeze": _squeeze,
    "Tile": _tile,
    "Transpose": _transpose,
    "Trilu": _trilu,
    "Unsqueeze": _unsqueeze,
}
"""Conversions by operator."""
