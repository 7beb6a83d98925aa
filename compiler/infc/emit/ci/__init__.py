"""The files that a CI provider runs: what `infc ci init` writes."""

from typing import Literal, TypeAlias, assert_never

from infc.emit.ci.options import CiOptions, Runner

Provider: TypeAlias = Literal["github", "gitlab"]


def ci_files(provider: Provider, options: CiOptions) -> dict[str, str]:
    """Path within the repository -> text. The same options give the same bytes."""
    match provider:
        case "github":
            from infc.emit.ci.github import github_files

            return github_files(options)
        case "gitlab":
            from infc.emit.ci.gitlab import gitlab_files

            return gitlab_files(options)
        case _:
            assert_never(provider)


__all__ = ["CiOptions", "Provider", "Runner", "ci_files"]
