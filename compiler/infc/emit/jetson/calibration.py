"""`calib/<model>.json`: the ranges that quantisation was calibrated to, as the lowered model holds them.

TensorRT 10 and 11 take them from the model's own quantisers; the file is for people, and for tools that ask for ranges.
"""

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np

FOLDER = "calib"
_LARGEST = {"int8": 127.0, "float8_e4m3fn": 448.0}


def calibration_files(models: Mapping[str, Path]) -> dict[str, bytes]:
    """The ranges of every model that has quantised activations, by path in the bundle."""
    files = {}
    for path, file in sorted(models.items()):
        ranges = activation_ranges(file)
        if ranges:
            document = {"format_version": "1.0", "model": path, "ranges": ranges}
            text = json.dumps(document, indent=1, sort_keys=True) + "\n"
            files[f"{FOLDER}/{Path(path).stem}.json"] = text.encode()
    return files


def activation_ranges(model: Path) -> dict[str, dict[str, float | str]]:
    """Type, scale and largest magnitude of every quantised activation of a lowered model, by tensor."""
    import onnx
    from onnx import helper

    from infc.lower import graph as g

    proto = onnx.load(model)
    constants = g.initializers(proto.graph)
    found: dict[str, dict[str, float | str]] = {}
    for node in proto.graph.node:
        if node.op_type != "QuantizeLinear" or node.input[0] in constants or node.input[1] not in constants:
            continue
        kind = str(helper.tensor_dtype_to_np_dtype(constants[node.input[2]].data_type)) if len(node.input) > 2 else ""
        scale = float(np.asarray(g.array(constants[node.input[1]]), dtype=np.float32).max())
        if kind in _LARGEST:
            found[node.input[0]] = {"type": kind, "scale": scale, "magnitude": scale * _LARGEST[kind]}
    return found
