"""Raw tensors of a bundle as numbers, without NumPy: little-endian, C order."""

from __future__ import annotations

import struct
import sys
from array import array
from typing import Sequence  # noqa: UP035 - Python 3.8

CODES = {
    "float64": "d",
    "float32": "f",
    "int64": "q",
    "int32": "i",
    "int16": "h",
    "int8": "b",
    "uint64": "Q",
    "uint32": "I",
    "uint16": "H",
    "uint8": "B",
    "bool": "B",
}
"""Types whose elements Python's arrays hold as they are."""

DATATYPES = {
    "float64": "FP64",
    "float32": "FP32",
    "float16": "FP16",
    "bfloat16": "BF16",
    "int64": "INT64",
    "int32": "INT32",
    "int16": "INT16",
    "int8": "INT8",
    "uint64": "UINT64",
    "uint32": "UINT32",
    "uint16": "UINT16",
    "uint8": "UINT8",
    "bool": "BOOL",
}
"""Names of types in KServe's v2 protocol."""


def numbers_of(content: bytes, dtype: str) -> Sequence[float]:
    """The numbers of raw bytes. Raises ValueError for a type or a size that does not fit.

    >>> list(numbers_of(bytes([0, 60, 0, 252]), "float16")), list(numbers_of(bytes([128, 63]), "bfloat16"))
    ([1.0, -inf], [1.0])
    """
    if dtype == "float16":
        return struct.unpack(f"<{_count(content, 2)}e", content)
    if dtype == "bfloat16":
        content = b"".join(b"\0\0" + content[at : at + 2] for at in range(0, 2 * _count(content, 2), 2))
    elif dtype not in CODES:
        raise ValueError(f"tensors of type {dtype} cannot be read here")
    values = array(CODES.get(dtype, "f"))
    _count(content, values.itemsize)
    values.frombytes(content)
    if sys.byteorder == "big":
        values.byteswap()
    return values


def _count(content: bytes, size: int) -> int:
    if len(content) % size:
        raise ValueError(f"{len(content)} bytes are no whole number of elements of {size}")
    return len(content) // size
