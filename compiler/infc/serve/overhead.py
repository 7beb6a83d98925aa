"""What the real server and its channel to a Python model add to each execution, so that a stand-in can leave it out.

A sleeping stand-in that is to keep an instance busy for a planned time must sleep that much less. The cost depends on
the machine and on the sizes of the tensors, so it is measured on the server that will be used.
"""

import http.client
import json
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from infc.diag import ToolError
from infc.serve.triton import TritonServer

_PROBE_S = 0.004
_WARM_UP_ROUNDS = 5
_ROUNDS = 40
_GATHER_US = 20_000
_TIMEOUT_S = 10.0
_ITEM_BYTES = {"BOOL": 1, "INT8": 1, "UINT8": 1, "FP16": 2, "BF16": 2, "INT16": 2, "UINT16": 2}
_ITEM_BYTES |= {"INT32": 4, "UINT32": 4, "FP32": 4, "INT64": 8, "UINT64": 8, "FP64": 8}


def sleeper_config(
    config: Mapping[str, Any], service_times_s: Sequence[float], overhead_s: Sequence[float] = ()
) -> dict[str, Any]:
    """A model configuration (protobuf JSON) for the sleeping stand-in on this machine: no GPU, and the times to keep.

    `service_times_s[b-1]` is how long a batch of b keeps an instance busy, `overhead_s[b-1]` the part of it that the
    server adds by itself. Instances stay as many as they were, on KIND_CPU.
    """
    groups = config.get("instance_group") or [{"count": 1}]
    parameters = dict(config.get("parameters", {}))
    parameters["infc.service_times_s"] = {"string_value": ",".join(map(repr, service_times_s))}
    parameters["infc.server_overhead_s"] = {"string_value": ",".join(map(repr, overhead_s))}
    count = sum(int(group.get("count", 1)) * max(len(group.get("gpus", ())), 1) for group in groups)
    return {**config, "instance_group": [{"count": count, "kind": "KIND_CPU"}], "parameters": parameters}


def measure_server_overhead_s(server: TritonServer, config: Mapping[str, Any]) -> tuple[float, ...]:
    """Seconds that the server adds to an execution of each batch size, from 1 to the maximum, for a sleeping stand-in.

    `server` must be under explicit model control; `config` (protobuf JSON) is the model's. It is loaded with a short
    time to keep, sent batches of one and of many, and stays loaded: load it again with its own times. Takes about 3 s.
    The answer is a straight line in the batch size through two measurements.

    Raises:
        ToolError: the server refuses the model or a request.
    """
    maximum = max(int(config.get("max_batch_size", 0)), 1)
    probe = sleeper_config(config, [_PROBE_S] * maximum)
    probe["instance_group"] = [{"count": 1, "kind": "KIND_CPU"}]
    many = min(maximum, 16)
    if maximum > 1:
        probe["dynamic_batching"] = {"max_queue_delay_microseconds": _GATHER_US, "preferred_batch_size": [many]}
    model = str(config["name"])
    server.load_model(model, probe)
    request = _infer_call(server.http_url, config)
    one_s = _mean_overhead_s(server, model, request, 1)
    if many == 1:
        return (one_s,) * maximum
    each_s = max(_mean_overhead_s(server, model, request, many) - one_s, 0.0) / (many - 1)
    return tuple(one_s + each_s * index for index in range(maximum))


def _mean_overhead_s(server: TritonServer, model: str, request: Callable[[], None], batch_size: int) -> float:
    _send_rounds(request, batch_size, rounds=_WARM_UP_ROUNDS)
    before = server.statistics(model)
    _send_rounds(request, batch_size, rounds=_ROUNDS)
    service_s = server.statistics(model).since(before).service_s_by_batch_size
    if batch_size not in service_s:
        raise ToolError(f"{batch_size} requests at once never formed one batch, so the server's cost is not known")
    return max(service_s[batch_size] - _PROBE_S, 0.0)


def _send_rounds(request: Callable[[], None], batch_size: int, *, rounds: int) -> None:
    failures: list[ToolError] = []

    def send() -> None:
        try:
            for _ in range(rounds):
                gate.wait(_TIMEOUT_S)
                request()
        except ToolError as error:
            failures.append(error)
            gate.abort()
        except threading.BrokenBarrierError:
            return

    gate = threading.Barrier(batch_size)
    threads = [threading.Thread(target=send, daemon=True) for _ in range(batch_size)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]


def _infer_call(url: str, config: Mapping[str, Any]) -> Callable[[], None]:
    """A function that sends one row of zeros, on a connection of its own thread."""
    header, content = _zeros(config)
    path = f"/v2/models/{config['name']}/infer"
    headers = {"Inference-Header-Content-Length": str(len(header)), "Content-Type": "application/octet-stream"}

    def call() -> None:
        connection = http.client.HTTPConnection(url, timeout=_TIMEOUT_S)
        try:
            connection.request("POST", path, body=header + content, headers={**headers, "Connection": "close"})
            response = connection.getresponse()
            answer = response.read()
        except (OSError, http.client.HTTPException) as error:
            raise ToolError(f"no answer from the server at {url}: {error}") from error
        finally:
            connection.close()
        if response.status != http.HTTPStatus.OK:
            raise ToolError(f"the server refuses a request: {answer.decode(errors='replace')[:300]}")

    return call


def _zeros(config: Mapping[str, Any]) -> tuple[bytes, bytes]:
    inputs, content = [], b""
    for tensor in config["input"]:
        shape = [max(int(size), 1) for size in tensor["dims"]]
        if int(config.get("max_batch_size", 0)) > 0:
            shape = [1, *shape]
        dtype = str(tensor["data_type"]).removeprefix("TYPE_")
        if dtype not in _ITEM_BYTES:
            raise ToolError(f"input {tensor['name']} of type {dtype} cannot be rehearsed")
        size = _ITEM_BYTES[dtype]
        for length in shape:
            size *= length
        inputs.append(
            {"name": tensor["name"], "shape": shape, "datatype": dtype, "parameters": {"binary_data_size": size}}
        )
        content += bytes(size)
    return json.dumps({"inputs": inputs, "parameters": {"binary_data_output": True}}).encode(), content
