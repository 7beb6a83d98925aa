"""Small signed bundles for the tests of the program on the device: a linear model, two samples, a minimal manifest."""

import copy
import json
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from infc.build.libraries import libraries_json
from infc.emit.jetson.archive import pack
from infc.emit.jetson.sums import SIGNATURE_NAME, SUMS_NAME, content_digest, with_sums
from infc.emit.supply.signing import sign

INSTALL_SH = Path(__file__).parents[4] / "targets" / "servers" / "jetson" / "install.sh"
NAME = "dock-camera"


@cache
def model(seed: int) -> bytes:
    """`scores = image @ weights`, four inputs, three outputs."""
    weights = np.random.default_rng(seed).normal(size=(4, 3)).astype(np.float32)
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["image", "weights"], ["scores"])],
        "linear",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 4])],
        [helper.make_tensor_value_info("scores", TensorProto.FLOAT, [1, 3])],
        [numpy_helper.from_array(weights, "weights")],
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return bytes(made.SerializeToString())


def reference(seed: int, image: np.ndarray[Any, np.dtype[np.float32]]) -> bytes:
    """What the model computes."""
    weights = numpy_helper.to_array(onnx.load_model_from_string(model(seed)).graph.initializer[0])
    return bytes((image @ weights).astype(np.float32).tobytes())


def manifest(version: str, seed: int) -> dict[str, Any]:
    """The least that a manifest says, for an engine that another program loads."""
    digest = "sha256:" + sha256(model(seed)).hexdigest()
    interval = {"value": 0.004, "low": 0.003, "high": 0.006}
    return {
        "format_version": "1.0",
        "name": NAME,
        "version": version,
        "kind": "onnx",
        "content_digest": "",
        "infc_version": "0.1.0",
        "targets": [
            {
                "hardware_id": "jetson-orin-nx-16gb",
                "title": "Jetson Orin NX 16GB",
                "modules": ["p3767-0000"],
                "soc": "tegra234",
                "compute_capability": "8.7",
                "l4t": {"at_least": "36.4", "below": "37"},
                "tensorrt": {"at_least": "10.3", "below": "11"},
                "power_mode": "15W",
                "power_cap_w": 15.0,
                "engine": "dock-camera-fp16",
                "min_memory_bytes": 1000000,
                "min_free_bytes": 1000000,
                "predicted": {"p50_s": interval, "p99_s": interval, "power_w": None},
            }
        ],
        "engines": [
            {
                "name": "dock-camera-fp16",
                "kind": "tensorrt",
                "model": "models/dock-camera-fp16.onnx",
                "model_digest": digest,
                "precision": "fp32",
                "shapes": [{"input": "image", "minimum": [1, 4], "optimum": [1, 4], "maximum": [1, 4]}],
                "options": {
                    "optimization_level": None,
                    "workspace_bytes": None,
                    "is_version_compatible": False,
                    "hardware_compatibility": "none",
                    "is_weight_streaming": False,
                    "is_refittable": False,
                    "dla_core": None,
                },
                "most_gpu_fallback": 0.0,
                "source_digest": digest,
                "recipe_digest": "sha256:" + "0" * 64,
                "timeout_s": 120.0,
            }
        ],
        "service": {
            "kind": "none",
            "unit": f"infc-{NAME}.service",
            "url": "http://127.0.0.1:8000",
            "model": NAME,
            "ready_timeout_s": 20.0,
        },
        "verify": "verify/samples.json",
        "slo": {
            "latency": [{"percentile": 50.0, "limit_s": 5.0}],
            "confidence": 0.95,
            "max_power_w": None,
            "max_temperature_c": None,
        },
        "load": {
            "arrival": {"kind": "constant", "streams": 1},
            "rate_rps": 50.0,
            "batch_size": 1,
            "warm_up_s": 0.1,
            "seconds_at_most": 8.0,
        },
        "is_rolled_back": True,
        "releases_kept": 3,
        "delta": None,
    }


@dataclass
class Maker:
    """Makes bundles signed by one key, whose public part is put where a device looks for it."""

    folder: Path
    program: bytes = b"raise SystemExit('not run')\n"
    key: Path = field(init=False)
    public: Path = field(init=False)

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        self.key, self.public = self.folder / "release.key", self.folder / "release.pem"
        make_key(self.key, self.public)

    def files(
        self, version: str, *, seed: int = 1, changes: Mapping[str, Any] | None = None, **extra: bytes
    ) -> dict[str, bytes]:
        """Files of a release, without sums. `changes` name fields of the manifest by dotted paths."""
        image = np.random.default_rng(7).normal(size=(1, 4)).astype(np.float32)
        samples = {
            "format_version": "1.0",
            "samples": [
                {
                    "inputs": [_tensor("image", [1, 4])],
                    "outputs": [_tensor("scores", [1, 3])],
                }
            ],
            "tolerances": {
                "scores": {"max_absolute": 0.01, "mean_absolute": 0.01, "min_argmax_agreement": None},
            },
        }
        files = {
            "models/dock-camera-fp16.onnx": model(seed),
            "verify/samples.json": json.dumps(samples).encode(),
            "verify/0/image.bin": image.tobytes(),
            "verify/0/scores.bin": reference(seed, image),
            "install.sh": INSTALL_SH.read_bytes(),
            "bin/edge.py": self.program,
            "bin/libraries.json": libraries_json(),
            **{path.replace("__", "/"): content for path, content in extra.items()},
        }
        stated = manifest(version, seed)
        for path, value in (changes or {}).items():
            _set(stated, path, value)
        stated["content_digest"] = content_digest(files)
        return {**files, "manifest.json": json.dumps(stated, indent=1, sort_keys=True).encode()}

    def signed(self, files: Mapping[str, bytes], key: Path | None = None) -> dict[str, bytes]:
        """The files with SHA256SUMS and its signature."""
        summed = {
            path: bytes(content) for path, content in with_sums(dict(files)).items() if isinstance(content, bytes)
        }
        return {**summed, SIGNATURE_NAME: sign(summed[SUMS_NAME], key or self.key)}

    def archive(self, version: str, files: Mapping[str, bytes] | None = None, **options: Any) -> Path:
        """A bundle as one file."""
        content = dict(files) if files is not None else self.signed(self.files(version, **options))
        path = (
            self.folder / f"{NAME}-{version}-{sha256(repr(sorted(content.items())).encode()).hexdigest()[:8]}.tar.zst"
        )
        with path.open("wb") as out:
            pack(content, f"{NAME}-{version}", out)
        return path

    def unpacked(self, version: str, files: Mapping[str, bytes] | None = None, **options: Any) -> Path:
        """A bundle as a folder."""
        content = dict(files) if files is not None else self.signed(self.files(version, **options))
        folder = self.folder / f"unpacked-{len(list(self.folder.iterdir()))}" / f"{NAME}-{version}"
        for path, data in content.items():
            target = folder / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(data)
            target.chmod(0o755 if path.endswith(".sh") else 0o644)
        return folder

    def delta(self, version: str, base: Mapping[str, bytes], base_version: str, **options: Any) -> Path:
        """A bundle that leaves out what `base` has."""
        files = self.files(version, **options)
        absent = {path for path in files if base.get(path) == files[path] and path != "manifest.json"}
        stated = json.loads(files["manifest.json"])
        stated["delta"] = {
            "base_version": base_version,
            "absent": [
                {"path": path, "sha256": sha256(files[path]).hexdigest(), "size_bytes": len(files[path])}
                for path in sorted(absent)
            ],
        }
        files["manifest.json"] = json.dumps(stated).encode()
        signed = self.signed(files)
        return self.archive(version, {path: data for path, data in signed.items() if path not in absent})


def make_key(key: Path, public: Path) -> None:
    """A key pair as docs/signing.md makes it."""
    command = ["openssl", "ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", str(key)]
    subprocess.run(command, check=True, capture_output=True)
    subprocess.run(["openssl", "ec", "-in", str(key), "-pubout", "-out", str(public)], check=True, capture_output=True)


def _tensor(name: str, shape: list[int]) -> dict[str, Any]:
    return {"name": name, "file": f"verify/0/{name}.bin", "dtype": "float32", "shape": shape}


def _set(stated: dict[str, Any], path: str, value: Any) -> None:
    *parents, last = path.split(".")
    place: Any = stated
    for part in parents:
        place = place[int(part)] if part.isdigit() else place[part]
    place[last] = copy.deepcopy(value)
