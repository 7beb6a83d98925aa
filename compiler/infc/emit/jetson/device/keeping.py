"""What stays on a device: the releases that are kept, the engines they use, the program that verifies the next one."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from .durable import read_json, remove_file, remove_tree, set_link, write_durably
from .identity import version_key
from .journal import Journal
from .layout import REPLACED, Deployment, Places, linked_release


def finish_install(journal: Journal) -> list[str]:
    """What is left to do once a release is accepted; may be done again. Returns the releases that were dropped."""
    deployment, entry = journal.deployment, journal.entry
    remove_file(deployment.rejected)
    point_agent(deployment.places, deployment.release(entry["release"]))
    dropped = drop_releases(deployment, int(entry["releases_kept"]))
    remove_tree(deployment.release(entry["release"] + REPLACED))
    journal.clear()
    return dropped


def drop_releases(deployment: Deployment, kept: int) -> list[str]:
    """Remove the oldest releases beyond `kept`; never the one in service, the one before, or the agent's own."""
    names = deployment.kept()
    needed = {linked_release(deployment.current), linked_release(deployment.previous), _agent_release(deployment)}
    for name in reversed(names):
        if len(needed - {None}) >= kept:
            break
        needed.add(name)
    dropped = [name for name in names if name not in needed]
    for name in dropped:
        remove_tree(deployment.release(name))
    return dropped


def point_agent(places: Places, release: Path) -> None:
    """Have `/opt/infc/edge.py` and what it knows of TensorRT be those of a release."""
    for link in (places.libraries, places.agent):
        target = release / "bin" / link.name
        if target.is_file():
            set_link(link, os.path.relpath(str(target), str(places.home)))


def detach_agent(deployment: Deployment) -> None:
    """Before all releases of a deployment go: have the agent be that of another one, else a copy that stays.

    A device that accepted a program once never has to trust a bundle's own again.
    """
    places = deployment.places
    if _agent_release(deployment) is None:
        return
    others = [each.current for each in places.deployments() if each.name != deployment.name]
    serving = [link for link in others if (link / "bin").is_dir()]
    if serving:
        newest = max(serving, key=lambda link: version_key(_infc_version(link)))
        point_agent(places, newest.resolve())
        return
    for path in (places.libraries, places.agent):
        if path.is_file():
            write_durably(path, path.read_bytes(), 0o755 if path == places.agent else 0o644)


def _infc_version(release: Path) -> str:
    return str((read_json(release / "manifest.json") or {}).get("infc_version", ""))


def _agent_release(deployment: Deployment) -> str | None:
    """The release of this deployment that the agent is part of; None when it is another's."""
    try:
        parts = Path(os.readlink(str(deployment.places.agent))).parts
    except OSError:
        return None
    return parts[2] if len(parts) == 5 and parts[:2] == (deployment.name, "releases") else None


def engine_uses(places: Places) -> dict[str, list[str]]:
    """Each engine of the cache, and the kept releases that use it."""
    uses: dict[str, list[str]] = {key: [] for key in engine_keys(places)}
    for deployment in places.deployments():
        for name in deployment.kept():
            acceptance = read_json(deployment.release(name) / "acceptance.json") or {}
            key = (acceptance.get("engine") or {}).get("key")
            if key in uses:
                uses[key].append(f"{deployment.name}/{name}")
    return uses


def engine_keys(places: Places) -> list[str]:
    """Names in the cache of engines."""
    try:
        return sorted(entry.name for entry in places.engines.iterdir() if not entry.name.startswith("."))
    except OSError:
        return []


def prune_engines(places: Places) -> dict[str, Any]:
    """Remove engines that no kept release uses; returns their keys and bytes."""
    removed, freed = [], 0
    for key, users in engine_uses(places).items():
        if users:
            continue
        folder = places.engines / key
        freed += sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
        remove_tree(folder)
        removed.append(key)
    return {"removed": removed, "freed_bytes": freed}
