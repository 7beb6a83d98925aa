"""The outermost edge: exit codes, and the only place where an unexpected exception is caught."""

import os
import sys
import traceback
from collections.abc import Sequence

import click

from infc.diag import DiagnosticError, InternalError, ToolError

OK = 0
FAILURE = 1
CHANGES = 2
SLO_NOT_MET = 3
LOCK_STALE = 4
SPEC_INVALID = 5
INCONCLUSIVE = 6
USAGE_ERROR = 64
BUG = 70
INTERRUPTED = 130


def guarded(app: click.Command, *, usage_error: int = USAGE_ERROR, args: Sequence[str] | None = None) -> int:
    """Run the command line (`args`, or those of the process) and return its exit code; no user error shows a traceback.

    A command returns its exit code as an int (None is 0). Set INFC_DEBUG=1 to see the traceback of a bug.
    """
    try:
        result = app.main(args=args, standalone_mode=False, prog_name="infc")
    except click.UsageError as error:
        error.show()
        return usage_error
    except click.exceptions.Exit as stop:
        return stop.exit_code
    except (click.Abort, KeyboardInterrupt):
        click.echo("infc: interrupted, nothing was left half-written", err=True)
        return INTERRUPTED
    except BrokenPipeError:
        sys.stderr.close()
        return FAILURE
    except click.ClickException as error:
        error.show()
        return FAILURE
    except DiagnosticError as error:
        _show_diagnostics(error)
        return error.exit_code
    except ToolError as error:
        click.echo(f"error: {error}", err=True)
        if error.help:
            click.echo(f"help: {error.help}", err=True)
        return FAILURE
    except OSError as error:
        click.echo(f"error: {error.strerror or error}: {error.filename or ''}".rstrip(": "), err=True)
        return FAILURE
    except Exception as error:  # the outermost edge: a bug is reported, not hidden
        _show_bug(error)
        return BUG
    return result if isinstance(result, int) else OK


def _show_diagnostics(error: DiagnosticError) -> None:
    from infc.cli.terminal import has_color
    from infc.report.diagnostics_text import render_diagnostics

    click.echo(render_diagnostics(error.diagnostics, color=has_color(stderr=True)), err=True)


def _show_bug(error: Exception) -> None:
    if os.environ.get("INFC_DEBUG"):
        traceback.print_exc()
    kind = "internal error" if isinstance(error, InternalError) else type(error).__name__
    click.echo(f"infc has a bug: {kind}: {error}", err=True)
    click.echo("help: please report it with the command, the spec and the output of INFC_DEBUG=1", err=True)
