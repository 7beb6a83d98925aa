"""Writes `kubernetes-<version>.schema.json`: strict schemas of the built-in objects that infc emits.

pip install kubernetes-validate==1.37.0
python extract_schema.py 1.37 SITE_PACKAGES/kubernetes_validate/kubernetes-json-schema/v1.37.0-local-strict
"""

import json
import sys
from pathlib import Path
from typing import Any

ROOTS = {
    "Deployment": "io.k8s.api.apps.v1.Deployment",
    "Service": "io.k8s.api.core.v1.Service",
    "ConfigMap": "io.k8s.api.core.v1.ConfigMap",
    "PodDisruptionBudget": "io.k8s.api.policy.v1.PodDisruptionBudget",
    "NetworkPolicy": "io.k8s.api.networking.v1.NetworkPolicy",
    "HorizontalPodAutoscaler": "io.k8s.api.autoscaling.v2.HorizontalPodAutoscaler",
}
COMMENT = (
    "Strict JSON Schemas of Kubernetes {} for the objects that infc emits, descriptions left out. Source: the OpenAPI "
    "document of Kubernetes (Apache-2.0), as PyPI kubernetes-validate converts it."
)


def main() -> None:
    """Copy the roots and everything that they refer to."""
    version, folder = sys.argv[1], Path(sys.argv[2])
    source = json.loads((folder / "_definitions.json").read_bytes())["$defs"]
    kept: dict[str, Any] = {}
    for name in ROOTS.values():
        _keep(name, source, kept)
    kinds = {kind: f"#/definitions/{name}" for kind, name in ROOTS.items()}
    rows = (f"{json.dumps(name)}: {json.dumps(part, separators=(',', ':'))}" for name, part in sorted(kept.items()))
    text = (
        f'{{\n"$comment": {json.dumps(COMMENT.format(version))},\n"kinds": {json.dumps(kinds)},\n"definitions": {{\n'
        + ",\n".join(rows)
        + "\n}\n}\n"
    )
    (Path(__file__).parent / f"kubernetes-{version}.schema.json").write_text(text)


def _keep(name: str, source: dict[str, Any], kept: dict[str, Any]) -> None:
    if name not in kept:
        kept[name] = None
        kept[name] = _stripped(source[name], source, kept)


def _stripped(part: Any, source: dict[str, Any], kept: dict[str, Any]) -> Any:
    """Without descriptions, extensions and number formats, which a JSON Schema validator does not know."""
    if isinstance(part, list):
        return [_stripped(each, source, kept) for each in part]
    if not isinstance(part, dict):
        return part
    result = {}
    for key, value in part.items():
        is_text = key in ("description", "format") and isinstance(value, str)
        if is_text or key.startswith("x-kubernetes"):
            continue
        if key == "$ref":
            name = value.rpartition("/")[2]
            _keep(name, source, kept)
            result[key] = f"#/definitions/{name}"
        else:
            result[key] = _stripped(value, source, kept)
    return result


if __name__ == "__main__":
    main()
