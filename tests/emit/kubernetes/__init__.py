"""Kubernetes objects, and the schemas that they are checked against: `kubernetes_faults`, `crd_faults`."""

import json
import os
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema
import pytest

SCHEMA = Path(__file__).parent / "kubernetes-1.37.schema.json"
CRD_VARIABLE = "INFC_CRD_SCHEMAS"


KINDS = frozenset(json.loads(SCHEMA.read_bytes())["kinds"])
"""Kinds of Kubernetes itself that there is a schema of."""


CRD_KINDS = frozenset({"InferenceService", "LLMInferenceService", "ScaledObject"})
"""Custom resources of which `INFC_CRD_SCHEMAS` may hold the definition."""


@cache
def _core() -> dict[str, Any]:
    document: dict[str, Any] = json.loads(SCHEMA.read_bytes())
    return document


def kubernetes_faults(manifest: Mapping[str, Any]) -> list[str]:
    """What strict Kubernetes 1.37 would refuse of a built-in object."""
    document = _core()
    schema = {"$ref": document["kinds"][manifest["kind"]], "definitions": document["definitions"]}
    return _faults(schema, manifest)


def crd_faults(manifest: Mapping[str, Any]) -> list[str]:
    """What the definition of a custom resource refuses; the test is skipped where no folder of them is named."""
    folder = os.environ.get(CRD_VARIABLE)
    if not folder:
        pytest.skip(f"{CRD_VARIABLE} names no folder of custom resource schemas")
    group, _, version = manifest["apiVersion"].partition("/")
    return _faults(_definition(Path(folder) / f"{group}_{version}_{manifest['kind']}.schema.json"), manifest)


@cache
def _definition(path: Path) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(path.read_bytes())
    return document


def _faults(schema: Mapping[str, Any], manifest: Mapping[str, Any]) -> list[str]:
    validator = jsonschema.Draft7Validator(schema)
    return [f"{error.json_path}: {error.message[:200]}" for error in validator.iter_errors(manifest)]
