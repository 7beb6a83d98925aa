"""Completes a delta: files that it leaves out come, by digest, from releases that the device still keeps."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

from .codes import NO_BASE, Refusal
from .layout import Deployment
from .trust import SUMS_NAME, digest_of, signed_files


def complete(deployment: Deployment, folder: Path, manifest: dict[str, Any]) -> int:
    """Put the absent files of a delta into its folder; returns how many. Raises Refusal 13 and names what is missing.

    Content is found by its digest, whatever release it is in and whatever it is called there, and checked.
    """
    delta = manifest.get("delta")
    if delta is None:
        return 0
    at_hand = files_by_digest(deployment)
    missing = []
    for entry in delta["absent"]:
        source = next((path for path in at_hand.get(entry["sha256"], ()) if is_intact(path, entry["sha256"])), None)
        if source is None:
            missing.append(entry["path"])
            continue
        target = folder / entry["path"]
        target.parent.mkdir(parents=True, exist_ok=True)
        link_or_copy(source, target)
    if missing:
        kept = ", ".join(name.split("-")[0] for name in deployment.kept()) or "none"
        raise Refusal(
            NO_BASE,
            f"the delta needs {len(missing)} files that no kept release has, such as {missing[0]}; kept: {kept}",
            f"send the full bundle of {manifest['version']}, or install release {delta['base_version']} first",
        )
    return len(delta["absent"])


def files_by_digest(deployment: Deployment) -> dict[str, list[Path]]:
    """Files of all kept releases by the digest that was signed for them."""
    found: dict[str, list[Path]] = {}
    for name in deployment.kept():
        folder = deployment.release(name)
        try:
            signed = signed_files((folder / SUMS_NAME).read_bytes())
        except (OSError, Refusal):
            continue
        for path, digest in signed.items():
            found.setdefault(digest, []).append(folder / path)
    return found


def is_intact(path: Path, digest: str) -> bool:
    """Whether a file is there, is plain, and has a digest."""
    return path.is_file() and not path.is_symlink() and digest_of(path) == digest


def link_or_copy(source: Path, target: Path) -> None:
    """A second name for a file, or a copy where the file system gives no second names."""
    try:
        os.link(str(source), str(target))
    except OSError:
        shutil.copyfile(str(source), str(target))
