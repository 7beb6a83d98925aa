"""Which options of a build a version of a library lacks."""

from __future__ import annotations

import re
from typing import Any


def version_number(version: str) -> tuple[int, ...]:
    """The first three numbers of a version, by which versions are ordered.

    >>> version_number("10.13.3.9.post1")
    (10, 13, 3)
    """
    return tuple(int(part) for part in re.findall(r"\d+", version)[:3])


def library_at(libraries: dict[str, Any], kind: str, version: str) -> dict[str, Any] | None:
    """What libraries.json says of an exact version of a library; None where it does not know it."""
    number = version_number(version)
    for entry in libraries.get("libraries", []):
        if entry["kind"] == kind and tuple(entry["at_least"]) <= number < tuple(entry["below"]):
            return dict(entry)
    return None


def unsupported_options(options: dict[str, Any], hardware_id: str, version: str, library: dict[str, Any]) -> list[str]:
    """The options that a version of a library lacks, each with the reason and the way out; empty: it has them all.

    `library` is an entry of libraries.json.
    """
    defaults = {"optimization_level": None, "workspace_bytes": None, "hardware_compatibility": "none", "dla_core": None}
    found = []
    for option, value in sorted(options.items()):
        if value == defaults.get(option, False):
            continue
        reason = library["refused"].get(option) or library["refused"].get(f"{option}={value}")
        if option == "dla_core" and reason is None and hardware_id not in library["dla_hardware"]:
            reason = f"{hardware_id} has no deep learning accelerator that it can use; build without dla_core"
        if reason is not None:
            number = ".".join(str(part) for part in version_number(version))
            title = library["title"]
            found.append(f"option {option} is not in {title} {number}: {reason}")
    return found
