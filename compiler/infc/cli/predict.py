"""`infc predict`: one model on one device, or a language model on a group of equal devices."""

from pathlib import Path
from typing import TYPE_CHECKING, cast

import click
from click.core import ParameterSource

from infc.cli.complete import hardware_ids
from infc.cli.edge import FAILURE, OK, SPEC_INVALID

if TYPE_CHECKING:
    from infc.diag import Diagnostic
    from infc.ir.prediction import Engine, StepTimeSource

PRECISIONS = ("fp32", "tf32", "bf16", "fp16", "fp8", "int8", "int4", "fp4")
CACHE_PRECISIONS = ("bf16", "fp16", "fp8", "int8", "fp4")
_ONNX_OPTIONS = ("batch", "axes", "dla")
_LLM_OPTIONS = (
    *("tp", "concurrency", "isl", "osl", "kv_precision", "engine"),
    *("max_num_seqs", "max_num_batched_tokens", "step_times"),
)
_LLM_NEEDED = ("concurrency", "isl", "osl")
_NOT_ABLE = frozenset({"predict-unsupported", "predict-memory"})
_MOST_TOKENS = 10_000_000


def _axes(_ctx: click.Context, _param: click.Parameter, values: tuple[str, ...]) -> dict[str, int]:
    axes: dict[str, int] = {}
    for part in (part for value in values for part in value.split(",")):
        name, _, size = part.partition("=")
        if not name or not size.isascii() or not size.isdigit() or not 0 < int(size) <= 100_000_000:
            raise click.BadParameter(f"{part!r} is not NAME=SIZE, such as sequence=180")
        axes[name.strip()] = int(size)
    return axes


@click.command(name="predict")
@click.argument("model", metavar="MODEL.onnx|CONFIG.json", type=click.Path(path_type=Path))
@click.option(
    "--hardware", required=True, metavar="ID", shell_complete=hardware_ids,
    help="Device of the catalogue: infc targets list.",
)  # fmt: skip
@click.option(
    "--precision", type=click.Choice(PRECISIONS), help="Of the matrix products. Default for an LLM: the checkpoint's."
)
@click.option("--batch", type=click.IntRange(1, 65536), default=1, help="ONNX: items per execution.  [default: 1]")
@click.option("--axes", multiple=True, callback=_axes, metavar="NAME=SIZE", help="ONNX: sizes of dynamic axes.")
@click.option("--tp", type=click.IntRange(1, 1024), default=1, help="LLM: devices that share the model.  [default: 1]")
@click.option("--concurrency", type=click.IntRange(1, 65536), help="LLM: requests in the server at any time.")
@click.option("--isl", type=click.IntRange(1, _MOST_TOKENS), help="LLM: prompt tokens of a request.")
@click.option("--osl", type=click.IntRange(1, _MOST_TOKENS), help="LLM: output tokens of a request.")
@click.option("--kv-precision", type=click.Choice(CACHE_PRECISIONS), help="LLM: of the cache. Default: as served.")
@click.option(
    "--engine",
    type=click.Choice(("vllm", "trtllm", "sglang")),
    default="vllm",
    help="LLM: the server.  [default: vllm]",
)
@click.option("--max-num-seqs", type=click.IntRange(1, 65536), help="LLM: default as vLLM sets it for the device.")
@click.option("--max-num-batched-tokens", type=click.IntRange(1, 1_048_576), help="LLM: token budget of a step.")
@click.option(
    "--step-times",
    type=click.Choice(("model", "aic")),
    default="model",
    help="LLM: infc's own model, or aiconfigurator's tables where it has them (extra aic).",
)
@click.option("--power-mode", metavar="MODE", help="nvpmodel mode of a Jetson module, such as 25W.")
@click.option("--dla", is_flag=True, help="ONNX: throughput with the module's DLAs beside its GPU (INT8).")
@click.option("--format", "format", type=click.Choice(("text", "json")), default="text", show_default=True)
@click.option(
    "--overlay",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="Your own hardware and prices. Default: targets/ of the model's workspace, if any.",
)
@click.pass_context
def command(
    context: click.Context,
    model: Path,
    hardware: str,
    precision: str | None,
    batch: int,
    axes: dict[str, int],
    tp: int,
    concurrency: int | None,
    isl: int | None,
    osl: int | None,
    kv_precision: str | None,
    engine: str,
    max_num_seqs: int | None,
    max_num_batched_tokens: int | None,
    step_times: str,
    power_mode: str | None,
    dla: bool,
    format: str,
    overlay: Path | None,
) -> int:
    r"""Predict one model on one device: latency, throughput, memory, power, each with its 90% interval.

    An ONNX model: one execution at a time, back to back, as published benchmarks run: inputs and outputs stay on
    the device, no server and no queue; a Jetson module runs at its data sheet's clocks unless --power-mode names a
    mode. With --dla the throughput is of its GPU and its deep learning accelerators together, the latency of the GPU. A
    stored measurement of this model wins over the prediction (basis: measured); of other models on the device,
    it corrects it (calibrated).

    A language model (its config.json, or the folder of its checkpoint): a server with so many requests in its hands at
    any time, as published benchmarks run. Means over the requests: time to first token, time per output token, latency
    of a whole request, output tokens per second. Memory is of one device, power of all.

    Exits 0 with an estimate, 1 when the device cannot run it, 5 when the model or a name is wrong.

    \b
    Examples:
      infc predict resnet50.onnx --hardware l4 --precision int8 --batch 8
      infc predict encoder.onnx --hardware a100-sxm-80gb --precision fp16 --batch 32 --axes sequence=180
      infc predict qwen3-8b/config.json --hardware h100-sxm --concurrency 64 --isl 1024 --osl 1024
      infc predict llama-70b/ --hardware h100-sxm --precision fp8 --tp 4 --concurrency 32 --isl 8192 --osl 1024
    """
    if model.suffix != ".json" and not model.is_dir():
        return _predict_onnx(context, model, hardware, precision, batch, axes, power_mode, dla, format, overlay)
    _refuse_options(context, _ONNX_OPTIONS, "is for ONNX models; this is the config of a language model")
    if concurrency is None or isl is None or osl is None:
        missing = ", ".join(f"--{name}" for name in _LLM_NEEDED if context.params[name] is None)
        raise click.UsageError(f"a language model needs {missing}; for example --concurrency 32 --isl 1024 --osl 256")
    if max_num_seqs is not None and max_num_batched_tokens is not None and max_num_batched_tokens < max_num_seqs:
        raise click.UsageError("--max-num-batched-tokens is at least --max-num-seqs: each sequence takes one token")
    from infc.ir.precision import Precision
    from infc.ir.prediction import LlmQuestion
    from infc.pipeline.predict_llm import predict_llm

    result = predict_llm(
        LlmQuestion(
            model=model,
            hardware=hardware,
            precision=None if precision is None else Precision(precision),
            kv_precision=None if kv_precision is None else Precision(kv_precision),
            tensor_parallel=tp,
            concurrency=concurrency,
            prompt_tokens=isl,
            output_tokens=osl,
            engine=cast("Engine", engine),
            power_mode=power_mode,
            max_num_seqs=max_num_seqs,
            max_num_batched_tokens=max_num_batched_tokens,
            step_times=cast("StepTimeSource", step_times),
        ),
        overlay,
    )
    if isinstance(result, tuple):
        return _failed(result)
    _show(result.diagnostics)
    from infc.report.predict_llm_report import render_llm_prediction_json, render_llm_prediction_text

    click.echo(render_llm_prediction_json(result) if format == "json" else render_llm_prediction_text(result))
    return OK


def _predict_onnx(
    context: click.Context,
    model: Path,
    hardware: str,
    precision: str | None,
    batch: int,
    axes: dict[str, int],
    power_mode: str | None,
    dla: bool,
    format: str,
    overlay: Path | None,
) -> int:
    _refuse_options(context, _LLM_OPTIONS, "is for language models (a config.json); this is an ONNX model")
    if precision is None:
        raise click.UsageError("an ONNX model needs --precision; for example --precision fp16")
    from infc.ir.precision import Precision
    from infc.ir.prediction import PredictQuestion
    from infc.pipeline.predict import predict

    result = predict(
        PredictQuestion(
            model=model,
            hardware=hardware,
            precision=Precision(precision),
            batch=batch,
            axes=axes,
            power_mode=power_mode,
            with_dla=dla,
        ),
        overlay,
    )
    if isinstance(result, tuple):
        return _failed(result)
    _show(result.diagnostics)
    from infc.report.predict_report import render_prediction_json, render_prediction_text

    click.echo(render_prediction_json(result) if format == "json" else render_prediction_text(result))
    return OK


def _refuse_options(context: click.Context, names: tuple[str, ...], why: str) -> None:
    """A usage error for the first option of the other kind of model that was written."""
    for name in names:
        if context.get_parameter_source(name) is ParameterSource.COMMANDLINE:
            raise click.UsageError(f"--{name.replace('_', '-')} {why}")


def _failed(diagnostics: "tuple[Diagnostic, ...]") -> int:
    _show(diagnostics)
    return FAILURE if any(d.id in _NOT_ABLE for d in diagnostics) else SPEC_INVALID


def _show(diagnostics: "tuple[Diagnostic, ...]") -> None:
    if not diagnostics:
        return
    from infc.cli.terminal import has_color
    from infc.report.diagnostics_text import render_diagnostics

    click.echo(render_diagnostics(diagnostics, color=has_color(stderr=True)), err=True)
