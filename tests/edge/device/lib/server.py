"""Stand-in of tritonserver: one model of a repository over KServe v2 HTTP, with binary tensors; onnxruntime computes.

`server.py REPOSITORY MOUNT PORT [MODEL] [CONFIGURATION]`. It loads the engine as Triton does: its configuration must
agree with it, and it must lie in the mounted folder, which is all that a container sees.
"""

import json
import os
import re
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import standin

DATATYPES = {
    "FP32": "float32",
    "FP16": "float16",
    "FP64": "float64",
    "INT64": "int64",
    "INT32": "int32",
    "INT8": "int8",
    "UINT8": "uint8",
    "BOOL": "bool",
}
NAMES = {value: key for key, value in DATATYPES.items()}


class LoadError(Exception):
    """Why a model is not served."""


class Model:
    """A model of the repository, loaded."""

    def __init__(self, folder, mount, configuration):
        self.name = folder.name
        custom = folder / "configs" / (configuration + ".pbtxt")
        text = (custom if custom.is_file() else folder / "config.pbtxt").read_text()
        stated = re.search(r'^name:\s*"([^"]+)"', text, re.MULTILINE)
        if stated and stated.group(1) != folder.name:
            raise LoadError(f"failed to load {folder.name}: name in config.pbtxt is {stated.group(1)}")
        if not re.search(r'(backend:\s*"tensorrt"|platform:\s*"tensorrt_plan")', text):
            raise LoadError("config.pbtxt names no TensorRT backend")
        engine = folder / "1" / "model.plan"
        if Path(os.path.realpath(str(mount))) not in Path(os.path.realpath(str(engine))).parents:
            raise LoadError("model.plan is a link to where the container sees nothing")
        try:
            _header, content = standin.unpack_engine(engine.read_bytes())
        except OSError as error:
            raise LoadError(f"unable to find {engine}: {error}") from error
        self.session = standin.session(content)
        self.release = release_of(folder)
        tensors = set(re.findall(r'\b(?:input|output)\s*\{\s*name:\s*"([^"]+)"', text))
        wanted = {tensor.name for tensor in (*self.session.get_inputs(), *self.session.get_outputs())}
        if tensors and tensors != wanted:
            raise LoadError(f"config.pbtxt names {sorted(tensors)}, the engine has {sorted(wanted)}")

    def metadata(self):
        """What `GET /v2/models/NAME` tells."""
        return {
            "name": self.name,
            "versions": ["1"],
            "platform": "tensorrt_plan",
            "inputs": [describe(tensor) for tensor in self.session.get_inputs()],
            "outputs": [describe(tensor) for tensor in self.session.get_outputs()],
        }


def release_of(folder):
    """The folder's name under `releases/`: tests make single releases slow by it."""
    parts = Path(os.path.realpath(str(folder))).parts
    return parts[parts.index("releases") + 1] if "releases" in parts else ""


def describe(tensor):
    """A tensor as metadata name it."""
    shape = [size if isinstance(size, int) else -1 for size in tensor.shape]
    return {"name": tensor.name, "datatype": NAMES[standin.NUMPY_TYPES[tensor.type]], "shape": shape}


def slow_s(release):
    """Seconds that the test adds to each inference of a release."""
    settings = standin.settings()
    found = [seconds for start, seconds in settings.get("slow_releases", {}).items() if release.startswith(start)]
    return float(found[0] if found else settings.get("slow_s", 0.0))


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = 1 << 16

    def log_message(self, *arguments):
        """Say nothing: requests are many."""

    def do_GET(self):
        """Health, readiness and metadata."""
        model = self.server.model
        paths = {"/v2/health/live", "/v2/health/ready"}
        if model is not None:
            paths.add(f"/v2/models/{model.name}/ready")
        if self.path == "/v2":
            self.answer(200, {"name": "triton", "version": "2.49.0", "extensions": ["binary_tensor_data"]})
        elif self.path in paths:
            is_live = self.path.endswith("live")
            self.answer(200 if is_live or model is not None else 400, None)
        elif model is not None and self.path in ("/v2/models/" + model.name, "/v2/models/" + model.name + "/stats"):
            self.answer(200, model.metadata())
        else:
            self.answer(404 if model is not None else 400, {"error": "Request for unknown model"})

    def do_POST(self):
        """Inference."""
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        model = self.server.model
        names = (
            ()
            if model is None
            else ("/v2/models/" + model.name + "/infer", "/v2/models/" + model.name + "/versions/1/infer")
        )
        if self.path not in names:
            return self.answer(404 if model is not None else 400, {"error": "Request for unknown model"})
        try:
            head, tail = self.infer(model, body)
        except (KeyError, ValueError) as error:
            return self.answer(400, {"error": str(error)})
        self.answer(200, head, tail)
        return None

    def infer(self, model, body):
        """Head and binary tail of the answer to one request."""
        import numpy as np

        size = int(self.headers.get("Inference-Header-Content-Length", len(body)))
        request, position = json.loads(body[:size]), size
        feed = {}
        for tensor in request["inputs"]:
            dtype = DATATYPES[tensor["datatype"]]
            length = tensor.get("parameters", {}).get("binary_data_size")
            if length is None:
                values = np.array(tensor["data"], dtype).reshape(tensor["shape"])
            else:
                values = np.frombuffer(body[position : position + length], dtype).reshape(tensor["shape"])
                position += length
            feed[tensor["name"]] = values
        for tensor in model.session.get_inputs():
            if tensor.name not in feed:
                raise ValueError(f"expected {len(model.session.get_inputs())} inputs")
        with self.server.lock:
            outputs = model.session.run(None, feed)
            time.sleep(slow_s(model.release))
        is_binary = request.get("parameters", {}).get("binary_data_output", False)
        asked = {
            entry["name"]: entry.get("parameters", {}).get("binary_data", is_binary)
            for entry in request.get("outputs", [])
        }
        head, tail = {"model_name": model.name, "model_version": "1", "outputs": []}, b""
        for tensor, values in zip(model.session.get_outputs(), outputs, strict=False):
            if asked and tensor.name not in asked:
                continue
            entry = {"name": tensor.name, "datatype": NAMES[str(values.dtype)], "shape": list(values.shape)}
            if asked.get(tensor.name, is_binary):
                content = values.tobytes()
                entry["parameters"] = {"binary_data_size": len(content)}
                tail += content
            else:
                entry["data"] = values.reshape(-1).tolist()
            head["outputs"].append(entry)
        return head, tail

    def answer(self, status, document, tail=b""):
        """Send a JSON document and the tensors behind it."""
        content = b"" if document is None else json.dumps(document).encode()
        self.send_response(status)
        if tail:
            self.send_header("Inference-Header-Content-Length", str(len(content)))
        self.send_header("Content-Type", "application/octet-stream" if tail else "application/json")
        self.send_header("Content-Length", str(len(content) + len(tail)))
        self.end_headers()
        self.wfile.write(content + tail)


class Server(ThreadingHTTPServer):
    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 128


def main(arguments):
    """Serve until the process is ended."""
    import threading

    repository, mount, port = Path(arguments[0]), Path(arguments[1]), int(arguments[2])
    name, configuration = [*arguments[3:5], "", ""][:2]
    server = Server(("127.0.0.1", port), Handler)
    server.model, server.lock = None, threading.Lock()
    threading.Thread(target=load, args=(server, repository, mount, name, configuration), daemon=True).start()
    server.serve_forever()


def load(server, repository, mount, name, configuration):
    """Load the one model; ready `ready_delay_s` later, or never."""
    settings = standin.settings()
    time.sleep(float(settings.get("ready_delay_s", 0.0)))
    try:
        folders = sorted(path for path in repository.iterdir() if (path / "config.pbtxt").is_file())
        folders = [path for path in folders if name in ("", path.name)]
        if len(folders) != 1:
            raise LoadError(f"{len(folders)} models of the name {name!r} in {repository}")
        model = Model(folders[0], mount, configuration)
    except (LoadError, standin.EngineError, OSError) as error:
        print(f"E1122 00:00:00.000000 1 model_lifecycle.cc:654] failed to load: {error}", flush=True)
        os._exit(1)
    if not any(model.release.startswith(start) for start in settings.get("never_ready", [])):
        server.model = model
        print(f"I1122 00:00:00.000000 1 server.cc:674] {model.name} READY", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
