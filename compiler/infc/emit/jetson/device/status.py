"""What is on a device: releases, engines, health, in the form that infc's fleet commands read. Changes nothing."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from .codes import Refusal
from .durable import read_json
from .engine import engine_key_now
from .identity import read_device
from .journal import is_under_way
from .keeping import engine_uses
from .layout import Deployment, Places, linked_release
from .power import power_mode_now
from .service import service_state
from .switching import damage_of
from .trust import MANIFEST_NAME

STATUS_FORMAT = "1.0"
_UNITS = {"power": (" W", 1.0), "temperature": (" C", 1.0), "failed": (" requests", 1.0)}


def device_status(places: Places, name: str | None) -> dict[str, Any]:
    """The device, and one deployment or all of them. Raises Refusal for what cannot be a name."""
    device = read_device(places.root)
    wanted = places.deployments() if name is None else [places.deployment(name)]
    there = [deployment for deployment in wanted if deployment.folder.is_dir()]
    uses = engine_uses(places)
    return {
        "format_version": STATUS_FORMAT,
        "agent": agent_version(),
        "device": device,
        "power_mode": power_mode_now(places.root),
        "deployments": [deployment_status(deployment, device) for deployment in there],
        "engines": [
            {"key": key, "size_bytes": _size(places.engines / key / "model.plan"), "used_by": uses[key]} for key in uses
        ],
    }


def deployment_status(deployment: Deployment, device: dict[str, Any]) -> dict[str, Any]:
    """One deployment: the release in service, the one before, what is under way, what was rolled back."""
    current = linked_release(deployment.current)
    folder = deployment.release(current) if current else None
    manifest = read_json(folder / MANIFEST_NAME) if folder else None
    acceptance = read_json(folder / "acceptance.json") if folder else None
    journal = read_json(deployment.journal)
    return {
        "name": deployment.name,
        "release": current,
        "previous": linked_release(deployment.previous),
        "kept": deployment.kept(),
        "manifest": manifest,
        "acceptance": acceptance,
        "engine_key_now": key_now(folder, manifest, acceptance, device) if folder else None,
        "journal": _journal_facts(deployment, journal) if journal else None,
        "service": {**service_state(manifest), "unit": manifest["service"]["unit"]} if manifest else None,
        "rejected": read_json(deployment.rejected),
    }


def _journal_facts(deployment: Deployment, journal: dict[str, Any]) -> dict[str, Any]:
    facts = {field: journal.get(field) for field in ("step", "release", "purpose")}
    return {**facts, "is_under_way": is_under_way(deployment.places)}


def key_now(
    folder: Path, manifest: dict[str, Any] | None, acceptance: dict[str, Any] | None, device: dict[str, Any]
) -> str | None:
    """Key that the engine of a release would have if it were built now; None when that cannot be said."""
    hardware_id = (acceptance or {}).get("hardware_id")
    for target in (manifest or {}).get("targets", ()):
        if target["hardware_id"] == hardware_id and target["engine"] is not None and manifest is not None:
            try:
                return engine_key_now(folder, manifest, target, device)
            except Refusal:
                return None
    return None


def is_healthy(deployment: Deployment, release: str, device: dict[str, Any]) -> bool:
    """Whether the release in service is whole, accepted, answers, and has the engine that would be built now."""
    folder = deployment.release(release)
    status = deployment_status(deployment, device)
    acceptance, service = status["acceptance"], status["service"]
    if acceptance is None or service is None or False in (service["is_active"], service["is_ready"]):
        return False
    engine = acceptance["engine"]
    if engine is not None and engine["key"] != status["engine_key_now"]:
        return False
    return not damage_of(folder)


def agent_version() -> str:
    """Version of infc that this program came with, from the release that it is part of."""
    release = Path(os.path.realpath(__file__)).parents[1]
    return str((read_json(release / MANIFEST_NAME) or {}).get("infc_version", "unknown"))


def status_words(status: dict[str, Any]) -> list[str]:
    """The status as lines for people."""
    device = status["device"]
    facts = (("module", device["module"]), ("L4T", device["l4t"]), ("TensorRT", device["tensorrt"]))
    words = [f"{what} {said or 'not found'}" for what, said in (*facts, ("power mode", status["power_mode"]))]
    free = f"{device['free_bytes'] / 1e9:.1f} GB free"
    lines = [", ".join([device["model"] or device["machine"], *words, free])]
    for entry in status["deployments"]:
        lines += _deployment_words(entry)
    if not status["deployments"]:
        lines.append("no release is installed")
    for engine in status["engines"]:
        users = ", ".join(engine["used_by"]) or "no kept release (edge.py prune removes it)"
        lines.append(f"engine {engine['key'][:12]}  {engine['size_bytes'] / 1e6:.1f} MB  {users}")
    return lines


def _deployment_words(entry: dict[str, Any]) -> list[str]:
    lines = [f"{entry['name']}: {entry['release'] or 'nothing'} in service"]
    service = entry["service"]
    if service is not None and service["is_ready"] is not None:
        lines[0] += f", {service['unit']} {'answers' if service['is_ready'] else 'DOES NOT ANSWER'}"
    lines.append(f"  before: {entry['previous'] or 'none'}; kept: {', '.join(entry['kept']) or 'none'}")
    acceptance = entry["acceptance"]
    if acceptance is not None:
        lines.append(f"  accepted {acceptance.get('accepted_at', '')}: {verdict_words(acceptance)}")
        engine = acceptance["engine"]
        if engine is not None and entry["engine_key_now"] not in (None, engine["key"]):
            lines.append("  the device changed since (L4T, TensorRT or power mode): install the release again")
    if entry["journal"] is not None:
        journal = entry["journal"]
        how = "is at" if journal["is_under_way"] else "was cut off at"
        lines.append(f"  {journal['purpose']} of {journal['release']} {how} step {journal['step']}")
    if entry["rejected"] is not None:
        rejected = entry["rejected"]
        lines.append(f"  rolled back since: {rejected['version']} ({verdict_words(rejected)})")
    return lines


def verdict_words(acceptance: dict[str, Any]) -> str:
    """Measured values beside their limits, in words.

    >>> verdict_words({"verdicts": [{"metric": "p99", "value": 0.006, "limit": 0.033, "verdict": "pass"}]})
    'p99 6 ms of 33 ms (pass)'
    """
    return ", ".join(_verdict_word(entry) for entry in acceptance["verdicts"]) or "no objective was judged"


def _verdict_word(entry: dict[str, Any]) -> str:
    """Watts, degrees, requests; every other metric is in seconds and told in milliseconds."""
    unit, scale = _UNITS.get(entry["metric"], (" ms", 1e3))
    value = "unknown" if entry["value"] is None else f"{scale * entry['value']:.4g}{unit}"
    return f"{entry['metric']} {value} of {scale * entry['limit']:.4g}{unit} ({entry['verdict']})"


def _size(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0
