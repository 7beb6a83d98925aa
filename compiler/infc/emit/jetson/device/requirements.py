"""Whether a release is for this device, and whether the device is ready for it."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Iterable  # noqa: UP035 - Python 3.8

from .codes import DOWNGRADE, NOT_READY, WRONG_DEVICE, Refusal
from .identity import version_key
from .power import plain_name
from .programs import find_program

MACHINE = "aarch64"
_L4T_HELP = "flash or update the device to JetPack that has it, or compile the spec for the JetPack that is here"
_TENSORRT_HELP = "install the TensorRT of the device's JetPack, or compile the spec for the version that is here"
_SERVED_BY = {
    "triton": ("systemctl", "docker"),
    "vllm": ("systemctl", "docker"),
    "edge-llm": ("systemctl",),
    "none": (),
}


def matching_target(manifest: dict[str, Any], device: dict[str, Any], modes: Iterable[str]) -> dict[str, Any]:
    """The target of a release that this device is, ready for it; `modes` are its power modes. Raises Refusal 20, 30.

    Several targets may name one module: flashed for super modes or not, under one JetPack or another.
    """
    if device["machine"] != MACHINE:
        raise Refusal(
            WRONG_DEVICE, f"this device is {device['machine']}, Jetson modules are {MACHINE}", "use a Jetson module"
        )
    module = device["module"]
    if module is None:
        raise Refusal(
            WRONG_DEVICE,
            "this device does not say which module it is: neither /proc/device-tree/chosen nor compatible names one",
            "use a Jetson module under Jetson Linux",
        )
    targets: list[dict[str, Any]] = [target for target in manifest["targets"] if module in target["modules"]]
    if not targets:
        those = "; ".join(f"{target['title']} ({', '.join(target['modules'])})" for target in manifest["targets"])
        raise Refusal(
            WRONG_DEVICE,
            f"this device is {device['model'] or 'a module'} ({module}); the release is for {those}",
            "get the bundle that was compiled for this module",
        )
    found = [(target, unmet_requirement(manifest, target, device, modes)) for target in targets]
    ready = [target for target, unmet in found if unmet is None]
    if ready:
        return ready[0]
    raise next(unmet for _, unmet in found if unmet is not None)


def unmet_requirement(
    manifest: dict[str, Any], target: dict[str, Any], device: dict[str, Any], modes: Iterable[str]
) -> Refusal | None:
    """Why the device is not ready for a target; None when it is. Disk space is looked at where it is used."""
    l4t, tensorrt = device["l4t"], device["tensorrt"]
    if not is_within(l4t, target["l4t"]):
        return Refusal(NOT_READY, f"L4T is {l4t or 'not found'}; needed: {_range(target['l4t'])}", _L4T_HELP)
    needs_tensorrt = target["engine"] is not None or manifest["service"]["kind"] == "edge-llm"
    if needs_tensorrt and not is_within(tensorrt, target["tensorrt"]):
        found = tensorrt or "not found"
        return Refusal(NOT_READY, f"TensorRT is {found}; needed: {_range(target['tensorrt'])}", _TENSORRT_HELP)
    for tool in missing_programs(manifest, target):
        return Refusal(NOT_READY, f"{tool} is not installed", f"install the package that has {tool}")
    if target["power_mode"] is not None and plain_name(target["power_mode"]) not in modes:
        words = f"this device has no power mode {target['power_mode']} (it has {', '.join(modes) or 'none'})"
        return Refusal(NOT_READY, words, "flash the device as the spec's hardware says, or compile for one of these")
    return None


def missing_programs(manifest: dict[str, Any], target: dict[str, Any]) -> list[str]:
    """Programs that the release needs and the device lacks."""
    needed = list(_SERVED_BY.get(manifest["service"]["kind"], ("systemctl",)))
    needed += ["nvpmodel"] if target["power_mode"] is not None else []
    needed += ["tegrastats"] if manifest["slo"].get("max_power_w") is not None else []
    return [tool for tool in needed if find_program(tool) is None]


def is_within(version: str | None, wanted: dict[str, str] | None) -> bool:
    """Whether a version is in a range: from `at_least` on, before `below`.

    >>> is_within("36.4.3", {"at_least": "36.4", "below": "37"}), is_within("39.2", {"at_least": "36.4", "below": "37"})
    (True, False)
    """
    if wanted is None:
        return True
    return version is not None and version_key(wanted["at_least"]) <= version_key(version) < version_key(
        wanted["below"]
    )


def _range(wanted: dict[str, str]) -> str:
    return f"{wanted['at_least']} or later, before {wanted['below']}"


def check_memory(target: dict[str, Any], device: dict[str, Any], is_replacing: bool) -> None:
    """Refuse a release that does not fit into memory. Raises Refusal 30.

    What the release in service holds is free once it makes way (`is_replacing`): then only the whole memory counts.
    """
    there = device["memory_bytes"] if is_replacing else device["available_bytes"]
    if there is not None and there < target["min_memory_bytes"]:
        needed = target["min_memory_bytes"] / 2**30
        words = "are there at all" if is_replacing else "are available"
        raise Refusal(
            NOT_READY,
            f"the release needs {needed:.2f} GiB of memory, {there / 2**30:.2f} GiB {words}",
            "end other programs, or compile the spec for a module with more memory",
        )


def check_space(target: dict[str, Any], free: int, unpacked_bytes: int, folder: Path) -> None:
    """Refuse a release that does not fit on the disk; its unpacked files are already there. Raises Refusal 30."""
    missing = target["min_free_bytes"] - unpacked_bytes - free
    if missing > 0:
        raise Refusal(
            NOT_READY,
            f"the release needs {target['min_free_bytes'] / 1e6:.0f} MB at {folder}: {missing / 1e6:.0f} MB lack",
            "free disk space: `edge.py prune` removes engines that no release uses",
        )


def check_version(version: str, in_service: str | None, is_downgrade_allowed: bool) -> None:
    """Refuse a release that is older than the one in service. Raises Refusal 14."""
    if in_service is not None and version_key(version) < version_key(in_service) and not is_downgrade_allowed:
        raise Refusal(
            DOWNGRADE,
            f"release {version} is older than {in_service}, which is in service",
            "pass --allow-downgrade if that is meant, or `edge.py rollback` to go back to the release before",
        )
