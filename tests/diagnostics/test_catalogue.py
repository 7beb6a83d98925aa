"""The catalogue: every id that infc can print is in it, once, with its texts."""

import re
from pathlib import Path

import pytest

import infc
from infc.diag.catalogue import CATALOGUE, DiagnosticKind, find_kind

PACKAGE = Path(infc.__file__).parent
_ID = re.compile(r"[a-z0-9]+(-[a-z0-9]+)+")
_USE = re.compile(r"\bid=\"([a-z0-9-]+)\"")


def test_ids_are_unique_and_kebab_case() -> None:
    """An id is stable for ever: it is what people search for."""
    ids = [kind.id for kind in CATALOGUE]
    assert len(set(ids)) == len(ids)
    assert all(_ID.fullmatch(id) for id in ids)


@pytest.mark.parametrize("kind", CATALOGUE, ids=lambda kind: kind.id)
def test_every_kind_says_what_why_and_how_to_fix(kind: DiagnosticKind) -> None:
    """Sentences, on one line each; the example may have lines."""
    assert not kind.title.endswith(".")
    for text in (kind.what, kind.why, kind.fix):
        assert text.endswith((".", "?", "`")), text
        assert "\n" not in text
    assert kind.example.strip()
    assert find_kind(kind.id) is kind


def test_every_id_in_the_code_is_in_the_catalogue() -> None:
    """`Diagnostic(id=...)` with an id that `infc explain` does not know is a mistake."""
    used = {
        id
        for path in PACKAGE.rglob("*.py")
        if "catalogue" not in path.parts
        for id in _USE.findall(path.read_text(encoding="utf-8"))
        if _ID.fullmatch(id)
    }
    assert used - {kind.id for kind in CATALOGUE} == set()
