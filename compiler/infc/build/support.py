"""Which builder makes engines for which device, and what to say where none here can."""

from importlib import util

from infc.build.builder import BuildTarget
from infc.build.far.gpu import gpu_facts
from infc.build.libraries import LIBRARIES
from infc.build.torch_target import LEVELS, cpu_level
from infc.diag import Diagnostic, InternalError
from infc.ir.engine_choice import chosen_kind, refused_engine
from infc.ir.engine_kind import EngineChoice, EngineKind
from infc.ir.hardware import Hardware
from infc.ir.precision import Precision


def builder_for(hardware: Hardware, choice: EngineChoice = "auto", precision: Precision = Precision.FP16) -> EngineKind:
    """The engine kind to build for a device on this machine, where the spec chose a runtime or left it open.

    Raises:
        InternalError: the runtime cannot serve the device in this precision; the planner leaves such places out.
    """
    refusal = refused_engine(hardware, choice, precision)
    if refusal is not None:
        raise InternalError(f"an engine was planned that cannot be: {refusal}")
    return chosen_kind(choice, hardware, precision) or _own_builder(hardware)


def _own_builder(hardware: Hardware) -> EngineKind:
    """What infc takes where the spec leaves it open.

    The CPU runs ONNX Runtime. A GPU that TensorRT can see here is built for with `tensorrt`; others ahead of time with
    `tensorrt_rtx` where it supports their compute capability, else `tensorrt` (which then needs a GPU host).
    """
    if hardware.kind == "cpu":
        return "onnxruntime"
    if util.find_spec("tensorrt") is not None and local_compute_capability() == hardware.compute_capability:
        return "tensorrt"
    is_rtx_target = hardware.kind == "gpu" and hardware.compute_capability in LIBRARIES["tensorrt_rtx"].capabilities
    return "tensorrt_rtx" if is_rtx_target else "tensorrt"


def can_build(target: BuildTarget) -> Diagnostic | None:
    """None when a builder of this machine can make the engine, else the diagnostic that says what is needed."""
    if target.kind in ("onnxruntime", "onnxruntime_cuda", "onnxruntime_tensorrt"):
        return None
    if target.kind == "torch_inductor":
        return _torch_refusal(target)
    library = LIBRARIES[target.kind]
    capability = target.compute_capability
    if library.needs_gpu:
        local = local_compute_capability()
        if local is not None and local == capability:
            return None
        here = f"this machine's GPU has compute capability {local}" if local else "this machine has no NVIDIA GPU"
        return Diagnostic(
            id="build-needs-gpu",
            message=f"a TensorRT engine for {target.hardware_id} must be built on a {target.hardware_id}",
            notes=(
                here,
                f"TensorRT-RTX, which builds without a GPU, has no target for compute capability {capability}"
                if capability not in LIBRARIES["tensorrt_rtx"].capabilities
                else f"TensorRT-RTX can build for compute capability {capability} without a GPU",
            ),
            help=f"run infc compile on a {target.hardware_id} host after pip install 'infc[tensorrt]', or name one "
            "here: infc compile --builder ssh://user@host",
        )
    if capability in library.capabilities:
        return None
    supported = ", ".join(library.capabilities)
    return Diagnostic(
        id="build-capability-unsupported",
        message=f"{library.title} has no target for {target.hardware_id} (compute capability {capability})",
        notes=(f"it builds for compute capabilities {supported}",),
        help=f"build with tensorrt on a host with a {target.hardware_id}: pip install 'infc[tensorrt]' there, then "
        "infc compile there or infc compile --builder ssh://user@host here",
    )


def _torch_refusal(target: BuildTarget) -> Diagnostic | None:
    """Inductor compiles for the GPU that is there, and for processors of a known level."""
    if target.compute_capability is None:
        if cpu_level() is not None:
            return None
        return Diagnostic(
            id="build-torch-processor",
            message="torch packages for the CPU are made on x86-64 processors with AVX2, and this is none",
            notes=(f"levels that infc knows: {', '.join(level.name for level in LEVELS)}",),
            help="compile on such a machine, or leave build.engine out: ONNX Runtime runs on every processor",
        )
    local = local_compute_capability()
    if local == target.compute_capability:
        return None
    here = f"this machine's GPU has compute capability {local}" if local else "this machine has no NVIDIA GPU"
    return Diagnostic(
        id="build-needs-gpu",
        message=f"a torch package for {target.hardware_id} must be built on a {target.hardware_id}",
        notes=(here, "torch.compile makes kernels for the GPU that it sees"),
        help=f"run infc compile on a host with a {target.hardware_id}, after pip install 'infc[torch]'",
    )


def local_compute_capability() -> str | None:
    """The compute capability of this machine's first NVIDIA GPU, from the driver; None when there is none."""
    return gpu_facts().get("compute_capability")
