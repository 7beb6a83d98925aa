"""A compile as one self-contained HTML page: what the text report says, and every layer of every engine, folded."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from infc.ir.engine import Engine
from infc.report.compile_text import render_compile_text
from infc.report.compiled import CompiledEntry
from infc.report.engine_layers import engine_layers_html

if TYPE_CHECKING:
    from markupsafe import Markup


@dataclass(frozen=True, kw_only=True)
class Section:
    """One bundle as the page shows it. `state` is ok, or uncertain where something is pending."""

    title: str
    state: str
    verdict: str
    text: str
    layers: "Markup"


def render_compile_html(entries: Sequence[CompiledEntry]) -> str:
    """The page for all bundles, in their order."""
    from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

    environment = Environment(
        loader=PackageLoader("infc.report", "templates"),
        undefined=StrictUndefined,
        autoescape=select_autoescape(default=True, default_for_string=True),
        trim_blocks=True,
        lstrip_blocks=True,
    )
    sections = [_section(entry) for entry in entries]
    title = f"Compile of {sections[0].title}" if len(sections) == 1 else f"Compile of {len(sections)} bundles"
    return environment.get_template("compile.html.j2").render(sections=sections, title=title)


def _section(entry: CompiledEntry) -> Section:
    from markupsafe import Markup

    _, _, details = render_compile_text(entry, color=False).partition("\n\n")
    layers = engine_layers_html(entry.engine.facts) if isinstance(entry.engine, Engine) else ""
    return Section(
        title=entry.plan.name + (f" for {entry.target}" if entry.target else ""),
        state="uncertain" if entry.pending else "ok",
        verdict=f"{entry.pending} pending" if entry.pending else "compiled",
        text=f"  folder      {entry.folder}\n{details}",
        layers=Markup(layers),  # noqa: S704 - made of escaped texts
    )
