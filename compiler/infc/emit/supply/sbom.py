"""Pieces of a CycloneDX 1.6 bill of materials, with models as machine-learning models and their cards.

Same values, same bytes: a serial number follows from a name that the caller gives, and there is no time unless one is
given. CycloneDX's own Python library is not used: it has no model cards, and it stamps random references and the time.
Source: https://cyclonedx.org/docs/1.6/json/ (fields), bom-1.6.schema.json (which tests hold every document against).
"""

import json
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

SBOM_NAME = "sbom.cdx.json"
INFC_LICENSE = "Apache-2.0"
"""The licence of infc, and so of the programs that it puts into bundles."""
Json: TypeAlias = "Mapping[str, Json] | Sequence[Json] | str | int | float | bool | None"
Component: TypeAlias = tuple[str, Json]
"""A reference within the document, and what it refers to."""


@dataclass(frozen=True, kw_only=True)
class Metric:
    """A measured quality of a model: its name, its value, and the bounds of its confidence interval where known."""

    name: str
    value: str
    low: str | None = None
    high: str | None = None


@dataclass(frozen=True, kw_only=True)
class Dataset:
    """Data that a model was judged with or calibrated on; `digest` is `sha256:<hex>`."""

    name: str
    digest: str
    use: str


@dataclass(frozen=True, kw_only=True)
class BundledModel:
    """A model of the bundle, for its card.

    `files` are its paths in the bundle (none where the server or device fetches it). `origin` says where it comes from
    (a path in the repository, or `repository@revision`), `source_digest` what it was lowered from. `license` is an SPDX
    id. `properties` are further words about it: quantisation, engine, and what the figures rest on.
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
    metrics: tuple[Metric, ...] = ()
    datasets: tuple[Dataset, ...] = ()
    properties: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, kw_only=True)
class ContainerImage:
    """An image that is run: `nvcr.io/nvidia/tritonserver`, its tag, and its digest where it is pinned."""

    name: str
    tag: str
    digest: str | None = None
    license: str | None = None


def image_of(reference: str) -> ContainerImage:
    """The image of a reference: `name:tag`, `name@sha256:...` or both.

    >>> image_of("nvcr.io:443/nvidia/tritonserver:24.10-py3@sha256:12")
    ContainerImage(name='nvcr.io:443/nvidia/tritonserver', tag='24.10-py3', digest='sha256:12', license=None)
    >>> image_of("vllm").tag
    'latest'
    """
    name, _, digest = reference.partition("@")
    folder, slash, last = name.rpartition("/")
    last, _, tag = last.partition(":")
    return ContainerImage(name=f"{folder}{slash}{last}", tag=tag or "latest", digest=digest or None)


def document(
    *,
    root: Mapping[str, Json],
    components: Sequence[Component],
    serial_of: str,
    infc_version: str,
    timestamp: str | None = None,
) -> bytes:
    """The whole bill of materials.

    Args:
        root: the component that the document is about, with its `bom-ref`.
        components: what it consists of; all of them are its dependencies.
        serial_of: what the serial number follows from: equal for equal content.
        infc_version: the tool's version.
        timestamp: RFC 3339, as `provenance.build_time` gives it; None: the document states no time.
    """
    metadata: dict[str, Json] = {
        "tools": {"components": [{"type": "application", "name": "infc", "version": infc_version}]},
        "component": root,
    }
    references = sorted(reference for reference, _ in components)
    content: dict[str, Json] = {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, serial_of)}",
        "version": 1,
        "metadata": metadata if timestamp is None else {"timestamp": timestamp, **metadata},
        "components": [component for _, component in components],
        "dependencies": [
            {"ref": root["bom-ref"], "dependsOn": references},
            *[{"ref": reference} for reference in references],
        ],
    }
    return (json.dumps(content, indent=1, ensure_ascii=False) + "\n").encode()


def model_component(model: BundledModel, digests: Mapping[str, str]) -> Component:
    """A model with its card; `digests` are those of the bundle's files, path -> sha256 in hex."""
    reference = f"model:{model.name}"
    component: dict[str, Json] = {
        "type": "machine-learning-model",
        "bom-ref": reference,
        "name": model.name,
        **_licenses(model.license),
        "modelCard": _card(model),
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


def dataset_components(models: Sequence[BundledModel]) -> list[Component]:
    """The data that model cards refer to, each once."""
    found = {_dataset_reference(each): each for model in models for each in model.datasets}
    return [
        (
            reference,
            {
                "type": "data",
                "bom-ref": reference,
                "name": each.name,
                "hashes": _hashes(each.digest.removeprefix("sha256:")),
                "data": [{"type": "dataset", "name": each.name, "description": each.use}],
            },
        )
        for reference, each in sorted(found.items())
    ]


def program_component(path: str, digest: str, infc_version: str) -> Component:
    """A program of infc in the bundle; `digest` is its sha256 in hex."""
    return f"file:{path}", {
        "type": "file",
        "bom-ref": f"file:{path}",
        "name": path,
        "version": infc_version,
        "hashes": _hashes(digest),
        **_licenses(INFC_LICENSE),
    }


def image_component(image: ContainerImage) -> Component:
    """A container image."""
    reference = f"image:{image.name}:{image.tag}"
    component: dict[str, Json] = {
        "type": "container",
        "bom-ref": reference,
        "name": image.name,
        "version": image.tag,
        **_licenses(image.license),
    }
    if image.digest is not None:
        component["hashes"] = _hashes(image.digest.removeprefix("sha256:"))
    return reference, component


def library_component(name: str, version: str) -> Component:
    """A library that made the engine or runs it."""
    reference = f"library:{name}"
    return reference, {"type": "library", "bom-ref": reference, "name": name, "version": version}


def _card(model: BundledModel) -> dict[str, Json]:
    parameters: dict[str, Json] = {}
    if model.task is not None:
        parameters["task"] = model.task
    if model.datasets:
        parameters["datasets"] = [{"ref": _dataset_reference(each)} for each in model.datasets]
    if model.inputs:
        parameters["inputs"] = [{"format": each} for each in model.inputs]
    if model.outputs:
        parameters["outputs"] = [{"format": each} for each in model.outputs]
    card: dict[str, Json] = {"modelParameters": parameters} if parameters else {}
    if model.metrics:
        card["quantitativeAnalysis"] = {"performanceMetrics": [_metric(each) for each in model.metrics]}
    return card


def _metric(metric: Metric) -> dict[str, Json]:
    told: dict[str, Json] = {"type": metric.name, "value": metric.value}
    if metric.low is not None and metric.high is not None:
        told["confidenceInterval"] = {"lowerBound": metric.low, "upperBound": metric.high}
    return told


def _dataset_reference(dataset: Dataset) -> str:
    return f"data:{dataset.name}"


def _properties_of(model: BundledModel) -> tuple[tuple[str, str], ...]:
    all_ = (
        ("infc:file", model.files[0] if len(model.files) == 1 else None),
        ("infc:precision", model.precision),
        ("infc:origin", model.origin),
        ("infc:source_digest", model.source_digest),
    )
    return (*((name, value) for name, value in all_ if value is not None), *model.properties)


def _hashes(sha256: str) -> list[Json]:
    return [{"alg": "SHA-256", "content": sha256}]


def _licenses(spdx_id: str | None) -> dict[str, Json]:
    return {} if spdx_id is None else {"licenses": [{"license": {"id": spdx_id}}]}
