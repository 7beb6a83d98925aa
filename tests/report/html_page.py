"""What every HTML page has to keep, looked at without a browser."""

import re
from html.parser import HTMLParser
from itertools import pairwise

VOID = frozenset({"meta", "br", "input"})
HEADINGS = ("h1", "h2", "h3", "h4", "h5", "h6")
MOST_BYTES = 4_000_000


class Page(HTMLParser):
    """A page's elements with their attributes; fails where a tag is closed that is not the innermost open one."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.source = text
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.parents: list[str] = []
        self.text = ""
        self._open: list[str] = []
        self.feed(text)
        assert not self._open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Opens a tag."""
        self.handle_startendtag(tag, attrs)
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """A tag that closes itself."""
        names = [name for name, _ in attrs]
        assert len(names) == len(set(names)), (tag, attrs)
        self.parents.append(self._open[-1] if self._open else "")
        self.elements.append((tag, {name: value or "" for name, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        """Closes the innermost open tag."""
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        """Text."""
        if not self._open or self._open[-1] != "style":
            self.text += data

    def all(self, *tags: str) -> list[dict[str, str]]:
        """The attributes of every element with one of these tags."""
        return [attributes for tag, attributes in self.elements if tag in tags]


def checked(text: str) -> Page:
    """The page, which stands by itself, is well-formed, and can be read without seeing it."""
    page = Page(text)
    _stands_by_itself(page)
    _has_structure(page)
    _has_names(page)
    assert len(text.encode()) < MOST_BYTES
    return page


def _stands_by_itself(page: Page) -> None:
    """No script, no frame, no address but anchors of the page, no handler, and a policy that forbids the rest."""
    assert not page.all("script", "link", "img", "iframe", "object", "embed", "form", "base", "audio", "video", "use")
    for tag, attributes in page.elements:
        assert not any(name.startswith("on") for name in attributes), (tag, attributes)
        for name in ("href", "src", "xlink:href", "action", "srcset", "poster", "data"):
            assert attributes.get(name, "#").startswith("#"), (tag, attributes)
    assert "url(" not in page.source
    assert "@import" not in page.source
    policies = [each["content"] for each in page.all("meta") if each.get("http-equiv") == "Content-Security-Policy"]
    assert len(policies) == 1
    assert policies[0].startswith("default-src 'none';")


def _has_structure(page: Page) -> None:
    """A language, a title, landmarks, one h1, no level of headings left out, ids once, anchors that lead somewhere."""
    assert page.all("html") == [{"lang": "en"}]
    assert {"name": "viewport", "content": "width=device-width, initial-scale=1"} in page.all("meta")
    assert {"name": "color-scheme", "content": "light dark"} in page.all("meta")
    for tag in ("title", "header", "main", "footer", "h1"):
        assert len([each for each, _ in page.elements if each == tag]) - (tag == "title") * _drawn_titles(page) == 1, (
            tag
        )
    levels = [HEADINGS.index(tag) for tag, _ in page.elements if tag in HEADINGS]
    assert levels[0] == 0
    assert all(following <= level + 1 for level, following in pairwise(levels))
    ids = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    targets = {each["href"].removeprefix("#") for each in page.all("a")}
    named = " ".join(a.get("aria-labelledby", "") + " " + a.get("aria-describedby", "") for _, a in page.elements)
    assert (targets | set(named.split())) <= set(ids)


def _drawn_titles(page: Page) -> int:
    """Titles of shapes: what a pointer shows."""
    return sum(
        tag == "title" and parent != "head" for (tag, _), parent in zip(page.elements, page.parents, strict=True)
    )


def _has_names(page: Page) -> None:
    """Pictures are named and described or hidden; boxes that scroll can be reached by keyboard; tables have headers."""
    for svg in page.all("svg"):
        is_hidden = svg.get("aria-hidden") == "true"
        assert is_hidden or (svg.get("role") == "img" and svg.get("aria-labelledby") and svg.get("aria-describedby"))
    for box in page.all("div"):
        if box.get("class") == "scroll":
            assert box.get("tabindex") == "0"
            assert box.get("aria-label")
    assert len(page.all("table")) == len([1 for tag, _ in page.elements if tag == "thead"])
    assert all(each.get("scope") in ("col", "row") for each in page.all("th"))


def contrast(one: str, other: str) -> float:
    """The contrast of two colors, `#rrggbb`. Source: WCAG 2.2, relative luminance and contrast ratio.

    >>> round(contrast("#000000", "#ffffff"))
    21
    """
    light, dark = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def _luminance(color: str) -> float:
    parts = (int(color[at : at + 2], 16) / 255.0 for at in (1, 3, 5))
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def palettes(text: str) -> list[dict[str, str]]:
    """The custom properties of each color scheme of a page: light first, then dark."""
    blocks = re.findall(r":root \{([^}]*--paper[^}]*)\}", text)
    return [dict(re.findall(r"--([a-z-]+): (#[0-9a-f]{6});", block)) for block in blocks]
