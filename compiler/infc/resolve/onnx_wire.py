"""The outline of an ONNX file, read from the protobuf wire format without its weights and without importing onnx.

Every length is checked against the bytes that are there before anything is parsed, so a truncated or foreign file is an
answer, not a crash, and a file of many gigabytes costs memory only for its structure. Field numbers are those of
onnx.proto3.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from math import prod

KEPT_PAYLOAD_BYTES = 64 * 1024
"""Tensors up to this size keep their values (shapes, axes, scales); the payload of larger ones is left out."""

MAX_NESTING = 64
"""Messages inside each other, three for a subgraph; real models stay below 30, and protobuf itself ends at 100."""


class WireError(ValueError):
    """The bytes are not a well-formed ONNX protobuf; the text says what is wrong and where."""


@dataclass(frozen=True, kw_only=True)
class ExternalReference:
    """Where a tensor says that its bytes are. `length` is 0 when the file does not say."""

    tensor: str
    location: str
    offset: int
    length: int


@dataclass(frozen=True, kw_only=True)
class Outline:
    """`skeleton` is the model's protobuf without large payloads; `external` lists what it keeps in other files."""

    skeleton: bytes
    external: tuple[ExternalReference, ...]


_NESTED: Mapping[tuple[str, int], str] = {
    ("model", 7): "graph",
    ("model", 25): "function",
    ("function", 7): "node",
    ("graph", 1): "node",
    ("graph", 5): "tensor",
    ("graph", 15): "sparse",
    ("node", 5): "attribute",
    ("attribute", 5): "tensor",
    ("attribute", 6): "graph",
    ("attribute", 10): "tensor",
    ("attribute", 11): "graph",
    ("attribute", 22): "sparse",
    ("attribute", 23): "sparse",
    ("sparse", 1): "tensor",
    ("sparse", 2): "tensor",
}
_DROPPED = {("model", 20)}  # training_info: graphs that inference never runs
_PAYLOAD_FIELDS = frozenset((4, 5, 7, 9, 10, 11))
_RAW_DATA = 9
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
# Bits of an element by TensorProto.DataType; strings (8) have no fixed size.
_ELEMENT_BITS = {
    1: 32, 2: 8, 3: 8, 4: 16, 5: 16, 6: 32, 7: 64, 9: 8, 10: 16, 11: 64, 12: 32, 13: 64, 14: 64, 15: 128, 16: 16,
    17: 8, 18: 8, 19: 8, 20: 8, 21: 4, 22: 4, 23: 4, 24: 8, 25: 2, 26: 2,
}  # fmt: skip


def outline_of_onnx(data: memoryview) -> Outline:
    """Read the structure of an ONNX file.

    Raises:
        WireError: the bytes are not a complete ONNX protobuf.
    """
    external: list[ExternalReference] = []
    skeleton = b"".join(_stripped(data, "model", 0, external))
    return Outline(skeleton=skeleton, external=tuple(external))


def _stripped(data: memoryview, message: str, depth: int, external: list[ExternalReference]) -> Iterator[bytes]:
    """The message again, piece by piece, nested messages stripped of their payloads."""
    if depth > MAX_NESTING:
        raise WireError(f"graphs are nested more than {MAX_NESTING} deep")
    if message == "tensor":
        yield from _stripped_tensor(data, external)
        return
    for number, wire_type, start, payload_start, end in _fields(data):
        nested = _NESTED.get((message, number)) if wire_type == _BYTES else None
        if nested is not None:
            body = b"".join(_stripped(data[payload_start:end], nested, depth + 1, external))
            yield _varint_bytes(number << 3 | _BYTES) + _varint_bytes(len(body))
            yield body
        elif (message, number) not in _DROPPED:
            yield bytes(data[start:end])


@dataclass(kw_only=True)
class _TensorFields:
    """What is seen of one TensorProto while its fields go by."""

    dims: list[int] = field(default_factory=list)
    data_type: int = 0
    name: str = ""
    raw_bytes: int | None = None
    is_external: bool = False
    entries: dict[str, str] = field(default_factory=dict)


def _stripped_tensor(data: memoryview, external: list[ExternalReference]) -> Iterator[bytes]:
    seen = _TensorFields()
    for number, wire_type, start, payload_start, end in _fields(data):
        size = end - payload_start
        if wire_type == _BYTES and number in _PAYLOAD_FIELDS:
            if number == _RAW_DATA:
                seen.raw_bytes = size
            if size > KEPT_PAYLOAD_BYTES:
                continue
        else:
            _note_tensor_field(seen, number, wire_type, data[payload_start:end])
        yield bytes(data[start:end])
    _check_tensor(seen)
    if seen.is_external:
        external.append(
            ExternalReference(
                tensor=seen.name,
                location=seen.entries.get("location", ""),
                offset=_whole_number(seen, "offset"),
                length=_whole_number(seen, "length"),
            )
        )


def _note_tensor_field(seen: _TensorFields, number: int, wire_type: int, payload: memoryview) -> None:
    match number, wire_type:
        case 1, 0:
            seen.dims.append(_varint(payload, 0)[0])
        case 1, 2:
            position = 0
            while position < len(payload):
                value, position = _varint(payload, position)
                seen.dims.append(value)
        case 2, 0:
            seen.data_type = _varint(payload, 0)[0]
        case 8, 2:
            seen.name = _text(payload)
        case 13, 2:
            entry = {n: _text(payload[s:e]) for n, w, _, s, e in _fields(payload) if w == _BYTES}
            seen.entries[entry.get(1, "")] = entry.get(2, "")
        case 14, 0:
            seen.is_external = _varint(payload, 0)[0] == 1


def _check_tensor(seen: _TensorFields) -> None:
    if any(size >= 1 << 63 for size in seen.dims):
        raise WireError(f"tensor {seen.name!r} has a negative dimension")
    bits = _ELEMENT_BITS.get(seen.data_type)
    if bits is None or seen.raw_bytes is None or seen.is_external:
        return
    expected = -(-prod(seen.dims) * bits // 8)
    if seen.raw_bytes != expected:
        raise WireError(f"tensor {seen.name!r} has {seen.raw_bytes} bytes of data where its shape needs {expected}")


def _whole_number(seen: _TensorFields, key: str) -> int:
    text = seen.entries.get(key, "0")
    if not text.isascii() or not text.isdigit() or len(text) > 18:
        raise WireError(f"tensor {seen.name!r} has external data with {key} {text[:40]!r}")
    return int(text)


def _fields(data: memoryview) -> Iterator[tuple[int, int, int, int, int]]:
    """The fields of a message: (field number, wire type, start, start of the payload, end)."""
    position, size = 0, len(data)
    while position < size:
        start = position
        key, position = _varint(data, position)
        number, wire_type = key >> 3, key & 7
        payload_start = position
        match wire_type:
            case 0:
                _, end = _varint(data, position)
            case 1:
                end = position + 8
            case 2:
                length, payload_start = _varint(data, position)
                end = payload_start + length
            case 5:
                end = position + 4
            case _:
                raise WireError(f"byte {start} of a message starts a field of unknown kind {wire_type}")
        if number == 0 or end > size:
            what = "has field number 0" if number == 0 else f"ends {end - size} bytes too early"
            raise WireError(f"the protobuf message {what}")
        yield number, wire_type, start, payload_start, end
        position = end


def _varint(data: memoryview, position: int) -> tuple[int, int]:
    """The number at `position` and the position after it."""
    value = shift = 0
    size = len(data)
    while position < size:
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
        shift += 7
        if shift > 63:
            break
    raise WireError("the protobuf message ends inside a number")


def _varint_bytes(value: int) -> bytes:
    encoded = bytearray()
    while value >= 0x80:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)


def _text(payload: memoryview) -> str:
    return bytes(payload).decode("utf-8", errors="replace")
