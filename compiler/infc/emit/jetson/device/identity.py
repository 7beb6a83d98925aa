"""What this device is: module, SoC, L4T, TensorRT, memory and free space, as its own files say."""

from __future__ import annotations

import os
import platform
import re
import shutil
from pathlib import Path
from typing import Any

from infc.build.far.trtexec import trtexec_version

from .programs import find_program, output_of

_MACHINES = {0x3E: "x86_64", 0xB7: "aarch64"}
_SKU = re.compile(r"699-\d(\d{4})-(\d{4})")
_BOARD_ID = re.compile(r"\b(\d{4})-(\d{4})\b")
_KIT = re.compile(r"nvidia,p\d{4}-\d{4}\+p(\d{4}-\d{4})")
_BOARD = re.compile(r"nvidia,p(\d{4}-\d{4})")
_SOC = re.compile(r"nvidia,(tegra\d+)\b")
_L4T_FILE = re.compile(r"# R(\d+) \(release\), REVISION: ([\d.]+)")
_L4T_PACKAGE = re.compile(r"(\d+\.\d+(?:\.\d+)?)")
_HEADER = re.compile(r"#define\s+(?:NV_TENSORRT|TRT)_(MAJOR|MINOR|PATCH)(?:_ENTERPRISE)?\s+(\d+)")
_PACKAGES = ("libnvinfer-bin", "libnvinfer11", "libnvinfer10", "libnvinfer8")


def read_device(root: str) -> dict[str, Any]:
    """What stands in `device` of acceptance.json, plus `free_bytes` where releases are kept; null where nothing says.

    `root` is put in front of every path that is read. Nothing is changed.
    """
    memory = memory_of(read_words(root, "proc/meminfo") or read_words("/", "proc/meminfo"))
    return {
        "machine": machine_of(root),
        "module": module_of(root),
        "soc": _first_group(_SOC, read_words(root, "proc/device-tree/compatible")),
        "model": read_words(root, "proc/device-tree/model").strip() or None,
        "l4t": l4t_of(root),
        "tensorrt": tensorrt_of(root),
        "memory_bytes": memory.get("MemTotal"),
        "available_bytes": memory.get("MemAvailable"),
        "free_bytes": free_bytes(Path(root) / "opt" / "infc"),
    }


def read_words(root: str, path: str) -> str:
    """Text of a small file under `root`, NUL characters as line ends; empty when it cannot be read."""
    try:
        return (Path(root) / path).read_bytes().decode("utf-8", "replace").replace("\0", "\n")
    except OSError:
        return ""


def machine_of(root: str) -> str:
    """Architecture of the programs under `root`, from the ELF header of its shell; else what the kernel says."""
    try:
        with (Path(root) / "bin" / "sh").open("rb") as file:
            header = file.read(20)
    except OSError:
        header = b""
    if header[:4] == b"\x7fELF" and len(header) == 20:
        number = int.from_bytes(header[18:20], "little")
        return _MACHINES.get(number, f"ELF machine {number}")
    return platform.machine()


def module_of(root: str) -> str | None:
    """Id of the module (`p3767-0000`), None when nothing says it.

    The boot loader copies what the module's EEPROM says to `chosen`; `compatible` is of the device tree that was
    flashed, which on a carrier board of another maker may be written for a neighbour of the module. Super modes add
    `-super` to it; a kit is named carrier board first, and AGX Xavier's by the kit alone. Source: these files on
    modules under L4T 35.3 to 39.2, as their users published them.
    """
    sku = _SKU.search(read_words(root, "proc/device-tree/chosen/nvidia,sku"))
    if sku:
        return f"p{sku[1]}-{sku[2]}"
    board = _BOARD_ID.search(read_words(root, "proc/device-tree/chosen/ids"))
    if board:
        return f"p{board[1]}-{board[2]}"
    compatible = read_words(root, "proc/device-tree/compatible")
    found = _first_group(_KIT, compatible) or _first_group(_BOARD, compatible)
    return f"p{found}" if found else None


def l4t_of(root: str) -> str | None:
    """Release of Jetson Linux (`36.4.3`); None when this is not Jetson Linux.

    Source: `/etc/nv_tegra_release` (`# R36 (release), REVISION: 4.3, GCID: ...`), else the package `nvidia-l4t-core`.
    """
    match = _L4T_FILE.search(read_words(root, "etc/nv_tegra_release"))
    if match:
        return f"{match[1]}.{match[2]}"
    return _first_group(_L4T_PACKAGE, package_version(root, "nvidia-l4t-core") or "")


def tensorrt_of(root: str) -> str | None:
    """Version of TensorRT (`10.3.0`): of the tool that builds engines, else of the library's header or package."""
    return trtexec_version() or header_version(root) or _tensorrt_package(root)


def header_version(root: str) -> str | None:
    """Version that TensorRT's header states. Source: NvInferVersion.h of TensorRT 8.5 to 11."""
    for folder in ("usr/include/aarch64-linux-gnu", "usr/include"):
        numbers = dict(_HEADER.findall(read_words(root, f"{folder}/NvInferVersion.h")))
        if len(numbers) == 3:
            return ".".join(numbers[part] for part in ("MAJOR", "MINOR", "PATCH"))
    return None


def _tensorrt_package(root: str) -> str | None:
    for package in _PACKAGES:
        version = _first_group(re.compile(r"^(\d+\.\d+\.\d+)"), package_version(root, package) or "")
        if version:
            return version
    return None


def package_version(root: str, package: str) -> str | None:
    """Version of an installed Debian package under `root`."""
    tool = find_program("dpkg-query")
    database = str(Path(root) / "var" / "lib" / "dpkg")
    if tool is None or not os.path.isdir(database):
        return None
    return output_of([tool, "--admindir=" + database, "-W", "-f=${Version}", package])


def memory_of(meminfo: str) -> dict[str, int]:
    """Sizes in bytes that `/proc/meminfo` states.

    >>> memory_of("MemTotal:       15656012 kB")
    {'MemTotal': 16031756288}
    """
    return {name: int(size) * 1024 for name, size in re.findall(r"^(\w+):\s+(\d+) kB$", meminfo, re.MULTILINE)}


def free_bytes(folder: Path) -> int:
    """Bytes that can still be written where a folder is, or will be."""
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    return shutil.disk_usage(str(folder)).free


def version_key(text: str) -> tuple[int, ...]:
    """A version to compare number by number, ends that are zero left away; signs after the numbers are ignored.

    >>> version_key("10.3.0") == version_key("10.3"), version_key("36.4.3") < version_key("36.10")
    (True, True)
    """
    match = re.match(r"\d+(?:\.\d+)*", text)
    numbers = [int(part) for part in match.group(0).split(".")] if match else []
    while numbers and numbers[-1] == 0:
        numbers.pop()
    return tuple(numbers)


def _first_group(pattern: re.Pattern[str], text: str) -> str | None:
    match = pattern.search(text)
    return match.group(1) if match else None
