"""What TensorRT-RTX does on a GPU outside its support matrix, such as Hopper: asked of the library, not assumed."""

import struct
from typing import Any

from .checks import MODEL

CAPABILITY_MASK_AT = 32
"""Offset of the capabilities in an engine's header. Source: observed in engines of 1.7 (undocumented)."""


class Collector:
    """Makes loggers that keep the library's errors."""

    def __init__(self) -> None:
        self.errors: list[str] = []

    def logger(self) -> Any:
        """A logger for the library."""
        import tensorrt_rtx as trt

        errors = self.errors

        class Logger(trt.ILogger):  # type: ignore[misc, name-defined]
            def __init__(self) -> None:
                trt.ILogger.__init__(self)

            def log(self, severity: object, message: str) -> None:
                if str(severity).endswith("ERROR"):
                    errors.append(message)

        return Logger()

    def refusal(self) -> str:
        """The library's first words, or that it had none."""
        return f"refused: {self.errors[0] if self.errors else 'without a word'}"


def engine_for(capability: str | None) -> bytes | str:
    """The example's FP32 engine for a member of ComputeCapability, or why there is none.

    None leaves the capability out, which is the library's default: for all it supports but Turing.
    """
    import tensorrt_rtx as trt

    said = Collector()
    logger = said.logger()
    builder = trt.Builder(logger)
    network = builder.create_network(1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
    parser = trt.OnnxParser(network, logger)
    assert parser.parse_from_file(str(MODEL))
    config = builder.create_builder_config()
    if capability is not None:
        config.num_compute_capabilities = 1
        if not config.set_compute_capability(getattr(trt.ComputeCapability, capability), 0):
            return said.refusal()
    profile = builder.create_optimization_profile()
    profile.set_shape("input", (1, 1, 28, 28), (4, 1, 28, 28), (8, 1, 28, 28))
    config.add_optimization_profile(profile)
    plan = builder.build_serialized_network(network, config)
    return said.refusal() if plan is None else bytes(plan)


def capability_mask(plan: bytes) -> int:
    """The header's set of capabilities: 8.0 is 2, 8.6 is 4, 8.9 is 8, 12.0 is 16, 12.1 is 32; 64 is not documented."""
    (mask,) = struct.unpack_from("<I", plan, CAPABILITY_MASK_AT)
    return int(mask)


def loading_outcome(plan: bytes) -> str:
    """`loaded`, or `refused: ` and the library's words."""
    import tensorrt_rtx as trt

    said = Collector()
    engine = trt.Runtime(said.logger()).deserialize_cuda_engine(plan)
    return said.refusal() if engine is None else "loaded"
