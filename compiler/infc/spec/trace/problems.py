"""What is wrong with a trace, by line: the first few in full, the rest counted."""

from infc.diag import Diagnostic, Span

MAX_PROBLEMS = 10


class Problems:
    """Collects the problems of one file, shown as `shown`."""

    def __init__(self, shown: str) -> None:
        self._shown = shown
        self._found: list[Diagnostic] = []
        self._more = 0

    def __bool__(self) -> bool:
        return bool(self._found)

    def add(self, line: int, message: str, help: str, *, text: str = "", note: str = "") -> None:
        """One problem; `text` is the whole line, which is marked."""
        if len(self._found) == MAX_PROBLEMS:
            self._more += 1
            return
        span = Span(path=self._shown, line=line, column=1, end_line=line, end_column=max(2, len(text) + 1))
        notes = (note,) if note else ()
        self._found.append(Diagnostic(id="spec-trace", message=message, span=span, help=help, notes=notes))

    def diagnostics(self) -> tuple[Diagnostic, ...]:
        """All of them, in the order of the file."""
        if not self._more:
            return tuple(self._found)
        last = self._found[-1]
        more = f"{self._more} more lines of this trace are wrong"
        shortened = Diagnostic(
            id=last.id, message=last.message, span=last.span, notes=(*last.notes, more), help=last.help
        )
        return (*self._found[:-1], shortened)


def shortened(value: object) -> str:
    """A value as a message quotes it."""
    return f"`{str(value)[:40]}`"
