"""The comment of a pull or merge request: found by its marker, updated in place, through the provider's REST API."""

from infc.pipeline.review_comment.github import GithubPlace, github_place
from infc.pipeline.review_comment.gitlab import GitlabPlace, gitlab_place
from infc.pipeline.review_comment.post import Behavior, Outcome, post_comment
from infc.pipeline.review_comment.rest import NotAllowedError, RestApi

__all__ = [
    "Behavior",
    "GithubPlace",
    "GitlabPlace",
    "NotAllowedError",
    "Outcome",
    "RestApi",
    "github_place",
    "gitlab_place",
    "post_comment",
]
