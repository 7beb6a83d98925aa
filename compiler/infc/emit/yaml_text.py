"""YAML through its own library: the same text for every reader, whichever version of YAML it follows."""

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from yaml import SafeDumper, ScalarNode, SequenceNode

YamlValue: TypeAlias = "bool | int | float | str | Sequence[YamlValue] | Mapping[str, YamlValue] | None"
# PyYAML's resolver takes these for text; readers of YAML 1.1 in Go take them for true, false and numbers.
_AMBIGUOUS = re.compile(r"[yYnN]|[-+]?[0-9][0-9_]*[eE][-+]?[0-9]+|0o[0-7]+|[-+]?\.?[0-9][0-9_:.]*")


def yaml_text(*documents: Mapping[str, YamlValue]) -> str:
    """The documents as YAML, keys in their order; several are divided by `---`.

    >>> print(yaml_text({"name": "y", "args": ["--port", "1e3"]}), end="")
    name: "y"
    args:
    - --port
    - "1e3"
    """
    import yaml

    return yaml.dump_all(
        documents,
        Dumper=_dumper(),
        sort_keys=False,
        allow_unicode=False,
        default_flow_style=False,
        width=2**16,
        explicit_start=len(documents) > 1,
    )


def _dumper() -> "type[SafeDumper]":
    import yaml

    class TextDumper(yaml.SafeDumper):
        """Quotes what only some readers take for text, and never writes anchors."""

        def ignore_aliases(self, data: object) -> bool:
            """The same value twice is written twice."""
            return True

    def text(dumper: yaml.SafeDumper, value: str) -> "ScalarNode":
        block = "|" if "\n" in value else None
        return dumper.represent_scalar("tag:yaml.org,2002:str", value, '"' if _AMBIGUOUS.fullmatch(value) else block)

    def sequence(dumper: yaml.SafeDumper, values: "Sequence[YamlValue]") -> "SequenceNode":
        is_row = all(isinstance(value, int | float) for value in values)
        return dumper.represent_sequence("tag:yaml.org,2002:seq", values, flow_style=is_row)

    TextDumper.add_representer(str, text)
    TextDumper.add_representer(list, sequence)
    return TextDumper
