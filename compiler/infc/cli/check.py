"""`infc check`: every diagnostic of every spec."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from infc.cli.edge import OK, SPEC_INVALID

if TYPE_CHECKING:
    from infc.diag import Diagnostic
    from infc.spec import LoadedSpec

FORMATS = ("text", "json", "sarif", "github", "codequality")


@click.command(name="check")
@click.argument("specs", nargs=-1, required=True, metavar="SPEC|DIR...", type=click.Path(path_type=Path))
@click.option(
    "--format",
    "format",
    type=click.Choice(FORMATS),
    default="text",
    show_default=True,
    help="text for people, json and sarif for tools, github for workflow annotations, codequality for GitLab.",
)
@click.option(
    "--show-merged",
    is_flag=True,
    help="Print what each spec amounts to, over its base and shared defaults, with the file and line of every value.",
)
def command(specs: tuple[Path, ...], format: str, show_merged: bool) -> int:
    r"""Check specs: every error at once, with file, line, column and the fix.

    A DIR is searched for *.infc.yaml files, quoted patterns are expanded, and infc-policy.yaml is checked with them.
    Nothing is written, no model is read, no server or network is needed.

    With --show-merged (text or json) the specs go to standard output and the diagnostics to standard error.

    Exits 0 when no file has an error (warnings do not count), 5 otherwise.

    \b
    Examples:
      infc check specs/encoder.infc.yaml
      infc check 'teams/*/specs/**/*.infc.yaml'
      infc check specs/ --format sarif > infc.sarif
      infc check envs/prod.infc.yaml --show-merged
    """
    from infc.diag import has_errors
    from infc.diag.order import in_text_order
    from infc.spec import load_spec

    if show_merged and format not in ("text", "json"):
        raise click.UsageError("--show-merged prints text or json")
    paths = find_specs(specs)
    loaded = [load_spec(path) for path in paths]
    found = dict.fromkeys(d for each in loaded for d in in_text_order(_check(each)))  # what specs share is said once
    diagnostics = (*found, *_name_clashes(loaded), *_policy_problems(loaded))
    if show_merged:
        _print_merged(loaded, diagnostics, format)
    else:
        _print(diagnostics, paths, format)
    return SPEC_INVALID if has_errors(diagnostics) else OK


def find_specs(arguments: tuple[Path, ...]) -> tuple[Path, ...]:
    """The spec files that the arguments name, each once: files, folders, and patterns that no shell has expanded.

    Raises:
        click.UsageError: a folder holds no spec, or a pattern matches none.
    """
    from infc.pipeline.spec_search import is_pattern, specs_matching, specs_under
    from infc.spec import SPEC_SUFFIX

    found: list[Path] = []
    for argument in arguments:
        if argument.is_dir():
            inside = specs_under(argument)
            what = f"no *{SPEC_SUFFIX} file in {argument}"
        elif is_pattern(argument):
            inside = specs_matching(argument)
            what = f"no *{SPEC_SUFFIX} file matches {argument}"
        else:
            found.append(argument)
            continue
        if not inside:
            raise click.UsageError(f"{what} (hidden folders, node_modules and what git ignores are not searched)")
        found += inside
    return tuple(dict.fromkeys(found))


def _check(loaded: "LoadedSpec") -> "Iterator[Diagnostic]":
    from infc.spec import check_hardware_names

    yield from loaded.diagnostics
    spec = loaded.partial
    catalogue = None
    if spec is not None and (spec.constraints.hardware or spec.deploy.targets or spec.pricing.provider):
        from infc.resolve.targets import load_catalogue

        overlay = loaded.workspace.targets
        catalogue = load_catalogue(overlay if overlay.is_dir() else None)
        yield from catalogue.diagnostics
        yield from check_hardware_names(loaded, catalogue)
    if spec is not None and spec.deploy.kubernetes is not None:
        from infc.resolve.object_names import object_name_problems

        yield from object_name_problems(loaded, catalogue)
    yield from _flag_problems(loaded)


def _flag_problems(loaded: "LoadedSpec") -> "Iterator[Diagnostic]":
    """Flags of a vLLM server that the pinned release would not take."""
    options = loaded.partial.deploy.vllm if loaded.partial is not None else None
    if options is not None and options.args:
        from infc.emit.vllm import argument_problems

        yield from argument_problems(options.args, loaded.span)


def _name_clashes(loaded: "list[LoadedSpec]") -> "tuple[Diagnostic, ...]":
    """Specs of one workspace that share a name; those of different workspaces may."""
    by_root: dict[Path, list[LoadedSpec]] = {}
    for each in loaded:
        by_root.setdefault(each.workspace.root, []).append(each)
    groups = [group for group in by_root.values() if len({each.name for each in group}) < len(group)]
    if not groups:
        return ()
    from infc.pipeline.locking import duplicate_names

    return tuple(d for group in groups for d in duplicate_names(group))


def _policy_problems(loaded: "list[LoadedSpec]") -> "tuple[Diagnostic, ...]":
    """The problems of the policies that the specs' plans are judged by."""
    from infc.pipeline.policies import Policies

    policies = Policies()
    for each in loaded:
        policies.of(each.workspace)
    return policies.diagnostics


def _print_merged(loaded: "list[LoadedSpec]", diagnostics: "tuple[Diagnostic, ...]", format: str) -> None:
    from infc.cli.terminal import has_color
    from infc.report.diagnostics_text import render_diagnostics
    from infc.report.merged_spec import merged_specs_json, merged_specs_text

    click.echo(merged_specs_json(loaded) if format == "json" else merged_specs_text(loaded), nl=format == "json")
    if diagnostics:
        click.echo(render_diagnostics(diagnostics, color=has_color(stderr=True)), err=True)


def _print(diagnostics: "tuple[Diagnostic, ...]", paths: tuple[Path, ...], format: str) -> None:
    match format:
        case "json":
            from infc.report.diagnostics_json import diagnostics_json

            click.echo(diagnostics_json(diagnostics, files=len(paths)))
        case "sarif":
            from infc.report.diagnostics_sarif import diagnostics_sarif

            click.echo(diagnostics_sarif(diagnostics))
        case "github":
            from infc.report.diagnostics_github import diagnostics_github

            text = diagnostics_github(diagnostics)
            if text:
                click.echo(text)
        case "codequality":
            from infc.report.diagnostics_codequality import diagnostics_codequality

            click.echo(diagnostics_codequality(diagnostics))
        case _:
            _print_text(diagnostics, paths)


def _print_text(diagnostics: "tuple[Diagnostic, ...]", paths: tuple[Path, ...]) -> None:
    from infc.cli.terminal import has_color
    from infc.report.diagnostics_text import render_diagnostics, summary_line

    specs = f"{len(paths)} spec{'s' if len(paths) != 1 else ''}"
    if not diagnostics:
        click.echo(f"{specs} checked, no problems")
        return
    click.echo(render_diagnostics(diagnostics, color=has_color()))
    click.echo(f"\n{summary_line(diagnostics)} in {specs}")
