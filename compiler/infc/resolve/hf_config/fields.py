"""Typed access to the fields of a config: every value is checked, every problem is collected."""

from collections.abc import Sequence

from infc.diag import Diagnostic
from infc.resolve.hf_config.config_file import Config

LARGEST_WIDTH = 2**22
"""No hidden, feed-forward or head width is near it; a product of a few such numbers stays a sane count."""
LARGEST_COUNT = 2**16
"""Layers, heads, experts."""
LARGEST_VOCABULARY = 2**26
LARGEST_CONTEXT = 2**31
_SHOWN = 60


class Fields:
    """The fields of one config object.

    A getter takes the names that architectures use for one thing, and answers with the first that is there and not
    null. A problem is added to `problems`, once a field, and the getter answers 1 so that reading goes on.
    """

    def __init__(self, values: Config, defaults: Config, problems: list[Diagnostic]) -> None:
        self._values = values
        self._defaults = defaults
        self._problems = problems
        self._reported: set[str] = set()

    def count(self, *names: str, largest: int = LARGEST_COUNT, smallest: int = 1) -> int:
        """A whole number that must be there, or have a default in its architecture."""
        found = self.optional_count(*names, largest=largest, smallest=smallest)
        if found is None:
            self._missing(names)
            return 1
        return found

    def optional_count(self, *names: str, largest: int = LARGEST_COUNT, smallest: int = 1) -> int | None:
        """A whole number, or None where the config leaves it out or null."""
        name, value = self._first(names)
        if value is None:
            return None
        if isinstance(value, float) and value.is_integer() and abs(value) <= largest:
            value = int(value)
        if isinstance(value, bool) or not isinstance(value, int):
            self.refuse(name, value, "a whole number")
            return 1
        if not smallest <= value <= largest:
            self.refuse(name, value, f"from {smallest} to {largest}")
            return max(1, smallest)
        return value

    def flag(self, name: str, default: bool) -> bool:
        """True or false; `default` where the config does not say."""
        _, value = self._first((name,))
        if value is None:
            return default
        if not isinstance(value, bool):
            self.refuse(name, value, "true or false")
            return default
        return value

    def text(self, *names: str) -> str | None:
        """A string, or None."""
        name, value = self._first(names)
        if value is not None and not isinstance(value, str):
            self.refuse(name, value, "text")
            return None
        return value

    def texts(self, name: str) -> tuple[str, ...] | None:
        """A list of strings, or None."""
        value = self._items(name)
        if value is None:
            return None
        found = tuple(item for item in value if isinstance(item, str))
        if len(found) != len(value):
            self.refuse(name, value, "a list of texts")
            return None
        return found

    def counts(self, name: str) -> tuple[int, ...] | None:
        """A list of whole numbers from 0, or None."""
        value = self._items(name)
        if value is None:
            return None
        found = tuple(item for item in value if isinstance(item, int) and not isinstance(item, bool) and item >= 0)
        if len(found) != len(value):
            self.refuse(name, value, "a list of whole numbers")
            return None
        return found

    def nested(self, name: str) -> Config | None:
        """A nested object, or None."""
        _, value = self._first((name,))
        if value is not None and not isinstance(value, dict):
            self.refuse(name, value, "an object")
            return None
        return value

    def has(self, *names: str) -> bool:
        """Whether any of the names has a value other than null."""
        return self._first(names)[1] is not None

    def refuse(self, name: str, value: object, expected: str) -> None:
        """Add the problem that `name` is not `expected`."""
        shown = _shown(value)
        self._add(
            name,
            Diagnostic(
                id="config-field",
                message=f"{name} of the model config is {shown}, not {expected}",
                help=f"correct {name}: copy it from the model's repository",
            ),
        )

    def contradict(self, name: str, message: str) -> None:
        """Add the problem that fields do not fit together."""
        self._add(
            name,
            Diagnostic(id="config-field", message=message, help="copy config.json from the model's repository again"),
        )

    def _missing(self, names: tuple[str, ...]) -> None:
        others = f" (or {', '.join(names[1:])})" if names[1:] else ""
        self._add(
            names[0],
            Diagnostic(
                id="config-field-missing",
                message=f"the model config has no {names[0]}{others}",
                help=f"add {names[0]}: without it the size of the model is not known",
            ),
        )

    def _add(self, name: str, problem: Diagnostic) -> None:
        if name not in self._reported:
            self._reported.add(name)
            self._problems.append(problem)

    def _items(self, name: str) -> Sequence[object] | None:
        _, value = self._first((name,))
        if value is not None and not isinstance(value, list):
            self.refuse(name, value, "a list")
            return None
        return value

    def _first(self, names: tuple[str, ...]) -> tuple[str, object]:
        for source in (self._values, self._defaults):
            for name in names:
                if source.get(name) is not None:
                    return name, source[name]
        return names[0], None


def _shown(value: object) -> str:
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) >= 10**18:
        return "a number of more than 18 digits"
    text = repr(value)
    return text if len(text) <= _SHOWN else text[:_SHOWN] + "..."
