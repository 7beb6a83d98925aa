"""Operators that reduce or pick along dimensions, and those that gather and scatter."""

import math
from collections.abc import Callable, Mapping
from dataclasses import replace

import torch
from torch.nn import functional

from infc.build.torch_graph.node import Conversion, Node
from infc.build.torch_graph.values import Number, Sizes, Value, integers

_Reduction = Callable[[torch.Tensor, list[int], bool], torch.Tensor]


def _product(data: torch.Tensor, axes: list[int], has_dims_kept: bool) -> torch.Tensor:
    for axis in sorted((axis % data.dim() for axis in axes), reverse=True):
        data = torch.prod(data, axis, keepdim=has_dims_kept)
    return data


def _l1(data: torch.Tensor, axes: list[int], has_dims_kept: bool) -> torch.Tensor:
    return torch.sum(torch.abs(data), axes, keepdim=has_dims_kept)


def _l2(data: torch.Tensor, axes: list[int], has_dims_kept: bool) -> torch.Tensor:
    return torch.sqrt(torch.sum(data * data, axes, keepdim=has_dims_kept))


def _log_sum(data: torch.Tensor, axes: list[int], has_dims_kept: bool) -> torch.Tensor:
    return torch.log(torch.sum(data, axes, keepdim=has_dims_kept))


def _sum_square(data: torch.Tensor, axes: list[int], has_dims_kept: bool) -> torch.Tensor:
    return torch.sum(data * data, axes, keepdim=has_dims_kept)


_REDUCTIONS: Mapping[str, _Reduction] = {
    "ReduceL1": _l1,
    "ReduceL2": _l2,
    "ReduceLogSum": _log_sum,
    "ReduceLogSumExp": torch.logsumexp,
    "ReduceMax": torch.amax,
    "ReduceMean": torch.mean,
    "ReduceMin": torch.amin,
    "ReduceProd": _product,
    "ReduceSum": torch.sum,
    "ReduceSumSquare": _sum_square,
}
_NUMBER_REDUCTIONS: Mapping[str, Callable[[tuple[Number, ...]], Number]] = {
    "ReduceProd": math.prod,
    "ReduceSum": sum,
}


def _reduce(node: Node, value: Value, *rest: Value | None) -> Value:
    axes = node.axes((value, *rest), 1)
    has_dims_kept = node.integer("keepdims", 1) == 1
    if isinstance(value, Sizes) and node.op_type in _NUMBER_REDUCTIONS:
        return replace(value, numbers=(_NUMBER_REDUCTIONS[node.op_type](value.numbers),), is_vector=has_dims_kept)
    data = node.tensor(value)
    if not axes:
        if node.integer("noop_with_empty_axes", 0):
            return data
        axes = list(range(data.dim()))
    return _REDUCTIONS[node.op_type](data, axes, has_dims_kept).to(data.dtype)


def _softmax(node: Node, value: Value) -> Value:
    """Before operator set 13 all dimensions from `axis` on count as one."""
    data = node.tensor(value)
    function = torch.log_softmax if node.op_type == "LogSoftmax" else torch.softmax
    if node.opset >= 13:
        return function(data, node.integer("axis", -1))
    return function(torch.flatten(data, node.integer("axis", 1)), -1).reshape(data.shape)


def _arg_extreme(node: Node, value: Value) -> Value:
    if node.integer("select_last_index", 0):
        raise node.refused("select_last_index is not supported")
    function = torch.argmax if node.op_type == "ArgMax" else torch.argmin
    return function(node.tensor(value), node.integer("axis", 0), keepdim=node.integer("keepdims", 1) == 1)


def _top_k(node: Node, value: Value, count: Value) -> tuple[Value, ...]:
    values, indices = torch.topk(
        node.tensor(value),
        integers(count, f"k of TopK {node.name}")[0],
        node.integer("axis", -1),
        largest=node.integer("largest", 1) == 1,
        sorted=node.integer("sorted", 1) == 1,
    )
    return values, indices


def _cumulative_sum(node: Node, value: Value, axis: Value) -> Value:
    if node.integer("exclusive", 0) or node.integer("reverse", 0):
        raise node.refused("exclusive and reverse are not supported")
    data = node.tensor(value)
    return torch.cumsum(data, integers(axis, f"the axis of CumSum {node.name}")[0]).to(data.dtype)


def _gather(node: Node, value: Value, indices: Value) -> Value:
    axis = node.integer("axis", 0)
    if isinstance(value, Sizes) and isinstance(indices, Sizes):
        picked = tuple(value.numbers[index] for index in integers(indices, "indices"))
        return replace(value, numbers=picked, is_vector=indices.is_vector)
    data = node.tensor(value)
    if isinstance(indices, Sizes) and not indices.is_vector:
        return torch.select(data, axis, integers(indices, "indices")[0])
    places = _from_start(node.tensor(indices), data.shape[axis])
    if axis == 0 and data.dim() == 2 and data.is_floating_point():
        return functional.embedding(places, data)
    axis += data.dim() if axis < 0 else 0
    picked_rows = torch.index_select(data, axis, places.reshape(-1))
    return picked_rows.reshape((*data.shape[:axis], *places.shape, *data.shape[axis + 1 :]))


def _from_start(indices: torch.Tensor, size: int) -> torch.Tensor:
    """Indices may count from the end."""
    return torch.where(indices < 0, indices + size, indices)


def _gather_elements(node: Node, value: Value, indices: Value) -> Value:
    data = node.tensor(value)
    axis = node.integer("axis", 0)
    return torch.gather(data, axis, _from_start(node.tensor(indices), data.shape[axis]))


def _gather_nd(node: Node, value: Value, indices: Value) -> Value:
    if node.integer("batch_dims", 0):
        raise node.refused("batch_dims are not supported")
    places = node.tensor(indices)
    return node.tensor(value)[tuple(places[..., axis] for axis in range(places.shape[-1]))]


def _scatter_nd(node: Node, value: Value, indices: Value, updates: Value) -> Value:
    if node.text("reduction", "none") not in ("none", "add"):
        raise node.refused("only the reductions none and add are supported")
    data, places, news = node.tensor(value), node.tensor(indices), node.tensor(updates)
    where = tuple(places[..., axis] for axis in range(places.shape[-1]))
    return torch.index_put(data, where, news, accumulate=node.text("reduction", "none") == "add")


def _scatter_elements(node: Node, value: Value, indices: Value, updates: Value) -> Value:
    data, axis = node.tensor(value), node.integer("axis", 0)
    places, news = _from_start(node.tensor(indices), data.shape[axis]), node.tensor(updates)
    match node.text("reduction", "none"):
        case "none":
            return torch.scatter(data, axis, places, news)
        case "add":
            return torch.scatter_add(data, axis, places, news)
        case other:
            raise node.refused(f"reduction {other} is not supported")


def _one_hot(node: Node, indices: Value, depth: Value, values: Value) -> Value:
    count = integers(depth, f"the depth of OneHot {node.name}")[0]
    places = node.tensor(indices).to(torch.int64)
    off, on = node.tensor(values).unbind(0)
    hot = torch.arange(count, device=node.device) == _from_start(places, count).unsqueeze(-1)
    axis = node.integer("axis", -1)
    return torch.movedim(torch.where(hot, on, off), -1, axis)


REDUCING: Mapping[str, Conversion] = {
    **dict.fromkeys(_REDUCTIONS, _reduce),
    "ArgMax": _arg_extreme,
    "ArgMin": _arg_extreme,
    "CumSum": _cumulative_sum,
    "Gather": _gather,
    "GatherElements": _gather_elements,
    "GatherND": _gather_nd,
    "LogSoftmax": _softmax,
    "OneHot": _one_hot,
    "ScatterElements": _scatter_elements,
    "ScatterND": _scatter_nd,
    "Softmax": _softmax,
    "TopK": _top_k,
}
"""Conversions by operator."""
