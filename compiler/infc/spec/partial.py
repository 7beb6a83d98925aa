"""Validation that does not stop at the first layer: what is wrong is cut out, so that the rest can still be checked."""

from collections.abc import Mapping

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from infc.ir.spec import Spec
from infc.spec.document import YamlValue
from infc.spec.source_map import SourceMap

_STAND_INS: Mapping[tuple[str, ...], YamlValue] = {
    ("model",): {"onnx": "model.onnx"},
    ("slo",): {"latency": {"p99": "1s"}},
    ("workload",): {"rate": "1/s"},
    ("workload", "rate"): "1/s",
    ("accuracy", "dataset"): "data.npz",
    ("accuracy", "metric"): "top1",
}
_MAX_ROUNDS = 4


def validate(value: YamlValue) -> tuple[Spec | None, list[ErrorDetails]]:
    """The spec, or pydantic's findings."""
    try:
        return Spec.model_validate(value), []
    except ValidationError as error:
        return None, error.errors(include_url=False)


def partial_spec(value: YamlValue, errors: list[ErrorDetails], source: SourceMap) -> Spec | None:
    """The spec without what `errors` are about, stand-ins where something is required; None when that cannot be.

    Only for checks across fields: what they say about a path that was cut is dropped by the caller.
    """
    current = value
    for _ in range(_MAX_ROUNDS):
        if not isinstance(current, dict):
            return None
        for error in errors:
            current = _cut(current, _real_segments(error, current))
        spec, errors = validate(current)
        if spec is not None:
            return spec
    return None


def without_nulls(value: YamlValue, path: tuple[str, ...] = ()) -> tuple[YamlValue, list[tuple[str, ...]]]:
    """The value without keys that have no value, and the paths of those keys (lists are left alone)."""
    if not isinstance(value, dict):
        return value, []
    kept: dict[str, YamlValue] = {}
    empty: list[tuple[str, ...]] = []
    for key, child in value.items():
        if child is None:
            empty.append((*path, key))
            continue
        kept[key], below = without_nulls(child, (*path, key))
        empty += below
    return kept, empty


def _real_segments(error: ErrorDetails, value: YamlValue) -> tuple[str, ...]:
    """The keys of the error's location that exist in the value; a missing key stays as the last one."""
    segments: list[str] = []
    here: YamlValue = value
    for segment in error["loc"]:
        if isinstance(here, dict) and segment in here:
            segments.append(str(segment))
            here = here[str(segment)]
        elif isinstance(here, list):
            break
    if error["type"] == "missing":
        segments.append(str(error["loc"][-1]))
    return tuple(segments)


def _cut(value: YamlValue, segments: tuple[str, ...], path: tuple[str, ...] = ()) -> YamlValue:
    if not segments or not isinstance(value, dict):
        return _STAND_INS.get(path, {})
    head, rest = segments[0], segments[1:]
    here = (*path, head)
    remaining = {key: child for key, child in value.items() if key != head}
    if here in _STAND_INS and not rest:
        return {**remaining, head: _STAND_INS[here]}
    if rest and head in value and (rest[0] in _children(value[head]) or (*here, rest[0]) in _STAND_INS):
        return {**value, head: _cut(value[head], rest, here)}
    return {**remaining, head: _STAND_INS[here]} if here in _STAND_INS else remaining


def _children(value: YamlValue) -> dict[str, YamlValue]:
    return value if isinstance(value, dict) else {}
