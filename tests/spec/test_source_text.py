"""From bytes to text: size, encoding, characters; and what has no line of its own."""

from pathlib import Path

import pytest

from infc.spec.source_text import decode_source, read_source


@pytest.mark.parametrize(
    ("data", "id", "line", "column"),
    [
        (b"a: 1\nb: \xff\n", "spec-encoding", 2, 4),
        ("é: \n".encode() + b"\xe9", "spec-encoding", 2, 1),
        ("a: 1\n".encode("utf-16"), "spec-encoding", 1, 1),
        ("aé\r\nb\0".encode(), "spec-character", 2, 2),
        ("a: b\u2028c".encode(), "spec-character", 1, 5),
        ("a\x85".encode(), "spec-character", 1, 2),
        (b"a: " + b"x" * 2**20, "spec-too-large", 1, 1),
    ],
)
def test_what_is_no_text_is_a_diagnostic_at_its_place(data: bytes, id: str, line: int, column: int) -> None:
    """Columns count characters, lines end as editors think."""
    text, (diagnostic,) = decode_source(data, "x")
    assert text is None
    assert diagnostic.id == id
    assert diagnostic.span is not None
    assert (diagnostic.span.line, diagnostic.span.column) == (line, column)
    assert diagnostic.help


def test_text_of_every_script_is_text() -> None:
    """Tabs, all line ends, and characters beyond the basic plane."""
    for text in ("a\tb\r\nc\rd\n", "äß漢字😀\u00a0\ufffd", ""):
        assert decode_source(text.encode(), "x") == (text, ())
    assert decode_source(b"\xef\xbb\xbfa", "x") == ("a", ())


def test_what_cannot_be_opened_is_a_diagnostic(tmp_path: Path) -> None:
    """Nothing there, or a folder."""
    for path in (tmp_path / "nowhere.infc.yaml", tmp_path, tmp_path / "a" / ("x" * 300)):
        text, (diagnostic,) = read_source(path, "shown")
        assert text is None
        assert diagnostic.id in {"spec-not-found", "spec-unreadable"}


@pytest.mark.parametrize(("data", "id"), [(b"\x08\x0a\xdc", "spec-encoding"), (b"\0" * (1 << 21), "spec-too-large")])
def test_a_model_in_place_of_a_spec_is_told_how_to_get_one(data: bytes, id: str) -> None:
    """Small or large: `infc init` writes a spec for it."""
    text, problems = decode_source(data, "models/encoder.onnx")
    assert text is None
    assert [(each.id, each.help) for each in problems] == [
        (id, "this is a model: `infc init models/encoder.onnx` writes a spec for it")
    ]
