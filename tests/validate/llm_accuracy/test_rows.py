"""Rows of text for an accuracy test: read, or refused with the line that is wrong."""

import json
from pathlib import Path

import pytest

from infc.validate.llm_accuracy.rows import TextRows, read_rows

TINY = Path(__file__).parents[3] / "specs/tiny-llama"


@pytest.mark.parametrize(("name", "metric"), [("texts.jsonl", "perplexity"), ("answers.jsonl", "exact_match")])
def test_the_examples_have_a_few_hundred_rows(name: str, metric: str) -> None:
    """Enough for a verdict at 95%, few enough for a commit."""
    found = read_rows(TINY / name, metric)
    assert isinstance(found, TextRows)
    assert len(found.rows) == 240
    assert found.parts is None
    assert found.lengths.min() > 10


def test_a_prompt_may_be_a_chat_and_a_row_may_name_its_part(tmp_path: Path) -> None:
    """Messages go through the model's own chat template."""
    row = {"prompt": [{"role": "user", "content": "2 + 2?"}], "answer": "4", "slices": "sums"}
    (tmp_path / "rows.jsonl").write_text("\n\n".join([json.dumps(row)] * 12))
    found = read_rows(tmp_path / "rows.jsonl", "exact_match")
    assert isinstance(found, TextRows)
    assert found.parts is not None
    assert set(found.parts) == {"sums"}


@pytest.mark.parametrize(
    ("content", "metric", "id", "words"),
    [
        (b'{"text": "a"}\n', "perplexity", "dataset-too-small", "1 rows"),
        (b'{"text": "a"}\n{"txt": "b"}\n', "perplexity", "dataset-labels", "line 2: it has no `text`"),
        (b'{"text": 3}\n', "perplexity", "dataset-labels", "`text` is no text"),
        (b"[]\n", "perplexity", "dataset-labels", "no JSON object"),
        (b"{\n", "exact_match", "dataset-labels", "no JSON"),
        (b'{"prompt": [{"role": 1}], "answer": "x"}\n', "exact_match", "dataset-labels", "`prompt` is no text"),
        (b"\xff", "perplexity", "dataset-unreadable", "UTF-8"),
    ],
)
def test_a_wrong_row_is_refused_with_its_line(content: bytes, metric: str, id: str, words: str, tmp_path: Path) -> None:
    """What the metric takes is shown."""
    path = tmp_path / "rows.jsonl"
    path.write_bytes(content)
    problem = read_rows(path, metric)
    assert not isinstance(problem, TextRows)
    assert problem.id == id
    assert words in problem.message
    assert problem.help


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    """By its name, with what to do."""
    problem = read_rows(tmp_path / "texts.jsonl", "perplexity")
    assert not isinstance(problem, TextRows)
    assert problem.id == "dataset-not-found"
