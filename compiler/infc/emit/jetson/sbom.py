"""`sbom.cdx.json` of a bundle for edge devices: its models, the program of the device, and the images that it runs."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from infc.emit.jetson.sums import digests_of
from infc.emit.supply.sbom import (
    BundledModel,
    ContainerImage,
    document,
    image_component,
    model_component,
    program_component,
)
from infc.ir.edge_release import EdgeEngine, EdgeRelease

_PROGRAMS = ("bin/edge.py", "install.sh")


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
    return document(
        root={
            "type": "firmware",
            "bom-ref": f"{release.name}-{release.version}",
            "name": release.name,
            "version": release.version,
            "properties": [
                {"name": "infc:content_digest", "value": release.content_digest},
                *[{"name": "infc:target", "value": target.hardware_id} for target in release.targets],
            ],
        },
        components=[
            *(model_component(model, digests) for model in models),
            *(program_component(path, digests[path], release.infc_version) for path in _PROGRAMS if path in digests),
            *(image_component(image) for image in images),
        ],
        serial_of=f"infc:{release.name}:{release.version}:{release.content_digest}",
        infc_version=release.infc_version,
        timestamp=timestamp,
    )


def _model_of(engine: EdgeEngine) -> BundledModel:
    return BundledModel(
        name=engine.name,
        files=(engine.model,),
        precision=engine.precision,
        source_digest=engine.source_digest,
        inputs=tuple(f"{shape.input_name} {list(shape.optimum)}" for shape in engine.shapes),
    )
