"""What a device says it is, from files that real modules have."""

from pathlib import Path

import pytest

from infc.emit.jetson.device.identity import (
    header_version,
    l4t_of,
    machine_of,
    memory_of,
    module_of,
    read_device,
    version_key,
)

AARCH64 = b"\x7fELF\x02\x01\x01" + bytes(9) + b"\x03\x00\xb7\x00"


def _write(root: Path, **files: str) -> str:
    for name, content in files.items():
        path = root / name.replace("__", "/").replace("nvidia_", "nvidia,")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    return str(root)


# What modules say under L4T 35.3 to 39.2, as their users published it.
COMPATIBLE = {
    "nvidia,p3768-0000+p3767-0000\0nvidia,p3767-0000\0nvidia,tegra234\0": "p3767-0000",
    "nvidia,p3768-0000+p3767-0005-super\0nvidia,p3767-0005\0nvidia,tegra234\0": "p3767-0005",
    "nvidia,p3737-0000+p3701-0005\0nvidia,p3701-0005\0nvidia,tegra234\0": "p3701-0005",
    "nvidia,p4071-0000+p3834-0008\0nvidia,p3834-0008\0nvidia,tegra264\0": "p3834-0008",
    "nvidia,p3509-0000+p3668-0001\0nvidia,tegra194\0": "p3668-0001",
    "nvidia,p2972-0000\0nvidia,tegra194\0": "p2972-0000",
}


@pytest.mark.parametrize("compatible", COMPATIBLE)
def test_module_from_the_device_tree(compatible: str, tmp_path: Path) -> None:
    """The module stands after the carrier board; a kit of AGX Xavier has its own name only."""
    root = _write(tmp_path, **{"proc__device-tree__compatible": compatible})
    assert module_of(root) == COMPATIBLE[compatible]


def test_module_by_its_eeprom_counts_more_than_the_flashed_device_tree(tmp_path: Path) -> None:
    """Carrier boards of other makers are flashed with a device tree written for another module of the family."""
    root = _write(tmp_path, **{"proc__device-tree__compatible": "nvidia,p3768-0000+p3767-0005\0nvidia,tegra234\0"})
    _write(tmp_path, **{"proc__device-tree__chosen__ids": "3767-0000-301 3768-0000-ES1\0"})
    assert module_of(root) == "p3767-0000"
    _write(tmp_path, **{"proc__device-tree__chosen__nvidia_sku": "699-13767-0003-301 G.1\0"})
    assert module_of(root) == "p3767-0003"


def test_machine_without_a_device_tree_has_no_module(tmp_path: Path) -> None:
    """Nothing is guessed."""
    device = read_device(str(tmp_path))
    assert (device["module"], device["soc"], device["model"], device["l4t"]) == (None, None, None, None)


@pytest.mark.parametrize(
    ("line", "release"),
    [
        ("# R36 (release), REVISION: 4.3, GCID: 38968081, BOARD: generic, EABI: aarch64", "36.4.3"),
        ("# R35 (release), REVISION: 6.1, GCID: 39721438, BOARD: t186ref, EABI: aarch64", "35.6.1"),
        ("# R38 (release), REVISION: 2.0, GCID: 41844464, BOARD: generic, EABI: aarch64", "38.2.0"),
    ],
)
def test_l4t_release(line: str, release: str, tmp_path: Path) -> None:
    """Major version, then the revision."""
    assert l4t_of(_write(tmp_path, etc__nv_tegra_release=line + "\n")) == release


def test_tensorrt_from_its_header(tmp_path: Path) -> None:
    """Headers name the numbers in two ways; both are read."""
    new = "#define TRT_MAJOR_ENTERPRISE 10\n#define TRT_MINOR_ENTERPRISE 13\n#define TRT_PATCH_ENTERPRISE 3\n"
    old = "#define NV_TENSORRT_MAJOR 8 //!< major\n#define NV_TENSORRT_MINOR 5\n#define NV_TENSORRT_PATCH 2\n"
    name = "usr__include__aarch64-linux-gnu__NvInferVersion.h"
    assert header_version(_write(tmp_path, **{name: new})) == "10.13.3"
    assert header_version(_write(tmp_path, **{name: old})) == "8.5.2"


def test_architecture_is_that_of_the_programs_in_the_root(tmp_path: Path) -> None:
    """So that an image can be looked at from another machine."""
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "sh").write_bytes(AARCH64)
    assert machine_of(str(tmp_path)) == "aarch64"


def test_memory(tmp_path: Path) -> None:
    """Kilobytes of /proc/meminfo are of 1024 bytes."""
    memory = memory_of("MemTotal:       16032052 kB\nMemAvailable:   13012345 kB\nHugePages_Total:       0\n")
    assert memory == {"MemTotal": 16032052 * 1024, "MemAvailable": 13012345 * 1024}


def test_versions_compare_number_by_number() -> None:
    """Not as text; zeros at the end say nothing; builds and suffixes neither."""
    assert version_key("36.4.3") < version_key("36.10")
    assert version_key("7") == version_key("7.0.0")
    assert version_key("10.3.0.30-1+cuda12.5") == (10, 3, 0, 30)
    assert version_key("unknown") == ()
