"""`infc ci init`: the workflow files of a provider."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import click

from infc import __version__
from infc.cli.edge import FAILURE, OK
from infc.cli.report import marker_option

if TYPE_CHECKING:
    from infc.emit.ci import CiOptions, Provider, Runner

_PATH = re.compile(r"(?!-)[\w.@+/ -]+")
_REQUIREMENT = re.compile(r"(?!-)[\w.,\[\]=<>!~@:/+ ;()'#&?%-]+")
_BRANCH = re.compile(r"(?![-/.])(?!.*(\.\.|//|@\{|\.lock(/|$)))[\w./@+-]+(?<![/.])")
_BUILDER = re.compile(r"(?!-)[\w.@:/?&=%+~\[\]-]+")


_Callback: TypeAlias = Callable[[click.Context, click.Parameter, "str | None"], "str | None"]


def _of(pattern: re.Pattern[str], what: str) -> _Callback:
    """A text that is inert in YAML, in a shell variable and in an expression of the provider."""

    def checked(_ctx: click.Context, _param: click.Parameter, value: str | None) -> str | None:
        if value is not None and value and not pattern.fullmatch(value):
            raise click.BadParameter(f"{value!r} is not {what}")
        return value

    return checked


@click.command(name="init", short_help="Write the workflow files of a provider.")
@click.option("--provider", type=click.Choice(["github", "gitlab"]), required=True)
@click.option(
    "--dir", "root", metavar="DIR", type=click.Path(path_type=Path, exists=True, file_okay=False), default=Path(),
    show_default=True, help="Root of the repository.",
)  # fmt: skip
@click.option(
    "--specs", metavar="PATH", default=".", show_default=True, callback=_of(_PATH, "a plain relative path"),
    help="Spec or folder to plan, relative to the root.",
)  # fmt: skip
@click.option(
    "--runner", type=click.Choice(["gpu", "remote", "none"]), default="none", show_default=True,
    help="Where engines are built: on a runner with a GPU, by a remote builder, or none: those that need no GPU.",
)  # fmt: skip
@click.option(
    "--builder", metavar="PLACE", default="", callback=_of(_BUILDER, "a place such as ssh://ci@l4-box"),
    help="For --runner remote: ssh://.. or k8s://.. Default: the variable INFC_BUILDER of the repository.",
)  # fmt: skip
@click.option(
    "--branch", metavar="NAME", default="main", show_default=True, callback=_of(_BRANCH, "the name of a branch"),
    help="Pull requests into it are planned, and what is merged to it is compiled.",
)  # fmt: skip
@click.option(
    "--rendered", metavar="BRANCH", callback=_of(_BRANCH, "the name of a branch"),
    help="Also push the Kubernetes manifests of the bundles to this branch, for Argo CD or Flux.",
)  # fmt: skip
@click.option(
    "--requirement", metavar="SPEC", default=f"infc[onnx,triton]=={__version__}", show_default=True,
    callback=_of(_REQUIREMENT, "a requirement or an address for pip"), help="What pip installs to get infc.",
)  # fmt: skip
@marker_option
@click.option("--force", is_flag=True, help="Overwrite files that are there.")
@click.option("--dry-run", is_flag=True, help="Print the files instead of writing them.")
def command(
    provider: "Provider",
    root: Path,
    specs: str,
    runner: "Runner",
    builder: str,
    branch: str,
    rendered: str | None,
    requirement: str,
    marker: str,
    force: bool,
    dry_run: bool,
) -> int:
    r"""Write workflow files that plan on a pull request and compile what was merged.

    A pull request gets one comment that says what it does to decisions, latency and cost, annotations at the changed
    lines, and fails when a promise cannot be kept. Forks are planned without secrets and with a token that only reads.
    What is merged is compiled exactly as infc.lock says. Files that are there are left alone unless --force is given.

    Exits 0 when every file is written or was there with the same content, 1 when another one is in the way.

    \b
    Examples:
      infc ci init --provider github --specs specs/
      infc ci init --provider github --runner gpu --rendered rendered/production
      infc ci init --provider gitlab --runner remote --builder ssh://ci@l4-box --dry-run
    """
    from infc.emit.ci import CiOptions, ci_files

    if builder and runner != "remote":
        raise click.UsageError("--builder is for --runner remote")
    if ".." in Path(specs).parts or Path(specs).is_absolute():
        raise click.UsageError(f"--specs {specs} is not inside the repository")
    if (top := _top_above(root)) is not None:
        raise click.UsageError(f"{root} is not the top of its repository, where alone workflows are read: --dir {top}")
    if not (root / specs).exists():
        raise click.UsageError(f"there is no {specs} in {root}")
    options = CiOptions(
        specs=specs,
        requirement=requirement,
        branch=branch,
        runner=runner,
        builder=builder,
        marker=marker,
        rendered=rendered,
    )
    files = ci_files(provider, options)
    if dry_run:
        click.echo("\n".join(f"--- {path}\n{text}" for path, text in files.items()), nl=False)
        return OK
    left = _written(root, files, force=force)
    for line in _next_steps(provider, options, left, has_stages=_has_stages(root)):
        click.echo(line, err=True)
    return FAILURE if any(not _is_optional(path) for path in left) else OK


def _top_above(root: Path) -> Path | None:
    """The repository's top folder, where `root` lies below it."""
    here = root.resolve()
    if (here / ".git").exists():
        return None
    return next((folder for folder in here.parents if (folder / ".git").exists()), None)


def _has_stages(root: Path) -> bool:
    """Whether GitLab's root file has stages of its own: those of infc's jobs are then not there by default."""
    from infc.emit.ci.gitlab import ROOT

    file = root / ROOT
    return file.is_file() and re.search(rb"^stages:", file.read_bytes(), re.MULTILINE) is not None


def _written(root: Path, files: dict[str, str], *, force: bool) -> list[str]:
    """Write the files; the paths that others stand in the way of. When one that matters does, nothing is written."""
    from infc.resolve.atomic_write import write_text_atomically

    other = [path for path, text in files.items() if _differs(root / path, text)]
    if not force and any(not _is_optional(path) for path in other):
        for path in other:
            click.echo(f"error: {root / path} is there already and differs; --force overwrites it", err=True)
        return other
    left = [path for path in other if _is_optional(path) or not force]
    for path, text in files.items():
        if path not in left:
            write_text_atomically(root / path, text)
            click.echo(f"wrote {root / path}", err=True)
    return left


def _differs(path: Path, text: str) -> bool:
    return path.is_file() and path.read_bytes() != text.encode()


def _is_optional(path: str) -> bool:
    """GitLab's root file belongs to the repository: infc makes it where there is none, and never changes it."""
    from infc.emit.ci.gitlab import ROOT

    return path == ROOT


def _next_steps(provider: "Provider", options: "CiOptions", left: list[str], *, has_stages: bool) -> list[str]:
    if any(not _is_optional(path) for path in left):
        return []
    secrets = "INFC_BUILDER_SSH_KEY (secret) and INFC_BUILDER_KNOWN_HOSTS, or INFC_BUILDER_KUBECONFIG"
    steps = []
    if provider == "gitlab":
        from infc.emit.ci.gitlab import INCLUDED, ROOT

        steps += [f"add to {ROOT}:  include: [{{local: {INCLUDED}}}]"] if left else []
        steps += [f"see that stages: of {ROOT} has test and deploy, in this order"] if left and has_stages else []
        steps.append("set INFC_COMMENT_TOKEN: a project access token, role Reporter, scope api, masked, not protected")
        steps += ["set INFC_PUSH_TOKEN: a token that may push, masked and protected"] if options.rendered else []
        secrets = "BUILDER_SSH_KEY and BUILDER_KNOWN_HOSTS, or BUILDER_KUBECONFIG, all protected"
    else:
        steps.append("merge these files: the comment is written once they are on the default branch")
        steps.append("require the check `plan` for pull requests (Settings, Rules)")
    match options.runner:
        case "gpu":
            steps.append(
                "give the runner with the GPU the label `gpu`" + (" (and linux)" if provider == "github" else "")
            )
        case "remote":
            steps += [] if options.builder else ["set the variable INFC_BUILDER: ssh://user@host or k8s://namespace?.."]
            steps.append(f"set {secrets}")
        case "none":
            steps.append("engines that need their GPU are not built: --runner gpu or remote does (docs/builders.md)")
    return [f"next: {step}" for step in steps]
