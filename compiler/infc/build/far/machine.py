"""The machine that builds: which TensorRT libraries it has, and its GPU as far as the driver says."""

from __future__ import annotations

import ctypes
import importlib
import platform
import re
from importlib import metadata, util
from pathlib import Path
from typing import Any

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


def gpu_facts() -> dict[str, str]:
    """Name, compute capability and CUDA version of the first GPU, from the driver; empty when there is none."""
    try:
        driver = ctypes.CDLL("libcuda.so.1")
    except OSError:
        return {}
    device, major, minor, version = ctypes.c_int(), ctypes.c_int(), ctypes.c_int(), ctypes.c_int()
    name = ctypes.create_string_buffer(256)
    has_device = (
        driver.cuInit(0) == 0
        and driver.cuDeviceGet(ctypes.byref(device), 0) == 0
        and driver.cuDeviceGetName(name, 256, device) == 0
        and driver.cuDeviceGetAttribute(ctypes.byref(major), 75, device) == 0
        and driver.cuDeviceGetAttribute(ctypes.byref(minor), 76, device) == 0
        and driver.cuDriverGetVersion(ctypes.byref(version)) == 0
    )
    if not has_device:
        return {}
    return {
        "name": name.value.decode(errors="replace"),
        "compute_capability": f"{major.value}.{minor.value}",
        "cuda": f"{version.value // 1000}.{version.value % 1000 // 10}",
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
