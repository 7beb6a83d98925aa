"""`infc drift` of several devices: one table for people, one document for programs, and its schema."""

import json
import textwrap
from collections.abc import Iterator
from typing import Any

from infc.ir.json_schema import object_schema
from infc.lock.drift.fleet import WORST_FIRST, DeviceDrift, FleetDrift, FleetVerdict
from infc.report.drift_json import drift_document, drift_schema
from infc.report.drift_text import render_drift_text
from infc.report.json_values import Json
from infc.report.layout import INDENT, WIDTH, Style, bullets, style_for, table

FORMAT_VERSION = "1.0"
_WORDS: dict[FleetVerdict, tuple[str, str]] = {
    "slo-missed": ("red", "the SLO is missed"),
    "drifted": ("red", "drifted"),
    "no-answer": ("yellow", "no answer"),
    "cannot-tell": ("yellow", "cannot tell"),
    "same": ("green", "same"),
}
_MOST_NAMED = 4


def render_fleet_text(fleet: FleetDrift, *, detailed: bool = False, color: bool = False) -> str:
    """One line a device, without a final newline; with `detailed` the report of each follows."""
    style = style_for(color=color)
    counts = {verdict: sum(device.verdict == verdict for device in fleet.devices) for verdict in WORST_FIRST}
    summary = ", ".join(style(_WORDS[each][0], f"{count} {_WORDS[each][1]}") for each, count in counts.items() if count)
    lines = [f"{fleet.name} on {len(fleet.devices)} devices: {summary}", ""]
    rows = [["device", "target", "release", "power mode", "verdict", "what"]]
    rows += [_row(device, style) for device in fleet.devices]
    lines += table(rows)
    silent = [f"{device.address}: {device.problem.message}" for device in fleet.devices if device.problem is not None]
    if silent:
        lines += ["", *bullets(silent)]
    if detailed:
        for device in fleet.devices:
            if device.report is not None:
                lines += ["", render_drift_text(device.report, detailed=True, color=color)]
    elif fleet.verdict != "same":
        lines += _help()
    return "\n".join(lines)


def _row(device: DeviceDrift, style: Style) -> list[str]:
    color, words = _WORDS[device.verdict]
    report = device.report
    if report is None:
        return [device.address, "", "", "", style(color, words), ""]
    seen = {item.id: item.observed for item in report.items}
    return [
        device.address,
        report.target,
        str(seen.get("release") or "-"),
        str(seen.get("power-mode") or "-"),
        style(color, words),
        _what(device),
    ]


def _what(device: DeviceDrift) -> str:
    """The items that drifted, by name."""
    if device.report is None:
        return ""
    names = [item.name for item in device.report.drifted]
    more = f" and {len(names) - _MOST_NAMED} more" if len(names) > _MOST_NAMED else ""
    return ", ".join(names[:_MOST_NAMED]) + more


def _help() -> Iterator[str]:
    words = "help: --detailed shows what was expected and seen on each device"
    yield ""
    yield from textwrap.wrap(words, WIDTH, initial_indent=INDENT, subsequent_indent=INDENT * 2)


def fleet_drift_json(fleet: FleetDrift) -> str:
    """The document as JSON text."""
    document: dict[str, Json] = {
        "format_version": FORMAT_VERSION,
        "name": fleet.name,
        "spec": fleet.spec,
        "verdict": fleet.verdict,
        "devices": [
            {
                "address": device.address,
                "verdict": device.verdict,
                "problem": None if device.problem is None else _problem(device),
                "report": None if device.report is None else drift_document(device.report),
            }
            for device in fleet.devices
        ],
        "summary": {verdict: sum(each.verdict == verdict for each in fleet.devices) for verdict in WORST_FIRST},
    }
    return json.dumps(document, indent=2, ensure_ascii=False)


def _problem(device: DeviceDrift) -> Json:
    assert device.problem is not None  # noqa: S101 - the caller looked
    return {"id": device.problem.id, "message": device.problem.message, "help": device.problem.help or ""}


def fleet_drift_schema() -> dict[str, Any]:
    """JSON Schema (2020-12) of the document."""
    text = {"type": "string"}
    verdict = {"enum": list(WORST_FIRST)}
    problem = object_schema({"id": text, "message": text, "help": text})
    report = drift_schema()
    device = {
        "address": text,
        "verdict": verdict,
        "problem": {"anyOf": [problem, {"type": "null"}], "description": "Why there is no report."},
        "report": {"anyOf": [report, {"type": "null"}]},
    }
    return {
        "description": "What `infc drift SPEC ssh://A ssh://B --format json` prints: one report a device.",
        **object_schema(
            {
                "format_version": {"type": "string", "pattern": r"^1\.\d+$"},
                "name": text,
                "spec": text,
                "verdict": {**verdict, "description": "The worst; exit codes 3, 4, 1, 6 and 0 in this order."},
                "devices": {"type": "array", "items": object_schema(device)},
                "summary": object_schema({each: {"type": "integer", "minimum": 0} for each in WORST_FIRST}),
            }
        ),
    }
