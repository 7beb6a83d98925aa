"""A device behind ssh: what it has, its status, and an install there, all through its own agent or the bundle's.

Nothing runs there but a POSIX shell and `edge.py` under the device's Python; what it says is read, never trusted.
"""

import json
import re
import shlex
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from infc.build.builders.ssh_connection import FAILED, SshConnection
from infc.diag import Diagnostic
from infc.ir.edge_status import DeviceStatus
from infc.resolve.process import Ended
from infc.validate.edge.address import DeviceAddress
from infc.validate.edge.status import status_from_bytes

_PEM = re.compile(r"-----BEGIN PUBLIC KEY-----\n.+?-----END PUBLIC KEY-----\n", re.DOTALL)
_RESULT = "infc-edge-result"
_NOT_THERE = 44
_MOST_SHOWN_LINES = 4
_AGENT = "/opt/infc/edge.py"
# Settings of every script: where the system is, its Python, and how to become root where that is needed.
_PRELUDE = """r=%(root)s; p=%(python)s; s=
if [ -z "$r" ] && [ "$(id -u)" != 0 ] && sudo -n true 2>/dev/null; then s="sudo -n"; fi
d="${XDG_CACHE_HOME:-$HOME/.cache}/infc/edge"
"""
_PROBE = """command -v "$p" >/dev/null && "$p" -c 'import sys; print("python %d.%d" % sys.version_info[:2])'
if [ -n "$r" ] || [ "$(id -u)" = 0 ] || [ -n "$s" ]; then echo "root yes"; fi
$s test -f "$r/opt/infc/edge.py" && echo "agent yes"
for k in "$r"/etc/infc/keys/*.pem; do if [ -f "$k" ]; then $s cat "$k"; echo; fi; done
exit 0
"""
_UPLOAD = """umask 077; mkdir -p "$d/%(folder)s" || exit 1
find "$d" -mindepth 1 -maxdepth 1 -type d -mtime +1 ! -name %(folder)s -exec rm -rf {} + 2>/dev/null
f="$d/%(folder)s/%(name)s"
if [ -f "$f" ] && [ "$(wc -c < "$f")" -eq %(size)d ]; then touch "$d/%(folder)s"; exit 0; fi
if cat > "$f.$$" && [ "$(wc -c < "$f.$$")" -eq %(size)d ] && mv "$f.$$" "$f"; then exit 0; fi
rm -f "$f.$$"; exit 1
"""
# What it prints on standard output is kept for the end, its progress (standard error) is passed on as it comes.
_RUN = """d=$1; shift
"$@" </dev/null 2>&1 >"$d/result" &
echo $! > "$d/pid"
wait $!; code=$?
rm -f "$d/pid"
echo %(result)s; cat "$d/result"; rm -f "$d/result"
exit $code
"""
_STOP = """p=$(cat %(folder)s/pid) || exit 0
case $($s cat "/proc/$p/cmdline" | tr '\\0' ' ') in *edge.py*) ;; *) exit 0 ;; esac
$s kill -TERM "$p"; n=0
while [ -d "/proc/$p" ] && [ $n -lt %(seconds)d ]; do sleep 1; n=$((n + 1)); done
"""
_STOP_S = 60
_TIMING = """set -- "$r"/opt/infc/engines/.timing/tensorrt-%(version)s-*.cache
[ $# -eq 1 ] && $s test -f "$1" && exec $s head -c %(most)d "$1"
exit 1
"""
_MOST_TIMING_BYTES = 1 << 28


@dataclass(frozen=True, kw_only=True)
class Probe:
    """What a device has: an agent, public keys that may sign (PEM), a Python, and a way to become root."""

    python: tuple[int, int] | None
    is_root_possible: bool
    has_agent: bool
    keys: tuple[bytes, ...]


@dataclass(frozen=True, kw_only=True)
class AgentRun:
    """How an install ended: the agent's exit code and last words, and whether there was nothing to do."""

    code: int
    is_nothing_to_do: bool
    last_words: tuple[str, ...]


class EdgeMachine:
    """One device. Every method may return the diagnostic that it cannot be reached or does not answer as it should."""

    def __init__(self, address: DeviceAddress) -> None:
        self._address = address
        self._connection = SshConnection(address.ssh)
        self._folder = ""
        self._folders: set[str] = set()

    @property
    def name(self) -> str:
        """The address."""
        return self._address.text

    def probe(self) -> Probe | Diagnostic:
        """What is there. Raises ToolError when this machine has no ssh."""
        lines: list[str] = []
        ended = self._connection.script(self._prelude + _PROBE, lines.append)
        if ended.exit_code != 0:
            return self._unreachable(ended, "")
        python = next((line.split()[1].split(".") for line in lines if line.startswith("python ")), None)
        text = "\n".join(lines) + "\n"
        return Probe(
            python=None if python is None else (int(python[0]), int(python[1])),
            is_root_possible="root yes" in lines,
            has_agent="agent yes" in lines,
            keys=tuple(each.encode() for each in _PEM.findall(text)),
        )

    def send(self, folder: str, files: Sequence[tuple[str, bytes | Path]]) -> Diagnostic | None:
        """Put files into a folder of the user's cache there, each whole or not at all; those that are there stay.

        `folder` is a name of letters and digits that stands for the content of the files.
        """
        self._folder = folder
        self._folders.add(folder)
        for name, content in files:
            with tempfile.TemporaryFile() if isinstance(content, bytes) else content.open("rb") as source:
                if isinstance(content, bytes):
                    source.write(content)
                    source.seek(0)
                size = len(content) if isinstance(content, bytes) else content.stat().st_size
                script = _UPLOAD % {"folder": shlex.quote(folder), "name": shlex.quote(name), "size": size}
                ended = self._connection.script_stream(self._prelude + script, source, None)
            if ended.exit_code != 0:
                return self._unreachable(ended, f"took {name}")
        return None

    def status(self, *, is_agent_there: bool) -> DeviceStatus | Diagnostic:
        """What its agent says of it, or (`is_agent_there` False) what the one says that was sent."""
        lines = _Lines(lambda _: None)  # what the login's own settings print comes before the mark
        agent = f'"$r"{_AGENT}' if is_agent_there else self._sent("edge.py")
        status = f'exec $s "$p" {agent} status --format json {self._root}'
        script = f"test -f {agent} || exit {_NOT_THERE}; echo {_RESULT}; {status}"
        ended = self._connection.script(self._prelude + script, lines)
        if ended.exit_code == FAILED:
            return self._unreachable(ended, "")
        found = status_from_bytes("\n".join(lines.result or ()).encode())
        if isinstance(found, DeviceStatus):
            return found
        said = (
            tuple(f"{problem.path} {problem.message}" for problem in found[:_MOST_SHOWN_LINES])
            if lines.result
            else ended.last_lines[-_MOST_SHOWN_LINES:]
        )
        return Diagnostic(
            id="edge-device-answer",
            message=f"{self.name} does not say what is on it (exit code {ended.exit_code})",
            notes=said,
            help="run `/opt/infc/edge.py status` there; its words say what is wrong",
        )

    def install(
        self, archive: str, options: Sequence[str], progress: Callable[[str], None], *, is_agent_there: bool
    ) -> AgentRun | Diagnostic:
        """Have the agent install an archive that was sent; each line of its progress goes to `progress`.

        It goes on there when this call is left early or the connection is lost; `stop` ends it.
        """
        agent = f'"$r"{_AGENT}' if is_agent_there else self._sent("edge.py")
        words = shlex.join(("install", *options, "--format", "json"))
        called = f'"$p" {agent} {words} {self._root} {self._sent(archive)}'
        script = f"exec $s sh -c {shlex.quote(_RUN % {'result': _RESULT})} sh {self._sent('')} {called}"
        lines = _Lines(progress)
        ended = self._connection.script(self._prelude + script, lines)
        if ended.exit_code == FAILED:
            return self._unreachable(ended, "installed")
        return AgentRun(
            code=ended.exit_code,
            is_nothing_to_do=_is_nothing_to_do(lines.result or ()),
            last_words=_last_words((*lines.last, *ended.last_lines)),
        )

    def timing_cache(self, tensorrt: str) -> bytes | None:
        """Kernel times that builds with this version of TensorRT left there; None where there are none, or several."""
        script = _TIMING % {"version": shlex.quote(tensorrt), "most": _MOST_TIMING_BYTES}
        with tempfile.TemporaryFile() as target:
            ended = self._connection.script_stream(self._prelude + script, None, target)
            target.seek(0)
            content = target.read(_MOST_TIMING_BYTES + 1)
        return content if ended.exit_code == 0 and 0 < len(content) <= _MOST_TIMING_BYTES else None

    def stop(self) -> None:
        """Have the agent take back what it did of an install so far; waits until it has, a minute at most."""
        script = _STOP % {"folder": self._sent(""), "seconds": _STOP_S}
        self._connection.script(self._prelude + script, lambda _: None)

    def forget(self) -> None:
        """Remove what was sent."""
        if self._folders:
            folders = " ".join(f'"$d"/{shlex.quote(folder)}' for folder in sorted(self._folders))
            self._connection.script(f"{self._prelude}rm -rf {folders}", lambda _: None)

    def close(self) -> None:
        """End the connection."""
        self._connection.close()
        self._connection.disconnect()

    @property
    def _prelude(self) -> str:
        root = self._address.root or ""
        return _PRELUDE % {"root": shlex.quote(root), "python": shlex.quote(self._address.ssh.python)}

    @property
    def _root(self) -> str:
        return '--root "$r"' if self._address.root else ""

    def _sent(self, name: str) -> str:
        return f'"$d"/{shlex.quote(self._folder)}/{shlex.quote(name)}' if name else f'"$d"/{shlex.quote(self._folder)}'

    def _unreachable(self, ended: Ended, doing: str) -> Diagnostic:
        if ended.exit_code == FAILED and doing:
            return Diagnostic(
                id="edge-device-lost",
                message=f"the connection to {self.name} was lost while it {doing}",
                notes=(*ended.last_lines[-1:], "an install that had begun goes on there"),
                help="run the same command again: it waits for the device, and reads what came of it",
            )
        problem = self._connection.problem(ended, doing)
        return problem or Diagnostic(
            id="edge-device-answer",
            message=f"{self.name} does not take what it is sent (exit code {ended.exit_code})",
            notes=ended.last_lines[-_MOST_SHOWN_LINES:],
            help="check that the login there has a POSIX shell and may write to ~/.cache/infc",
        )


def _last_words(lines: Sequence[str]) -> tuple[str, ...]:
    """From its error on; without one, the last step.

    >>> _last_words(["[    0.5 s] build", "error[31]: no engine", "help: look at the log"])
    ('error[31]: no engine', 'help: look at the log')
    """
    first = next((index for index, line in enumerate(lines) if line.startswith("error[")), len(lines) - 1)
    return tuple(lines[max(0, first) :])


def _is_nothing_to_do(result: Sequence[str]) -> bool:
    """Whether the object that the agent prints says so."""
    try:
        found = json.loads("\n".join(result))
    except ValueError:
        return False
    return isinstance(found, dict) and found.get("outcome") == "nothing-to-do"


class _Lines:
    """Passes lines on until the mark of the result; keeps the last ones, and those of the result."""

    def __init__(self, progress: Callable[[str], None]) -> None:
        self._progress = progress
        self.last: tuple[str, ...] = ()
        self.result: list[str] | None = None

    def __call__(self, line: str) -> None:
        if self.result is not None:
            self.result.append(line)
        elif line == _RESULT:
            self.result = []
        else:
            self.last = (*self.last[1 - _MOST_SHOWN_LINES :], line)
            self._progress(line)
