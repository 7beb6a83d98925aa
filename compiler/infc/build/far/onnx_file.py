"""The few things of an ONNX file that building needs to know, read without the onnx package: it is not on devices.

Source: onnx.proto (numbers of the fields) and the wire format of protocol buffers.
"""

from __future__ import annotations

import mmap
from pathlib import Path
from typing import Iterator, Tuple, Union  # noqa: UP035 - Python 3.8

_VARINT, _FIXED64, _LENGTH, _FIXED32 = 0, 1, 2, 5
_GRAPH, _NODE, _INITIALIZER, _INPUT = 7, 1, 5, 11
_NAME, _INITIALIZER_NAME, _TYPE, _TENSOR_TYPE, _SHAPE, _DIM, _SIZE = 1, 8, 2, 1, 2, 1, 1
_OP_TYPE = 4

Span = Tuple[int, int]  # noqa: UP006
Field = Tuple[int, Union[int, Span]]  # noqa: UP006, UP007


def node_count(path: Path) -> int:
    """How many operators a model has, constants left out. Raises ValueError for what is no ONNX file."""
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        return sum(
            bytes(content[first:last]) != b"Constant"
            for node in _spans(content, _graph(content), _NODE)
            for first, last in _spans(content, node, _OP_TYPE)
        )


def has_dynamic_inputs(path: Path) -> bool:
    """Whether a size of an input is left open. Raises ValueError for what is no ONNX file."""
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        graph = _graph(content)
        weights = {
            bytes(content[first:last])
            for tensor in _spans(content, graph, _INITIALIZER)
            for first, last in _spans(content, tensor, _INITIALIZER_NAME)
        }
        for given in _spans(content, graph, _INPUT):
            names = [bytes(content[first:last]) for first, last in _spans(content, given, _NAME)]
            dims = [given]
            for number in (_TYPE, _TENSOR_TYPE, _SHAPE, _DIM):
                dims = [inner for outer in dims for inner in _spans(content, outer, number)]
            if weights.isdisjoint(names) and not all(_has_size(content, dim) for dim in dims):
                return True
    return False


def _graph(content: mmap.mmap) -> Span:
    for span in _spans(content, (0, len(content)), _GRAPH):
        return span
    raise ValueError("no ONNX model: it has no graph")


def _has_size(content: mmap.mmap, dim: Span) -> bool:
    return any(number == _SIZE and isinstance(value, int) for number, value in _fields(content, dim))


def _spans(content: mmap.mmap, within: Span, wanted: int) -> Iterator[Span]:
    """Where the messages, strings or bytes of one field lie inside another message."""
    for number, value in _fields(content, within):
        if number == wanted and not isinstance(value, int):
            yield value


def _fields(content: mmap.mmap, within: Span) -> Iterator[Field]:
    """Fields of a message: number, and its whole number or where its bytes lie."""
    at, end = within
    while at < end:
        tag, at = _whole_number(content, at, end)
        number, kind = tag >> 3, tag & 7
        if kind == _VARINT:
            value, at = _whole_number(content, at, end)
            yield number, value
            continue
        size = {_FIXED64: 8, _FIXED32: 4}.get(kind)
        if kind == _LENGTH:
            size, at = _whole_number(content, at, end)
        if size is None or at + size > end:
            raise ValueError("no ONNX model: it is cut short or not a protocol buffer")
        yield number, (at, at + size)
        at += size


def _whole_number(content: mmap.mmap, at: int, end: int) -> tuple[int, int]:
    value = shift = 0
    while at < end and shift < 70:
        byte = content[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7
    raise ValueError("no ONNX model: it is cut short or not a protocol buffer")
