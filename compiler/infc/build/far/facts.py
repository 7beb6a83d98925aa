"""What an engine is made of: its memory and layers, from the builder's log or from the engine's inspector."""

from __future__ import annotations

import json
import re
from typing import Any, Iterator  # noqa: UP035 - Python 3.8

_ACTIVATION = re.compile(r"Total Activation Memory: (\d+)")
_WEIGHTS = re.compile(r"Total Weights Memory: (\d+)")
_LAYER = re.compile(r"^Name: (?P<name>.+?), LayerType: (?P<kind>[^,]+), (?P<rest>.*)$")
_INPUTS = re.compile(r"Inputs: \[(?P<tensors>.*?)\], (?:Constants|Outputs):")
_OUTPUTS = re.compile(r"Outputs: \[(?P<tensors>.*?)\], (?:ParameterType|TacticName|StreamId)")
_DTYPE = re.compile(r"Datatype: (\w+)")
_TENSOR = re.compile(r"Name: ([^{}]+?), Dimensions: \[([-\d,]*)\][^{}]*?Datatype: (\w+)")
_TYPE_BYTES = {
    "Bool": 1,
    "BFloat16": 2,
    "Float": 4,
    "FP8": 1,
    "Half": 2,
    "Int32": 4,
    "Int4": 0.5,
    "Int64": 8,
    "Int8": 1,
    "UInt8": 1,
}
_ONNX_LAYER = re.compile(r"\[ONNX Layer: ([^\]]+)\]")
_GENERATED = re.compile(r"__my[a-z]+\d*_?|_myl\d+_\d+$")
_TYPE_WORDS = (
    ("BFloat16", r"BF16|BFloat16"),
    ("FP8", r"FP8|Float8"),
    ("FP4", r"FP4|E2M1"),
    ("Half", r"FP16|Half|Float16"),
    ("Float", r"FP32|Float|Float32"),
    ("Int4", r"INT4"),
    ("Int8", r"INT8"),
    ("Int32", r"INT32"),
    ("Int64", r"INT64"),
    ("Bool", r"BOOL"),
    ("UInt8", r"UINT8"),
)


def facts_from_log(messages: list[str], shapes: list[dict[str, Any]]) -> dict[str, Any]:
    """Memory and layers of the engine whose build printed these messages; at VERBOSE no inspector is needed.

    Source: the log of TensorRT-RTX 1.7 (the table under "Layers:", "Total Activation Memory", "Total Weights Memory").
    """
    return {
        "activation_bytes": _last_number(_ACTIVATION, messages),
        "weight_bytes": _last_number(_WEIGHTS, messages),
        "moved_bytes": _moved_bytes(messages, shapes),
        "layers": list(_logged_layers(messages)),
    }


def _last_number(pattern: re.Pattern[str], messages: list[str]) -> int | None:
    found = [int(match.group(1)) for message in messages for match in pattern.finditer(message)]
    return found[-1] if found else None


def _logged_layers(messages: list[str]) -> Iterator[dict[str, Any]]:
    for line in _logged_lines(messages):
        match = _LAYER.match(line)
        outputs = _logged_types(_OUTPUTS, line)
        if match and outputs:
            yield _layer(match["name"], match["kind"], outputs, _logged_types(_INPUTS, line), line)


def _logged_lines(messages: list[str]) -> Iterator[str]:
    """The lines of the layer table."""
    for message in messages:
        if not message.startswith("Layers:"):
            continue
        for line in message.splitlines()[1:]:
            if line.startswith("I/O Tensors"):
                break
            yield line


def _moved_bytes(messages: list[str], shapes: list[dict[str, Any]]) -> int | None:
    """Bytes of activations that the layers read and write at the largest shapes; None where the log leaves one open.

    A dimension that varies is -1 in the log. It is the batch when the inputs vary in nothing else; a -1 that several
    dimensions were merged into gives itself away, because its tensor then has another size where it is seen whole.
    """
    varying = set()
    for shape in shapes:
        for index, (least, most) in enumerate(zip(shape["minimum"], shape["maximum"])):  # noqa: B905 - Python 3.8
            if least != most:
                varying.add((index, most))
    if len(varying) > 1 or any(index for index, _ in varying):
        return None
    batch = max((most for _, most in varying), default=0)
    elements: dict[str, int] = {}
    total = 0.0
    for line in _logged_lines(messages):
        for pattern in (_INPUTS, _OUTPUTS):
            match = pattern.search(line)
            for name, dimensions, dtype in _TENSOR.findall(match["tensors"]) if match else ():
                count = 1
                for size in re.findall(r"-?\d+", dimensions):
                    count *= int(size) if int(size) >= 0 else batch
                if dtype not in _TYPE_BYTES or (elements.setdefault(name, count) != count and "-1" in dimensions):
                    return None
                total += count * _TYPE_BYTES[dtype]
    return int(total) or None


def _logged_types(pattern: re.Pattern[str], line: str) -> list[str]:
    match = pattern.search(line)
    return list(dict.fromkeys(_DTYPE.findall(match["tensors"]))) if match else []


def _layer(name: str, kind: str, outputs: list[str], inputs: list[str], described: str) -> dict[str, Any]:
    """A layer under the model's own operator names where they are given: generated ones differ between builds."""
    operators = [_plain(operator) for operator in dict.fromkeys(_ONNX_LAYER.findall(described))]
    return {
        "name": "+".join(operators) if operators else _plain(_GENERATED.sub("", name)),
        "kind": _plain(kind),
        "dtype": "+".join(outputs),
        "input_dtype": "+".join(inputs),
        "operators": operators,
    }


def _plain(text: str) -> str:
    return re.sub(r"[\x00-\x1f\x7f]+", " ", text).strip()


def inspected_facts(trt: Any, logger: Any, plan: bytes) -> dict[str, Any]:
    """What the engine and its inspector say; nothing where the engine cannot be loaded here (no GPU)."""
    engine = trt.Runtime(logger).deserialize_cuda_engine(plan)
    if engine is None:
        return {}
    text = engine.create_engine_inspector().get_engine_information(trt.LayerInformationFormat.JSON)
    return {"layers": layers_from_inspector(text), "activation_bytes": _device_memory_bytes(engine)}


def _device_memory_bytes(engine: Any) -> int:
    """Scratch memory of one execution; the property had another name before TensorRT 10.3."""
    name = "device_memory_size_v2" if hasattr(engine, "device_memory_size_v2") else "device_memory_size"
    return int(getattr(engine, name))


def layers_from_inspector(text: str) -> list[dict[str, Any]]:
    """The layers of an inspector's JSON, in the form of `facts_from_log`."""
    layers = []
    for layer in json.loads(text).get("Layers", []):
        if isinstance(layer, str):
            layers.append(_layer(layer, "", [], [], ""))
            continue
        outputs = _inspected_types(layer.get("Outputs", []))
        inputs = _inspected_types(layer.get("Inputs", []))
        layers.append(
            _layer(layer["Name"], layer.get("LayerType", ""), outputs, inputs, str(layer.get("Metadata", "")))
        )
    return layers


def _inspected_types(tensors: list[dict[str, Any]]) -> list[str]:
    """Types in one vocabulary: TensorRT writes `Half`, or a sentence such as `Row major linear FP16 format`."""
    found = []
    for tensor in tensors:
        text = str(tensor.get("Format/Datatype", tensor.get("Datatype", "")))
        for name, words in _TYPE_WORDS:
            if re.search(rf"\b(?:{words})\b", text, re.IGNORECASE):
                found.append(name)
                break
    return list(dict.fromkeys(found))
