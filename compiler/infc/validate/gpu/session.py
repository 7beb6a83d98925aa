"""Sessions of engines that run on this machine's GPU: what the accuracy gate and calibration execute."""

import importlib
import weakref
from collections.abc import Sequence
from types import ModuleType
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from infc.diag import Diagnostic, ToolError
from infc.ir.engine import Engine
from infc.ir.engine_kind import EngineKind
from infc.validate.gpu.device import GpuDevice, find_gpus
from infc.validate.gpu.onnxruntime_session import PROVIDERS, ProviderSession, provider_session

if TYPE_CHECKING:
    import tensorrt_rtx as trt

    from infc.lower.arrays import Array  # it brings onnx along
    from infc.validate.gpu import engine_runner

_EXTRAS: dict[EngineKind, str] = {"tensorrt": "tensorrt", "tensorrt_rtx": "rtx"}
_MOST_REASONS = 3
_LONGEST_REASON = 240


class GpuSession:
    """One execution context of an engine, with its own stream and buffers: what an instance of a server is.

    A batch that is larger than the engine accepts runs in parts. `close` frees the device; a session that is dropped
    is closed, too.
    """

    def __init__(self, context: "engine_runner.Context") -> None:
        self._context = context
        self._most_rows = _most_rows(context.owner)
        self._device_s = 0.0
        self.close = weakref.finalize(self, context.close)

    def run(self, names: list[str], feeds: "dict[str, Array]") -> "list[Array]":
        """The named outputs for one batch of inputs.

        Raises:
            ToolError: the shapes are outside the engine's optimization profile, or the device fails.
        """
        parts = [self._run(part) for part in _split(feeds, self._most_rows)]
        if len(parts) == 1:
            return [parts[0][name] for name in names]
        return [np.concatenate([part[name] for part in parts]) for name in names]

    @property
    def device_s(self) -> float | None:
        """Seconds that the last execution took on the device, copies excluded; None when they are not timed."""
        return self._device_s if self._context.events else None

    def _run(self, feeds: "dict[str, Array]") -> "dict[str, Array]":
        self._context.owner.use_device()
        try:
            outputs = self._context.run({name: [values] for name, values in feeds.items()})
        except ValueError as error:
            raise ToolError(
                f"the engine does not accept these inputs: {error}",
                help="sizes of dynamic axes must be among those of workload.axes that it was built for",
            ) from error
        except (RuntimeError, TypeError) as error:
            raise ToolError(
                f"the engine failed on the GPU: {error}", help="nvidia-smi shows the GPU's state"
            ) from error
        self._device_s = self._context.device_s
        return outputs


AnyGpuSession: TypeAlias = GpuSession | ProviderSession


def engine_session(engine: Engine, device: GpuDevice | None = None) -> AnyGpuSession | Diagnostic:
    """A session of an engine of TensorRT, TensorRT-RTX or ONNX Runtime's GPU providers, or why there is none here.

    `device` None takes CUDA's first GPU (CUDA_VISIBLE_DEVICES chooses it).

    Raises:
        ToolError: cuda-bindings or the engine's library is not installed.
    """
    opened = engine_sessions(engine, 1, device, is_timed=False)
    return opened if isinstance(opened, Diagnostic) else opened[0]


def engine_sessions(
    engine: Engine, count: int, device: GpuDevice | None = None, *, is_timed: bool = True
) -> tuple[AnyGpuSession, ...] | Diagnostic:
    """`count` sessions, each with a context and stream of its own, as instances of Triton have.

    Those of TensorRT share one engine, as instances in one process do; ONNX Runtime has its own copy in each.

    Raises:
        ToolError: cuda-bindings or the engine's library is not installed.
    """
    if device is None:
        found = find_gpus()
        if isinstance(found, Diagnostic):
            return found
        device = found[0]
    if engine.kind in PROVIDERS:
        return tuple(provider_session(engine, device) for _ in range(count))
    library = _library(engine.kind)
    from infc.validate.gpu import engine_runner

    messages: list[str] = []
    try:
        loaded = engine_runner.Engine(
            library, str(engine.path), device.index, _collector(library, messages), allows_host_code=True
        )
        contexts = [loaded.context(is_timed=is_timed) for _ in range(count)]
    except RuntimeError as error:
        return _other_version(engine, library) or _refused(engine, device, str(error), messages)
    return tuple(GpuSession(context) for context in contexts)


def _library(kind: EngineKind) -> ModuleType:
    try:
        return importlib.import_module(kind)
    except ImportError as error:
        help = f"pip install 'infc[{_EXTRAS[kind]}]'; a Jetson has TensorRT from JetPack"
        raise ToolError(f"{kind} is not installed here ({error})", help=help) from error


def _other_version(engine: Engine, library: ModuleType) -> Diagnostic | None:
    """The diagnostic that the installed library is not the one that built the engine; None when it is."""
    built = engine.facts.toolchain.get(engine.kind)
    if built is None or built == library.__version__:
        return None
    return Diagnostic(
        id="gpu-engine-version",
        message=f"the engine was built with {engine.kind} {built}, and {library.__version__} here does not load it",
        notes=("an engine loads in the version that built it, unless it was built version compatible",),
        help=f"pip install '{engine.kind}=={built}', or build the engine again on this machine",
    )


def _refused(engine: Engine, device: GpuDevice, reason: str, messages: Sequence[str]) -> Diagnostic:
    return Diagnostic(
        id="gpu-engine-refused",
        message=f"the {engine.kind} engine for {engine.hardware_id} does not load on this machine's GPU",
        notes=(reason, *messages[-_MOST_REASONS:], f"this GPU: {device.label}"),
        help="build the engine for this GPU and with the library that is installed here: infc compile",
    )


def _collector(library: ModuleType, messages: list[str]) -> "trt.ILogger":
    """A logger that keeps what the library says of errors."""

    class Collector(library.ILogger):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            library.ILogger.__init__(self)

        def log(self, severity: "trt.ILogger.Severity", message: str) -> None:
            if str(severity).rpartition(".")[2] in ("ERROR", "INTERNAL_ERROR"):
                messages.append(message.strip()[:_LONGEST_REASON])

    return Collector()


def _most_rows(owner: "engine_runner.Engine") -> int:
    """Rows of the largest batch that the engine accepts; 0 where its inputs have no leading dimension."""
    largest = [owner.largest_shape(name) for name in owner.inputs if name not in owner.on_host]
    return min((shape[0] for shape in largest if shape), default=0)


def _split(feeds: "dict[str, Array]", rows: int) -> "list[dict[str, Array]]":
    """The batch in parts of at most `rows` rows; as it is where its inputs do not share their leading size.

    >>> [part["x"].shape for part in _split({"x": np.zeros((5, 2))}, 2)]
    [(2, 2), (2, 2), (1, 2)]
    """
    counts = {len(values) if values.ndim else 0 for values in feeds.values()}
    count = counts.pop()
    if counts or not rows or count <= rows:
        return [feeds]
    return [{name: values[start : start + rows] for name, values in feeds.items()} for start in range(0, count, rows)]
