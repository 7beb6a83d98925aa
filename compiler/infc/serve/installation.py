"""Where the optional extra `server` put the real tritonserver, and whether this environment can run it."""

import importlib.metadata
import importlib.util
import os
import platform
import shutil
import sys
import sysconfig
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from infc.diag import ToolError

TRITON_VERSION = "2.51.0"
"""Version of the tritonserver inside nvidia-pytriton 0.7.0 (NVIDIA release 24.10)."""

_INSTALL_HELP = (
    "pip install 'infc[server]' (Linux x86-64, Python 3.11 to 3.13), or validate a running server with --endpoint"
)
_RUNTIME_OF_BACKEND = {"onnxruntime": "onnxruntime"}


@dataclass(frozen=True, kw_only=True)
class TritonInstallation:
    """Files of the wheel nvidia-pytriton that a standalone tritonserver needs."""

    binary: Path
    python_backend: Path
    stub: Path
    caches: Path
    libraries: Path


def find_installation() -> TritonInstallation:
    """The installed tritonserver of this Python environment, without importing it.

    Raises:
        ToolError: the extra `server` is not installed, this is not Linux x86-64, the wheel has no stub for this Python,
            or numpy is 2.x, with which every output would come back empty.
    """
    if sys.platform != "linux" or platform.machine() != "x86_64":
        message = f"the real tritonserver runs on Linux x86-64 only, this is {platform.system()} {platform.machine()}"
        raise ToolError(message, help="validate a running server with --endpoint, or run on Linux x86-64")
    package = importlib.util.find_spec("pytriton")
    if package is None or package.origin is None:
        raise ToolError("the real tritonserver is not installed here", help=_INSTALL_HELP)
    root = Path(package.origin).parent / "tritonserver"
    python_version = f"{sys.version_info.major}.{sys.version_info.minor}"
    found = TritonInstallation(
        binary=root / "bin" / "tritonserver",
        python_backend=root / "backends" / "python",
        stub=root / "python_backend_stubs" / python_version / "triton_python_backend_stub",
        caches=root / "caches",
        libraries=root.parent.parent / "nvidia_pytriton.libs",
    )
    if not os.access(found.binary, os.X_OK):
        raise ToolError("nvidia-pytriton holds no executable tritonserver", help=_INSTALL_HELP)
    if not found.stub.is_file():
        message = f"nvidia-pytriton has no Python backend for Python {python_version}"
        raise ToolError(message, help="use a Python version from 3.11 to 3.13")
    _require_numpy_1()
    return found


def _require_numpy_1() -> None:
    version = importlib.metadata.version("numpy")
    if int(version.split(".")[0]) >= 2:
        # tritonserver 2.51's Python stub with numpy 2.x: every output has 0 bytes and nothing reports it.
        message = f"numpy {version} makes tritonserver {TRITON_VERSION} answer empty tensors without an error"
        raise ToolError(message, help="pip install 'numpy<2'")


def lay_out_backends(installation: TritonInstallation, backends: Mapping[str, Path], folder: Path) -> None:
    """Fill `folder` as a backend directory: the Python backend with its stub, and a python-based backend for each name.

    Raises:
        ToolError: a backend's own runtime (ONNX Runtime) is not installed.
    """
    python = folder / "python"
    python.mkdir(parents=True, exist_ok=True)
    for source in (
        installation.python_backend / "libtriton_python.so",
        installation.python_backend / "triton_python_backend_utils.py",
        installation.stub,
    ):
        shutil.copy2(source, python / source.name)
    for name, source in backends.items():
        runtime = _RUNTIME_OF_BACKEND.get(name)
        if runtime and importlib.util.find_spec(runtime) is None:
            raise ToolError(f"backend {name} needs {runtime}, which is not installed", help="pip install 'infc[onnx]'")
        shutil.copytree(source, folder / name, ignore=shutil.ignore_patterns("__pycache__"), dirs_exist_ok=True)


def server_environment(installation: TritonInstallation) -> dict[str, str]:
    """The environment variables that tritonserver and its Python stubs need, over those of this process.

    The stub runs an isolated Python (PYTHONPATH is ignored) and finds its packages from the first `python3` on PATH.
    """
    scripts = Path(sys.executable).parent
    libraries = [str(installation.libraries), sysconfig.get_config_var("LIBDIR"), os.environ.get("LD_LIBRARY_PATH")]
    return {
        **os.environ,
        "PATH": os.pathsep.join([str(scripts), os.environ.get("PATH", os.defpath)]),
        "LD_LIBRARY_PATH": os.pathsep.join(path for path in libraries if path),
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
        "PYTHONDONTWRITEBYTECODE": "1",
    }
