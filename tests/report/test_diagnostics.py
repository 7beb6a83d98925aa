"""Diagnostics as text, JSON, SARIF, GitHub annotations and GitLab code quality."""

import json
import re
from pathlib import Path

import jsonschema
import pytest

from infc.diag import Diagnostic, Severity, Span
from infc.diag.catalogue import CATALOGUE
from infc.report.diagnostics_codequality import diagnostics_codequality
from infc.report.diagnostics_github import diagnostics_github
from infc.report.diagnostics_json import diagnostics_json, diagnostics_schema
from infc.report.diagnostics_sarif import diagnostics_sarif
from infc.report.diagnostics_text import render_diagnostics, summary_line

from .sarif_subset import SARIF_SUBSET


def span(line: int, column: int, end_column: int, *, path: str = "specs/my detector.infc.yaml") -> Span:
    """A place on one line."""
    return Span(path=path, line=line, column=column, end_line=line, end_column=end_column)


FOUND = (
    Diagnostic(
        id="spec-quantity",
        message="a duration needs its unit",
        span=span(14, 10, 13),
        label="asked for 2, 50% less",
        notes=("the best candidate needs 3.1 ms",),
        help="write 2ms",
    ),
    Diagnostic(id="spec-no-effect", severity=Severity.WARNING, message="no effect", span=span(2, 1, 4)),
    Diagnostic(id="spec-no-effect", severity=Severity.WARNING, message="no effect", span=span(3, 1, 4)),
    Diagnostic(id="unheard-of", severity=Severity.NOTE, message="something else"),
)


def test_text_shows_the_line_with_a_caret_under_the_place() -> None:
    """The form of the style guide, to the character."""
    source = "\n" * 13 + "    p99: 2ms\n"
    diagnostic = Diagnostic(
        id="slo-below-floor",
        message="p99 target is below what any candidate can reach on jetson-orin-nano",
        span=Span(path="specs/detector.infc.yaml", line=14, column=10, end_line=14, end_column=13),
        label="asked for 2 ms",
        notes=("the best candidate needs 3.1 ms of service time before any queueing",),
        help="set p99 to at least 3.4ms",
    )
    assert render_diagnostics([diagnostic], sources={"specs/detector.infc.yaml": source}) == (
        "error[slo-below-floor]: p99 target is below what any candidate can reach on jetson-orin-nano\n"
        "  --> specs/detector.infc.yaml:14:10\n"
        "   |\n"
        "14 |     p99: 2ms\n"
        "   |          ^^^ asked for 2 ms\n"
        "note: the best candidate needs 3.1 ms of service time before any queueing\n"
        "help: set p99 to at least 3.4ms"
    )


@pytest.mark.parametrize(
    ("line", "column", "end_column", "expected"),
    [
        ("漢字: x", 5, 6, "      ^"),  # wide characters take two cells
        ("\tp99: x", 7, 8, "         ^"),  # a tab is shown as four
        ("a: b", 5, 5, "    ^"),  # behind the last character
        ("a: b", 99, 120, "    ^"),  # beyond the line
    ],
)
def test_the_caret_stands_under_its_character(line: str, column: int, end_column: int, expected: str) -> None:
    """Whatever the width of what is before it."""
    diagnostic = Diagnostic(id="spec-syntax", message="m", span=span(1, column, end_column, path="x"))
    shown = render_diagnostics([diagnostic], sources={"x": line}).splitlines()[-1]
    assert shown == f"  | {expected}"


def test_a_long_line_is_cut_around_the_place() -> None:
    """A line of a megabyte does not fill the terminal."""
    text = "a" * 5000 + "HERE" + "b" * 5000
    diagnostic = Diagnostic(id="spec-syntax", message="m", span=span(1, 5001, 5005, path="x"))
    lines = render_diagnostics([diagnostic], sources={"x": text}).splitlines()
    assert all(len(line) < 170 for line in lines)
    start = lines[-1].index("^")
    assert lines[-2][start : start + 4] == "HERE"


def test_control_characters_never_reach_the_terminal() -> None:
    """Neither from the file nor from its name."""
    place = span(1, 1, 2, path="evil\x1b[2J.yaml")
    diagnostic = Diagnostic(id="spec-character", message="\x1b[31mred", span=place, help="a\rb", notes=("\x07",))
    text = render_diagnostics([diagnostic], sources={"evil\x1b[2J.yaml": "x\x1b[2J\x9by"})
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f]", text)


def test_a_line_that_cannot_be_read_is_left_out(tmp_path: Path) -> None:
    """The place is still named."""
    place = span(3, 1, 2, path=str(tmp_path / "gone.yaml"))
    text = render_diagnostics([Diagnostic(id="spec-syntax", message="m", span=place, help="h")])
    assert text.splitlines() == ["error[spec-syntax]: m", f" --> {tmp_path}/gone.yaml:3:1", "help: h"]


def test_color_is_only_added_when_asked_for() -> None:
    """Without it there is no escape sequence; with it the text is the same."""
    sources = {place.path: "\n" * 20 for d in FOUND if (place := d.span)}
    plain = render_diagnostics(FOUND, sources=sources)
    colored = render_diagnostics(FOUND, color=True, sources=sources)
    assert "\x1b" not in plain
    assert re.sub(r"\x1b\[[0-9;]*m", "", colored) == plain
    assert summary_line(FOUND) == "1 error, 2 warnings"


def test_json_holds_everything_and_fits_its_schema() -> None:
    """Absent parts are null or empty, never left out."""
    report = json.loads(diagnostics_json(FOUND, files=2))
    jsonschema.Draft202012Validator(diagnostics_schema()).validate(report)
    assert report["format_version"] == "1.0"
    assert report["summary"] == {"errors": 1, "warnings": 2, "notes": 1, "files": 2}
    assert report["diagnostics"][0]["span"]["column"] == 10
    assert report["diagnostics"][3]["span"] is None


def test_sarif_fits_its_schema_with_a_rule_for_every_id() -> None:
    """Rules carry what the catalogue says; paths are URIs relative to the repository."""
    log = json.loads(diagnostics_sarif(FOUND))
    jsonschema.Draft202012Validator(SARIF_SUBSET).validate(log)
    (run,) = log["runs"]
    rules = run["tool"]["driver"]["rules"]
    assert [rules[result["ruleIndex"]]["id"] for result in run["results"]] == [d.id for d in FOUND]
    location = run["results"][0]["locations"][0]["physicalLocation"]["artifactLocation"]
    assert location == {"uri": "specs/my%20detector.infc.yaml", "uriBaseId": "%SRCROOT%"}
    assert [result["level"] for result in run["results"]] == ["error", "warning", "warning", "note"]


def test_sarif_of_the_whole_catalogue_fits_github_limits() -> None:
    """Every id makes a valid rule."""
    found = [Diagnostic(id=kind.id, message=kind.title, span=span(1, 1, 2)) for kind in CATALOGUE]
    jsonschema.Draft202012Validator(SARIF_SUBSET).validate(json.loads(diagnostics_sarif(found)))


def test_github_annotations_are_escaped() -> None:
    """One command a line; line feeds, percent signs, colons and commas cannot break out."""
    lines = diagnostics_github(FOUND).splitlines()
    assert len(lines) == len(FOUND)
    assert lines[0] == (
        "::error file=specs/my detector.infc.yaml,line=14,col=10,title=spec-quantity,endColumn=13::"
        "a duration needs its unit%0Aasked for 2, 50%25 less%0Athe best candidate needs 3.1 ms%0Ahelp: write 2ms"
    )
    evil = Diagnostic(id="spec-path", message="a\n::error::b", span=span(1, 1, 2, path="x,line=9:\n.yaml"))
    assert diagnostics_github([evil]).count("\n") == 0
    assert "x%2Cline=9%3A%0A.yaml" in diagnostics_github([evil])


def test_code_quality_fingerprints_are_unique_and_stable() -> None:
    """The same problem twice has two fingerprints; the same report has the same ones."""
    issues = json.loads(diagnostics_codequality(FOUND))
    assert [issue["severity"] for issue in issues] == ["major", "minor", "minor", "info"]
    assert len({issue["fingerprint"] for issue in issues}) == len(issues)
    assert json.loads(diagnostics_codequality(FOUND)) == issues
    assert issues[0]["location"] == {"path": "specs/my detector.infc.yaml", "lines": {"begin": 14}}
