"""The command line: parse, call the pipeline, render, exit with the documented code. One file per command.

`COMMANDS` is the whole list; a command's module is imported only when it runs, so that `infc --help` starts fast.
"""

import importlib
import os
import sys

import click

from infc import __version__
from infc.cli.edge import USAGE_ERROR, guarded

COMMANDS: tuple[tuple[str, str], ...] = (
    ("init", "Write a commented starter spec for an ONNX model."),
    ("check", "Check specs: every error at once, with line, column and fix."),
    ("plan", "Choose hardware, precision, batching and replicas; explain why."),
    ("compile", "Plan, lower, gate accuracy, build, emit and lock."),
    ("validate", "Serve a bundle on the real server and judge it against its SLO."),
    ("calibrate", "Measure service times on this machine for later plans."),
    ("predict", "Predict one model on one device: latency, throughput, memory, power."),
    ("simulate", "Simulate a server's scheduler under an arrival process."),
    ("worker", "Build one engine job here, or say what this machine can build."),
    ("lock", "Write or check infc.lock."),
    ("report", "Show what a saved plan changes, in other formats."),
    ("diff", "Compare two locks, or the lock with what a plan would lock now."),
    ("drift", "Compare what runs, was rendered or recorded, with infc.lock and the spec."),
    ("sign", "Sign a bundle, or make the key for it."),
    ("verify", "Check a bundle: who signed it, is it whole, is it the locked one."),
    ("image", "Write the model of a bundle as an image that Kubernetes mounts."),
    ("targets", "List and show the hardware catalogue and its prices."),
    ("schema", "Print the JSON Schema of a file format or report."),
    ("ci", "Workflow files that plan on a pull request, and its comment."),
    ("explain", "Explain a diagnostic id, or list them all."),
    ("completion", "Print the shell completion script."),
)


class _LazyGroup(click.Group):
    """A group that imports `infc.cli.<name>` when the command is called; the module's `command` is the command."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names in the order of `COMMANDS`."""
        return [name for name, _ in COMMANDS]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command, imported now."""
        if cmd_name not in dict(COMMANDS):
            return None
        module = importlib.import_module(f"infc.cli.{cmd_name}")
        command = module.command
        assert isinstance(command, click.Command)  # noqa: S101 - every module of this package defines it
        _unescape_help(command)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """The command; an unknown one names the nearest."""
        name = args[0]
        if not name.startswith("-") and name not in dict(COMMANDS):
            from infc.diag.nearest import did_you_mean

            near = did_you_mean(name, dict(COMMANDS))
            raise click.UsageError(f"there is no command `{name}`" + (f"; {near}" if near else ""), ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS))


def _unescape_help(command: click.Command) -> None:
    r"""Turn `\b` of raw docstrings into click's mark for a paragraph that is not rewrapped."""
    if command.help:
        command.help = command.help.replace("\\b\n", "\b\n")
    if isinstance(command, click.Group):
        for each in command.commands.values():
            _unescape_help(each)


@click.group(cls=_LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="infc")
def app() -> None:
    """Compile an inference SLO and workload, written as YAML, into a deployment that is known to meet it.

    Exit codes: 0 ok, 1 failure, 2 changes (only with --detailed-exitcode), 3 SLO cannot be met or was not met,
    4 lock missing or stale, 5 spec invalid, 6 evidence inconclusive, 64 usage error, 70 a bug in infc.
    """


def _open_closed_streams() -> None:
    """Lead streams that the caller closed nowhere: else the first file that is opened would get their place."""
    for number in (0, 1, 2):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
    sys.stdin = sys.stdin or open(os.devnull, encoding="utf-8")  # noqa: SIM115 - open to the end of the process
    sys.stdout = sys.stdout or open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115
    sys.stderr = sys.stderr or open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115


def main() -> None:
    """The `infc` script."""
    # pydantic looks for plugins in every installed distribution: tens of milliseconds, for nothing infc uses.
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
    _open_closed_streams()
    sys.exit(guarded(app, usage_error=USAGE_ERROR))
