"""`infc worker` as JSON, and the JSON Schema of it."""

import json
from collections.abc import Mapping

from infc.build.job_json import bytes_from_attestation, json_from_environment
from infc.build.job_schema import attestation_schema, environment_schema
from infc.build.local_machine import BuildAbility
from infc.build.run_job import JobOutcome
from infc.ir.engine_kind import ENGINE_KINDS
from infc.ir.job import BuildEnvironment
from infc.ir.json_schema import object_schema
from infc.report.diagnostics_json import diagnostic_object, diagnostics_schema

FORMAT_VERSION = "1.0"


def render_outcome_json(outcome: JobOutcome, out: str) -> str:
    """What came of a job; `out` is its result folder as the user named it."""
    attestation = outcome.attestation
    document = {
        "format_version": FORMAT_VERSION,
        "status": outcome.status,
        "key": outcome.job.key if outcome.job else None,
        "out": out if outcome.status in ("built", "present", "refused") else None,
        "attestation": json.loads(bytes_from_attestation(attestation)) if attestation else None,
        "diagnostics": [diagnostic_object(diagnostic) for diagnostic in outcome.diagnostics],
    }
    return json.dumps(document, indent=2, ensure_ascii=False)


def render_probe_json(environment: BuildEnvironment, abilities: tuple[BuildAbility, ...]) -> str:
    """What a machine can build."""
    document = {
        "format_version": FORMAT_VERSION,
        "environment": json_from_environment(environment),
        "kinds": [
            {
                "kind": ability.kind,
                "version": ability.version,
                "compute_capabilities": list(ability.compute_capabilities),
                "missing": ability.missing,
            }
            for ability in abilities
        ],
    }
    return json.dumps(document, indent=2, ensure_ascii=False)


def worker_build_schema() -> dict[str, object]:
    """JSON Schema of `infc worker build --format json`."""
    diagnostics: Mapping[str, object] = diagnostics_schema()["properties"]["diagnostics"]  # type: ignore[index]
    return object_schema(
        {
            "format_version": {"const": FORMAT_VERSION},
            "status": {"enum": ["built", "present", "refused", "failed", "invalid"]},
            "key": {"type": ["string", "null"]},
            "out": {"type": ["string", "null"], "description": "The result folder; null when there is none."},
            "attestation": {"anyOf": [attestation_schema(), {"type": "null"}]},
            "diagnostics": diagnostics,
        }
    )


def worker_probe_schema() -> dict[str, object]:
    """JSON Schema of `infc worker probe --format json`."""
    capability = {"type": "string", "pattern": r"^\d+\.\d$"}
    kind = {
        "kind": {"enum": list(ENGINE_KINDS)},
        "version": {"type": ["string", "null"], "description": "Of the package that builds it; null: not installed."},
        "compute_capabilities": {
            "type": "array",
            "items": capability,
            "description": "GPUs that it builds for here; empty for engines of the CPU, or that are bound to no GPU.",
        },
        "missing": {"type": ["string", "null"], "description": "Why it cannot be built here; null: it can."},
    }
    return object_schema(
        {
            "format_version": {"const": FORMAT_VERSION},
            "environment": environment_schema(),
            "kinds": {"type": "array", "items": object_schema(kind)},
        }
    )
