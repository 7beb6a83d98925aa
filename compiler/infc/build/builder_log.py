"""Facts and failures in a TensorRT builder's log. At VERBOSE it prints what an inspector would, without a GPU.

Source: the log of TensorRT-RTX 1.7 (the layer table under "Layers:", "Total Activation Memory", "Total Weights
Memory").
"""

import re
from collections.abc import Iterator, Mapping, Sequence

from infc.ir.engine import EngineFacts, EngineLayer

_ACTIVATION = re.compile(r"Total Activation Memory: (\d+)")
_WEIGHTS = re.compile(r"Total Weights Memory: (\d+)")
_LAYER = re.compile(r"^Name: (?P<name>.+?), LayerType: (?P<kind>[^,]+), (?P<rest>.*)$")
_OUTPUTS = re.compile(r"Outputs: \[(?P<outputs>.*?)\], (?:ParameterType|TacticName|StreamId)")
_DTYPE = re.compile(r"Datatype: (\w+)")
_ONNX_LAYER = re.compile(r"\[ONNX Layer: ([^\]]+)\]")
_GENERATED = re.compile(r"__my[a-z]+\d*_?|_myl\d+_\d+$")


def facts_from_log(messages: Sequence[str], toolchain: Mapping[str, str]) -> EngineFacts:
    """Memory and layers of the engine whose build printed these messages."""
    return EngineFacts(
        activation_bytes=_last_number(_ACTIVATION, messages),
        weight_bytes=_last_number(_WEIGHTS, messages),
        layers=tuple(_layers(messages)),
        toolchain=toolchain,
    )


def _last_number(pattern: re.Pattern[str], messages: Sequence[str]) -> int | None:
    found = [int(match.group(1)) for message in messages for match in pattern.finditer(message)]
    return found[-1] if found else None


def _layers(messages: Sequence[str]) -> Iterator[EngineLayer]:
    for message in messages:
        if not message.startswith("Layers:"):
            continue
        for line in message.splitlines()[1:]:
            if line.startswith("I/O Tensors"):
                break
            match = _LAYER.match(line)
            if match is None or not (outputs := _OUTPUTS.search(match["rest"])):
                continue
            dtypes = list(dict.fromkeys(_DTYPE.findall(outputs["outputs"])))
            if dtypes:
                yield EngineLayer(name=_name(match["name"], line), kind=match["kind"], dtype="+".join(dtypes))


def _name(name: str, line: str) -> str:
    """The model's own operator names where the log gives them: generated names differ from build to build."""
    onnx_layers = list(dict.fromkeys(_ONNX_LAYER.findall(line)))
    return "+".join(onnx_layers) if onnx_layers else _GENERATED.sub("", name)
