"""`infc validate`: serve a bundle on the real server, offer the spec's traffic, judge it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import click

from infc.ir.quantity import QuantityError, parse_duration_s, parse_rate_rps

_MIN_BUDGET_S = 5.0
_MAX_BUDGET_S = 24 * 3600.0


def _budget_s(_ctx: click.Context, _param: click.Parameter, value: str | None) -> float | None:
    if value is None:
        return None
    try:
        seconds = parse_duration_s(value)
    except QuantityError as error:
        raise click.BadParameter(f"{error.message}: {error.help}") from None
    if not _MIN_BUDGET_S <= seconds <= _MAX_BUDGET_S:
        raise click.BadParameter(f"{value!r} is not between {_MIN_BUDGET_S:g}s and 24h")
    return seconds


def _rate_rps(_ctx: click.Context, _param: click.Parameter, value: str | None) -> float | None:
    try:
        return None if value is None else parse_rate_rps(value)
    except QuantityError as error:
        raise click.BadParameter(f"{error.message}: {error.help}") from None


@click.command(name="validate")
@click.argument("subject", metavar="BUNDLE|SPEC", type=click.Path(path_type=Path))
@click.argument("device", metavar="[ssh://DEVICE]", required=False)
@click.option(
    "--endpoint",
    metavar="URL",
    help="Test a server that already runs: Triton by its gRPC address (grpc://host:8001), vLLM by its HTTP address "
    "(http://host:8000).",
)
@click.option(
    "--rehearse",
    "is_rehearsal",
    is_flag=True,
    help="For a GPU bundle without the GPU: the real server and scheduler, the plan's service or step times.",
)
@click.option(
    "--load-generator",
    type=click.Choice(["infc", "aiperf", "guidellm", "vllm-bench"]),
    default="infc",
    show_default=True,
    help="Who sends the requests to a language model: infc, or a tool that is installed here.",
)
@click.option(
    "--import",
    "imported",
    metavar="FILE",
    type=click.Path(exists=True, path_type=Path),
    help="Judge a result of vllm bench serve, AIPerf (file or folder) or guidellm by a language model's bundle; "
    "nothing is started.",
)
@click.option(
    "--budget",
    "budget_s",
    metavar="TIME",
    callback=_budget_s,
    help="Longest load. Default: 120s, and 300s for a language model.",
)
@click.option(
    "--rate",
    "rate_rps",
    metavar="RATE",
    callback=_rate_rps,
    help="Offered rate. Default: a replica's share of the peak.",
)
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Seed of the arrivals and requests.")
@click.option(
    "--axes",
    "axis_sizes",
    type=click.Choice(["padded", "drawn"]),
    default="padded",
    show_default=True,
    help="Dynamic axes: padded to the largest size, as the plan assumes, or drawn from workload.axes.",
)
@click.option(
    "--realtime/--no-realtime",
    "is_realtime",
    default=None,
    help="Real-time priority for server and client. Default: where it can be had; for a vLLM only the client's.",
)
@click.option(
    "-o", "--output", metavar="DIR", type=click.Path(path_type=Path), default=Path("dist"), show_default=True,
    help="Where bundles are, when a SPEC is named.",
)  # fmt: skip
@click.option("--dry-run", "is_dry_run", is_flag=True, help="On a device: copy, verify and match; install nothing.")
@click.option(
    "--allow-downgrade",
    "allows_downgrade",
    is_flag=True,
    help="On a device: also take a release older than the one in service.",
)
@click.option(
    "--keep-timing-cache",
    "keeps_timing",
    is_flag=True,
    help="On a device: bring the kernel times of its build back, for the next bundle.",
)
@click.option(
    "--store/--no-store",
    "is_stored",
    default=True,
    show_default=True,
    help="Keep measured service or step times in infc-profiles/ for the next plan (never of a rehearsal).",
)
@click.option(
    "--format", "format", type=click.Choice(["text", "json"]), default="text", show_default=True, help="Output format."
)
@click.pass_context
def command(
    context: click.Context,
    subject: Path,
    device: str | None,
    endpoint: str | None,
    is_rehearsal: bool,
    load_generator: str,
    imported: Path | None,
    budget_s: float | None,
    rate_rps: float | None,
    seed: int,
    axis_sizes: str,
    is_realtime: bool | None,
    output: Path,
    is_dry_run: bool,
    allows_downgrade: bool,
    keeps_timing: bool,
    is_stored: bool,
    format: str,
) -> int:
    r"""Serve a bundle on the real server and judge it against its SLO.

    Requests are sent open loop, at times that do not depend on the answers, with the spec's arrival process at its
    peak rate. The test stops as soon as every verdict is settled at 99% confidence, or when the budget is spent. A
    language model is asked through the OpenAI streaming API, with prompts and outputs as long as the spec says.

    BUNDLE is a folder that `infc compile` wrote; for a SPEC, it is looked for in the output folder.

    With ssh://[user@]host[:port], a signed bundle for edge devices (folder or .tar.zst) is installed on that lab device
    by the device's own agent, under the load that is in the bundle, and its measurement is brought back. Whatever comes
    of it, the device ends with the release in service or with the one before.

    Exits 0 when the SLO is met, 3 when it is not, 6 when the evidence is inconclusive.

    \b
    Examples:
      infc validate dist/encoder
      infc validate dist/encoder-l4 --rehearse --budget 30s
      infc validate dist/encoder-l4 --endpoint grpc://triton.example:8001 --format json
      infc validate dist/chat --endpoint http://vllm.example:8000
      infc validate dist/dock-camera ssh://lab@orin-3
    """
    if device is None and str(subject).startswith("ssh:"):
        raise click.UsageError("name the bundle first: infc validate dist/NAME ssh://DEVICE")
    if device is not None:
        from infc.cli.validate_device import DeviceOptions, validate_device

        _refuse_options_of_load_tests(context)
        return validate_device(
            DeviceOptions(
                subject=subject,
                device=device,
                output=output,
                is_dry_run=is_dry_run,
                allows_downgrade=allows_downgrade,
                keeps_timing=keeps_timing,
                is_stored=is_stored and not is_dry_run,
                format=format,
            )
        )
    if is_dry_run or allows_downgrade or keeps_timing:
        named = "--dry-run" if is_dry_run else "--allow-downgrade" if allows_downgrade else "--keep-timing-cache"
        raise click.UsageError(f"{named} is for devices: infc validate BUNDLE ssh://DEVICE")
    if endpoint is not None and is_rehearsal:
        raise click.UsageError("--rehearse starts a server of its own; leave out --endpoint")
    if imported is not None and (endpoint is not None or is_rehearsal):
        raise click.UsageError("--import judges what was measured already; leave out --endpoint and --rehearse")
    bundle = _find_bundle(subject, output)
    _warn_of_changes(bundle)
    if _is_language_model(bundle):
        from infc.cli.validate_llm import LlmOptions, validate_language_model

        if axis_sizes != "padded":
            raise click.UsageError("--axes is for models with dynamic axes; a language model has token lengths")
        return validate_language_model(
            LlmOptions(
                load_generator=load_generator,
                imported=imported,
                subject=subject,
                bundle=bundle,
                endpoint=endpoint,
                is_rehearsal=is_rehearsal,
                budget_s=budget_s,
                rate_rps=rate_rps,
                seed=seed,
                is_realtime=is_realtime,
                is_stored=is_stored,
                format=format,
            )
        )
    if load_generator != "infc":
        raise click.UsageError(f"--load-generator is for bundles of language models, and {bundle} is none")
    if imported is not None:
        raise click.UsageError(f"--import is for bundles of language models, and {bundle} is none")
    from infc.cli.validate_engine import validate_engine

    return validate_engine(
        subject,
        bundle,
        endpoint=endpoint,
        is_rehearsal=is_rehearsal,
        budget_s=budget_s,
        rate_rps=rate_rps,
        seed=seed,
        axis_sizes=axis_sizes,
        is_realtime=is_realtime,
        is_stored=is_stored,
        format=format,
    )


_FOR_DEVICES = ("subject", "device", "output", "is_dry_run", "allows_downgrade", "keeps_timing", "is_stored", "format")


def _refuse_options_of_load_tests(context: click.Context) -> None:
    """Raise UsageError for an option that a device has no use for: its load is part of what was signed."""
    for parameter in context.command.params:
        name = parameter.name or ""
        given = context.get_parameter_source(name) is click.core.ParameterSource.COMMANDLINE
        if given and name not in _FOR_DEVICES:
            raise click.UsageError(
                f"{parameter.opts[0]} is not for devices: the bundle says what load they are put under"
            )


def _find_bundle(subject: Path, output: Path) -> Path:
    """The bundle that the argument names: itself, or that of the spec.

    Raises:
        UsageError: there is none, or a spec has several.
        DiagnosticError: the spec has errors.
    """
    from infc.validate.contract import CONTRACT_NAME

    if subject.name.endswith(".tar.zst") or any(subject.glob("*.tar.zst")):
        raise click.UsageError(f"{subject} is for edge devices: name one, infc validate {subject} ssh://DEVICE")
    if subject.is_dir():
        if (subject / CONTRACT_NAME).is_file():
            return subject
        inside = sorted(path.parent for path in subject.glob(f"*/{CONTRACT_NAME}"))
        hint = f"; it holds the bundles {', '.join(map(str, inside))}: name one" if inside else ""
        raise click.UsageError(f"{subject} is not a bundle: it has no {CONTRACT_NAME}{hint}")
    if not subject.is_file():
        raise click.UsageError(f"{subject} is neither a bundle nor a spec: there is no such file or folder")
    name = _spec_name(subject)
    found = sorted(path.parent for path in output.glob(f"*/{CONTRACT_NAME}") if _contract_name(path.parent) == name)
    match found:
        case []:
            raise click.UsageError(f"{output} holds no bundle of {subject}: run `infc compile {subject}` first")
        case [bundle]:
            return bundle
        case _ if output / name in found:
            return output / name
        case _:
            raise click.UsageError(f"{subject} has several bundles: name one of {', '.join(map(str, found))}")


def _spec_name(path: Path) -> str:
    from infc.diag import DiagnosticError
    from infc.spec import load_spec

    loaded = load_spec(path)
    if loaded.spec is None:
        raise DiagnosticError(loaded.diagnostics)
    return loaded.name


def _contract_name(bundle: Path) -> str:
    if _is_language_model(bundle):
        from infc.validate.llm.session import read_llm_contract

        return read_llm_contract(bundle).name
    from infc.validate.session import read_contract

    return read_contract(bundle).name


def _is_language_model(bundle: Path) -> bool:
    from infc.pipeline.validate import is_language_model

    return is_language_model(bundle)


def _warn_of_changes(bundle: Path) -> None:
    """Say on standard error which files are not as they were compiled; they are what is tested all the same."""
    from infc.cli.terminal import has_color
    from infc.diag import Severity
    from infc.emit.manifest import verify_bundle
    from infc.report.diagnostics_text import render_diagnostics

    warnings = tuple(replace(each, severity=Severity.WARNING) for each in verify_bundle(bundle))
    if warnings:
        click.echo(render_diagnostics(warnings, color=has_color(stderr=True)), err=True)
