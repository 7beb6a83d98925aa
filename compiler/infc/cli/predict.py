"""`infc predict`: one model on one device."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from infc.cli.edge import FAILURE, OK, SPEC_INVALID

if TYPE_CHECKING:
    from infc.diag import Diagnostic

PRECISIONS = ("fp32", "tf32", "bf16", "fp16", "fp8", "int8", "int4", "fp4")


def _axes(_ctx: click.Context, _param: click.Parameter, values: tuple[str, ...]) -> dict[str, int]:
    axes: dict[str, int] = {}
    for part in (part for value in values for part in value.split(",")):
        name, _, size = part.partition("=")
        if not name or not size.isascii() or not size.isdigit() or not 0 < int(size) <= 100_000_000:
            raise click.BadParameter(f"{part!r} is not NAME=SIZE, such as sequence=180")
        axes[name.strip()] = int(size)
    return axes


@click.command(name="predict")
@click.argument("model", metavar="MODEL.onnx", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--hardware", required=True, metavar="ID", help="Device of the catalogue: infc targets list.")
@click.option("--precision", required=True, type=click.Choice(PRECISIONS))
@click.option("--batch", type=click.IntRange(1, 65536), default=1, show_default=True, help="Items per execution.")
@click.option("--axes", multiple=True, callback=_axes, metavar="NAME=SIZE", help="Sizes of dynamic axes: sequence=180.")
@click.option("--power-mode", metavar="MODE", help="nvpmodel mode of a Jetson module, such as 25W.")
@click.option("--format", "format", type=click.Choice(("text", "json")), default="text", show_default=True)
@click.option(
    "--overlay",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="Your own hardware and prices. Default: targets/ of the model's workspace, if any.",
)
def command(
    model: Path,
    hardware: str,
    precision: str,
    batch: int,
    axes: dict[str, int],
    power_mode: str | None,
    format: str,
    overlay: Path | None,
) -> int:
    r"""Predict one model on one device: latency, throughput, memory, power, each with its 90% interval.

    One execution at a time, back to back, as published benchmarks run: copies to and from the device included, no
    server and no queue. A stored measurement of this model wins over the prediction (basis: measured).

    Exits 0 with an estimate, 1 when the device cannot run it, 5 when the model or a name is wrong.

    \b
    Examples:
      infc predict resnet50.onnx --hardware l4 --precision int8 --batch 8
      infc predict encoder.onnx --hardware a100-sxm-80gb --precision fp16 --batch 32 --axes sequence=180
    """
    if model.suffix == ".json":
        raise click.UsageError("language models (config.json) are not predicted by this version; give an ONNX file")
    from infc.ir.precision import Precision
    from infc.ir.prediction import PredictQuestion
    from infc.pipeline.predict import predict

    question = PredictQuestion(
        model=model, hardware=hardware, precision=Precision(precision), batch=batch, axes=axes, power_mode=power_mode
    )
    result = predict(question, overlay)
    if isinstance(result, tuple):
        _show(result)
        return FAILURE if any(d.id == "predict-unsupported" for d in result) else SPEC_INVALID
    _show(result.diagnostics)
    from infc.report.predict_report import render_prediction_json, render_prediction_text

    click.echo(render_prediction_json(result) if format == "json" else render_prediction_text(result))
    return OK


def _show(diagnostics: "tuple[Diagnostic, ...]") -> None:
    if not diagnostics:
        return
    from infc.cli.terminal import has_color
    from infc.report.diagnostics_text import render_diagnostics

    click.echo(render_diagnostics(diagnostics, color=has_color(stderr=True)), err=True)
