"""`build`: how engines are built, where the user wants other than the builder's own way."""

from typing import Annotated

from pydantic import Field

from infc.ir.build_options import HardwareCompatibility
from infc.ir.engine_kind import EngineChoice
from infc.ir.spec.base import Bytes, SpecModel


class Build(SpecModel):
    """Options of the engine builder, in TensorRT's own terms; a library that lacks one refuses the build."""

    engine: EngineChoice = Field(
        default="auto",
        description="What runs the model: auto is TensorRT on a GPU and ONNX Runtime on a CPU. onnxruntime uses its "
        "CUDA provider on a GPU, torch a package that torch.compile makes ahead of time.",
    )
    optimization_level: Annotated[int, Field(ge=0, le=5)] | None = Field(
        default=None,
        description="TensorRT's builder optimization level: higher builds longer and may run faster. "
        "Default: the library's, 3.",
    )
    workspace: Bytes | None = Field(
        default=None,
        description="Most device memory that one kernel may use as scratch. Default: the device's.",
        examples=["2GiB"],
    )
    version_compatible: bool = Field(
        default=False, description="The engine also loads in later TensorRT versions of the same major version."
    )
    hardware_compatibility: HardwareCompatibility = Field(
        default="none", description="Which other GPUs the engine runs on, at some cost in speed."
    )
    weight_streaming: bool = Field(
        default=False, description="The engine can keep weights in host memory, to fit a smaller device."
    )
    refit: bool = Field(default=False, description="The engine's weights can be replaced without another build.")
