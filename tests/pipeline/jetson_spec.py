"""A spec for Jetson modules, around the Fashion-MNIST example's model."""

from collections.abc import Mapping
from pathlib import Path

import yaml

NAME = "dock-camera"
SPEC = f"{NAME}.infc.yaml"
MODULES = ("jetson-orin-nx-16gb", "jetson-orin-nano-8gb")


def write_spec(
    folder: Path,
    *,
    modules: tuple[str, ...] = MODULES,
    jetson: Mapping[str, object] | None = None,
    precision: str = "fp16",
    **changes: object,
) -> Path:
    """Write the spec into a folder that has the example's model and data. The first module is the free choice.

    It has no accuracy goal: what the gate does is tested elsewhere, and takes seconds.
    """
    deploy: dict[str, object] = {"server": "jetson", "jetson": {"jetpack": "6.2", **(jetson or {})}}
    if modules[1:]:
        deploy["targets"] = list(modules[1:])
    document: dict[str, object] = {
        "apiVersion": "infc.dev/v1",
        "kind": "InferenceSpec",
        "metadata": {"name": NAME, "owner": "dock"},
        "model": {"onnx": "resnet8.onnx"},
        "slo": {"latency": {"p99": "33ms"}},
        "quantization": {"calibration": "calibration-256.npz"},
        "workload": {"arrival": {"constant": {"streams": 2}}, "rate": "60/s"},
        "constraints": {"hardware": [modules[0]], "precision": [precision], "max_power": "25W"},
        "deploy": deploy,
        **changes,
    }
    path = folder / SPEC
    path.write_text(yaml.safe_dump(document, sort_keys=False), encoding="utf-8")
    return path
