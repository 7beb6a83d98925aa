"""The first GPU of this machine, as far as the driver says."""

from __future__ import annotations

import ctypes


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
