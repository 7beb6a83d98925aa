"""What differs between NVIDIA's two TensorRT libraries, as data. Everything else of their Python API is the same.

Source: names in the bindings of tensorrt_rtx 1.7 and tensorrt 11.4; TensorRT-RTX's support matrix; the TensorRT 10 to
11 migration guide.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from infc.ir.engine_kind import EngineKind


@dataclass(frozen=True, kw_only=True)
class TensorRTLibrary:
    """One library.

    `capabilities` are the compute capabilities it can build for without a GPU of that kind (name in its enum); empty
    means that it builds for the GPU at hand only. `minimum_major` is the oldest major version with what infc uses.

    The STRONGLY_TYPED network flag is set for both: TensorRT 10 needs it, TensorRT 11 and RTX have nothing else and
    accept it.
    """

    module: str
    package: str
    title: str
    minimum_major: int
    capabilities: Mapping[str, str]

    @property
    def needs_gpu(self) -> bool:
        """Whether an engine can only be built on the GPU that will run it."""
        return not self.capabilities


LIBRARIES: Mapping[EngineKind, TensorRTLibrary] = {
    "tensorrt_rtx": TensorRTLibrary(
        module="tensorrt_rtx",
        package="tensorrt_rtx",
        title="TensorRT-RTX",
        minimum_major=1,
        capabilities={"7.5": "SM75", "8.0": "SM80", "8.6": "SM86", "8.9": "SM89", "12.0": "SM120", "12.1": "SM121"},
    ),
    "tensorrt": TensorRTLibrary(
        module="tensorrt", package="tensorrt", title="TensorRT", minimum_major=10, capabilities={}
    ),
}
