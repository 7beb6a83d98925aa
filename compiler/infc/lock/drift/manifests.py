"""Objects of a deployment as items: what is not there, and the fields that differ."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from infc.lock.drift.item import deployment_item
from infc.lock.drift.objects import FieldDifference, Key, ObjectValue, differences, shown
from infc.lock.drift.slug import printable, slug
from infc.lock.drift.values import DriftItem

MOST_FIELDS = 40
"""Differing fields of one object that are listed; the rest is counted."""


@dataclass(frozen=True, kw_only=True)
class ExpectedObject:
    """An emitted object, with the file that it is from."""

    key: Key
    manifest: Mapping[str, ObjectValue]
    file: str

    @property
    def label(self) -> str:
        """`Deployment/chat`."""
        return f"{self.key[1]}/{self.key[2]}"

    @property
    def id(self) -> str:
        """`deployment`: objects of one deployment differ in kind; a second one of a kind is told by its file."""
        kind = self.key[1].lower()
        stem = self.file.rpartition("/")[2].removesuffix(".yaml")
        return slug(kind if stem in (kind, "") or kind in stem else f"{kind}-{stem}")


def object_items(
    expected: ExpectedObject,
    found: Mapping[str, ObjectValue] | None,
    source: str,
    *,
    is_live: bool,
    skip: frozenset[str],
) -> Iterator[DriftItem]:
    """One item where an object is as it was emitted, else one for each field. `skip` are paths judged elsewhere."""
    if found is None:
        yield object_item(expected.id, expected.label, "there", "not there", is_same=False, source=source)
        return
    differing = [d for d in differences(expected.manifest, found, is_live=is_live) if d.path not in skip]
    if not differing:
        yield object_item(expected.id, expected.label, "as emitted", "as emitted", is_same=True, source=source)
    for each in differing[:MOST_FIELDS]:
        yield _field(expected, each, source)
    more = len(differing) - MOST_FIELDS
    if more > 0:
        words = f"{more} more fields differ"
        yield object_item(f"{expected.id}-more", expected.label, "as emitted", words, is_same=False, source=source)


def _field(expected: ExpectedObject, difference: FieldDifference, source: str) -> DriftItem:
    return object_item(
        f"{expected.id}-{slug(difference.path)}",
        f"{expected.label} {difference.path}",
        shown(difference.expected),
        shown(difference.found),
        is_same=False,
        source=source,
    )


def object_item(
    id: str,
    name: str,
    expected: str | int | None,
    observed: str | int | None,
    *,
    is_same: bool | None,
    source: str,
    note: str = "",
) -> DriftItem:
    """A comparison of texts that may be anybody's; `is_same` None: it cannot be told, for the reason in `note`."""
    return deployment_item(
        id,
        printable(name),
        printable(expected) if isinstance(expected, str) else expected,
        printable(observed) if isinstance(observed, str) else observed,
        is_same,
        source=source,
        note=note,
        why_silent=note,
    )
