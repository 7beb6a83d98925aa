"""`provenance.json`: what a bundle was made from, as SLSA provenance v1 in an in-toto statement v1.

It is plain JSON and carries no signature of its own: `SHA256SUMS` lists it, and that list is what is signed. So who
trusts the bundle's signature may trust it, and `infc verify` and the device have checked it with everything else.

Source: https://github.com/in-toto/attestation/blob/main/spec/v1/statement.md, https://slsa.dev/spec/v1.0/provenance.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TypeAlias

from infc.diag import ToolError
from infc.ir.edge_release import EdgeRelease

PROVENANCE_NAME = "provenance.json"
# Names of types: identifiers, not addresses.
_BUILD_TYPE = "https://infc.dev/jetson-bundle/v1"
_BUILDER = "https://infc.dev/infc"
_MOST_EPOCH_S = 253402300799  # the end of the year 9999
_Json: TypeAlias = "Mapping[str, _Json] | Sequence[_Json] | str | int | float | bool | None"


@dataclass(frozen=True, kw_only=True)
class Dependency:
    """Something that entered the bundle: its name (a path in the repository, an image) and `sha256:<hex>`."""

    name: str
    digest: str


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
    subjects: list[_Json] = [{"name": release.name, "digest": {"dirHash": _hex(release.content_digest)}}]
    models = {engine.model: engine.model_digest for engine in release.engines}
    subjects += [{"name": path, "digest": {"sha256": _hex(models[path])}} for path in sorted(models)]
    parameters: dict[str, _Json] = {"spec": spec, "version": release.version}
    if target is not None:
        parameters["target"] = target
    details: dict[str, _Json] = {"builder": {"id": _BUILDER, "version": {"infc": release.infc_version}}}
    if timestamp is not None:
        details["metadata"] = {"startedOn": timestamp, "finishedOn": timestamp}
    statement: dict[str, _Json] = {
        "_type": "https://in-toto.io/Statement/v1",
        "subject": subjects,
        "predicateType": "https://slsa.dev/provenance/v1",
        "predicate": {
            "buildDefinition": {
                "buildType": _BUILD_TYPE,
                "externalParameters": parameters,
                "internalParameters": {"hardware": [target.hardware_id for target in release.targets]},
                "resolvedDependencies": [
                    {"name": each.name, "digest": {"sha256": _hex(each.digest)}}
                    for each in sorted(set(dependencies), key=lambda each: (each.name, each.digest))
                ],
            },
            "runDetails": details,
        },
    }
    return (json.dumps(statement, indent=1, ensure_ascii=False) + "\n").encode()


def build_time(environment: Mapping[str, str]) -> str | None:
    """The time that `SOURCE_DATE_EPOCH` names, in RFC 3339; None where it is not set.

    >>> build_time({"SOURCE_DATE_EPOCH": "315532800"})
    '1980-01-01T00:00:00Z'

    Raises:
        ToolError: it is not a whole number of seconds.
    Source: https://reproducible-builds.org/specs/source-date-epoch/.
    """
    text = environment.get("SOURCE_DATE_EPOCH", "")
    if not text:
        return None
    if not (text.isascii() and text.isdigit()) or int(text) > _MOST_EPOCH_S:
        raise ToolError(
            f"SOURCE_DATE_EPOCH is {text!r}", help="set it to seconds since 1970 (git log -1 --format=%ct), or unset it"
        )
    return datetime.fromtimestamp(int(text), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _hex(digest: str) -> str:
    return digest.removeprefix("sha256:")
