"""The design that every HTML page of infc shares: one file, no script, nothing loaded from elsewhere."""

import re
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jinja2 import Environment

_CODE = re.compile(r"`([^`\n]+)`")


def render_page(template: str, **values: object) -> str:
    """The page of a template, with every value escaped; same values, same bytes."""
    return _environment().get_template(template).render(**values)


@lru_cache(maxsize=1)
def _environment() -> "Environment":
    from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

    environment = Environment(
        loader=PackageLoader("infc.report", "templates"),
        undefined=StrictUndefined,
        autoescape=select_autoescape(default=True, default_for_string=True),
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["spans"] = code_spans
    return environment


def code_spans(text: str) -> list[tuple[bool, str]]:
    """The pieces of a sentence of infc's own, each with whether it stood between backticks.

    >>> code_spans("run `infc lock` now")
    [(False, 'run '), (True, 'infc lock'), (False, ' now')]
    """
    return [(index % 2 == 1, piece) for index, piece in enumerate(_CODE.split(text)) if piece]
