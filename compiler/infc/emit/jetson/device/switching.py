"""Puts a release in service, and takes it out again: links, power mode, service. Each step can be done again."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Callable  # noqa: UP035 - Python 3.8

from .codes import FAILED, Refusal
from .durable import read_json, remove_tree, set_link, sync_folder
from .journal import Journal, is_at_least
from .layout import REPLACED, Deployment, linked_release
from .log import Teller
from .power import restore_power
from .service import restart_service, stop_service, wait_ready
from .trust import SUMS_NAME, digest_of, signed_files


def manifest_of(release: Path) -> dict[str, Any]:
    """The manifest of a release that is kept. Raises Refusal 1."""
    manifest = read_json(release / "manifest.json")
    if manifest is None:
        raise Refusal(FAILED, f"{release} has no manifest that can be read", "install a release again")
    return manifest


def damage_of(release: Path) -> list[str]:
    """Files of a kept release that are not, or no longer, what was accepted: those that were signed, its engine."""
    try:
        signed = signed_files((release / SUMS_NAME).read_bytes())
    except (OSError, Refusal):
        return [SUMS_NAME]
    expected = {path: f"sha256:{digest}" for path, digest in signed.items()}
    engine = (read_json(release / "acceptance.json") or {}).get("engine")
    if engine is not None:
        expected["engine/model.plan"] = engine["digest"]
    return [path for path, digest in sorted(expected.items()) if _digest(release / path) != digest]


def _digest(path: Path) -> str | None:
    try:
        return f"sha256:{digest_of(path)}"
    except OSError:
        return None


def switch_to(journal: Journal, staged: Path) -> None:
    """Make a staged release the one that `current` leads to. The journal holds what was there before.

    A release of the same name that is kept steps aside until the new one is accepted.
    """
    deployment, entry = journal.deployment, journal.entry
    folder = deployment.release(entry["release"])
    if entry["is_replacing"]:
        os.rename(str(folder), f"{folder}{REPLACED}")
    os.rename(str(staged), str(folder))
    sync_folder(deployment.releases)
    before = entry["current_before"]
    if before is not None and before != entry["release"]:
        set_link(deployment.previous, f"releases/{before}")
    set_link(deployment.current, f"releases/{entry['release']}")


def undo_install(journal: Journal, teller: Teller) -> tuple[str | None, list[str]]:
    """Undo an install, whatever step it has reached; may be done again.

    Returns: the release that is in service after it (None: none is), and what went wrong on the way, in words.
    """
    deployment, entry = journal.deployment, journal.entry
    problems: list[str] = []
    before = entry.get("current_before")
    is_switched = is_at_least(journal.step, "switch")
    if is_switched:
        if before is None:
            problems += attempt(lambda: _stop_unaccepted(deployment, entry["release"]))
        _put_links_back(deployment, entry)
    if entry.get("power_before") is not None:
        problems += attempt(lambda: restore_power(deployment.places.root, entry["power_before"]))
    in_service = linked_release(deployment.current)
    if is_switched and in_service is not None:
        teller.say(f"{in_service} goes back into service")
        stopped = attempt(lambda: start(deployment, in_service or ""))
        problems += stopped
        in_service = None if stopped else in_service
    journal.clear()
    return in_service, problems


def start(deployment: Deployment, release: str) -> None:
    """(Re)start the service of a release and wait until it answers. Raises Refusal 40 when it does not."""
    manifest = manifest_of(deployment.release(release))
    restart_service(deployment.places.root, manifest)
    wait_ready(manifest)


def _put_links_back(deployment: Deployment, entry: dict[str, Any]) -> None:
    """`current` and `previous` as they were; the release that was not accepted goes, the one it replaced returns."""
    folder = deployment.release(entry["release"])
    replaced = folder.with_name(folder.name + REPLACED)
    before, previous = entry["current_before"], entry["previous_before"]
    if before != entry["release"]:
        set_link(deployment.current, None if before is None else f"releases/{before}")
    set_link(deployment.previous, None if previous is None else f"releases/{previous}")
    if entry["is_replacing"]:
        if replaced.is_dir():
            remove_tree(folder)
            os.rename(str(replaced), str(folder))
    else:
        remove_tree(folder)
    sync_folder(deployment.releases)


def _stop_unaccepted(deployment: Deployment, release: str) -> None:
    folder = deployment.release(release)
    if folder.is_dir():
        stop_service(deployment.places.root, manifest_of(folder))


def attempt(action: Callable[[], object]) -> list[str]:
    """Do one part of an undoing; what goes wrong is told, and does not keep the other parts from being done."""
    try:
        action()
    except Refusal as refusal:
        return [refusal.message]
    except OSError as error:
        return [f"{error.filename or 'device'}: {error.strerror or error}"]
    return []
