"""`sbom.cdx.json`: what is in a bundle, as CycloneDX 1.6, the models as machine-learning models with their cards.

The same release, the same bytes: the serial number follows from the content, and there is no time unless one is given.
"""

import json
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from infc.emit.jetson.sums import digests_of
from infc.ir.edge_release import EdgeEngine, EdgeRelease

SBOM_NAME = "sbom.cdx.json"
_LICENSE = "Apache-2.0"  # of infc, and so of what it puts into a bundle to run on the device
_PROGRAMS = ("bin/edge.py", "install.sh")
_Json: TypeAlias = "Mapping[str, _Json] | Sequence[_Json] | str | int | float | bool | None"


@dataclass(frozen=True, kw_only=True)
class BundledModel:
    """A model of the bundle, for its card.

    `files` are its paths in the bundle (none where the device fetches it). `origin` says where it comes from (a path
    in the repository, or `repository@revision`), `source_digest` what it was lowered from. `license` is an SPDX id.
    `metrics` are measured qualities: name -> value as text.
    """

    name: str
    files: tuple[str, ...]
    precision: str
    origin: str | None = None
    source_digest: str | None = None
    license: str | None = None
    task: str | None = None
    inputs: tuple[str, ...] = ()
    outputs: tuple[str, ...] = ()
    metrics: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, kw_only=True)
class ContainerImage:
    """An image that the device runs: `nvcr.io/nvidia/tritonserver`, its tag, and its digest where it is pinned."""

    name: str
    tag: str
    digest: str | None = None
    license: str | None = None


def models_of(release: EdgeRelease) -> tuple[BundledModel, ...]:
    """The models that a release's engines are built from, as far as its manifest knows them."""
    return tuple(_model_of(engine) for engine in release.engines)


def sbom_json(
    release: EdgeRelease,
    files: Mapping[str, bytes | Path],
    *,
    models: Sequence[BundledModel],
    images: Sequence[ContainerImage] = (),
    timestamp: str | None = None,
) -> bytes:
    """The SBOM of a release. `files` are those of the bundle (itself, provenance and sums may be absent).

    `timestamp` is RFC 3339, as `provenance.build_time` gives it; None: the SBOM has none.
    """
    digests = digests_of(files)
    root = f"{release.name}-{release.version}"
    components = [
        *(_model_component(model, digests) for model in models),
        *(_program_component(path, digests[path], release.infc_version) for path in _PROGRAMS if path in digests),
        *(_image_component(image) for image in images),
    ]
    metadata: dict[str, _Json] = {
        "tools": {"components": [{"type": "application", "name": "infc", "version": release.infc_version}]},
        "component": {
            "type": "firmware",
            "bom-ref": root,
            "name": release.name,
            "version": release.version,
            "properties": [
                {"name": "infc:content_digest", "value": release.content_digest},
                *[{"name": "infc:target", "value": target.hardware_id} for target in release.targets],
            ],
        },
    }
    serial = uuid.uuid5(uuid.NAMESPACE_URL, f"infc:{release.name}:{release.version}:{release.content_digest}")
    document: dict[str, _Json] = {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": f"urn:uuid:{serial}",
        "version": 1,
        "metadata": metadata if timestamp is None else {"timestamp": timestamp, **metadata},
        "components": [component for _, component in components],
        "dependencies": [
            {"ref": root, "dependsOn": sorted(reference for reference, _ in components)},
            *[{"ref": reference} for reference in sorted(reference for reference, _ in components)],
        ],
    }
    return (json.dumps(document, indent=1, ensure_ascii=False) + "\n").encode()


def _model_of(engine: EdgeEngine) -> BundledModel:
    return BundledModel(
        name=engine.name,
        files=(engine.model,),
        precision=engine.precision,
        source_digest=engine.source_digest,
        inputs=tuple(f"{shape.input_name} {list(shape.optimum)}" for shape in engine.shapes),
    )


def _model_component(model: BundledModel, digests: Mapping[str, str]) -> tuple[str, _Json]:
    reference = f"model:{model.name}"
    parameters: dict[str, _Json] = {}
    if model.task is not None:
        parameters["task"] = model.task
    if model.inputs:
        parameters["inputs"] = [{"format": each} for each in model.inputs]
    if model.outputs:
        parameters["outputs"] = [{"format": each} for each in model.outputs]
    card: dict[str, _Json] = {"modelParameters": parameters} if parameters else {}
    if model.metrics:
        metrics: list[_Json] = [{"type": name, "value": value} for name, value in model.metrics]
        card["quantitativeAnalysis"] = {"performanceMetrics": metrics}
    component: dict[str, _Json] = {
        "type": "machine-learning-model",
        "bom-ref": reference,
        "name": model.name,
        **_licenses(model.license),
        "modelCard": card,
        "properties": [{"name": name, "value": value} for name, value in _properties_of(model)],
    }
    if len(model.files) == 1:
        component["hashes"] = _hashes(digests[model.files[0]])
    elif model.files:
        component["components"] = [
            {"type": "file", "bom-ref": f"file:{path}", "name": path, "hashes": _hashes(digests[path])}
            for path in sorted(model.files)
        ]
    return reference, component


def _properties_of(model: BundledModel) -> tuple[tuple[str, str], ...]:
    all_ = (
        ("infc:file", model.files[0] if len(model.files) == 1 else None),
        ("infc:precision", model.precision),
        ("infc:origin", model.origin),
        ("infc:source_digest", model.source_digest),
    )
    return tuple((name, value) for name, value in all_ if value is not None)


def _program_component(path: str, digest: str, infc_version: str) -> tuple[str, _Json]:
    return f"file:{path}", {
        "type": "file",
        "bom-ref": f"file:{path}",
        "name": path,
        "version": infc_version,
        "hashes": _hashes(digest),
        **_licenses(_LICENSE),
    }


def _image_component(image: ContainerImage) -> tuple[str, _Json]:
    reference = f"image:{image.name}:{image.tag}"
    component: dict[str, _Json] = {
        "type": "container",
        "bom-ref": reference,
        "name": image.name,
        "version": image.tag,
        **_licenses(image.license),
    }
    if image.digest is not None:
        component["hashes"] = _hashes(image.digest.removeprefix("sha256:"))
    return reference, component


def _hashes(sha256: str) -> list[_Json]:
    return [{"alg": "SHA-256", "content": sha256}]


def _licenses(spdx_id: str | None) -> dict[str, _Json]:
    return {} if spdx_id is None else {"licenses": [{"license": {"id": spdx_id}}]}
