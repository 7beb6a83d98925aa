"""A folder against the locked files: digests, and for objects the fields that differ."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from infc.lock.drift.manifests import ExpectedObject, object_item, object_items
from infc.lock.drift.objects import Key, ObjectValue
from infc.lock.drift.slug import slug, with_own_ids
from infc.lock.drift.values import DriftItem

_SHOWN = 19
_MOST_NAMED = 5


@dataclass(frozen=True, kw_only=True)
class FolderState:
    """The files of a folder by path, as digests, and the objects in its YAML files."""

    where: str
    digests: Mapping[str, str]
    objects: Mapping[Key, Mapping[str, ObjectValue]]


def file_items(
    locked: Mapping[str, str], state: FolderState, expected: Mapping[str, ExpectedObject], may_be_there: Sequence[str]
) -> tuple[DriftItem, ...]:
    """Every locked file, and the fields of those that hold an object (`expected`, by path) and differ.

    `may_be_there` are paths that are no drift though the lock does not hold them.
    """
    return tuple(with_own_ids(_files(locked, state, expected, may_be_there)))


def _files(
    locked: Mapping[str, str], state: FolderState, expected: Mapping[str, ExpectedObject], may_be_there: Sequence[str]
) -> Iterator[DriftItem]:
    for path, digest in sorted(locked.items()):
        seen = state.digests.get(path)
        is_same = seen == digest
        own = expected.get(path)
        yield object_item(
            f"file-{slug(path)}",
            path,
            digest[:_SHOWN],
            "missing" if seen is None else seen[:_SHOWN],
            is_same=is_same,
            source=state.where,
            note="" if is_same or seen is None or own is not None or not path.endswith(".yaml") else _NO_FIELDS,
        )
        if not is_same and seen is not None and own is not None:
            items = object_items(own, state.objects.get(own.key), path, is_live=False, skip=frozenset())
            yield from (item for item in items if item.observed != "as emitted")
    others = [path for path in sorted(state.digests) if path not in locked and path not in may_be_there]
    more = f" and {len(others) - _MOST_NAMED} more" if len(others) > _MOST_NAMED else ""
    seen = ", ".join(others[:_MOST_NAMED]) + more
    yield object_item("other-files", "other files", "none", seen or "none", is_same=not others, source=state.where)


_NO_FIELDS = "which fields: name the compiled bundle with --bundle"


def rendered_items(expected: Sequence[ExpectedObject], state: FolderState) -> tuple[DriftItem, ...]:
    """Objects that were made from the emitted ones (a kustomization, an Argo CD branch), whatever their files are."""
    return tuple(with_own_ids(_rendered(expected, state)))


def _rendered(expected: Sequence[ExpectedObject], state: FolderState) -> Iterator[DriftItem]:
    for each in expected:
        yield from object_items(each, state.objects.get(each.key), state.where, is_live=False, skip=frozenset())
    known = {each.key for each in expected}
    extra = [f"{kind}/{name}" for group, kind, name in sorted(state.objects) if (group, kind, name) not in known]
    more = f" and {len(extra) - _MOST_NAMED} more" if len(extra) > _MOST_NAMED else ""
    words = ", ".join(extra[:_MOST_NAMED]) + more
    yield object_item("other-objects", "other objects", "none", words or "none", is_same=not extra, source=state.where)
