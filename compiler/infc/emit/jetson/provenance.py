"""`provenance.json` of a bundle for edge devices: what the release was made from.

`SHA256SUMS` lists it, and that list is what is signed. So who trusts the bundle's signature may trust it, and
`infc verify` and the device have checked it with everything else.
"""

from collections.abc import Sequence

from infc.emit.supply.provenance import Dependency, Json, Subject, statement
from infc.ir.edge_release import EdgeRelease

_BUILD_TYPE = "https://infc.dev/jetson-bundle/v1"  # a name, not an address


def provenance_json(
    release: EdgeRelease,
    *,
    spec: str,
    target: str | None,
    dependencies: Sequence[Dependency],
    timestamp: str | None = None,
) -> bytes:
    """The provenance of a release.

    Args:
        release: what was made; its content and its models are the subjects.
        spec: the spec's path in its repository.
        target: which of the spec's targets it is for; None where the spec has only one.
        dependencies: spec, lock, source models, calibration and accuracy data, images, by digest.
        timestamp: RFC 3339, as `build_time` gives it; None: the statement has no time.
    """
    models = {engine.model: engine.model_digest for engine in release.engines}
    parameters: dict[str, Json] = {"spec": spec, "version": release.version}
    if target is not None:
        parameters["target"] = target
    return statement(
        subjects=(
            Subject(name=release.name, digest=release.content_digest, algorithm="dirHash"),
            *(Subject(name=path, digest=models[path]) for path in sorted(models)),
        ),
        build_type=_BUILD_TYPE,
        external=parameters,
        internal={"hardware": [target.hardware_id for target in release.targets]},
        dependencies=dependencies,
        versions={"infc": release.infc_version},
        timestamp=timestamp,
    )
