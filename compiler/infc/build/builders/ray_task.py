"""What touches Ray: connecting, and the function that runs on its nodes."""

import sys
import warnings
from collections.abc import Callable
from types import ModuleType
from typing import TYPE_CHECKING, TypeAlias

from infc.diag import ToolError

if TYPE_CHECKING:
    from ray import ObjectRef

Far: TypeAlias = tuple[int, list[str], dict[str, bytes]]
"""What a node answers: the worker's exit code, its last lines, and the files that it left."""


def connect(cluster: str, name: str) -> ModuleType:
    """The module `ray`, connected to a cluster (`auto`, or `host:port` of its client server).

    Raises ToolError when Ray is not installed, or the cluster cannot be reached or has another version.
    """
    try:
        import ray
    except ImportError as error:
        raise ToolError(
            f"{name} needs the package ray, which is not installed", help="pip install 'infc[ray]'"
        ) from error
    if ray.is_initialized():
        module: ModuleType = ray
        return module
    address = cluster if cluster == "auto" else f"ray://{cluster}"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Ray's client warns besides raising
            ray.init(address=address, namespace="infc", log_to_driver=False, logging_level="ERROR")
    except (ConnectionError, RuntimeError, ValueError, OSError) as error:
        ray.shutdown()  # or the next attempt hears that a connection is being made already
        reason = next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
        python = ".".join(map(str, sys.version_info[:2]))
        raise ToolError(
            f"{name} cannot be reached: {reason}",
            help=f"check the address, and that the cluster runs ray {ray.__version__} and Python {python} as infc does",
        ) from error
    connected: ModuleType = ray
    return connected


def far_function() -> "Callable[[list[str], dict[str, list[ObjectRef[bytes]]]], Far]":
    """A function for a node. It is nested so that Ray sends it by value: nodes need not have infc."""

    def run(arguments: "list[str]", files: "dict[str, list[ObjectRef[bytes]]]") -> "Far":
        """Lay the files out, run the worker in their folder, bring back what it left in `out`."""
        import ctypes
        import pathlib
        import signal
        import subprocess
        import sys
        import tempfile

        import ray

        def end_with_task() -> None:
            ctypes.CDLL(None).prctl(1, int(signal.SIGTERM))  # PR_SET_PDEATHSIG: a cancelled task takes it along

        with tempfile.TemporaryDirectory(prefix="infc-job-") as name:
            folder = pathlib.Path(name)
            (folder / "job").mkdir()
            (folder / "out").mkdir()
            for file_name, chunks in files.items():
                with (folder / "job" / pathlib.Path(file_name).name).open("wb") as file:
                    for chunk in chunks:
                        file.write(ray.get(chunk))
            done = subprocess.run(
                [sys.executable, "job/worker.pyz", *arguments],
                cwd=folder,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                preexec_fn=end_with_task if sys.platform == "linux" else None,
                check=False,
            )
            said = (done.stderr + b"\n" + done.stdout).decode(errors="replace").splitlines()
            answer = {path.name: path.read_bytes() for path in (folder / "out").iterdir() if path.is_file()}
            return done.returncode, [line for line in said if line.strip()][-20:], answer

    return run
