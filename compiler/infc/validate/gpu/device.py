"""Which GPU this machine has, asked of the CUDA runtime through cuda-bindings."""

from dataclasses import dataclass
from pathlib import Path

from infc.diag import Diagnostic, ToolError

_INSTALL = "pip install 'infc[gpu]'"
_MODULE_NAME = Path("/proc/device-tree/model")
"""Where a Jetson says what it is; its CUDA device is only called Orin, Xavier or Thor."""
NO_GPU = ("cudaErrorNoDevice", "cudaErrorInsufficientDriver", "cudaErrorStubLibrary")


@dataclass(frozen=True, kw_only=True)
class GpuDevice:
    """One GPU. `index` is CUDA's number, `pci_bus_id` what other libraries know it by (None: not on PCI).

    `driver_cuda` is the newest CUDA version that the driver supports, `12.8`.
    """

    index: int
    name: str
    compute_capability: str
    memory_bytes: int
    sm_count: int
    pci_bus_id: str | None
    driver_cuda: str

    @property
    def label(self) -> str:
        """For people: `NVIDIA L4 (compute capability 8.9, 22.5 GiB)`."""
        return f"{self.name} (compute capability {self.compute_capability}, {self.memory_bytes / 2**30:.1f} GiB)"


def require_cuda_bindings() -> None:
    """Raise ToolError when the package that reaches the GPU is not installed."""
    try:
        import cuda.bindings.runtime  # noqa: F401
    except ImportError as error:
        raise ToolError(f"the GPU cannot be reached without cuda-bindings ({error})", help=_INSTALL) from error


def find_gpus() -> tuple[GpuDevice, ...] | Diagnostic:
    """The GPUs of this machine by CUDA's number, or the diagnostic that there is none.

    Raises:
        ToolError: cuda-bindings is not installed, or the CUDA runtime fails in another way.
    """
    require_cuda_bindings()
    from cuda.bindings import runtime as cudart

    code, count = cudart.cudaGetDeviceCount()
    if code.name in NO_GPU or (code.name == "cudaSuccess" and not count):
        return no_gpu(code.name if code.name in NO_GPU else "CUDA counts no device")
    if code.name != "cudaSuccess":
        raise ToolError(f"the CUDA runtime does not answer: {code.name}", help="nvidia-smi says more about the driver")
    return tuple(_device(index) for index in range(count))


def no_gpu(reason: str) -> Diagnostic:
    """The diagnostic that this machine has no GPU; `reason` is the driver's word."""
    return Diagnostic(
        id="gpu-missing",
        message="this machine has no NVIDIA GPU that CUDA can use",
        notes=(reason,),
        help="run it on a machine with the GPU and its driver; in a container, start it with --gpus all",
    )


def _device(index: int) -> GpuDevice:
    from cuda.bindings import runtime as cudart

    from infc.validate.gpu.engine_runner import check

    found = check(cudart.cudaGetDeviceProperties(index))
    name = found.name.decode() if isinstance(found.name, bytes) else str(found.name)
    code, bus = cudart.cudaDeviceGetPCIBusId(32, index)
    version = check(cudart.cudaDriverGetVersion())
    return GpuDevice(
        index=index,
        name=_module_name() or name.rstrip("\0"),
        compute_capability=f"{found.major}.{found.minor}",
        memory_bytes=int(found.totalGlobalMem),
        sm_count=int(found.multiProcessorCount),
        pci_bus_id=bus.decode().rstrip("\0") if code.name == "cudaSuccess" and not found.integrated else None,
        driver_cuda=f"{version // 1000}.{version % 1000 // 10}",
    )


def _module_name() -> str | None:
    """The name of a Jetson module, None on any other machine."""
    try:
        name = _MODULE_NAME.read_bytes().rstrip(b"\0").decode(errors="replace")
    except OSError:
        return None
    return name if "Jetson" in name else None
