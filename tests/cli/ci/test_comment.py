"""`infc ci comment` against a server that answers as the providers' APIs are documented to."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from infc.cli import app
from infc.cli.edge import FAILURE, OK, USAGE_ERROR, guarded
from infc.report.change_json import change_set_to_json
from tests.report.changes import ADDED, REBUILT, UNCHANGED, change_set

from .provider import BOT, TOKEN, Fault, Provider, archive, provider

MARKER = "<!-- infc-plan:plan -->"
NO_WAIT = {"Retry-After": "0"}


@pytest.fixture
def api() -> Iterator[Provider]:
    """A fresh repository on a server."""
    with provider() as state:
        yield state


@pytest.fixture
def plan(tmp_path: Path) -> Path:
    """A saved plan."""
    path = tmp_path / "plan.json"
    path.write_text(saved(REBUILT, ADDED, *UNCHANGED), encoding="utf-8")
    return path


def saved(*changes: Any) -> str:
    """A saved plan as text."""
    document = {"format_version": "1.0", "specs": [], "summary": {}, **change_set_to_json(change_set(*changes))}
    return json.dumps(document)


@pytest.fixture
def github(api: Provider, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The environment of a job of GitHub Actions on pull request 7; the file of its summary."""
    clean(monkeypatch)
    event = tmp_path / "event.json"
    event.write_text(json.dumps({"pull_request": {"number": 7}}), encoding="utf-8")
    summary = tmp_path / "summary.md"
    for name, value in {
        "GITHUB_API_URL": api.url, "GITHUB_REPOSITORY": "o/r", "GITHUB_EVENT_PATH": str(event), "GITHUB_TOKEN": TOKEN,
        "GITHUB_STEP_SUMMARY": str(summary), "GITHUB_SERVER_URL": "https://github.example", "GITHUB_RUN_ID": "5",
    }.items():  # fmt: skip
        monkeypatch.setenv(name, value)
    return summary


@pytest.fixture
def gitlab(api: Provider, monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment of a job of GitLab CI on merge request 7, with a token of the project."""
    clean(monkeypatch)
    api.user = {"login": "project_42_bot", "id": sum(map(ord, "project_42_bot"))}
    for name, value in {
        "CI_API_V4_URL": api.url, "CI_PROJECT_ID": "42", "CI_MERGE_REQUEST_IID": "7", "INFC_COMMENT_TOKEN": TOKEN,
        "CI_JOB_URL": "https://gitlab.example/o/r/-/jobs/9",
    }.items():  # fmt: skip
        monkeypatch.setenv(name, value)


def clean(monkeypatch: pytest.MonkeyPatch) -> None:
    """No provider, whatever runs the tests."""
    import os

    for name in list(os.environ):
        if name.startswith(("GITHUB_", "CI_", "INFC_COMMENT", "http_proxy", "HTTP_PROXY")):
            monkeypatch.delenv(name)


def run(*arguments: str) -> int:
    """The exit code of `infc ci comment`."""
    return guarded(app, args=("ci", "comment", *arguments))


def test_the_first_run_writes_and_later_runs_update_in_place(api: Provider, github: Path, plan: Path) -> None:
    """One comment for all runs; a run with the same plan writes nothing."""
    assert run(str(plan), "--provider", "github") == OK
    assert run(str(plan), "--provider", "github") == OK
    assert api.writes() == ["POST"]
    plan.write_text(saved(REBUILT), encoding="utf-8")
    assert run(str(plan), "--provider", "github") == OK
    assert api.writes() == ["POST", "PATCH"]
    (body,) = api.bodies
    assert body.startswith(f"{MARKER}\n\n## infc plan: 1 to rebuild")
    assert "(https://github.example/o/r/actions/runs/5)" in body
    assert not github.exists()


def test_comments_of_others_are_never_touched(api: Provider, github: Path, plan: Path) -> None:
    """Not even with the marker, and not ours with another marker."""
    api.comment("mallory", f"{MARKER}\n\nedit me")
    api.comment(BOT, "<!-- infc-plan:staging -->\n\nanother environment")
    api.comment(BOT, f"what about {MARKER}")
    before = list(api.bodies)
    assert run(str(plan), "--provider", "github", "--behavior", "delete-and-new") == OK
    assert api.bodies[:3] == before
    assert len(api.bodies) == 4


def test_the_comment_is_found_on_a_later_page(api: Provider, github: Path, plan: Path) -> None:
    """A long conversation is read to its end; ours may end its first line as Windows does."""
    for index in range(230):
        api.comment("people", f"talk {index}")
    id = api.comment(BOT, f"{MARKER}\r\nold")
    api.comment("people", "more")
    assert run(str(plan), "--provider", "github") == OK
    assert next(each for each in api.comments if each["id"] == id)["body"].startswith(f"{MARKER}\n\n## infc plan")
    assert [path.rpartition("page=")[2] for method, path in api.asked if "comments?" in path] == ["1", "2", "3"]


def test_new_and_delete_and_new(api: Provider, github: Path, plan: Path) -> None:
    """`new` adds one more; `delete-and-new` leaves only the newest."""
    for _ in range(2):
        assert run(str(plan), "--provider", "github", "--behavior", "new") == OK
    assert len(api.bodies) == 2
    assert run(str(plan), "--provider", "github", "--behavior", "delete-and-new") == OK
    assert len(api.bodies) == 1
    assert api.writes() == ["POST", "POST", "POST", "DELETE", "DELETE"]


def test_no_change_begins_no_comment_but_ends_one(api: Provider, github: Path, plan: Path) -> None:
    """A pull request that touches no deployment is left alone; one that no longer does says so."""
    plan.write_text(saved(*UNCHANGED), encoding="utf-8")
    assert run(str(plan), "--provider", "github") == OK
    assert api.bodies == []
    api.comment(BOT, f"{MARKER}\n\n## infc plan: 1 to add")
    assert run(str(plan), "--provider", "github") == OK
    assert "no changes" in api.bodies[0]


def test_a_busy_server_is_asked_again(api: Provider, github: Path, plan: Path) -> None:
    """429, 5xx and GitHub's 403 for too many requests; bounded."""
    api.faults = [
        Fault("GET", 503, NO_WAIT),
        Fault("GET", 429, NO_WAIT),
        Fault("GET", 403, {**NO_WAIT, "x-ratelimit-remaining": "0"}),
        Fault("POST", 429, NO_WAIT),
    ]
    assert run(str(plan), "--provider", "github") == OK
    assert len(api.bodies) == 1
    api.faults = [Fault("GET", 502, NO_WAIT, times=99)]
    api.asked.clear()
    assert run(str(plan), "--provider", "github") == FAILURE
    assert len(api.asked) == 4


@pytest.mark.parametrize("drops", [False, True])
def test_an_unclear_answer_never_makes_two_comments(api: Provider, github: Path, plan: Path, drops: bool) -> None:
    """A comment that was written although the server failed afterwards is found again."""
    api.faults = [Fault("POST", 502, NO_WAIT, is_carried_out=True, drops=drops)]
    assert run(str(plan), "--provider", "github") == OK
    assert len(api.bodies) == 1


def test_an_unclear_answer_that_was_a_failure_is_repeated(api: Provider, github: Path, plan: Path) -> None:
    """As long as the comment is not there."""
    api.faults = [Fault("POST", 502, NO_WAIT)]
    assert run(str(plan), "--provider", "github") == OK
    assert len(api.bodies) == 1


def test_a_read_only_token_writes_the_summary(
    api: Provider, github: Path, plan: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """That of a fork's run: exit 0 and a note."""
    api.can_write = False
    assert run(str(plan), "--provider", "github") == OK
    assert github.read_text(encoding="utf-8").startswith(MARKER)
    assert "it is in the job's summary: commenting on pull request 7 of o/r: 403" in capsys.readouterr().err


def test_without_a_token_or_a_pull_request_the_summary_is_written(
    api: Provider, github: Path, plan: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is asked of the server without a token; a push has no pull request."""
    monkeypatch.delenv("GITHUB_TOKEN")
    assert run(str(plan), "--provider", "github") == OK
    assert api.asked == []
    monkeypatch.setenv("GITHUB_TOKEN", TOKEN)
    monkeypatch.delenv("GITHUB_EVENT_PATH")
    assert run(str(plan), "--provider", "github") == OK
    assert api.writes() == []
    assert github.read_text(encoding="utf-8").count(MARKER) == 2


def test_a_wrong_token_fails_and_is_never_shown(
    api: Provider, github: Path, plan: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Neither when the server refuses it, nor when it cannot even be sent."""
    for token in ("ghs_wrongSECRET", "ghs_brokenSECRET\nX-Evil: 1"):
        monkeypatch.setenv("GITHUB_TOKEN", token)
        assert run(str(plan), "--provider", "github") == FAILURE
    captured = capsys.readouterr()
    assert "SECRET" not in captured.out + captured.err
    assert "401 Bad credentials" in captured.err


def test_a_dry_run_reads_and_writes_nothing(
    api: Provider, github: Path, plan: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The comment goes to standard output, what would be done to standard error."""
    api.comment(BOT, f"{MARKER}\nold")
    assert run(str(plan), "--provider", "github", "--dry-run") == OK
    captured = capsys.readouterr()
    assert captured.out.startswith(MARKER)
    assert "it would be updated the comment (1000) on pull request 7" in captured.err
    assert api.writes() == []


def test_gitlab_updates_its_own_note(api: Provider, gitlab: None, plan: Path) -> None:
    """By the id of the token's user; notes of the system and of others do not count."""
    api.comment("mallory", f"{MARKER}\nedit me")
    for _ in range(120):
        api.comment("people", "talk")
    assert run(str(plan), "--provider", "gitlab") == OK
    plan.write_text(saved(ADDED), encoding="utf-8")
    assert run(str(plan), "--provider", "gitlab") == OK
    assert api.writes() == ["POST", "PUT"]
    assert api.bodies[0] == f"{MARKER}\nedit me"
    assert "(https://gitlab.example/o/r/-/jobs/9)" in api.bodies[-1]


def test_gitlabs_job_token_may_not_comment(
    api: Provider, gitlab: None, plan: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The comment goes to the log, and the note says which token would do."""
    monkeypatch.delenv("INFC_COMMENT_TOKEN")
    monkeypatch.setenv("CI_JOB_TOKEN", TOKEN)
    api.is_job_token = True
    assert run(str(plan), "--provider", "gitlab") == OK
    captured = capsys.readouterr()
    assert captured.out.startswith(MARKER)
    assert "set INFC_COMMENT_TOKEN" in captured.err


def test_usage(plan: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A plan or a run, not both; a marker that is a name."""
    assert run("--provider", "github") == USAGE_ERROR
    assert run(str(plan), "--from-run", "--provider", "github") == USAGE_ERROR
    assert run("--from-run", "--provider", "gitlab") == USAGE_ERROR
    assert run(str(plan), "--provider", "github", "--marker", "a --> b") == USAGE_ERROR
    assert "Traceback" not in capsys.readouterr().err


HEAD = {"login": "fork-owner", "sha": "c0ffee" + "0" * 34, "ref": "topic", "repository": 77}


def pull(number: int, *, sha: str = HEAD["sha"], repository: int = 77, state: str = "open") -> dict[str, Any]:  # type: ignore[assignment]
    """A pull request of the fork's branch."""
    head = {"ref": HEAD["ref"], "sha": sha, "repo": {"id": repository}, "user": {"login": HEAD["login"]}}
    return {"number": number, "state": state, "head": head}


@pytest.fixture
def after_run(api: Provider, github: Path, tmp_path: Path) -> Path:
    """The environment of the second workflow: the event is GitHub's, the artifact is the fork's."""
    event = {
        "workflow_run": {
            "id": 31, "event": "pull_request", "head_sha": HEAD["sha"], "head_branch": HEAD["ref"],
            "html_url": "https://github.example/o/r/actions/runs/31", "pull_requests": [],
            "head_repository": {"id": 77, "owner": {"login": HEAD["login"]}},
        }
    }  # fmt: skip
    (tmp_path / "event.json").write_text(json.dumps(event), encoding="utf-8")
    api.pulls = [pull(7), pull(8, sha="dead" * 10), pull(9, repository=78), pull(10, state="closed")]
    keep(api, {"plan.json": saved(REBUILT).encode(), "infc.sarif": b"{}"})
    return github


def keep(api: Provider, files: dict[str, bytes], *, size: int | None = None) -> None:
    """The run's artifact."""
    data = archive(files)
    api.archives = {55: data}
    about = {"id": 55, "name": "infc-plan", "expired": False, "size_in_bytes": len(data) if size is None else size}
    api.artifacts = [{**about, "id": 54, "expired": True}, about]


def test_a_fork_is_commented_on_from_the_artifact(api: Provider, after_run: Path) -> None:
    """The pull request is the one whose head the event names; the store of artifacts never sees the token."""
    assert run("--from-run", "--provider", "github") == OK
    assert api.bodies[0].startswith(f"{MARKER}\n\n## infc plan: 1 to rebuild")
    assert "(https://github.example/o/r/actions/runs/31)" in api.bodies[0]
    assert len(api.store_headers) == 1
    assert not any(TOKEN in value for value in api.store_headers[0].values())


def test_a_number_that_is_not_the_events_is_refused(api: Provider, after_run: Path) -> None:
    """What a fork says cannot lead to another pull request."""
    assert run("--from-run", "--provider", "github", "--pr", "8") == FAILURE
    assert api.writes() == []


def test_a_pull_request_that_moved_on_gets_no_old_plan(api: Provider, after_run: Path) -> None:
    """The run of an older commit finds no head that is its own."""
    api.pulls = [pull(7, sha="beef" * 10)]
    assert run("--from-run", "--provider", "github") == OK
    assert api.writes() == []
    assert MARKER in after_run.read_text(encoding="utf-8")


def test_a_run_without_a_plan_is_no_failure(api: Provider, after_run: Path) -> None:
    """It failed before it planned, and said so there."""
    api.artifacts = []
    assert run("--from-run", "--provider", "github") == OK
    assert api.writes() == []


@pytest.mark.parametrize(
    "files",
    [
        {"other.json": b"{}"},
        {"plan.json": b"not json"},
        {"plan.json": b"[" * 100_000},
        {"plan.json": json.dumps({"format_version": "9.0", "specs": []}).encode()},
        {"plan.json": json.dumps({"format_version": "1.0", "specs": [], "base": "x", "changes": [7]}).encode()},
        {"plan.json": b" " * (33 << 20)},
    ],
    ids=["another-file", "no-json", "deep", "version", "shape", "bomb"],
)
def test_a_hostile_artifact_is_a_clear_error(
    api: Provider, after_run: Path, files: dict[str, bytes], capsys: pytest.CaptureFixture[str]
) -> None:
    """Nothing is written anywhere."""
    keep(api, files)
    assert run("--from-run", "--provider", "github") == FAILURE
    assert api.writes() == []
    assert "error" in capsys.readouterr().err


def test_a_large_or_broken_archive_is_not_read(api: Provider, after_run: Path) -> None:
    """By the size that the API states, and by what comes."""
    keep(api, {"plan.json": b"{}"}, size=1 << 30)
    assert run("--from-run", "--provider", "github") == FAILURE
    assert api.store_headers == []
    keep(api, {"plan.json": b"{}"})
    api.archives = {55: b"PK\x03\x04 no zip"}
    assert run("--from-run", "--provider", "github") == FAILURE
    assert api.writes() == []
