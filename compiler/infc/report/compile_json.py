"""A compile as JSON: what was built, from what, and how it measured."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from infc.ir.checkpoint import Checkpoint
from infc.ir.edge_release import EdgeRelease
from infc.ir.engine import AnyEngine, DeviceEngine, LoweredModel, PendingEngine
from infc.ir.llm_measurement import LlmMeasurement
from infc.ir.measurement import Measurement
from infc.report.accuracy_json import accuracy_json
from infc.report.compile_checkpoint import checkpoint_json
from infc.report.compiled import CompiledEntry, archives_of
from infc.report.llm_measurement_json import llm_measurement_document
from infc.report.measurement_json import measurement_document
from infc.report.plan_json import decision_json

FORMAT_VERSION = "1.0"


def render_compile_json(entries: Sequence[CompiledEntry], *, exit_code: int) -> str:
    """One object per bundle; `exit_code` is what the command exits with."""
    document = {
        "format_version": FORMAT_VERSION,
        "exit_code": exit_code,
        "bundles": [_bundle(entry) for entry in entries],
    }
    return json.dumps(document, indent=2, ensure_ascii=False)


def _bundle(entry: CompiledEntry) -> dict[str, Any]:
    return {
        "name": entry.plan.name,
        "path": entry.path,
        "target": entry.target,
        "folder": entry.folder,
        "change": entry.change,
        **{key: decision_json(entry.plan)[key] for key in ("decision", "estimate")},
        "lowered": _lowered(entry.lowered),
        "accuracy": None if entry.evidence is None else accuracy_json(entry.evidence),
        "engine": None if entry.engine is None else _engine(entry.engine),
        "checkpoint": checkpoint_json(entry.lowered) if isinstance(entry.lowered, Checkpoint) else None,
        "files": list(entry.files),
        "release": None if entry.release is None else _release(entry, entry.release),
        "measurement": None if entry.measurement is None else _measurement(entry.measurement),
    }


def _release(entry: CompiledEntry, release: EdgeRelease) -> dict[str, Any]:
    return {
        "version": release.version,
        "content_digest": release.content_digest,
        "archives": list(archives_of(entry)),
        "targets": [target.hardware_id for target in release.targets],
    }


def _measurement(measurement: Measurement | LlmMeasurement) -> dict[str, Any]:
    if isinstance(measurement, LlmMeasurement):
        return llm_measurement_document(measurement)
    return measurement_document(measurement)


def _lowered(lowered: LoweredModel | Checkpoint) -> dict[str, Any]:
    return {
        "precision": lowered.precision.value,
        "digest": lowered.digest,
        "recipe": lowered.recipe_digest or None,
        "passes": [{"name": p.name, "changed": p.changed, "notes": list(p.notes)} for p in lowered.passes],
    }


def _engine(engine: AnyEngine) -> dict[str, Any]:
    if isinstance(engine, DeviceEngine):
        return {"kind": engine.kind, "key": engine.key, "built_on": "device"}
    if isinstance(engine, PendingEngine):
        return {"kind": engine.kind, "key": engine.key, "pending": engine.reason}
    facts = engine.facts
    return {
        "kind": engine.kind,
        "key": engine.key,
        "digest": engine.digest,
        "size_bytes": engine.size_bytes,
        "activation_bytes": facts.activation_bytes,
        "weight_bytes": facts.weight_bytes,
        "toolchain": dict(sorted(facts.toolchain.items())),
        "layers": [{**asdict(layer), "operators": list(layer.operators)} for layer in facts.layers],
        "fallbacks": list(facts.fallbacks),
    }
