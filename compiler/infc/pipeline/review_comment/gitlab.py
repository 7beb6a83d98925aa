"""Comments (notes) of a merge request on GitLab.

Source: GitLab Docs, "Notes API", "CI/CD job token" (it may not write notes) and "Predefined CI/CD variables".
"""

import urllib.parse
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from infc.diag import ToolError
from infc.pipeline.review_comment.post import MAX_PAGES, PER_PAGE, Comment, has_next_page
from infc.pipeline.review_comment.rest import NotAllowedError, Reply, RestApi, checked_token, expected


@dataclass(frozen=True, kw_only=True)
class GitlabPlace:
    """The discussion of one merge request. `is_job_token`: the job's own token, which GitLab lets do little."""

    api: RestApi
    project: str
    number: int
    is_job_token: bool

    @property
    def label(self) -> str:
        """Project and number."""
        return f"merge request {self.number} of project {self.project}"

    def author(self) -> str:
        """The id of the token's user."""
        return str(self._expected(self.api.ask("GET", "/user"), "asking who the token is", 200).json()["id"])

    def comments(self) -> Iterator[Comment]:
        """Page by page, without what the system writes."""
        query: dict[str, str | int] = {"per_page": PER_PAGE, "sort": "asc", "order_by": "created_at"}
        for page in range(1, MAX_PAGES + 1):
            reply = self.api.ask("GET", self._path, query={**query, "page": page})
            found = self._expected(reply, f"reading the notes of {self.label}", 200).json()
            for each in found:
                if not each.get("system"):
                    author = str((each.get("author") or {}).get("id", ""))
                    yield Comment(id=int(each["id"]), author=author, body=str(each.get("body") or ""))
            if not has_next_page(reply.headers, len(found)):
                return

    def create(self, body: str) -> int:
        """A new note."""
        reply = self.api.ask("POST", self._path, body={"body": body})
        return int(self._expected(reply, f"commenting on {self.label}", 201).json()["id"])

    def update(self, id: int, body: str) -> bool:
        """Another text."""
        reply = self.api.ask("PUT", f"{self._path}/{id}", body={"body": body})
        return self._expected(reply, f"updating a note on {self.label}", 200, 404).status == 200

    def delete(self, id: int) -> None:
        """Gone."""
        self._expected(self.api.ask("DELETE", f"{self._path}/{id}"), f"deleting a note on {self.label}", 204, 404)

    @property
    def _path(self) -> str:
        return f"/projects/{urllib.parse.quote(self.project, safe='')}/merge_requests/{self.number}/notes"

    def _expected(self, reply: Reply, what: str, *statuses: int) -> Reply:
        if self.is_job_token and reply.status in (401, 403, 404):
            raise NotAllowedError(f"{what}: CI_JOB_TOKEN may not; set INFC_COMMENT_TOKEN to a project access token")
        return expected(reply, what, *statuses)


def gitlab_place(environment: Mapping[str, str], number: int | None) -> GitlabPlace | None:
    """The merge request of this pipeline, with the token of the project or of the job; None without either.

    Raises:
        ToolError: the environment does not say which project.
    """
    own = environment.get("INFC_COMMENT_TOKEN")
    token = own or environment.get("CI_JOB_TOKEN")
    iid = environment.get("CI_MERGE_REQUEST_IID", "")
    number = int(iid) if number is None and iid.isascii() and iid.isdigit() else number
    if not token or number is None:
        return None
    project = environment.get("CI_MERGE_REQUEST_PROJECT_ID") or environment.get("CI_PROJECT_ID", "")
    if not project:
        raise ToolError("CI_PROJECT_ID is not set", help="set it, or run this in GitLab CI")
    header = "PRIVATE-TOKEN" if own else "JOB-TOKEN"
    api = RestApi(
        url=environment.get("CI_API_V4_URL", "https://gitlab.com/api/v4").rstrip("/"),
        headers={header: checked_token(token)},
    )
    return GitlabPlace(api=api, project=project, number=number, is_job_token=not own)
