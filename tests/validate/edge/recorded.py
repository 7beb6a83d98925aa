"""What a device says, for tests: the acceptance and the status of docs/edge-format.md with all their fields."""

import copy
import json
from collections.abc import Mapping
from typing import Any

from infc.build.edge_acceptance_json import from_json as acceptance_from_json
from infc.build.edge_release_json import from_json as release_from_json
from infc.ir.edge_acceptance import EdgeAcceptance
from infc.ir.edge_release import EdgeRelease
from infc.ir.edge_status import DeviceStatus
from infc.validate.edge.status import status_from_bytes

CONTENT = "sha256:" + "0123456789ab" + "c" * 52
SOURCE = "d" * 64
DEVICE = {
    "machine": "aarch64",
    "module": "p3767-0000",
    "soc": "tegra234",
    "model": "NVIDIA Jetson Orin NX Engineering Reference Developer Kit",
    "l4t": "36.4.3",
    "tensorrt": "10.3.0",
    "memory_bytes": 16_000_000_000,
}
ACCEPTANCE: dict[str, Any] = {
    "format_version": "1.0",
    "name": "dock-camera",
    "version": "7",
    "content_digest": CONTENT,
    "hardware_id": "jetson-orin-nx-16gb",
    "device": DEVICE,
    "engine": {
        "key": "e" * 64,
        "digest": "sha256:" + "f" * 64,
        "size_bytes": 6_200_000,
        "is_reused": False,
        "seconds": 210.0,
    },
    "power_mode": "25W",
    "verdict": "pass",
    "outputs": {
        "samples": 16,
        "verdict": "pass",
        "worst": {"scores": {"max_absolute": 0.01, "mean_absolute": 0.001, "argmax_agreement": 1.0}},
    },
    "load": {"what": "service", "rate_rps": 60.0, "requests": 900, "failed": 0, "seconds": 15.0},
    "latency_s": {
        "p50": {"value": 0.004, "low": 0.0039, "high": 0.0041},
        "p99": {"value": 0.006, "low": 0.0058, "high": 0.0066},
    },
    "engine_latency_s": {
        "p50": {"value": 0.003, "low": 0.0029, "high": 0.0031},
        "p99": {"value": 0.004, "low": 0.0039, "high": 0.0042},
    },
    "verdicts": [
        {"metric": "p99", "limit": 0.033, "value": 0.006, "low": 0.0058, "high": 0.0066, "verdict": "pass"},
        {"metric": "power", "limit": 25.0, "value": 17.9, "low": None, "high": None, "verdict": "pass"},
    ],
    "power_w": {"mean": 14.2, "max": 17.9},
    "temperature_c": {"mean": 51.0, "max": 54.5},
    "is_throttled": False,
}
STATUS: dict[str, Any] = {
    "format_version": "1.0",
    "command": "status",
    "agent": "0.1.0",
    "device": {**DEVICE, "available_bytes": 12_000_000_000, "free_bytes": 40_000_000_000},
    "power_mode": "25W",
    "deployments": [
        {
            "name": "dock-camera",
            "release": "7-0123456789ab",
            "previous": "6-ba9876543210",
            "kept": ["6-ba9876543210", "7-0123456789ab"],
            "acceptance": ACCEPTANCE,
            "engine_key_now": "e" * 64,
            "journal": None,
            "service": {"unit": "infc-dock-camera.service", "is_active": True, "is_ready": True},
            "rejected": None,
        }
    ],
}
RELEASE: dict[str, Any] = {
    "format_version": "1.0",
    "name": "dock-camera",
    "version": "7",
    "kind": "onnx",
    "content_digest": CONTENT,
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
            "power_mode": "25W",
            "power_cap_w": 25.0,
            "engine": "dock-camera-int8",
            "min_memory_bytes": 1_400_000_000,
            "min_free_bytes": 900_000_000,
            "predicted": {
                "p50_s": {"value": 0.004, "low": 0.003, "high": 0.006},
                "p99_s": {"value": 0.0055, "low": 0.004, "high": 0.008},
                "power_w": {"value": 13.0, "low": 11.0, "high": 15.0},
            },
        }
    ],
    "engines": [
        {
            "name": "dock-camera-int8",
            "kind": "tensorrt",
            "model": "models/dock-camera-int8.onnx",
            "model_digest": "sha256:" + "a" * 64,
            "precision": "int8",
            "shapes": [
                {
                    "input": "image",
                    "minimum": [1, 3, 224, 224],
                    "optimum": [1, 3, 224, 224],
                    "maximum": [1, 3, 224, 224],
                }
            ],
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
            "source_digest": "sha256:" + SOURCE,
            "recipe_digest": "sha256:" + "b" * 64,
            "timeout_s": 3600.0,
        }
    ],
    "service": {
        "kind": "triton",
        "unit": "infc-dock-camera.service",
        "url": "http://127.0.0.1:8000",
        "model": "dock-camera",
        "ready_timeout_s": 300.0,
    },
    "verify": "verify/samples.json",
    "slo": {
        "latency": [{"percentile": 99.0, "limit_s": 0.033}],
        "confidence": 0.95,
        "max_power_w": 25.0,
        "max_temperature_c": 85.0,
    },
    "load": {
        "arrival": {"kind": "constant", "streams": 2},
        "rate_rps": 60.0,
        "batch_size": 1,
        "warm_up_s": 5.0,
        "seconds_at_most": 120.0,
    },
    "is_rolled_back": True,
    "releases_kept": 3,
    "delta": None,
}


def changed(document: Mapping[str, Any], **changes: Any) -> dict[str, Any]:
    """The document with other values at places named by dotted paths, double underscores for the dots."""
    found = copy.deepcopy(dict(document))
    for path, value in changes.items():
        *parents, last = path.split("__")
        place: Any = found
        for part in parents:
            place = place[int(part)] if part.isdigit() else place[part]
        place[int(last) if last.isdigit() else last] = value
    return found


def acceptance(**changes: Any) -> EdgeAcceptance:
    """The acceptance, changed."""
    found, problems = acceptance_from_json(json.dumps(changed(ACCEPTANCE, **changes)).encode())
    assert found is not None, problems
    return found


def release(**changes: Any) -> EdgeRelease:
    """The release, changed."""
    found, problems = release_from_json(json.dumps(changed(RELEASE, **changes)).encode())
    assert found is not None, problems
    return found


def status(**changes: Any) -> DeviceStatus:
    """The status, changed."""
    found = status_from_bytes(json.dumps(changed(STATUS, **changes)).encode())
    assert isinstance(found, DeviceStatus), found
    return found
