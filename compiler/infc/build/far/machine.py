"""The machine that builds: which TensorRT libraries it has, and its GPU as far as the driver says."""

from __future__ import annotations

import importlib
import platform
import re
from importlib import metadata, util
from pathlib import Path
from typing import Any

from .gpu import gpu_facts
from .trtexec import trtexec_version


def probe() -> dict[str, Any]:
    """What this machine is and which kinds of engines it can build."""
    versions = {kind: version for kind in ("tensorrt", "tensorrt_rtx") if (version := usable_version(kind))}
    return {"environment": environment(versions), "kinds": sorted(versions)}


def usable_version(package: str) -> str | None:
    """The version of a library here: of its Python package, else of its command-line tool; None when neither is."""
    return installed_version(package) or (trtexec_version() if package == "tensorrt" else None)


def installed_version(package: str) -> str | None:
    """The exact version of a library, None when it is not installed or cannot be loaded."""
    if util.find_spec(package) is None:
        return None
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        try:
            return str(importlib.import_module(package).__version__)
        except (ImportError, OSError):
            return None


def environment(versions: dict[str, str]) -> dict[str, Any]:
    """The machine and its first NVIDIA GPU, as far as the driver says; `versions` are those of the library."""
    gpu = gpu_facts()
    return {
        "gpu": gpu.get("name"),
        "compute_capability": gpu.get("compute_capability"),
        "driver": driver_version(),
        "cuda": gpu.get("cuda"),
        "machine": platform.machine(),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "versions": versions,
    }


def driver_version() -> str | None:
    """The NVIDIA driver's version; on Jetson the L4T release, which is its driver."""
    for path, pattern in (
        ("/proc/driver/nvidia/version", r"(?:Kernel Module|Module for \S+)\s+(\d+[\d.]+)"),
        ("/etc/nv_tegra_release", r"# (R\d+ \(release\), REVISION: [\d.]+)"),
    ):
        try:
            match = re.search(pattern, Path(path).read_text(errors="replace"))
        except OSError:
            continue
        if match:
            return match.group(1)
    return None
