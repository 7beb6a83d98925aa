"""What the stand-ins of a Jetson's programs share: the root that they stand in, its settings, engines.

They lie in `<root>/usr/local/bin`, with this file in `<root>/usr/local/lib/standins`, and take the root from there: the
same files work in a chroot, where it is `/`, and in a plain folder that is no root of anything. What a test decides is
in `<root>/var/lib/standins/settings.json`; see `tests.edge.root.Settings`.
"""

import json
import os
import re
import struct
import sys
import time
from pathlib import Path

ROOT = Path(os.path.abspath(__file__)).parents[4]
STATE = ROOT / "var" / "lib" / "standins"
ENGINE_MAGIC = b"ftrt"


def settings():
    """What the test decided, read anew each time: it may change while a server runs."""
    try:
        return json.loads((STATE / "settings.json").read_text())
    except FileNotFoundError:
        return {}


def log_call(program):
    """Keep the arguments that a program was started with, for the tests."""
    STATE.mkdir(parents=True, exist_ok=True)
    with open(str(STATE / "calls.jsonl"), "a") as file:
        file.write(json.dumps({"program": program, "arguments": sys.argv[1:], "time": time.time()}) + "\n")


def packages():
    """Make onnxruntime and numpy importable: the device itself has neither."""
    folder = ROOT / "opt" / "standins-site"
    if folder.is_dir():
        sys.path.insert(0, str(folder))


def tensorrt_version():
    """The TensorRT of this device as its programs say it: `10.3.0`."""
    return settings().get("tensorrt", "10.3.0")


def l4t_version():
    """The release of Jetson Linux, from the file that a real one has it in."""
    try:
        text = (ROOT / "etc" / "nv_tegra_release").read_text()
    except FileNotFoundError:
        return "none"
    match = re.search(r"# R(\d+) \(release\), REVISION: ([\d.]+)", text)
    return "{}.{}".format(*match.groups()) if match else "none"


def module():
    """The device's `compatible` words; engines of one module do not load on another."""
    try:
        return (ROOT / "proc" / "device-tree" / "compatible").read_bytes().decode().split("\0")[0]
    except FileNotFoundError:
        return "unknown"


def platform_facts():
    """What an engine is bound to."""
    return {"tensorrt": tensorrt_version(), "l4t": l4t_version(), "module": module()}


def pack_engine(model, extra):
    """An engine: a header that says for what it was built, then the model that onnxruntime runs in its place."""
    header = json.dumps(dict(platform_facts(), **extra), sort_keys=True).encode()
    return ENGINE_MAGIC + struct.pack("<I", len(header)) + header + model


class EngineError(Exception):
    """An engine that does not load here, in TensorRT's words."""


def unpack_engine(content):
    """Header and model of an engine; raises EngineError where the real library would refuse it."""
    if content[:4] != ENGINE_MAGIC or len(content) < 8:
        raise EngineError(
            "IRuntime::deserializeCudaEngine: Error Code 1: Serialization (Serialization assertion magicTagRead == "
            "kMAGIC_TAG failed.Magic tag does not match)"
        )
    (size,) = struct.unpack_from("<I", content, 4)
    header = json.loads(content[8 : 8 + size])
    here = platform_facts()
    if header["tensorrt"] != here["tensorrt"]:
        words = "Current Version: {}, Serialized Engine Version: {}".format(
            *(_serialization(version) for version in (here["tensorrt"], header["tensorrt"]))
        )
        raise EngineError(
            "IRuntime::deserializeCudaEngine: Error Code 1: Serialization (Serialization assertion stdVersionRead == "
            f"kSERIALIZATION_VERSION failed.Version tag does not match. Note: {words})"
        )
    if header["module"] != here["module"]:
        raise EngineError(
            "IRuntime::deserializeCudaEngine: Error Code 6: API Usage Error (The engine plan file is generated on an "
            "incompatible device, expecting compute 8.7 got compute 11.0, please rebuild.)"
        )
    return header, content[8 + size :]


def _serialization(version):
    """A number that differs between versions, as the real one does."""
    major, minor = (int(part) for part in version.split(".")[:2])
    return 100 * major + minor


def session(model):
    """An onnxruntime session on one thread, with nothing on standard error but errors."""
    packages()
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


NUMPY_TYPES = {
    "tensor(float)": "float32",
    "tensor(float16)": "float16",
    "tensor(double)": "float64",
    "tensor(int64)": "int64",
    "tensor(int32)": "int32",
    "tensor(int16)": "int16",
    "tensor(int8)": "int8",
    "tensor(uint8)": "uint8",
    "tensor(bool)": "bool",
}
