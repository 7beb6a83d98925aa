"""The configuration of a model on a running Triton against the one that was emitted, field by field.

A server shows the configuration in effect: what the file leaves out is filled in. `completed` fills the same into the
emitted one, so that only what somebody changed is left to differ. Seen on tritonserver 2.51: the backend behind a
platform, the file that runs a backend, the GPUs of a group that names none, pinned memory on, the largest batch as the
preferred size of a dynamic batcher that has none, model.py for Python, and names of instance groups, which are not
compared.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from infc.diag import ToolError
from infc.emit.triton.settings import ENGINE_PARAMETER
from infc.lock.drift.item import deployment_item
from infc.lock.drift.slug import printable, slug, with_own_ids
from infc.lock.drift.values import DriftCell, DriftItem

if TYPE_CHECKING:
    from tritonclient.grpc.model_config_pb2 import ModelConfig

Fields: TypeAlias = dict[str, DriftCell]
"""Path of a field (`input[x].dims`) -> its value; a list of plain values is one text. Fields at their default are
absent."""

_BACKENDS = {"tensorrt_plan": "tensorrt", "onnxruntime_onnx": "onnxruntime"}
_PROGRAMS = {"python": "model.py"}
_PREFERRED = "dynamic_batching.preferred_batch_size"
_MOST_TEXT = 200


@dataclass(frozen=True, kw_only=True)
class ExpectedConfig:
    """The emitted configuration. `unknown` are the paths (and all below) that are not known without the bundle."""

    config: "ModelConfig"
    unknown: tuple[str, ...] = ()


class _Field(NamedTuple):
    """How a field is called in reports. `absent` is what it is where it is not set."""

    id: str
    name: str
    unit: str = ""
    absent: DriftCell = "not set"


_NAMED: Mapping[str, _Field] = {
    "max_batch_size": _Field("max-batch-size", "max batch size", absent=0),
    "dynamic_batching": _Field("dynamic-batching", "dynamic batching", absent=False),
    _PREFERRED: _Field("preferred-batch-sizes", "preferred batch sizes", absent="none"),
    "dynamic_batching.max_queue_delay_microseconds": _Field("queue-delay", "queue delay", unit="us", absent=0),
    "instance_group[0].count": _Field("instances", "instances", absent=0),
    "instance_group[0].kind": _Field("instance-kind", "instance kind", absent="KIND_AUTO"),
    "instance_group[0].gpus": _Field("instance-gpus", "GPUs of the instances", absent="none"),
    "version_policy.specific.versions": _Field("version-policy", "versions to serve", absent="the latest"),
    "platform": _Field("platform", "platform", absent="none"),
    "backend": _Field("backend", "backend", absent="none"),
    "default_model_filename": _Field("model-file", "model file", absent="the backend's default"),
    f"parameters[{ENGINE_PARAMETER}]": _Field("engine-key", "engine key"),
}


def config_from_json(document: Mapping[str, object]) -> "ModelConfig":
    """A configuration as a server shows it; fields that this release does not know are left out.

    Raises:
        ToolError: it is no configuration, or tritonclient is not installed.
    """
    try:
        from google.protobuf import json_format
        from tritonclient.grpc.model_config_pb2 import ModelConfig
    except ImportError as error:
        raise ToolError("comparing a Triton server needs tritonclient", help="pip install 'infc[triton]'") from error
    try:
        return json_format.ParseDict(dict(document), ModelConfig(), ignore_unknown_fields=True)
    except (json_format.ParseError, ValueError, TypeError) as error:
        raise ToolError(f"the server shows no model configuration: {str(error)[:_MOST_TEXT]}") from error


def config_from_text(text: str) -> "ModelConfig":
    """A configuration as a file holds it.

    Raises:
        ToolError: it is no configuration, or tritonclient is not installed.
    """
    try:
        from google.protobuf import text_format
        from tritonclient.grpc.model_config_pb2 import ModelConfig
    except ImportError as error:
        raise ToolError("comparing a Triton server needs tritonclient", help="pip install 'infc[triton]'") from error
    try:
        return text_format.Parse(text, ModelConfig())
    except text_format.ParseError as error:
        raise ToolError(f"config.pbtxt is no model configuration: {str(error)[:_MOST_TEXT]}") from error


def config_items(expected: ExpectedConfig, seen: "ModelConfig", source: str) -> tuple[DriftItem, ...]:
    """Every field that is set on either side, in a fixed order: named ones first."""
    wanted, found = _fields(completed(expected.config, seen)), _fields(seen)
    paths = [*_NAMED, *sorted((wanted.keys() | found.keys()) - _NAMED.keys())]
    items = [_item(path, wanted.get(path), found.get(path), expected, source) for path in paths]
    return tuple(with_own_ids(item for item in items if item is not None))


def completed(emitted: "ModelConfig", seen: "ModelConfig") -> "ModelConfig":
    """The emitted configuration with what the server fills in where it says nothing.

    What runs a backend differs from server to server, and so do the numbers of its GPUs: these two are taken as seen
    (of the GPUs one; several would run the planned number of instances on each).
    """
    config = type(emitted)()
    config.CopyFrom(emitted)
    if not config.backend:
        config.backend = _BACKENDS.get(config.platform, "")
    if not config.default_model_filename:
        config.default_model_filename = _PROGRAMS.get(config.backend, "")
    if not config.runtime:
        config.runtime = seen.runtime
    for memory in (config.optimization.input_pinned_memory, config.optimization.output_pinned_memory):
        if not memory.ByteSize():
            memory.enable = True
    if config.HasField("dynamic_batching") and not config.dynamic_batching.preferred_batch_size:
        config.dynamic_batching.preferred_batch_size.append(config.max_batch_size)
    for index, group in enumerate(config.instance_group):
        theirs = seen.instance_group[index].gpus if index < len(seen.instance_group) else []
        if group.kind == group.KIND_GPU and not group.gpus:
            group.gpus.extend(theirs if len(theirs) == 1 else [0])
    return config


def _fields(config: "ModelConfig") -> Fields:
    from google.protobuf import json_format

    fields = dict(_flat("", json_format.MessageToDict(config, preserving_proto_field_name=True)))
    for path, field in _NAMED.items():  # numbers of 64 bits are text in protobuf's JSON
        value = fields.get(path)
        if isinstance(value, str) and isinstance(field.absent, int) and value.isdecimal():
            fields[path] = int(value)
    if config.HasField("dynamic_batching"):
        fields["dynamic_batching"] = True
    fields.pop("name", None)  # it is what was asked for
    return fields


def _flat(path: str, value: object) -> Iterator[tuple[str, DriftCell]]:
    """The plain values below a value of protobuf's JSON, by path."""
    if isinstance(value, dict):
        if path.startswith("parameters[") and set(value) == {"string_value"}:
            value = {"": value["string_value"]}
        for key, each in value.items():
            is_map = path in ("parameters", "metric_tags") or path.endswith((".parameters", ".inputs"))
            joined = f"{path}[{key}]" if is_map else f"{path}.{key}" if path and key else path or key
            yield from _flat(joined, each)
    elif isinstance(value, list):
        if value and all(isinstance(each, dict) for each in value):
            for index, each in enumerate(value):
                key = index if path == "instance_group" else each.get("name", index)
                yield from _flat(f"{path}[{key}]", {name: own for name, own in each.items() if name != "name"})
        elif value:
            yield path, "[" + ", ".join(map(str, value)) + "]"
    elif isinstance(value, str | int | float | bool):
        yield path, value


def _item(path: str, wanted: DriftCell, found: DriftCell, expected: ExpectedConfig, source: str) -> DriftItem | None:
    """The comparison of one field; None where neither side sets one that has no name of its own."""
    field = _NAMED.get(path)
    if field is None:
        if wanted is None and found is None:
            return None
        field = _Field(f"config-{slug(path)}", printable(path)[:_MOST_TEXT])
    is_known = not any(path == each or path.startswith((f"{each}.", f"{each}[")) for each in expected.unknown)
    shown = field.absent if wanted is None else wanted
    seen = field.absent if found is None else printable(found)[:_MOST_TEXT] if isinstance(found, str) else found
    if not is_known:
        why = "what was emitted is in the bundle only: name it with --bundle"
        return deployment_item(field.id, field.name, None, seen, None, source=source, unit=field.unit, why_silent=why)
    return deployment_item(field.id, field.name, shown, seen, wanted == found, source=source, unit=field.unit)
