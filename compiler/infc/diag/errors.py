"""The only exceptions of infc. Stages return diagnostics; these are for the edges."""

from infc.diag.diagnostic import Diagnostic


class DiagnosticError(Exception):
    """Raised by the Python API (`infc.load` and others) when the input has errors.

    `exit_code` is the exit code of the command line for this failure (5 spec, 3 SLO, 4 lock, 6 inconclusive, 1 other).
    """

    def __init__(self, diagnostics: tuple[Diagnostic, ...], *, exit_code: int = 5) -> None:
        super().__init__("; ".join(f"{d.id}: {d.message}" for d in diagnostics))
        self.diagnostics = diagnostics
        self.exit_code = exit_code


class ToolError(Exception):
    """Something outside infc is missing or failed (a package, a server, a file system). `help` says what to do."""

    def __init__(self, message: str, *, help: str | None = None) -> None:
        super().__init__(message)
        self.help = help


class InternalError(Exception):
    """A bug in infc: an invariant does not hold. The command line asks the user for a report and exits 70."""
