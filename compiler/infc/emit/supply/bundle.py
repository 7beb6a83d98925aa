"""SBOM and provenance of a bundle for servers: two more files, which follow from everything else in it.

They are no part of the content digest or of the lock, because they name both. `infc sign` puts the statement into an
envelope as it is, beside the files; signatures are listed nowhere, because they are made later, and differ each time.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

from infc.emit.manifest import BESIDE, MANIFEST_NAME, content_digest
from infc.emit.supply.provenance import PROVENANCE_NAME, Dependency, Json, Subject, hex_of, statement
from infc.emit.supply.sbom import (
    SBOM_NAME,
    BundledModel,
    ContainerImage,
    dataset_components,
    document,
    image_component,
    library_component,
    model_component,
    program_component,
)

BUILD_TYPE = "https://infc.dev/server-bundle/v1"
"""A name, not an address: parameters are the spec, the target and what the plan decided."""
ABOUT_THE_BUNDLE = frozenset({MANIFEST_NAME, SBOM_NAME, PROVENANCE_NAME, *BESIDE})
"""Files that say what the others are, or what came of them."""


@dataclass(frozen=True, kw_only=True)
class Contents:
    """What a bundle's SBOM and provenance say.

    `external` is what the user decided, `internal` what infc decided; `libraries` maps a library that made or runs the
    engine to its version. `programs` are paths of what infc puts into the bundle to be run. `timestamp` is RFC 3339.
    """

    name: str
    target: str
    infc_version: str
    models: Sequence[BundledModel]
    images: Sequence[ContainerImage]
    libraries: Mapping[str, str]
    external: Mapping[str, Json]
    internal: Mapping[str, Json]
    dependencies: Sequence[Dependency]
    programs: Sequence[str] = field(default=())
    timestamp: str | None = None

    @property
    def label(self) -> str:
        """How both documents call the bundle."""
        return f"{self.name}@{self.target}"


def supply_files(
    contents: Contents, files: Mapping[str, bytes | Path], known: Mapping[str, str] = MappingProxyType({})
) -> dict[str, bytes]:
    """`sbom.cdx.json` and `provenance.json` for a bundle of these files; same values, same bytes.

    `known` maps files whose digest is known to `sha256:<hex>`: large ones are not read again.
    """
    digests = {
        path: hex_of(known.get(path) or content_digest(files[path]))
        for path in sorted(files)
        if path not in ABOUT_THE_BUNDLE
    }
    sbom = _sbom(contents, digests)
    described = {**digests, SBOM_NAME: hashlib.sha256(sbom).hexdigest()}
    provenance = statement(
        subjects=(
            Subject(name=contents.label, digest=whole_digest(digests), algorithm="dirHash"),
            *(Subject(name=path, digest=described[path]) for path in sorted(described)),
        ),
        build_type=BUILD_TYPE,
        external=contents.external,
        internal=contents.internal,
        dependencies=contents.dependencies,
        versions={"infc": contents.infc_version, **contents.libraries},
        timestamp=contents.timestamp,
    )
    return {SBOM_NAME: sbom, PROVENANCE_NAME: provenance}


def whole_digest(digests: Mapping[str, str]) -> str:
    """The sha256 in hex of a bundle's content, from path -> sha256 in hex: of what `sha256sum` prints, sorted.

    >>> whole_digest({"a": "1" * 64}) == whole_digest({"a": "1" * 64, "sbom.cdx.json": "2" * 64})
    True
    """
    lines = (f"{digests[path]}  {path}\n" for path in sorted(digests) if path not in ABOUT_THE_BUNDLE)
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def _sbom(contents: Contents, digests: Mapping[str, str]) -> bytes:
    whole = whole_digest(digests)
    return document(
        root={
            "type": "application",
            "bom-ref": contents.label,
            "name": contents.name,
            "version": whole[:12],
            "properties": [
                {"name": "infc:content_digest", "value": f"sha256:{whole}"},
                {"name": "infc:target", "value": contents.target},
            ],
        },
        components=[
            *(model_component(model, digests) for model in contents.models),
            *dataset_components(contents.models),
            *(program_component(path, digests[path], contents.infc_version) for path in sorted(contents.programs)),
            *(image_component(image) for image in contents.images),
            *(library_component(name, version) for name, version in sorted(contents.libraries.items())),
        ],
        serial_of=f"infc:{contents.label}:{whole}",
        infc_version=contents.infc_version,
        timestamp=contents.timestamp,
    )
