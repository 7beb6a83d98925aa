"""`infc init`: a commented starter spec for an ONNX model."""

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from infc.cli.edge import FAILURE, OK, SPEC_INVALID

if TYPE_CHECKING:
    from infc.diag import Diagnostic

SCHEMA = Path("schemas") / "spec.schema.json"


@click.command(name="init")
@click.argument("model", metavar="MODEL.onnx", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "-o",
    "--output",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="Where to write the spec; a folder takes <name>.infc.yaml. Default: <name>.infc.yaml here.",
)
@click.option("--name", help="Name of the deployment. Default: from the model's file name.")
@click.option("--force", is_flag=True, help="Overwrite the file if it exists.")
@click.option("--format", "format", type=click.Choice(["text", "json"]), default="text", show_default=True)
def command(model: Path, output: Path | None, name: str | None, force: bool, format: str) -> int:
    r"""Write a commented starter spec for an ONNX model, by reading the model.

    Inputs, outputs and dynamic axes come from the model; the SLO, the rate and the sizes of the axes are yours to
    replace (marked <-). The result passes `infc check`. Its first line names the JSON Schema by which editors complete
    and check it (schemas/spec.schema.json of the repository, written if it is not there).

    \b
    Examples:
      infc init models/encoder.onnx
      infc init models/encoder.onnx -o specs/ --name product-encoder
    """
    from infc.diag import has_errors
    from infc.ir.spec.names import label_from
    from infc.spec import load_spec_bytes

    chosen = _checked_name(name) if name is not None else label_from(model.stem) or "model"
    path = _spec_path(output, chosen)
    if path.exists() and not force:
        raise click.UsageError(f"{path} is there already; --force overwrites it, -o FILE writes another")
    schema = _schema_file(path)
    text, problems = _starter(model, chosen, path, schema)
    if text is None:
        _show(problems)
        return FAILURE
    loaded = load_spec_bytes(text.encode(), path)
    if has_errors(loaded.diagnostics):
        _show(loaded.diagnostics, {path.as_posix(): text})
        return SPEC_INVALID
    from infc.resolve.atomic_write import write_text_atomically

    write_text_atomically(path, text)
    _show(problems)
    click.echo(f"wrote {path}", err=True)
    _write_schema(schema)
    click.echo(f"next: edit what is marked <-, then infc check {path} && infc plan {path}", err=True)
    if format == "json":
        from infc.report.made_json import starter_json

        click.echo(starter_json(spec=str(path), name=chosen, model=str(model), editor_schema=os.path.relpath(schema)))
    return OK


def _checked_name(name: str) -> str:
    from infc.ir.spec.names import name_problem

    problem = name_problem(name)
    if problem is not None:
        raise click.UsageError(f"{problem[0]}; {problem[1]}")
    return name


def _spec_path(output: Path | None, name: str) -> Path:
    from infc.spec import SPEC_SUFFIX

    if output is None:
        return Path(f"{name}{SPEC_SUFFIX}")
    if output.is_dir() or not output.suffix:
        return output / f"{name}{SPEC_SUFFIX}"
    if not output.name.endswith(SPEC_SUFFIX):
        raise click.UsageError(f"a spec's file name ends in {SPEC_SUFFIX}: -o {output.stem}{SPEC_SUFFIX}")
    return output


def _schema_file(spec: Path) -> Path:
    """The schema that stands nearest above the spec, else the place for one at the root of the repository."""
    from infc.spec import find_workspace

    boundary = find_workspace(spec).boundary
    folder = Path(os.path.realpath(spec)).parent
    inside = [parent for parent in (folder, *folder.parents) if parent.is_relative_to(boundary)]
    places = [parent / SCHEMA for parent in inside]
    return next((place for place in places if place.is_file()), places[-1])


def _write_schema(path: Path) -> None:
    if path.is_file():
        return
    from infc.cli.schema import schema_text
    from infc.resolve.atomic_write import write_text_atomically

    write_text_atomically(path, schema_text("spec"))
    click.echo(f"wrote {os.path.relpath(path)} for editors (a newer infc: infc schema spec > FILE)", err=True)


def _starter(model: Path, name: str, path: Path, schema: Path) -> "tuple[str | None, tuple[Diagnostic, ...]]":
    from infc.report.starter_spec import starter_spec
    from infc.resolve.onnx_analysis import analyse

    result = analyse(model, name)
    if result.profile is None:
        return None, result.diagnostics
    relative = os.path.relpath(model.absolute(), path.absolute().parent)
    shown = Path(os.path.relpath(schema, os.path.realpath(path.absolute().parent)))
    text = starter_spec(result.profile, name=name, model_path=Path(relative).as_posix(), schema_path=shown.as_posix())
    return text, result.diagnostics


def _show(diagnostics: "tuple[Diagnostic, ...]", sources: dict[str, str] | None = None) -> None:
    from infc.cli.terminal import has_color
    from infc.report.diagnostics_text import render_diagnostics

    if diagnostics:
        click.echo(render_diagnostics(diagnostics, color=has_color(stderr=True), sources=sources), err=True)
