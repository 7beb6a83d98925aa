"""`infc worker`: builds one engine job here, or says what this machine can build."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from infc.cli.edge import FAILURE, OK, SPEC_INVALID

if TYPE_CHECKING:
    from infc.diag import Diagnostic

_FORMAT = click.option(
    "--format", "format", type=click.Choice(["text", "json"]), default="text", show_default=True, help="Of the result."
)


@click.group(name="worker")
def command() -> None:
    r"""Build one engine job here, or say what this machine can build.

    A job is a folder that infc compile --builder job writes: job.json and the lowered model. Copy it to a machine with
    the GPU that the engine is for, build it there, and copy the result back: the next infc compile finds it by its key.

    \b
    Examples:
      infc worker probe
      infc worker build --job jobs/5f1c.../job.json --out result
    """


@command.command(name="build")
@click.option(
    "--job", "job", required=True, metavar="JOB", type=click.Path(path_type=Path),
    help="The job.json of a job folder, or the folder.",
)  # fmt: skip
@click.option(
    "--out", "out", required=True, metavar="DIR", type=click.Path(path_type=Path, file_okay=False),
    help="Gets the engine, attestation.json and the job: all of it at once, or nothing.",
)  # fmt: skip
@_FORMAT
def build(job: Path, out: Path, format: str) -> int:
    r"""Build the engine of a job and attest how it was built.

    The job is checked first: its key must be that of its fields, the model must be the one it names, and this machine
    must have the versions that it asks for. DIR looks like an entry of infc's engine cache: copy it to result/ in the
    job's folder, or to .infc/engines/KEY. A DIR that holds the result of this key already is left as it is.

    Exits 0 when the engine is there, 1 when the builder refused or failed, 5 when the job is invalid.

    \b
    Examples:
      infc worker build --job job.json --out result
    """
    import signal

    from infc.build import LOCAL
    from infc.build.job_json import JOB_NAME
    from infc.build.run_job import run_job

    if job.name != JOB_NAME and not job.is_dir():
        raise click.UsageError(f"{job.as_posix()} is no job folder and is not called {JOB_NAME}")
    folder = job if job.is_dir() else job.parent
    earlier = signal.signal(signal.SIGTERM, _interrupt)
    try:
        outcome = run_job(folder, out, LOCAL, lambda line: click.echo(line, err=True))
    finally:
        signal.signal(signal.SIGTERM, earlier)
    _show(outcome.diagnostics)
    if format == "json":
        from infc.report.worker_json import render_outcome_json

        click.echo(render_outcome_json(outcome, out.as_posix()))
    else:
        from infc.report.worker_text import render_outcome_text

        text = render_outcome_text(outcome, out.as_posix())
        if text:
            click.echo(text)
    return {"built": OK, "present": OK, "refused": FAILURE, "failed": FAILURE, "invalid": SPEC_INVALID}[outcome.status]


@command.command(name="probe")
@_FORMAT
def probe(format: str) -> int:
    r"""Say what this machine is and which engines it can build.

    Nothing is imported that would load a GPU library: versions are those of the installed packages, the GPU is what
    its driver says.

    \b
    Examples:
      infc worker probe --format json
    """
    from infc.build.local_machine import abilities

    environment, kinds = abilities()
    if format == "json":
        from infc.report.worker_json import render_probe_json

        click.echo(render_probe_json(environment, kinds))
    else:
        from infc.report.worker_text import render_probe_text

        click.echo(render_probe_text(environment, kinds))
    return OK


@command.command(name="manifest", short_help="Print the Kubernetes Job that builds a job.")
@click.option(
    "--job", "job", required=True, metavar="JOB", type=click.Path(path_type=Path),
    help="The job.json of a TensorRT job folder, or the folder.",
)  # fmt: skip
@click.option("--builder", "builder", required=True, metavar="PLACE", help="k8s://[context/]namespace?image=..&pvc=..")
def manifest(job: Path, builder: str) -> int:
    r"""Print the Kubernetes Job that infc compile would create for a job; nothing is sent anywhere.

    Its input is what infc copies to the claim first: the job's folder and the worker, as jobs/KEY.

    \b
    Examples:
      infc worker manifest --job jobs/5f1c... --builder "k8s://builds?image=nvcr.io/nvidia/tensorrt:25.10-py3&pvc=infc"
    """
    import yaml

    from infc.build.builder import BuildTarget
    from infc.build.builders.address import AddressError, KubernetesAddress, parse_address
    from infc.build.builders.devices import device_names
    from infc.build.builders.kubernetes import KubernetesBuilder
    from infc.build.builders.kubernetes_manifest import PLACING_S, job_manifest
    from infc.build.job_folder import open_job
    from infc.spec import find_workspace

    try:
        address = parse_address(builder)
    except AddressError as error:
        raise click.BadParameter(str(error), param_hint="--builder") from None
    if not isinstance(address, KubernetesAddress):
        raise click.BadParameter("only k8s:// builders have manifests", param_hint="--builder")
    opened, problems = open_job(job if job.is_dir() else job.parent)
    if opened is None:
        _show(problems)
        return SPEC_INVALID
    asked = opened.job
    devices = device_names(find_workspace(job).targets)
    target = BuildTarget(kind=asked.kind, hardware_id=asked.hardware_id, compute_capability=asked.compute_capability)
    refused = KubernetesBuilder(address, devices).refusal(target)
    if refused is not None:
        _show((refused,))
        return FAILURE
    document = job_manifest(address, asked, devices.get(asked.hardware_id), wait_s=PLACING_S)
    click.echo(yaml.safe_dump(document, sort_keys=False), nl=False)
    return OK


@command.command(name="trtexec", short_help="Print the trtexec command that builds a job.")
@click.option(
    "--job", "job", required=True, metavar="JOB", type=click.Path(path_type=Path),
    help="The job.json of a TensorRT job folder, or the folder.",
)  # fmt: skip
@click.option("--tensorrt", "version", metavar="VERSION", help="The version there, as trtexec --help shows it.")
@click.option("--jetpack", "jetpack", metavar="RELEASE", help="The JetPack there, in place of --tensorrt, such as 6.2.")
def trtexec(job: Path, version: str | None, jetpack: str | None) -> int:
    r"""Print the trtexec command that builds a job's engine, for a machine where nothing of infc can run.

    The command is for a shell in the job's folder. It has the options of that version: an option of the job that the
    version lacks is an error here, not there. Building so leaves no attestation; infc worker build does.

    \b
    Examples:
      infc worker trtexec --job jobs/5f1c... --tensorrt 10.3.0
      infc worker trtexec --job jobs/5f1c... --jetpack 6.2
    """
    import shlex

    from infc.build.far.onnx_file import has_dynamic_inputs
    from infc.build.job_folder import WORKER_KINDS, open_job
    from infc.build.trtexec import trtexec_command
    from infc.diag import Diagnostic
    from infc.resolve.jetson import is_release, jetpacks

    if (version is None) is (jetpack is None):
        raise click.UsageError("name one of --tensorrt and --jetpack")
    version = version or next((p.tensorrt for p in jetpacks() if is_release(p, str(jetpack))), None)
    if version is None:
        known = ", ".join(p.version for p in jetpacks())
        raise click.UsageError(f"infc knows JetPack {known}, not {jetpack}: name --tensorrt")
    opened, problems = open_job(job if job.is_dir() else job.parent)
    if opened is None:
        _show(problems)
        return SPEC_INVALID
    if opened.job.kind not in WORKER_KINDS:
        raise click.UsageError(f"{job.as_posix()} is a job for {opened.job.kind}, which trtexec does not build")
    is_static = not has_dynamic_inputs(opened.model)
    found = trtexec_command(opened.job, version, is_static=is_static)
    if isinstance(found, Diagnostic):
        _show((found,))
        return FAILURE
    click.echo(shlex.join(found))
    return OK


def _show(diagnostics: tuple[Diagnostic, ...]) -> None:
    if not diagnostics:
        return
    from infc.cli.terminal import has_color
    from infc.report.diagnostics_text import render_diagnostics

    click.echo(render_diagnostics(diagnostics, color=has_color(stderr=True)), err=True)


def _interrupt(number: int, frame: object) -> None:
    """End like Ctrl-C when a scheduler asks, so that the builder's process ends and nothing half-built stays."""
    raise KeyboardInterrupt
