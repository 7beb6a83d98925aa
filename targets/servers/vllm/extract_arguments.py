"""Writes `<version>/arguments.json`: what `vllm serve` of the vLLM that runs this script accepts.

Run it with the Python of an environment that has that vLLM; it needs no GPU and starts no server:

    VLLM_TARGET_DEVICE=cpu python extract_arguments.py

For a release that cannot be installed here, its pure Python part is enough, in an environment with the dependencies of
a release near it (that is how 0.33.0 was read):

    pip download --no-deps vllm==0.33.0 && unzip -q vllm-0.33.0-*.whl -x '*.so' -d vllm-0.33.0
    PYTHONPATH=$PWD/vllm-0.33.0 VLLM_TARGET_DEVICE=cpu python extract_arguments.py

One argument is one line of the result, so that two versions can be compared with `diff`. infc reads the file when it
emits and checks `serve.yaml`; it never needs vLLM for that. Help texts are vLLM's and stay out.
"""

import argparse
import dataclasses
import enum
import importlib
import inspect
import json
import sys
import typing
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import ModuleType, UnionType

FORMAT_VERSION = "1.0"
Json: typing.TypeAlias = "bool | int | float | str | list[Json] | dict[str, Json] | None"
NAMED_TYPES = {
    "human_readable_int": "size",
    "human_readable_int_or_auto": "size|auto",
    "union_dict_and_str": "json|string",
}
# Where releases keep the parser of `vllm serve`, newest first.
PARSER_MODULES = (
    "vllm.entrypoints.common.cli_args",
    "vllm.entrypoints.launchers.cli_args",
    "vllm.entrypoints.openai.cli_args",
)
# Arguments whose parser takes any JSON object, while the engine then builds this class of it.
PARSED_LATER = {"speculative-config": "SpeculativeConfig"}
# Fields that the engine fills in itself.
INTERNAL_FIELDS = ("target_model_config", "target_parallel_config", "draft_model_config", "draft_parallel_config")
# Fields of the configuration classes that have another name on the command line.
FIELD_NAMES = {"kv_cache_dtype": "cache_dtype", "scheduling_policy": "policy"}
BOUNDS = {"ge": "minimum", "gt": "above", "le": "maximum", "lt": "below"}
SIMPLE_TYPES = {int: "integer", float: "number", str: "string", json.loads: "json"}
SCHEMA_BOUNDS = {"minimum": "minimum", "exclusiveMinimum": "above", "maximum": "maximum", "exclusiveMaximum": "below"}


def main() -> None:
    """Extract from the installed vLLM and write beside this script."""
    # Without this vLLM drops `--model` from the parser of `serve`; only its name is looked at.
    sys.modules.setdefault("mkdocs", ModuleType("mkdocs"))
    import vllm

    version = vllm.__version__.partition("+")[0]
    parser = serve_parser()
    objects: dict[str, dict[str, Json]] = {}
    arguments = [row for action in parser._actions for row in rows_of(action, parser, objects)]
    document = {
        "arguments": sorted(arguments, key=lambda row: str(row["name"])),
        "objects": dict(sorted(objects.items())),
        "values": later_values(),
        "histograms": histograms(),
    }
    path = Path(__file__).resolve().parent / version / "arguments.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(to_text(version, document), encoding="utf-8")
    print(f"{path.parent.name}/{path.name}: {len(arguments)} arguments, {len(objects)} nested objects")


def serve_parser() -> argparse.ArgumentParser:
    """The parser of `vllm serve`, as the command line builds it."""
    from vllm.utils.argparse_utils import FlexibleArgumentParser

    for name in PARSER_MODULES:
        try:
            module = importlib.import_module(name)
        except ModuleNotFoundError:
            continue
        return module.make_arg_parser(FlexibleArgumentParser(prog="vllm serve"))
    raise SystemExit(f"no module of {', '.join(PARSER_MODULES)} is in this vLLM: add where it keeps its parser")


def rows_of(
    action: argparse.Action, parser: argparse.ArgumentParser, objects: dict[str, dict[str, Json]]
) -> Iterator[dict[str, Json]]:
    """The row of an argument that may stand in a file: not help, not `--config`, not the positional model."""
    # The parser knows more spellings than the action shows: 0.33 hides `--no-enable-x` in favour of `--disable-x`.
    known = parser._option_string_actions.items()
    spellings = [option.removeprefix("--") for option, owner in known if owner is action and option.startswith("--")]
    if not spellings or spellings[0] in ("help", "config"):
        return
    negations = [s for s in spellings if is_negation(action, parser, f"--{s}")]
    names = [s for s in spellings if s not in negations]
    group = next((g.title or "" for g in parser._action_groups if action in g._group_actions), "")
    row: dict[str, Json] = {"name": names[0], "type": type_of(action)}
    if names[1:]:
        row["aliases"] = list(names[1:])
    if negations:
        row["negations"] = sorted(negations, key=lambda name: not name.startswith("no-"))
    if action.nargs in ("+", "*"):
        row["list"] = True
    if action.choices is not None:
        row["choices"] = [plain(choice) for choice in action.choices if choice is not None]
    elif isinstance(action.metavar, list | tuple):
        row["known"] = sorted(map(str, action.metavar))
    if takes_null(action):
        row["null"] = True
    default = plain(action.default)
    if default is not None:
        row["default"] = default
    row |= bounds_of(group, action.dest)
    nested = dataclass_of(action) or later_class(names[0])
    if nested is not None:
        row["object"] = add_object(nested, objects)
    if action in getattr(parser, "_deprecated", ()) or is_deprecated(action):
        row["deprecated"] = True
    row["group"] = group
    yield row


def is_negation(action: argparse.Action, parser: argparse.ArgumentParser, option: str) -> bool:
    """Whether this spelling of a switch turns it off."""
    if not isinstance(action, argparse.BooleanOptionalAction):
        return False
    result = argparse.Namespace()
    action(parser, result, None, option)
    return getattr(result, action.dest) is False


def type_of(action: argparse.Action) -> str:
    """The type of a value in the file, in words of JSON; `size` also takes 8k and 8K, `json` an object or its text."""
    if action.nargs == 0:
        return "boolean"
    if action.nargs == "?" and action.const is True:
        return "boolean|string"
    parse = innermost(action.type)
    name = getattr(parse, "__name__", "")
    if dataclass_of(action) is not None or name == "loads":
        return "json"
    if name in NAMED_TYPES:
        return NAMED_TYPES[name]
    if parse in SIMPLE_TYPES:
        return SIMPLE_TYPES[parse]
    if isinstance(parse, type) and issubclass(parse, int):
        return "integer"
    return "string"


def innermost(parse: Callable[[str], object] | None) -> Callable[[str], object] | None:
    """What vLLM's closures around a type (optional, with a better error) call in the end."""
    while inspect.isfunction(parse) and parse.__closure__:
        inner = [cell.cell_contents for cell in parse.__closure__ if callable(cell.cell_contents)]
        if not inner or dataclasses.is_dataclass(inner[0]):
            break
        parse = inner[0]
    return parse


def dataclass_of(action: argparse.Action) -> type | None:
    """The class that a JSON argument is parsed into, None where it is none."""
    parse = action.type
    for _ in range(4):
        if not inspect.isfunction(parse):
            return None
        cells = [cell.cell_contents for cell in parse.__closure__ or ()]
        held = (*(parse.__defaults__ or ()), *cells)
        found = next((part for part in held if inspect.isclass(part) and dataclasses.is_dataclass(part)), None)
        if found is not None:
            return found
        parse = next((cell for cell in cells if callable(cell)), None)
    return None


def later_class(name: str) -> type | None:
    """The class that the engine builds of a JSON argument after parsing."""
    import vllm.config

    return getattr(vllm.config, PARSED_LATER.get(name, ""), None)


def takes_null(action: argparse.Action) -> bool:
    """Whether `null` in the file, which reaches the parser as the text None, is read as no value."""
    if action.nargs == 0 or action.type is None:
        return False
    try:
        return action.type("None") is None  # type: ignore[operator]
    except (argparse.ArgumentTypeError, ValueError, TypeError):
        return False


def is_deprecated(action: argparse.Action) -> bool:
    """Whether the help text opens with saying so."""
    return "deprecated" in (action.help or "").lower()[:160] or "Deprecated" in type(action).__name__


def bounds_of(group: str, field_name: str) -> dict[str, Json]:
    """Bounds that the configuration class of the argument's group puts on the value when the engine starts."""
    import vllm.config
    from pydantic.fields import FieldInfo

    owner = getattr(vllm.config, group, None)
    if not (inspect.isclass(owner) and dataclasses.is_dataclass(owner)):
        return {}
    wanted = FIELD_NAMES.get(field_name, field_name)
    field = next((f for f in dataclasses.fields(owner) if f.name == wanted), None)
    if field is None or not isinstance(field.default, FieldInfo):
        return {}
    return {
        word: plain(getattr(part, key))
        for part in field.default.metadata
        for key, word in BOUNDS.items()
        if getattr(part, key, None) is not None
    }


def add_object(owner: type, objects: dict[str, dict[str, Json]]) -> str:
    """Add the fields of a class, and of those in it, to `objects`; returns its name."""
    from pydantic import TypeAdapter
    from pydantic.errors import PydanticInvalidForJsonSchema, PydanticSchemaGenerationError

    try:
        schema = TypeAdapter(owner).json_schema()
    except (PydanticInvalidForJsonSchema, PydanticSchemaGenerationError):
        schema = {"properties": {f.name: annotated(f) for f in dataclasses.fields(owner) if f.init}}
    definitions = schema.pop("$defs", {})
    enums = {name for name, nested in definitions.items() if "enum" in nested}
    for name, nested in definitions.items():
        if name not in enums:
            objects[name] = fields_of(nested, converted_fields(config_class(name)), enums)
    objects[owner.__name__] = fields_of(schema, converted_fields(owner), enums)
    return owner.__name__


def config_class(name: str) -> type | None:
    """A configuration class of vLLM by its name, wherever in the package it is."""
    modules = [module for key, module in sys.modules.items() if key.startswith("vllm.") and module is not None]
    return next((c for m in modules if inspect.isclass(c := vars(m).get(name)) and dataclasses.is_dataclass(c)), None)


def converted_fields(owner: type | None) -> set[str]:
    """Fields that vLLM's own validators convert first: they take more than their types say."""
    decorators = getattr(owner, "__pydantic_decorators__", None)
    if decorators is None:
        return set()
    validators = decorators.field_validators.values()
    return {name for v in validators if v.info.mode in ("before", "wrap", "plain") for name in v.info.fields}


def annotated(field: "dataclasses.Field[object]") -> dict[str, Json]:
    """A schema of a field whose class has none as a whole: simple types and choices, anything else open."""
    hint = typing.get_args(field.type)[0] if typing.get_origin(field.type) is typing.Annotated else field.type
    parts = typing.get_args(hint) if typing.get_origin(hint) in (typing.Union, UnionType) else (hint,)
    words: list[Json] = []
    for part in parts:
        if typing.get_origin(part) is typing.Literal:
            words.append({"enum": list(typing.get_args(part))})
        else:
            simple = {bool: "boolean", int: "integer", float: "number", str: "string", type(None): "null"}.get(part)
            if simple is None:
                return {}
            words.append({"type": simple})
    return {"anyOf": words}


def fields_of(schema: Mapping[str, typing.Any], converted: set[str], enums: set[str]) -> dict[str, Json]:
    """Field -> what it takes: a type, a list of alternatives, or `{}` for anything."""
    fields = {name: part for name, part in sorted(schema.get("properties", {}).items()) if name not in INTERNAL_FIELDS}
    return {name: {} if name in converted else compact(part, enums) for name, part in fields.items()}


def compact(schema: Mapping[str, typing.Any], enums: set[str]) -> Json:
    """A JSON Schema in few words: "integer", {"object": "PassConfig"}, {"values": [...]}, [..., "null"]."""
    if "anyOf" in schema:
        parts = [compact(part, enums) for part in schema["anyOf"]]
        return {} if {} in parts else parts
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return {} if name in enums else {"object": name}
    if "enum" in schema or "const" in schema:
        return {"values": list(schema.get("enum", [schema.get("const")]))}
    word = schema.get("type")
    if word is None:
        return {}
    limits = {short: schema[key] for key, short in SCHEMA_BOUNDS.items() if key in schema}
    return {"type": word, **limits} if limits else word


def later_values() -> dict[str, Json]:
    """Values that the parser takes as any text and the engine looks up when it starts."""
    from vllm.model_executor.layers.quantization import QUANTIZATION_METHODS
    from vllm.reasoning import ReasoningParserManager
    from vllm.tool_parsers import ToolParserManager

    families = bucket_module()
    return {
        **({} if families is None else {"custom-histogram-buckets": sorted(families.BUCKET_FAMILY_KEYS)}),
        "quantization": sorted(QUANTIZATION_METHODS),
        "reasoning-parser": sorted(ReasoningParserManager.list_registered()),
        "tool-call-parser": sorted(ToolParserManager.list_registered()),
    }


def histograms() -> dict[str, Json]:
    """The bucket bounds that each family of histograms has by default, those that depend on the model left out."""
    families = bucket_module()
    if families is None:
        return {}
    keys = sorted(families.BUCKET_FAMILY_KEYS)
    return {key: plain(families.histogram_buckets(key)) for key in keys if key != "request_tokens"}


def bucket_module() -> ModuleType | None:
    """Where the families of histograms are; None in releases that take no bounds for them, such as 0.19."""
    try:
        return importlib.import_module("vllm.v1.metrics.buckets")
    except ModuleNotFoundError:
        return None


def plain(value: object) -> Json:
    """A default as JSON; None for one that is an object of vLLM's."""
    if isinstance(value, enum.Enum):
        return value.name
    if value is None or isinstance(value, bool | int | float | str):
        return None if value == argparse.SUPPRESS else value
    if isinstance(value, list | tuple):
        return [plain(part) for part in value]
    if isinstance(value, set | frozenset):
        return sorted(str(part) for part in value)
    if isinstance(value, dict):
        return {str(key): plain(part) for key, part in value.items()}
    return None


def to_text(version: str, document: Mapping[str, typing.Any]) -> str:
    """The file: one argument, one nested object and one list of values a line."""

    def line(value: Json) -> str:
        return json.dumps(value, ensure_ascii=False, separators=(", ", ": "))

    def block(rows: Mapping[str, Json]) -> str:
        return "{\n" + ",\n".join(f"{line(key)}: {line(value)}" for key, value in rows.items()) + "\n}"

    rows = ",\n".join(map(line, document["arguments"]))
    return (
        f'{{\n"format_version": "{FORMAT_VERSION}",\n"vllm": "{version}",\n"arguments": [\n{rows}\n],\n'
        f'"objects": {block(document["objects"])},\n"values": {block(document["values"])},\n'
        f'"histograms": {block(document["histograms"])}\n}}\n'
    )


if __name__ == "__main__":
    main()
