"""Comments of a pull request on GitHub, and which pull request a run is about.

Source: GitHub Docs, REST API: "Issue comments", "Pull requests", "Workflow artifacts"; "Events that trigger workflows".
"""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from infc.diag import ToolError
from infc.pipeline.review_comment.post import MAX_PAGES, PER_PAGE, Comment, has_next_page
from infc.pipeline.review_comment.rest import RestApi, checked_token, expected

ACTIONS_AUTHOR = "github-actions[bot]"
_REPOSITORY = re.compile(r"[A-Za-z0-9_.-]{1,100}/[A-Za-z0-9_.-]{1,100}")
_MAX_EVENT_BYTES = 8 << 20


@dataclass(frozen=True, kw_only=True)
class GithubPlace:
    """The conversation of one pull request."""

    api: RestApi
    repository: str
    number: int

    @property
    def label(self) -> str:
        """Repository and number."""
        return f"pull request {self.number} of {self.repository}"

    def author(self) -> str:
        """The token's user; a token of GitHub Actions has none and comments as its bot."""
        reply = self.api.ask("GET", "/user")
        if reply.status in (403, 404):
            return ACTIONS_AUTHOR
        return str(expected(reply, "asking who the token is", 200).json()["login"])

    def comments(self) -> Iterator[Comment]:
        """Page by page."""
        path = f"/repos/{self.repository}/issues/{self.number}/comments"
        for page in range(1, MAX_PAGES + 1):
            reply = self.api.ask("GET", path, query={"per_page": PER_PAGE, "page": page})
            found = expected(reply, f"reading the comments of {self.label}", 200).json()
            for each in found:
                author = (each.get("user") or {}).get("login") or ""
                yield Comment(id=int(each["id"]), author=str(author), body=str(each.get("body") or ""))
            if not has_next_page(reply.headers, len(found)):
                return

    def create(self, body: str) -> int:
        """A new comment."""
        path = f"/repos/{self.repository}/issues/{self.number}/comments"
        reply = self.api.ask("POST", path, body={"body": body})
        return int(expected(reply, f"commenting on {self.label}", 201).json()["id"])

    def update(self, id: int, body: str) -> bool:
        """Another text."""
        reply = self.api.ask("PATCH", f"/repos/{self.repository}/issues/comments/{id}", body={"body": body})
        return expected(reply, f"updating a comment on {self.label}", 200, 404, 410).status == 200

    def delete(self, id: int) -> None:
        """Gone."""
        reply = self.api.ask("DELETE", f"/repos/{self.repository}/issues/comments/{id}")
        expected(reply, f"deleting a comment on {self.label}", 204, 404, 410)


@dataclass(frozen=True, kw_only=True)
class Run:
    """The run of another workflow that started this one, as GitHub's own event names it."""

    id: int
    url: str
    event: str
    head_sha: str
    head_branch: str
    head_owner: str
    head_repository: int


def github_api(environment: Mapping[str, str]) -> RestApi | None:
    """The API of this run's server; None without a token."""
    token = environment.get("INFC_COMMENT_TOKEN") or environment.get("GITHUB_TOKEN")
    if not token:
        return None
    headers = {
        "Authorization": f"Bearer {checked_token(token)}",
        "Accept": "application/vnd.github+json",
        "X-GitHub-Api-Version": "2022-11-28",
    }
    return RestApi(url=environment.get("GITHUB_API_URL", "https://api.github.com").rstrip("/"), headers=headers)


def github_repository(environment: Mapping[str, str]) -> str:
    """`owner/name` of this run.

    Raises:
        ToolError: the run does not say it.
    """
    repository = environment.get("GITHUB_REPOSITORY", "")
    if not _REPOSITORY.fullmatch(repository):
        raise ToolError("GITHUB_REPOSITORY is not owner/name", help="set it, or run this in GitHub Actions")
    return repository


def github_place(environment: Mapping[str, str], api: RestApi, number: int | None) -> GithubPlace | None:
    """The pull request that this run is about: the event's own, or that of the run which started it.

    None where there is none (a push, a merge queue, a pull request that has moved on). A `number` that someone gave is
    checked against the event where the event names a commit: what a fork wrote cannot lead to another pull request.

    Raises:
        ToolError: the number is not of the event, or several pull requests are of one commit.
    """
    repository = github_repository(environment)
    event = _event(environment)
    run = run_of(event)
    if run is not None:
        number = _number_of(api, repository, run, number)
    elif number is None:
        found = (event.get("pull_request") or {}).get("number")
        number = found if isinstance(found, int) else None
    return None if number is None else GithubPlace(api=api, repository=repository, number=number)


def event_run(environment: Mapping[str, str]) -> Run | None:
    """The run that started this one (`on: workflow_run`); None in any other event."""
    return run_of(_event(environment))


def run_of(event: Mapping[str, Any]) -> Run | None:
    """The run of a `workflow_run` event."""
    run = event.get("workflow_run")
    if not isinstance(run, dict):
        return None
    head = run.get("head_repository") or {}
    return Run(
        id=int(run["id"]),
        url=str(run.get("html_url") or ""),
        event=str(run.get("event") or ""),
        head_sha=str(run.get("head_sha") or ""),
        head_branch=str(run.get("head_branch") or ""),
        head_owner=str((head.get("owner") or {}).get("login") or ""),
        head_repository=int(head.get("id") or 0),
    )


def _number_of(api: RestApi, repository: str, run: Run, number: int | None) -> int | None:
    """The open pull request whose head is the commit that the run planned."""
    if run.event != "pull_request" or not run.head_owner:
        return None
    query: dict[str, str | int] = {
        "state": "open", "head": f"{run.head_owner}:{run.head_branch}", "per_page": PER_PAGE
    }  # fmt: skip
    reply = expected(api.ask("GET", f"/repos/{repository}/pulls", query=query), "looking for the pull request", 200)
    found = [int(each["number"]) for each in reply.json() if _is_head(each.get("head") or {}, run)]
    if number is not None:
        if found and number not in found:
            raise ToolError(f"pull request {number} is not the one that the run planned ({found[0]})")
        return number if number in found else None
    if len(found) > 1:
        numbers = ", ".join(map(str, sorted(found)))
        raise ToolError(f"the run's commit is the head of several pull requests: {numbers}", help="name one with --pr")
    return found[0] if found else None


def _is_head(head: Mapping[str, Any], run: Run) -> bool:
    return head.get("sha") == run.head_sha and (head.get("repo") or {}).get("id") == run.head_repository


def _event(environment: Mapping[str, str]) -> Mapping[str, Any]:
    path = environment.get("GITHUB_EVENT_PATH")
    if not path:
        return {}
    try:
        with Path(path).open("rb") as stream:
            event = json.loads(stream.read(_MAX_EVENT_BYTES))
    except (OSError, ValueError, RecursionError) as error:
        raise ToolError(f"GITHUB_EVENT_PATH cannot be read: {type(error).__name__}") from error
    return event if isinstance(event, dict) else {}
