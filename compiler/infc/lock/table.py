"""Strict reading of one TOML table: each key once, of its type; what is left over is unknown."""

from collections.abc import Mapping


class TableError(ValueError):
    """A key that is missing, of the wrong type, or unknown; `key` is where to look."""

    def __init__(self, key: str, message: str) -> None:
        super().__init__(message)
        self.key = key


class Table:
    """A table being read. Getters raise TableError; `finish` raises for keys that nobody asked for."""

    def __init__(self, value: object, name: str) -> None:
        if not isinstance(value, dict):
            raise TableError(name, f"`{name}` is not a table")
        self._values: dict[str, object] = dict(value)
        self._name = name

    def keys(self) -> tuple[str, ...]:
        """Keys that are not read yet."""
        return tuple(self._values)

    def text(self, key: str) -> str:
        """A text."""
        value = self.optional_text(key)
        if value is None:
            raise self._missing(key)
        return value

    def optional_text(self, key: str) -> str | None:
        """A text, or None when the key is absent."""
        value = self._values.pop(key, None)
        if value is not None and not isinstance(value, str):
            raise TableError(key, f"`{key}` is not text")
        return value

    def texts(self, key: str) -> tuple[str, ...]:
        """A list of texts."""
        value = self._values.pop(key, None)
        if value is None:
            raise self._missing(key)
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            raise TableError(key, f"`{key}` is not a list of texts")
        return tuple(value)

    def texts_by_name(self, key: str) -> Mapping[str, str]:
        """A table of texts; empty when the key is absent."""
        value = self._values.pop(key, {})
        if not isinstance(value, dict):
            raise TableError(key, f"`{key}` is not a table")
        for name, item in value.items():
            if not isinstance(item, str):
                raise TableError(name, f"`{name}` is not text")
        return dict(sorted(value.items()))

    def count(self, key: str, *, minimum: int = 1) -> int:
        """A whole number of at least `minimum`."""
        value = self.optional_count(key, minimum=minimum)
        if value is None:
            raise self._missing(key)
        return value

    def optional_count(self, key: str, *, minimum: int = 1) -> int | None:
        """A whole number of at least `minimum`, or None when the key is absent."""
        value = self._values.pop(key, None)
        if value is None:
            return None
        if not isinstance(value, int) or isinstance(value, bool) or value < minimum:
            raise TableError(key, f"`{key}` is not a whole number from {minimum} on")
        return value

    def counts(self, key: str) -> tuple[int, ...]:
        """A list of whole numbers from 1 on; empty when the key is absent."""
        value = self._values.pop(key, [])
        if not isinstance(value, list) or not all(type(item) is int and item >= 1 for item in value):
            raise TableError(key, f"`{key}` is not a list of whole numbers from 1 on")
        return tuple(value)

    def flag(self, key: str) -> bool:
        """True or false."""
        value = self.optional_flag(key)
        if value is None:
            raise self._missing(key)
        return value

    def optional_flag(self, key: str) -> bool | None:
        """True or false, or None when the key is absent."""
        value = self._values.pop(key, None)
        if value is not None and not isinstance(value, bool):
            raise TableError(key, f"`{key}` is not true or false")
        return value

    def number(self, key: str) -> float:
        """A finite number."""
        value = self.optional_number(key)
        if value is None:
            raise self._missing(key)
        return value

    def optional_number(self, key: str) -> float | None:
        """A finite number, or None when the key is absent."""
        value = self._values.pop(key, None)
        if value is None:
            return None
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        if not is_number or value != value or abs(value) == float("inf"):  # type: ignore[arg-type]
            raise TableError(key, f"`{key}` is not a number")
        return float(value)  # type: ignore[arg-type]

    def numbers_by_name(self, key: str) -> Mapping[str, float]:
        """A nested table of numbers; empty when the key is absent."""
        nested = self.optional_table(key)
        if nested is None:
            return {}
        return {name: nested.number(name) for name in tuple(nested._values)}

    def table(self, key: str) -> "Table":
        """A nested table."""
        value = self.optional_table(key)
        if value is None:
            raise self._missing(key)
        return value

    def optional_table(self, key: str) -> "Table | None":
        """A nested table, or None when the key is absent."""
        value = self._values.pop(key, None)
        return None if value is None else Table(value, key)

    def finish(self) -> None:
        """Refuse what is left."""
        for key in self._values:
            raise TableError(key, f"unknown key `{key}` in `{self._name}`")

    def _missing(self, key: str) -> TableError:
        return TableError(self._name, f"`{self._name}` has no `{key}`")
