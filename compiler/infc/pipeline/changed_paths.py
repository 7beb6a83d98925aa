"""What of a spec's text changed, key by key, as people wrote it."""

import json
from collections.abc import Iterator, Mapping
from typing import TypeAlias

from infc.ir.change import ChangedInput
from infc.spec import LoadedSpec
from infc.spec.document import YamlValue
from infc.spec.source_map import child_path

Segments: TypeAlias = tuple[str | int, ...]
_LONGEST = 60


def changed_paths(old: LoadedSpec, new: LoadedSpec) -> Iterator[ChangedInput]:
    """The keys whose values mean something else now, in the order of the new text, removed ones last.

    A value that is only written in another way (`0.5s` for `500ms`) and one that says the default are none.
    """
    before, after = _leaves(old), _leaves(new)
    for segments in changed_keys(old, new):
        path = path_of(segments)
        span = new.span(path) if segments in after else None
        yield ChangedInput(
            kind="spec",
            path=path,
            old=_text(before[segments]) if segments in before else None,
            new=_text(after[segments]) if segments in after else None,
            file=None if span is None else span.path,
            line=None if span is None else span.line,
            column=None if span is None else span.column,
        )


def changed_keys(old: LoadedSpec, new: LoadedSpec) -> tuple[Segments, ...]:
    """The same as keys from the root."""
    before, after = _leaves(old), _leaves(new)
    meant_before, meant_after = _meant(old), _meant(new)
    return tuple(
        segments
        for segments in dict.fromkeys((*after, *before))
        if (segments in before, before.get(segments)) != (segments in after, after.get(segments))
        and not _is_same(meant_before, meant_after, segments)
    )


def with_key(value: YamlValue, other: YamlValue, segments: Segments) -> YamlValue:
    """`value` with what stands at a key as `other` has it, or without it where `other` has nothing there.

    >>> with_key({"slo": {"p99": "9ms"}, "rate": 5}, {"slo": {"p99": "7ms"}}, ("slo", "p99"))
    {'slo': {'p99': '7ms'}, 'rate': 5}
    """
    if not segments:
        return other
    head, rest = segments[0], segments[1:]
    match value, other, head:
        case dict(), dict(), str() if head in other:
            return {**value, head: with_key(value.get(head, {}), other[head], rest)}
        case dict(), _, str():
            return {key: child for key, child in value.items() if key != head}
    return other  # lists are taken whole


def _leaves(loaded: LoadedSpec) -> dict[Segments, YamlValue]:
    return dict(_flat(loaded.merged, ()))


def _flat(value: YamlValue, segments: Segments) -> Iterator[tuple[Segments, YamlValue]]:
    """Scalars and lists of scalars by their keys."""
    match value:
        case dict():
            for key, child in value.items():
                yield from _flat(child, (*segments, key))
        case list() if any(isinstance(item, dict | list) for item in value):
            for index, child in enumerate(value):
                yield from _flat(child, (*segments, index))
        case _:
            yield segments, value


def _meant(loaded: LoadedSpec) -> object:
    spec = loaded.spec or loaded.partial
    return None if spec is None else spec.model_dump(mode="json", by_alias=True)


def _is_same(old: object, new: object, segments: Segments) -> bool:
    """Whether both sides mean the same at the deepest key that both know."""
    for segment in segments:
        match old, new, segment:
            case Mapping(), Mapping(), str() if segment in old and segment in new:
                old, new = old[segment], new[segment]
            case list(), list(), int() if segment < min(len(old), len(new)):
                old, new = old[segment], new[segment]
            case _:
                break
    return old is not None and old == new


def path_of(segments: Segments) -> str:
    """The path of a key.

    >>> path_of(("slo", "latency", "p99"))
    'slo.latency.p99'
    """
    path = ""
    for segment in segments:
        path = child_path(path, segment)
    return path


def _text(value: YamlValue) -> str:
    """A value on one line, as YAML has it."""
    match value:
        case str():
            text = value
        case list():
            text = "[" + ", ".join(map(_text, value)) + "]"
        case _:
            text = json.dumps(value)
    return text if len(text) <= _LONGEST else text[: _LONGEST - 3] + "..."
