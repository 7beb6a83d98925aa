"""Settings of a serve.yaml against what the pinned vLLM accepts, without vLLM.

vLLM reads the file in ways of its own, and each of them is checked here. It turns every key into a flag and every value
into text, which its parser reads again: `false` vanishes (the switch must be written as its negation), `null` and 4.0
are no integers, text that begins with a hyphen becomes a flag, an empty list vanishes, of two spellings of one flag the
later wins, and a beginning of a name passes for the name. Source: vLLM 0.32, `utils/argparse_utils.py` (read).
"""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from infc.diag.nearest import did_you_mean
from infc.emit.vllm.nested import object_faults
from infc.emit.vllm.schema import Argument, ArgumentSchema
from infc.emit.yaml_text import YamlValue

_SIZE = re.compile(r"(\d+)(\.\d+)?([kmgtKMGT])?")
_FACTORS = {"k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12, "K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}


@dataclass(frozen=True, kw_only=True)
class ArgumentFault:
    """Why a setting would not reach the server as it is written: a sentence without a full stop, and the fix."""

    key: str
    message: str
    help: str


def check_arguments(schema: ArgumentSchema, settings: Mapping[str, YamlValue]) -> tuple[ArgumentFault, ...]:
    """Every fault of the settings of one file, in their order; none for a file that vLLM reads as it is meant."""
    faults: list[ArgumentFault] = []
    seen: dict[str, str] = {}
    for key, value in settings.items():
        argument = schema.by_key.get(key)
        if argument is None:
            faults.append(_unknown(schema, key))
            continue
        first = seen.setdefault(argument.name, key)
        if first != key:
            faults.append(_fault(key, f"sets the same as `{first}`", f"keep one of `{first}` and `{key}`"))
        faults += argument_faults(schema, argument, key, value)
    return tuple(faults)


def argument_faults(schema: ArgumentSchema, argument: Argument, key: str, value: YamlValue) -> Iterator[ArgumentFault]:
    """Every fault of one setting, written as `key`."""
    if key in argument.negations:
        if value is not True:
            yield _fault(key, f"turns `{argument.name}` off and takes only true", f"write `{key}: true`, or remove it")
    elif value is None:
        if not argument.takes_null:
            yield _fault(key, "takes no null", f"remove `{key}`: the default holds without it")
    elif argument.type == "boolean" or (argument.type == "boolean|string" and isinstance(value, bool)):
        yield from _switch_faults(argument, key, value)
    elif isinstance(value, list | tuple) and argument.type not in ("json", "json|string"):
        yield from _list_faults(argument, key, value)
    elif argument.type in ("json", "json|string"):
        yield from _json_faults(schema, argument, key, value)
    else:
        yield from _scalar_faults(argument, key, value)


def size_of(text: str) -> int | None:
    """The number that vLLM reads: k, m, g and t are powers of 1000, K, M, G and T of 1024 (whole numbers only).

    >>> size_of("8k"), size_of("8K"), size_of("1.5k"), size_of("1.5K")
    (8000, 8192, 1500, None)
    """
    match = _SIZE.fullmatch(text)
    if match is None:
        return None
    whole, fraction, suffix = match.groups()
    if fraction and (suffix is None or suffix.isupper()):
        return None
    return int(float(whole + (fraction or "")) * _FACTORS.get(suffix or "", 1))


def _unknown(schema: ArgumentSchema, key: str) -> ArgumentFault:
    longer = [name for name in schema.by_key if name.startswith(key)]
    hyphens = key.replace("_", "-")
    if hyphens in schema.by_key:
        return _fault(key, "is written with underscores", f"write `{hyphens}`")
    if len(longer) == 1:
        return _fault(
            key, f"is short for `{longer[0]}`: another release may take it for another", f"write `{longer[0]}`"
        )
    return _fault(
        key,
        f"is no argument of `vllm serve` {schema.version}",
        did_you_mean(key, schema.by_key) or "remove it, or see `vllm serve --help=all`",
    )


def _switch_faults(argument: Argument, key: str, value: YamlValue) -> Iterator[ArgumentFault]:
    if not isinstance(value, bool):
        yield _fault(key, f"is a switch, not {_shown(value)}", f"write `{key}: true`")
    elif not value and argument.negations:
        # `false` reaches no parser; it only looks as if it did where it is the default.
        yield _fault(key, "is false, which vLLM drops from a file", f"write `{argument.negations[0]}: true`")
    elif not value:
        yield _fault(key, "is false, which vLLM drops from a file", f"remove `{key}`: it is off by default")


def _list_faults(
    argument: Argument, key: str, values: "list[YamlValue] | tuple[YamlValue, ...]"
) -> Iterator[ArgumentFault]:
    if not argument.is_list:
        yield _fault(key, "takes one value, not a list", "write one value")
        return
    if not values:
        yield _fault(key, "is an empty list, which vLLM drops", f"remove `{key}`")
    for value in values:
        yield from _scalar_faults(argument, key, value)


def _scalar_faults(argument: Argument, key: str, value: YamlValue) -> Iterator[ArgumentFault]:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        yield _fault(key, f"takes {_type_words(argument)}, not {_shown(value)}", _example(argument, key))
        return
    is_flag = isinstance(value, str) and value.startswith("-") and argument.type != "size|auto"
    if isinstance(value, str) and (is_flag or not value.isprintable()):
        yield _fault(key, f"is {_shown(value)}, which a command line reads as something else", "write plain text")
        return
    number = _number(argument, value)
    if argument.type != "string" and number is None:
        yield _fault(key, f"takes {_type_words(argument)}, not {_shown(value)}", _example(argument, key, value))
        return
    if argument.type == "string" and isinstance(value, float):
        yield _fault(key, f"takes text, not the number {value!r}", f'write `{key}: "..."` with quotes')
        return
    if argument.choices and value not in argument.choices:
        words = ", ".join(map(str, argument.choices))
        yield _fault(key, f"cannot be {_shown(value)}", did_you_mean(str(value), map(str, argument.choices)) or words)
    elif argument.known and value not in argument.known:
        near = did_you_mean(str(value), argument.known)
        yield _fault(key, f"{_shown(value)} is none that this release knows", near or ", ".join(argument.known))
    is_auto = argument.type == "size|auto" and number == -1
    if number is not None and not is_auto and not argument.bounds.hold(number):
        needed = argument.bounds.words
        yield _fault(key, f"is {value}, but must be {needed}", f"write a number {needed}")


def _number(argument: Argument, value: int | float | str) -> float | None:
    """The value as a number of the argument's type; None where it is none, or where the type is text."""
    match argument.type:
        case "integer":
            return value if isinstance(value, int) else None
        case "number":
            return value if isinstance(value, int | float) else None
        case "size" | "size|auto" if isinstance(value, str):
            is_auto = argument.type == "size|auto" and value.lower() in ("auto", "-1")
            return -1 if is_auto else size_of(value)
        case "size" | "size|auto":
            return value if isinstance(value, int) else None
        case _:
            return None


def _json_faults(schema: ArgumentSchema, argument: Argument, key: str, value: YamlValue) -> Iterator[ArgumentFault]:
    if isinstance(value, str):
        if argument.type == "json|string" and not value.lstrip().startswith("{"):
            return
        try:
            value = json.loads(value)
        except ValueError as error:
            yield _fault(key, f"is no JSON: {error}", "write JSON in quotes, such as '{\"name\": 1}'")
            return
    elif not isinstance(value, Mapping):
        yield _fault(key, f"takes a JSON object, not {_shown(value)}", "write a mapping, or JSON in quotes")
        return
    if isinstance(value, Mapping) and argument.known:
        for name in value:
            if name not in argument.known:
                near = did_you_mean(str(name), argument.known)
                yield _fault(key, f"has no `{name}`", near or ", ".join(argument.known))
    if argument.object is not None:
        if not isinstance(value, Mapping):
            yield _fault(key, "takes a JSON object", "write JSON such as '{\"name\": 1}'")
            return
        for path, message, help in object_faults(schema.objects, argument.object, value):
            yield _fault(key, f"has a wrong `{path}`: {message}", help)


def _type_words(argument: Argument) -> str:
    words = {
        "integer": "a whole number",
        "number": "a number",
        "string": "text",
        "size": "a whole number (8k is 8000, 8K is 8192)",
        "size|auto": "a whole number or auto",
        "boolean|string": "true or text",
    }
    return words[argument.type]


def _example(argument: Argument, key: str, value: YamlValue = None) -> str:
    if isinstance(value, float) and value.is_integer() and argument.type != "number":
        return f"write `{key}: {int(value)}`"
    if isinstance(value, str) and value.isdigit():
        return f"write `{key}: {value}` without quotes"
    example = {"integer": "4", "number": "0.5", "size": "8192", "size|auto": "8192"}.get(argument.type, "name")
    return f"write such as `{key}: {example}`"


def _shown(value: YamlValue) -> str:
    text = json.dumps(value, default=str)
    return text if len(text) <= 40 else text[:37] + "..."


def _fault(key: str, message: str, help: str) -> ArgumentFault:
    return ArgumentFault(key=key, message=f"`{key}` {message}", help=help)
