"""docs/diagnostics holds exactly what the catalogue generates."""

from pathlib import Path

import pytest

from infc.report.explanations import explanation_pages

COMMITTED = Path(__file__).parents[2] / "docs" / "diagnostics"

pytestmark = pytest.mark.skipif(not COMMITTED.is_dir(), reason="the pages are part of a checkout")


def test_every_page_is_what_the_catalogue_says() -> None:
    """`infc explain --write docs/diagnostics` rewrites them; a page of an id that is gone is removed by hand."""
    pages = explanation_pages()
    assert sorted(path.name for path in COMMITTED.iterdir()) == sorted(pages)
    differing = [name for name, text in pages.items() if (COMMITTED / name).read_text(encoding="utf-8") != text]
    assert differing == []
