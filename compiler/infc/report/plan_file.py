"""A plan that was saved with `infc plan --format json`, read again for another report.

The file may come from someone else's branch: it is data, bounded in size, and what is in it is only ever shown.
"""

import json
import re
from collections.abc import Callable
from pathlib import Path

from infc.diag import Diagnostic, DiagnosticError
from infc.ir.change import ChangeSet
from infc.report.change_json import ChangeFormatError, change_set_from_json
from infc.report.plan_json import FORMAT_VERSION

MAX_BYTES = 32 << 20
"""More than a plan of a thousand specs takes."""
_MAJOR = FORMAT_VERSION.partition(".")[0]
_HELP = "write it with infc plan SPEC|DIR --base REF --format json --out FILE"
_LONGEST_INTEGER = 15


def read_changes(path: Path) -> ChangeSet:
    """The change set of a saved plan.

    Raises:
        DiagnosticError: it is no saved plan, of another version, or was compared with nothing. The exit code is 1.
        OSError: it cannot be read.
    """
    with path.open("rb") as stream:
        return changes_from(stream.read(MAX_BYTES + 1), name=path.as_posix())


def changes_from(data: bytes, *, name: str) -> ChangeSet:
    """The same from the bytes of the file, which errors call `name`.

    Raises:
        DiagnosticError: as `read_changes`.
    """
    if len(data) > MAX_BYTES:
        raise _refused(f"{name} is larger than {MAX_BYTES >> 20} MiB")
    try:
        document = json.loads(data, parse_int=_integer)
    except json.JSONDecodeError as error:
        raise _refused(f"{name} is not JSON: line {error.lineno}, column {error.colno}") from None
    except (ValueError, RecursionError):
        raise _refused(f"{name} is not JSON") from None
    version = document.get("format_version") if isinstance(document, dict) else None
    if not isinstance(version, str) or "specs" not in document:
        raise _refused(f"{name} is no saved plan")
    if version.partition(".")[0] != _MAJOR:
        shown = version if re.fullmatch(r"[0-9.]{1,20}", version) else repr(version[:20])
        message = f"{name} has format version {shown}, and this infc reads {_MAJOR}.x"
        help = "plan again with this infc, or render it with the one that wrote it"
        raise DiagnosticError((Diagnostic(id="report-plan-version", message=message, help=help),), exit_code=1)
    if "base" not in document:
        raise _refused(f"{name} holds no comparison: an older infc wrote it")
    try:
        changes = change_set_from_json(document)
    except ChangeFormatError as error:
        raise _refused(f"{name}: {error}") from None
    if changes is None:
        raise _refused(f"{name} was compared with nothing")
    return changes


def _refused(message: str) -> DiagnosticError:
    return DiagnosticError((Diagnostic(id="report-plan-file", message=message, help=_HELP),), exit_code=1)


def _integer(text: str) -> int | float:
    """An integer that arithmetic can take: one of thousands of digits is a float, infinite if need be."""
    convert: Callable[[str], int | float] = int if len(text) <= _LONGEST_INTEGER else float
    return convert(text)
