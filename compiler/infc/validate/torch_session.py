"""A torch package on this machine: what the accuracy gate and calibration execute, set up as its server does it."""

import importlib
import json
from types import ModuleType
from typing import TYPE_CHECKING

from infc.build.torch_target import (
    TORCH_CPU_LEVEL,
    TORCH_DEVICE,
    TORCH_FLOAT32,
    TORCH_INPUTS,
    TORCH_OUTPUTS,
    TORCH_VERSION,
    cpu_flags,
    level_named,
)
from infc.diag import ToolError
from infc.ir.engine import Engine

if TYPE_CHECKING:
    from infc.lower.arrays import Array  # it brings onnx along

_NO_THREAD_LOCKS = True
"""One thread at a time runs a session, so that torch may leave its locks out."""


class TorchSession:
    """A loaded package on the device it was compiled for, with one thread per operator."""

    def __init__(self, engine: Engine, device_index: int = 0) -> None:
        settings = engine.facts.settings
        self._torch = _torch_for(engine)
        self._inputs: list[str] = json.loads(settings[TORCH_INPUTS])
        self._outputs: list[str] = json.loads(settings[TORCH_OUTPUTS])
        is_cuda = settings[TORCH_DEVICE] == "cuda"
        self._device = self._torch.device("cuda", device_index) if is_cuda else self._torch.device("cpu")
        index = device_index if is_cuda else -1
        try:
            self._package = self._torch._inductor.aoti_load_package(str(engine.path), _NO_THREAD_LOCKS, index)
        except RuntimeError as error:
            first = str(error).strip().splitlines()[0][:240]
            raise ToolError(f"torch does not load the package: {first}", help="compile the spec again here") from error

    @property
    def device_s(self) -> None:
        """Torch tells no device time of its own."""
        return

    def run(self, names: list[str], feeds: "dict[str, Array]") -> "list[Array]":
        """The named outputs for one batch of inputs.

        Raises:
            ToolError: the shapes are not those that it was compiled for, or the device fails.
        """
        torch = self._torch
        # OpenMP counts threads for each calling thread: one that did not set it runs oneDNN on all cores, and spins.
        torch.set_num_threads(1)
        try:
            with torch.inference_mode():
                tensors = [torch.from_numpy(feeds[name].copy()).to(self._device) for name in self._inputs]
                answers = [answer.cpu().numpy() for answer in self._package(*tensors)]
        except RuntimeError as error:
            first = str(error).strip().splitlines()[0][:240]
            raise ToolError(
                f"the torch package failed: {first}",
                help="sizes of dynamic axes must be among those of workload.axes that it was built for",
            ) from error
        found = dict(zip(self._outputs, answers, strict=True))
        return [found[name] for name in names]


def torch_session(engine: Engine, device_index: int = 0) -> TorchSession:
    """A session of a torch package; `device_index` is the GPU of one that was compiled for a GPU.

    Raises:
        ToolError: torch is not installed, is another release than the one that built it, or the processor lacks
            instructions that the package uses.
    """
    return TorchSession(engine, device_index)


def _torch_for(engine: Engine) -> ModuleType:
    """torch, set up as the package was compiled; ToolError where it or the processor is another."""
    settings = engine.facts.settings
    built = settings[TORCH_VERSION]
    try:
        torch = importlib.import_module("torch")
    except ImportError as error:
        raise ToolError("running a torch package needs torch, which is not installed", help=_INSTALL) from error
    found = str(torch.__version__).partition("+")[0]
    if found != built:
        message = f"the package was built with torch {built}, and torch {found} is installed"
        raise ToolError(message, help=f"pip install torch=={built}, or compile the spec again")
    missing = [flag for flag in level_named(settings[TORCH_CPU_LEVEL]).flags if flag not in cpu_flags()]
    if missing:
        message = f"the package was compiled for {settings[TORCH_CPU_LEVEL]}, this processor lacks {', '.join(missing)}"
        raise ToolError(message, help="compile the spec again on this machine")
    torch.set_num_threads(1)
    torch.backends.nnpack.set_flags(False)
    torch.set_float32_matmul_precision(settings[TORCH_FLOAT32])
    torch.backends.cudnn.allow_tf32 = settings[TORCH_FLOAT32] == "high"
    return torch


_INSTALL = "pip install 'infc[torch]'"
