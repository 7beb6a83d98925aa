"""Judges: whether text of a format does only what its writer meant."""

import json
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from typing import TypeAlias

Shape: TypeAlias = "str | list[Shape] | dict[str, Shape]"

_EVIL = re.compile(r"javascript:|evil\.example|vbscript:|data:text/html", re.IGNORECASE)
_RUNNER_COMMAND = re.compile(r"^\s*::|##\[")


def hidden_faults(text: str) -> Iterator[str]:
    """Characters that move the cursor, set a title or turn text around."""
    for line in text.split("\n"):
        for character in line:
            if not character.isprintable() and character != "\t":
                yield f"U+{ord(character):04X} in {line!r}"


def line_faults(text: str) -> Iterator[str]:
    """The same, and what a CI system would take for a command in lines of a log."""
    yield from hidden_faults(text)
    for line in text.split("\n"):
        if _RUNNER_COMMAND.search(line):
            yield f"a command of a CI system in {line!r}"


class Elements(HTMLParser):
    """Every element of a page with the names of its attributes; `faults` are those that could run or load."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: set[tuple[str, tuple[str, ...]]] = set()
        self.tags: list[str] = []
        self.text: list[str] = []
        self.faults: list[str] = []
        self._codes = 0
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """An element."""
        self.tags.append(tag)
        self._codes += tag in {"code", "pre"}
        self.found.add((tag, tuple(sorted(name for name, _ in attrs))))
        if tag in {"script", "iframe", "object", "embed", "form", "base"}:
            self.faults.append(f"<{tag}>")
        for name, value in attrs:
            loads = name in {"href", "src", "xlink:href", "action", "formaction", "srcset", "style"}
            if name.startswith("on") or (loads and _EVIL.search(value or "")):
                self.faults.append(f"<{tag} {name}={value!r}>")

    def handle_endtag(self, tag: str) -> None:
        """The end of an element."""
        self._codes -= tag in {"code", "pre"}

    def handle_data(self, data: str) -> None:
        """Text between elements; nobody is mentioned in code."""
        if not self._codes:
            self.text.append(data)


def html_faults(page: str, plain: str) -> list[str]:
    """What a page has that the same page about plain words has not, or that no page of ours has."""
    mine, twin = Elements(page), Elements(plain)
    return [*mine.faults, *(f"<{tag} {names}>" for tag, names in sorted(mine.found - twin.found))]


def markdown_faults(text: str, plain: str) -> list[str]:
    """The same of Markdown, as GitHub renders it: elements in the same order, and no mention of anybody."""
    from markdown_it import MarkdownIt

    renderer = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])
    mine, twin = Elements(renderer.render(text)), Elements(renderer.render(plain))
    faults = html_faults(renderer.render(text), renderer.render(plain))
    if [*filter(_is_structure, mine.tags)] != [*filter(_is_structure, twin.tags)]:
        faults.append("other elements than those of plain words")
    if re.search(r"@everyone", "".join(mine.text)):
        faults.append("a mention")
    return faults


def _is_structure(tag: str) -> bool:
    return tag not in {"span", "br", "code"}


def shape(value: object) -> Shape:
    """The value with its leaves as the names of their types: what nothing in a leaf can change."""
    match value:
        case dict():
            return {str(key): shape(child) for key, child in value.items()}
        case list():
            return [shape(child) for child in value]
    return type(value).__name__


def anonymous(value: Shape) -> Shape:
    """The shape without how often an item comes, and without keys that are words themselves (axes, paths)."""
    if isinstance(value, list):
        return sorted({json.dumps(anonymous(child), sort_keys=True) for child in value})
    if not isinstance(value, dict):
        return value
    is_named = any(not re.fullmatch(r"[A-Za-z0-9_$%./-]+", key) for key in value)
    return anonymous(list(value.values())) if is_named else {key: anonymous(child) for key, child in value.items()}
