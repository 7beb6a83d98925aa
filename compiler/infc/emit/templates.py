"""Text files from Jinja2 templates under `targets/servers/`: scripts and Markdown, never structured formats."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from jinja2 import Environment

TemplateValue: TypeAlias = str | int | bool | tuple["TemplateValue", ...] | Mapping[str, "TemplateValue"] | None


def render(folder: Path, name: str, values: Mapping[str, TemplateValue]) -> bytes:
    """The template `folder/name` filled with `values`; one that it asks for and does not get is a bug and raises."""
    return _environment(folder).get_template(name).render(values).encode()


def _environment(folder: Path) -> "Environment":
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    # Shell, Markdown and Dockerfiles: HTML escaping would be wrong. What is inserted is validated names and numbers.
    return Environment(
        loader=FileSystemLoader(folder),
        undefined=StrictUndefined,
        autoescape=False,  # noqa: S701  # noqa: S701
        keep_trailing_newline=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
