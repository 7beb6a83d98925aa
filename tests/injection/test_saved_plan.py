"""A saved plan that somebody else wrote, as a fork's pull request can: rendered by the workflow that may comment."""

import json

import pytest

from infc.report.change_json import change_set_from_json, change_set_to_json
from infc.report.change_reports import ChangeFormat, render_changes
from tests.injection.hostile import HOSTILE
from tests.injection.inert import hidden_faults, line_faults, markdown_faults
from tests.report import changes

pytest.importorskip("markdown_it", reason="comes with rich")

_KEPT = frozenset({"kind", "action", "status", "evidence", "unit", "id", "digest", "outcome", "format_version"})
_PLAIN = "words of others"


def spoiled(value: object, word: str, key: str = "") -> object:
    """The document with the word behind every text that is free."""
    match value:
        case dict():
            return {name: spoiled(child, word, name) for name, child in value.items()}
        case list():
            return [spoiled(child, word, key) for child in value]
        case str() if key not in _KEPT and not value.startswith("sha256:"):
            return f"{word} {value} {word}"
    return value


def rendered(word: str, format: ChangeFormat) -> str:
    """The report of a change set in which every free text holds the word."""
    sets = changes.change_set(changes.REBUILT, changes.ADDED, changes.REMOVED, changes.INFEASIBLE)
    document = json.loads(json.dumps(change_set_to_json(sets)))
    document["changes"] = spoiled(document["changes"], word)
    read = change_set_from_json(document)
    assert read is not None
    return render_changes((read,), format)


@pytest.mark.parametrize("word", HOSTILE.values(), ids=HOSTILE)
def test_words_of_a_saved_plan_do_nothing(word: str) -> None:
    """Not in a log, not in a comment, not as an annotation."""
    assert list(line_faults(rendered(word, "text"))) == []
    comment = rendered(word, "markdown")
    assert list(line_faults(comment)) == []
    assert markdown_faults(comment, rendered(_PLAIN, "markdown")) == []
    annotations = rendered(word, "github").splitlines()
    assert len(annotations) == len(rendered(_PLAIN, "github").splitlines())
    assert all(line.startswith(("::error ", "::warning ", "::notice ")) for line in annotations)
    assert list(hidden_faults("\n".join(annotations))) == []
    assert list(hidden_faults(rendered(word, "sarif"))) == []
    assert len(json.loads(rendered(word, "codequality"))) == len(json.loads(rendered(_PLAIN, "codequality")))
