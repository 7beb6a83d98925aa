"""Inference requests in KServe's v2 protocol over HTTP/1.1, with binary tensors, on a connection that stays open."""

from __future__ import annotations

import http.client
import json
import math
import time
from pathlib import Path
from typing import Any, Sequence  # noqa: UP035 - Python 3.8

from .codes import ROLLED_BACK, Refusal
from .sending import RequestError, answer_of
from .service import host_and_port
from .shapes import samples_of
from .tensor_bytes import DATATYPES

_HEAD_LENGTH = "Inference-Header-Content-Length"
_SIZES = {"BOOL": 1, "FP16": 2, "BF16": 2}
_READ_BYTES = 1 << 16


class InferClient:
    """One connection; request `index` sends one of the bodies in turn."""

    def __init__(self, url: str, model: str, bodies: Sequence[tuple[int, bytes]], timeout_s: float) -> None:
        self.bodies, self.path = bodies, f"/v2/models/{model}/infer"
        self.connection = http.client.HTTPConnection(*host_and_port(url), timeout=timeout_s)

    def exchange(self, index: int) -> tuple[float, int]:
        """One request and its answer, of which nothing is kept."""
        head_bytes, body = self.bodies[index % len(self.bodies)]
        headers = {"Content-Type": "application/octet-stream", _HEAD_LENGTH: str(head_bytes)}
        try:
            response = answer_of(self.connection, self.path, body, headers)
            first_s = time.monotonic()
            while response.read(_READ_BYTES):
                pass
        except http.client.HTTPException as error:
            raise RequestError(str(error)) from error
        if response.status != http.client.OK:
            raise RequestError(f"HTTP status {response.status}")
        return first_s, 1

    def close(self) -> None:
        """Close it; the next request opens it again."""
        self.connection.close()


def infer_bodies(release: Path, manifest: dict[str, Any]) -> list[tuple[int, bytes]]:
    """Bodies of requests with the bundle's samples, each with the length of its JSON head.

    Without samples, zeros in the shapes that the engine is best at. Raises Refusal 11, 40.
    """
    document = samples_of(release, manifest)
    if document is None:
        return [_body(_zeros(manifest), 1)]
    found = []
    for sample in document["samples"]:
        tensors = []
        for tensor in sample["inputs"]:
            content = (release / tensor["file"]).read_bytes()
            tensors.append((tensor["name"], list(tensor["shape"]), DATATYPES[tensor["dtype"]], content))
        found.append(_body(tensors, int(manifest["load"]["batch_size"])))
    return found


def _body(tensors: Sequence[tuple[str, list[int], str, bytes]], batch_size: int) -> tuple[int, bytes]:
    """A request's head and tensors; samples of one are repeated to fill a batch."""
    entries, contents = [], []
    for name, shape, datatype, content in tensors:
        times = batch_size if shape and shape[0] == 1 else 1
        shape = [shape[0] * times, *shape[1:]] if shape else shape
        contents.append(content * times)
        parameters = {"binary_data_size": len(content) * times}
        entries.append({"name": name, "shape": shape, "datatype": datatype, "parameters": parameters})
    head = json.dumps({"inputs": entries, "parameters": {"binary_data_output": True}}).encode()
    return len(head), head + b"".join(contents)


def _zeros(manifest: dict[str, Any]) -> list[tuple[str, list[int], str, bytes]]:
    """Inputs of zeros, of the types that the service states. Raises Refusal 40."""
    service = manifest["service"]
    shapes = {shape["input"]: list(shape["optimum"]) for shape in manifest["engines"][0]["shapes"]}
    try:
        connection = http.client.HTTPConnection(*host_and_port(service["url"]), timeout=10.0)
        connection.request("GET", f"/v2/models/{service['model']}")
        stated = json.loads(connection.getresponse().read())["inputs"]
        connection.close()
        kinds = {each["name"]: str(each["datatype"]) for each in stated}
        return [
            (name, shape, kinds[name], bytes(_size_of(kinds[name]) * math.prod(shape)))
            for name, shape in shapes.items()
        ]
    except (OSError, http.client.HTTPException, ValueError, KeyError) as error:
        words = f"{service['url']} does not say what its inputs are: {error}"
        raise Refusal(ROLLED_BACK, words, "look at its log") from error


def _size_of(datatype: str) -> int:
    """Bytes of an element.

    >>> _size_of("FP32"), _size_of("INT8"), _size_of("BF16")
    (4, 1, 2)
    """
    return _SIZES.get(datatype) or int(datatype.lstrip("UINTFP")) // 8
