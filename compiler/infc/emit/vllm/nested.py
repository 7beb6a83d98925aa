"""Fields of nested JSON options (compilation-config, speculative-config, ...) against what the release takes."""

from collections.abc import Iterator, Mapping, Sequence

from infc.diag.nearest import did_you_mean
from infc.emit.vllm.schema import Accepted
from infc.emit.yaml_text import YamlValue

_WORDS = {"null": "null", "boolean": "true or false", "integer": "a whole number", "number": "a number"}


def object_faults(
    objects: Mapping[str, Mapping[str, tuple[Accepted, ...]]], name: str, value: Mapping[str, YamlValue]
) -> Iterator[tuple[str, str, str]]:
    """Path, message and fix of every fault: unknown fields, and values that no alternative takes."""
    fields = objects[name]
    for key, part in value.items():
        if key not in fields:
            yield key, "no such field", did_you_mean(str(key), fields) or f"one of {', '.join(sorted(fields))}"
            continue
        accepted = fields[key]
        nested = next((each for each in accepted if each.word == "nested"), None)
        if isinstance(part, Mapping) and nested is not None:
            for path, message, help in object_faults(objects, nested.object, part):
                yield f"{key}.{path}", message, help
        elif accepted and not any(_takes(each, part) for each in accepted):
            yield key, f"it takes {_words(accepted)}", "see the field in vLLM's documentation"


def _takes(accepted: Accepted, value: YamlValue) -> bool:
    match accepted.word:
        case "null":
            return value is None
        case "boolean":
            return isinstance(value, bool)
        case "integer":
            return isinstance(value, int) and not isinstance(value, bool) and accepted.bounds.hold(value)
        case "number":
            return isinstance(value, int | float) and not isinstance(value, bool) and accepted.bounds.hold(value)
        case "string":
            return isinstance(value, str)
        case "array":
            return isinstance(value, Sequence) and not isinstance(value, str)
        case "object":
            return isinstance(value, Mapping)
        case "values":
            return any(
                value == known and isinstance(value, bool) == isinstance(known, bool) for known in accepted.values
            )
        case "nested":
            return isinstance(value, Mapping)


def _words(accepted: Sequence[Accepted]) -> str:
    parts = []
    for each in accepted:
        if each.word == "values":
            parts.append("one of " + ", ".join(map(str, each.values)))
        else:
            parts.append(f"{_WORDS.get(each.word, each.word)} {each.bounds.words}".rstrip())
    return " or ".join(parts)
