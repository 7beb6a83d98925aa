"""Reads what Triton's trace wrote of one request: its tensors, exactly as the server had them but for rounding.

The trace writes text by streams of C++: floats have six digits, numbers of one byte are that byte itself (so that the
file is not always JSON), and 16-bit floats are missing. So this goes by the bytes, not by a JSON parser.
Source: tracer.cc of Triton 24.10 (TraceTensorActivity), and files that the real server wrote.
"""

import re

import numpy as np

NUMPY_TYPES = {
    "BOOL": np.bool_,
    "UINT8": np.uint8,
    "UINT16": np.uint16,
    "UINT32": np.uint32,
    "UINT64": np.uint64,
    "INT8": np.int8,
    "INT16": np.int16,
    "INT32": np.int32,
    "INT64": np.int64,
    "FP32": np.float32,
    "FP64": np.float64,
}
"""Data types that the trace writes, by Triton's name."""

_ENTRY = re.compile(
    rb'\{"id":(?P<id>\d+),(?:"model_name":"(?P<model>[^"]*)"'
    rb'|"activity":"(?P<activity>TENSOR_QUEUE_INPUT|TENSOR_BACKEND_OUTPUT)","tensor":\{"name":"(?P<name>[^"]*)","data":")'
)
_TAIL = re.compile(rb'","shape":"(?P<shape>[0-9,]*)","dtype":"(?P<dtype>\w+)"\}\}')


class UnreadableError(Exception):
    """A capture is cut off, or is none."""


class Capture:
    """One request of a model: its inputs and the outputs that it was answered with, by name."""

    def __init__(self):
        self.model = ""
        self.inputs = {}
        self.outputs = {}


def read_captures(content):
    """The captures in a file of the trace; those of a request that failed have no outputs.

    Raises:
        UnreadableError: the file is not complete, or holds a tensor that cannot be read.
    """
    if not content.endswith(b"]"):
        raise UnreadableError("the file is cut off")
    captures = {}
    position = 0
    while (entry := _ENTRY.search(content, position)) is not None:
        capture = captures.setdefault(entry["id"], Capture())
        position = entry.end()
        if entry["model"] is not None:
            capture.model = entry["model"].decode("utf-8", "replace")
            continue
        tensor, position = _tensor(content, position)
        tensors = capture.inputs if entry["activity"] == b"TENSOR_QUEUE_INPUT" else capture.outputs
        tensors[entry["name"].decode("utf-8", "replace")] = tensor
    return list(captures.values())


def _tensor(content, start):
    """The tensor whose values start at a position, and where the entry ends."""
    for tail in _TAIL.finditer(content, start):
        dtype = NUMPY_TYPES.get(tail["dtype"].decode())
        if dtype is None:
            raise UnreadableError(f"the trace does not write {tail['dtype'].decode()} values")
        shape = tuple(int(size) for size in tail["shape"].split(b",") if size)
        values = _values(content[start : tail.start()], dtype, int(np.prod(shape, dtype=np.int64)))
        if values is not None:
            return values.reshape(shape), tail.end()
        if dtype().itemsize > 1 or dtype is np.bool_:
            break
        # Bytes may spell the end of an entry by chance: the one that fits the shape is the end.
    raise UnreadableError("a tensor does not have as many values as its shape says")


def _values(text, dtype, count):
    """The values of one tensor; None when there are not `count` of them."""
    if dtype in (np.uint8, np.int8):
        if len(text) != max(2 * count - 1, 0) or text[1::2] != b"," * (count - 1):
            return None
        return np.frombuffer(text[::2], dtype=dtype)
    parts = text.split(b",") if text else []
    if len(parts) != count:
        return None
    try:
        if dtype in (np.float32, np.float64):
            return np.array([float(part) for part in parts], dtype=dtype)
        return np.array([int(part) for part in parts]).astype(dtype)
    except (ValueError, OverflowError):
        return None
