"""One comment of ours on a request: created, updated in place, or replaced."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal, Protocol, TypeAlias, assert_never

from infc.diag import ToolError
from infc.pipeline.review_comment.rest import UnsettledError

Behavior: TypeAlias = Literal["update", "new", "delete-and-new"]
MAX_PAGES = 100
PER_PAGE = 100
_TRIES = 3


@dataclass(frozen=True, kw_only=True)
class Comment:
    """A comment as the provider has it; `author` is whatever the provider knows its users by."""

    id: int
    author: str
    body: str


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What was done (or, of a dry run, would be), to which comment (None: a new one)."""

    action: Literal["created", "updated", "unchanged", "replaced", "silent"]
    comment: int | None


class Place(Protocol):
    """Where comments stand: one pull or merge request."""

    @property
    def label(self) -> str:
        """`pull request 7 of owner/name`."""

    def author(self) -> str:
        """Whom the token's comments are from."""

    def comments(self) -> Iterator[Comment]:
        """Every comment, oldest first."""

    def create(self, body: str) -> int:
        """A new comment; its id."""

    def update(self, id: int, body: str) -> bool:
        """Another text; False when the comment is gone."""

    def delete(self, id: int) -> None:
        """Gone, also when it was before."""


def post_comment(place: Place, body: str, *, behavior: Behavior, is_news: bool = True, is_dry: bool = False) -> Outcome:
    """Put `body` there; its first line is the marker. Only comments of the token's own author with it are touched.

    What is no news updates a comment that is there, and begins none (silent).

    Raises:
        NotAllowedError: the token may not write there.
        ToolError: the provider fails or cannot be reached.
    """
    marker = body.partition("\n")[0]
    author = place.author()
    for attempt in range(_TRIES):
        own = [each for each in place.comments() if each.author == author and _marked(each.body) == marker]
        if attempt and own and _same(own[-1].body, body):
            return Outcome(action="created", comment=own[-1].id)
        if not own and not is_news:
            return Outcome(action="silent", comment=None)
        try:
            return _settled(place, own, body, behavior, is_dry=is_dry)
        except UnsettledError as error:
            if attempt == _TRIES - 1:
                raise ToolError(f"no clear answer to a new comment on {place.label}: {error}") from error
    raise AssertionError("unreachable")


def _settled(place: Place, own: list[Comment], body: str, behavior: Behavior, *, is_dry: bool) -> Outcome:
    match behavior:
        case "update":
            if not own:
                return Outcome(action="created", comment=None if is_dry else place.create(body))
            last = own[-1]
            if _same(last.body, body):
                return Outcome(action="unchanged", comment=last.id)
            if is_dry or place.update(last.id, body):
                return Outcome(action="updated", comment=last.id)
            return Outcome(action="created", comment=place.create(body))
        case "new":
            return Outcome(action="created", comment=None if is_dry else place.create(body))
        case "delete-and-new":
            created = None if is_dry else place.create(body)
            for each in () if is_dry else own:
                place.delete(each.id)
            return Outcome(action="replaced" if own else "created", comment=created)
        case _:
            assert_never(behavior)


def has_next_page(headers: Mapping[str, str], count: int) -> bool:
    """Whether a list goes on: by the Link header (GitHub), x-next-page (GitLab), or a page that is full."""
    if "link" in headers:
        return 'rel="next"' in headers["link"]
    if "x-next-page" in headers:
        return bool(headers["x-next-page"].strip())
    return count >= PER_PAGE


def _marked(body: str) -> str:
    return body.partition("\n")[0].rstrip("\r")


def _same(old: str, new: str) -> bool:
    return old.replace("\r\n", "\n").strip() == new.strip()
