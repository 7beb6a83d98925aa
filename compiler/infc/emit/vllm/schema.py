"""What `vllm serve` of one release accepts: `targets/servers/vllm/<version>/arguments.json` as a value."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeAlias, cast, get_args

from infc.diag import InternalError
from infc.emit.vllm.release import vllm_folder

ArgumentType: TypeAlias = Literal[
    "boolean", "integer", "number", "string", "size", "size|auto", "json", "json|string", "boolean|string"
]
"""`size` is an integer that may be written 8k or 8K; `json` an object, or its text."""
FieldWord: TypeAlias = Literal["boolean", "integer", "number", "string", "array", "object", "null", "values", "nested"]
_Raw: TypeAlias = "bool | int | float | str | list[_Raw] | dict[str, _Raw] | None"


@dataclass(frozen=True, kw_only=True)
class Bounds:
    """Limits of a number; `above` and `below` are exclusive, None is no limit."""

    minimum: float | None = None
    above: float | None = None
    maximum: float | None = None
    below: float | None = None

    @property
    def words(self) -> str:
        """The limits in words, empty without any.

        >>> Bounds(above=0, maximum=1).words
        'above 0 and at most 1'
        """
        words = {"at least": self.minimum, "above": self.above, "at most": self.maximum, "below": self.below}
        return " and ".join(f"{word} {limit:g}" for word, limit in words.items() if limit is not None)

    def hold(self, value: float) -> bool:
        """Whether the value is within them.

        >>> Bounds(above=0, maximum=1).hold(1.7)
        False
        """
        return (
            (self.minimum is None or value >= self.minimum)
            and (self.above is None or value > self.above)
            and (self.maximum is None or value <= self.maximum)
            and (self.below is None or value < self.below)
        )


NO_BOUNDS = Bounds()


@dataclass(frozen=True, kw_only=True)
class Argument:
    """One argument. `spellings` are its names in a file, the usual one first; `negations` turn a switch off.

    `choices` empty: any value of the type. `known` are those that the engine looks up when it starts (empty: any).
    `takes_null`: `null` is no value. `default` None is none that a file could say. `object` names its fields in
    `ArgumentSchema.objects`.
    """

    spellings: tuple[str, ...]
    type: ArgumentType
    group: str
    is_list: bool = False
    negations: tuple[str, ...] = ()
    choices: tuple[str | int, ...] = ()
    known: tuple[str, ...] = ()
    takes_null: bool = False
    default: "_Raw" = None
    bounds: Bounds = NO_BOUNDS
    object: str | None = None
    is_deprecated: bool = False

    @property
    def name(self) -> str:
        """The usual spelling."""
        return self.spellings[0]


@dataclass(frozen=True, kw_only=True)
class Accepted:
    """One kind of value that a field of a nested object takes; `values` or `object` say more of it."""

    word: FieldWord
    values: tuple[str | int | float | bool, ...] = ()
    object: str = ""
    bounds: Bounds = NO_BOUNDS


@dataclass(frozen=True, kw_only=True)
class ArgumentSchema:
    """Everything that one release accepts.

    `by_key` finds an argument by any key of a file. `objects` maps a nested object to its fields, each with what it
    takes (empty: anything). `histograms` are the default bucket bounds by family, in seconds where they are times.
    """

    version: str
    arguments: tuple[Argument, ...]
    objects: Mapping[str, Mapping[str, tuple[Accepted, ...]]]
    histograms: Mapping[str, tuple[float, ...]]
    by_key: Mapping[str, Argument] = field(default_factory=dict)


def argument_schema(version: str) -> ArgumentSchema:
    """The schema of a release.

    Raises:
        InternalError: versions.yaml names a release whose arguments were not extracted.
    """
    path = vllm_folder() / version / "arguments.json"
    try:
        document = json.loads(path.read_bytes())
    except OSError as error:
        raise InternalError(f"{path.name} of vLLM {version} is missing: run extract_arguments.py") from error
    values: Mapping[str, Sequence[str]] = document["values"]
    arguments = tuple(_argument(row, values.get(row["name"], ())) for row in document["arguments"])
    return ArgumentSchema(
        version=document["vllm"],
        arguments=arguments,
        objects={
            name: {key: _accepted(part) for key, part in fields.items()} for name, fields in document["objects"].items()
        },
        histograms={key: tuple(map(float, bounds)) for key, bounds in document["histograms"].items()},
        by_key={key: argument for argument in arguments for key in (*argument.spellings, *argument.negations)},
    )


def _argument(row: Mapping[str, _Raw], known: Sequence[str]) -> Argument:
    assert row["type"] in get_args(ArgumentType)  # noqa: S101 - written by our own script
    return Argument(
        spellings=(str(row["name"]), *map(str, _list(row.get("aliases")))),
        type=cast("ArgumentType", row["type"]),
        group=str(row["group"]),
        is_list=bool(row.get("list")),
        negations=tuple(map(str, _list(row.get("negations")))),
        choices=tuple(choice for choice in _list(row.get("choices")) if isinstance(choice, str | int)),
        known=tuple(known),
        takes_null=bool(row.get("null")),
        default=row.get("default"),
        bounds=_bounds(row),
        object=str(row["object"]) if "object" in row else None,
        is_deprecated=bool(row.get("deprecated")),
    )


def _accepted(part: _Raw) -> tuple[Accepted, ...]:
    """What a field takes, from its short form in the file."""
    match part:
        case str(word):
            return (Accepted(word=cast("FieldWord", word)),)
        case list(parts):
            return tuple(accepted for each in parts for accepted in _accepted(each))
        case {"object": str(name)}:
            return (Accepted(word="nested", object=name),)
        case {"values": list(values)}:
            return (Accepted(word="values", values=tuple(v for v in values if isinstance(v, str | int | float))),)
        case {"type": str(word)}:
            assert isinstance(part, dict)  # noqa: S101 - it matched
            return (Accepted(word=cast("FieldWord", word), bounds=_bounds(part)),)
        case _:
            return ()


def _bounds(row: Mapping[str, _Raw]) -> Bounds:
    limits = {key: row.get(key) for key in ("minimum", "above", "maximum", "below")}
    return Bounds(**{key: float(limit) for key, limit in limits.items() if isinstance(limit, int | float)})


def _list(value: _Raw) -> list[_Raw]:
    return value if isinstance(value, list) else []
