"""SLSA provenance v1 in an in-toto statement v1: what something was made from, and by what.

The statement is plain JSON and carries no signature of its own. Nothing in it depends on who compiles, where or when.
Source: https://github.com/in-toto/attestation/blob/main/spec/v1/statement.md, https://slsa.dev/spec/v1.0/provenance.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TypeAlias

from infc.diag import ToolError
from infc.emit.supply.in_toto import STATEMENT_TYPE, in_toto_statement

PROVENANCE_NAME = "provenance.json"
PREDICATE_TYPE = "https://slsa.dev/provenance/v1"
# Names of types: identifiers, not addresses.
_BUILDER = "https://infc.dev/infc"
_MOST_EPOCH_S = 253402300799  # the end of the year 9999
Json: TypeAlias = "Mapping[str, Json] | Sequence[Json] | str | int | float | bool | None"


@dataclass(frozen=True, kw_only=True)
class Dependency:
    """Something that entered the bundle: its name (a path in the repository, an image) and `sha256:<hex>`."""

    name: str
    digest: str


@dataclass(frozen=True, kw_only=True)
class Subject:
    """What a statement is about: its name, how its digest is made (`sha256`, `dirHash`), and `sha256:<hex>`."""

    name: str
    digest: str
    algorithm: str = "sha256"


def statement(
    *,
    subjects: Sequence[Subject],
    build_type: str,
    external: Mapping[str, Json],
    internal: Mapping[str, Json],
    dependencies: Sequence[Dependency],
    versions: Mapping[str, str],
    timestamp: str | None = None,
) -> bytes:
    """The statement of one build.

    Args:
        subjects: what was made, in this order.
        build_type: identifier of how it was made, which says what the parameters mean.
        external: what the user decided.
        internal: what the builder decided.
        dependencies: what it was made from, by digest.
        versions: of the builder's parts.
        timestamp: RFC 3339, as `build_time` gives it; None: the statement has no time.
    """
    details: dict[str, Json] = {"builder": {"id": _BUILDER, "version": dict(sorted(versions.items()))}}
    if timestamp is not None:
        details["metadata"] = {"startedOn": timestamp, "finishedOn": timestamp}
    document: dict[str, Json] = {
        "_type": STATEMENT_TYPE,
        "subject": [{"name": each.name, "digest": {each.algorithm: hex_of(each.digest)}} for each in subjects],
        "predicateType": PREDICATE_TYPE,
        "predicate": {
            "buildDefinition": {
                "buildType": build_type,
                "externalParameters": external,
                "internalParameters": internal,
                "resolvedDependencies": [
                    {"name": each.name, "digest": {"sha256": hex_of(each.digest)}}
                    for each in sorted(set(dependencies), key=lambda each: (each.name, each.digest))
                ],
            },
            "runDetails": details,
        },
    }
    return (json.dumps(document, indent=1, ensure_ascii=False) + "\n").encode()


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


def hex_of(digest: str) -> str:
    """A digest without its prefix.

    >>> hex_of("sha256:ab")
    'ab'
    """
    return digest.removeprefix("sha256:")


@dataclass(frozen=True, kw_only=True)
class StatementText:
    """What is read of a statement: (subject, kind of digest) -> hex, dependency -> sha256 in hex, path of the spec."""

    subjects: Mapping[tuple[str, str], str]
    dependencies: Mapping[str, str]
    spec: str


def statement_from(content: bytes) -> StatementText | None:
    """A statement as `statement` writes it; None when it is cut off, of another kind, or names a subject twice."""
    stated = in_toto_statement(content, PREDICATE_TYPE)
    if stated is None:
        return None
    match stated.predicate:
        case {
            "buildDefinition": {
                "externalParameters": {"spec": str(spec)},
                "resolvedDependencies": list(dependencies),
            }
        }:
            named = [each for each in map(_named, stated.subjects) if each is not None]
            made_from = [each for each in map(_named, dependencies) if each is not None]
            found = {(name, how): digest for name, how, digest in named}
            if len(found) != len(stated.subjects) or len(made_from) != len(dependencies):
                return None
            return StatementText(
                subjects=found, dependencies={name: digest for name, _, digest in made_from}, spec=spec
            )
    return None


def _named(stated: object) -> tuple[str, str, str] | None:
    match stated:
        case {"name": str(name), "digest": {"sha256": str(value), **others}} if not others:
            return name, "sha256", value
        case {"name": str(name), "digest": {"dirHash": str(value), **others}} if not others:
            return name, "dirHash", value
    return None
