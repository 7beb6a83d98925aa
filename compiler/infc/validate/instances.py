"""Instances of an engine on this machine, as a server would run them: what `infc calibrate` measures."""

from collections.abc import Sequence
from typing import Protocol

from infc.build import onnxruntime_settings
from infc.diag import Diagnostic
from infc.ir.engine import Engine
from infc.lower.arrays import Array
from infc.validate.accuracy.inference import Session, open_session
from infc.validate.gpu import GpuDevice, engine_sessions
from infc.validate.torch_session import torch_session


class Instance(Protocol):
    """One instance: it runs one batch at a time. Raises ToolError when the device fails."""

    def run(self, names: list[str], feeds: dict[str, Array]) -> list[Array]:
        """The named outputs for one batch of inputs."""

    @property
    def device_s(self) -> float | None:
        """Seconds of the last execution by the device's own clock, copies excluded; None where there is none."""


class CpuInstance:
    """A session of ONNX Runtime on the CPU."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def run(self, names: list[str], feeds: dict[str, Array]) -> list[Array]:
        """The named outputs for one batch of inputs."""
        return self._session.run(names, feeds)

    @property
    def device_s(self) -> None:
        """A CPU has no clock besides the host's."""
        return


def open_instances(
    engine: Engine, count: int, threads: int, device: GpuDevice | None
) -> Sequence[Instance] | Diagnostic:
    """`count` instances of the engine, with `threads` threads per operator on a CPU; or why there are none.

    `device` is the GPU to run on, None for a CPU.

    Raises:
        ToolError: what runs the engine is not installed.
    """
    if engine.kind == "torch_inductor":
        index = 0 if device is None else device.index
        return [torch_session(engine, index) for _ in range(count)]
    if device is not None:
        return engine_sessions(engine, count, device)
    has_rewrites = onnxruntime_settings(engine).has_rewrites
    return [CpuInstance(open_session(engine.path, has_rewrites=has_rewrites, threads=threads)) for _ in range(count)]
