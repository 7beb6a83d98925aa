"""`deploy`: what is emitted."""

from typing import Annotated, Literal, TypeAlias

from pydantic import BeforeValidator, Field

from infc.ir.spec.base import Bytes, SpecModel, TemperatureC, tuple_from_list
from infc.ir.spec.constraints import HardwareIds
from infc.ir.spec.kubernetes import Kubernetes
from infc.ir.spec.shadow import Shadow
from infc.ir.spec.vllm import Vllm

ServerChoice: TypeAlias = Literal["auto", "triton", "vllm", "jetson"]
JetsonRuntime: TypeAlias = Literal["triton", "deepstream", "none", "vllm", "edge-llm"]
OtaFormat: TypeAlias = Literal["rauc", "mender"]


class Jetson(SpecModel):
    """Options of a bundle for a Jetson module."""

    power_mode: Annotated[str, Field(pattern=r"^[A-Za-z0-9_+-]{1,32}$")] | None = Field(
        default=None, description="nvpmodel mode by name, such as 15W or MAXN. Default: the best one under max_power."
    )
    jetpack: Annotated[str, Field(pattern=r"^[0-9]+\.[0-9]+(\.[0-9]+)?$")] | None = Field(
        default=None,
        description="JetPack version on the device, as text. Default: the newest that infc knows for the module.",
        examples=["6.2"],
    )
    tensorrt: Annotated[str, Field(pattern=r"^[0-9]+\.[0-9]+(\.[0-9]+){0,2}$")] | None = Field(
        default=None,
        description="TensorRT version on the device, as text, where it is not the one that JetPack brings.",
        examples=["10.7"],
    )
    reserved_bytes: Bytes | None = Field(
        default=None,
        alias="reserved_memory",
        description="Shared memory left to the rest of the device.",
        examples=["2GiB"],
    )
    dla: bool = Field(default=False, description="Let operators run on the deep learning accelerator. Default: false.")
    max_temperature_c: TemperatureC | None = Field(
        default=None,
        alias="max_temperature",
        description="Junction temperature that the device must stay below under the spec's load, measured there.",
        examples=["85C"],
    )
    runtime: JetsonRuntime = Field(
        default="triton",
        description="What serves on the device. Of an ONNX model triton, deepstream or none (a program of your own "
        "loads the engine), default triton; of a language model vllm or edge-llm (TensorRT Edge-LLM), default vllm.",
    )
    version: Annotated[str, Field(pattern=r"^(0|[1-9][0-9]{0,8})(\.(0|[1-9][0-9]{0,8})){0,3}$")] | None = Field(
        default=None,
        description="Version of the release, as text: whole numbers with dots. "
        "Default: one more than the locked release when the content changed.",
        examples=["1.4.0"],
    )
    releases_kept: Annotated[int, Field(ge=2, le=100)] = Field(
        default=3, description="Releases that the device keeps, the one in service among them. Default: 3."
    )
    ota: Annotated[tuple[OtaFormat, ...], Field(strict=False), BeforeValidator(tuple_from_list)] = Field(
        default=(),
        description="Also wrap the bundle for these update agents.",
        examples=[["rauc"]],
        json_schema_extra={"minItems": 1, "uniqueItems": True},
    )
    rollback: bool = Field(
        default=True, description="Roll back on the device when the SLO is missed there. Default: true."
    )


class Rollout(SpecModel):
    """How a new version replaces the running one, replica by replica."""

    max_surge: Annotated[int, Field(ge=0, le=1000)] = Field(
        default=1,
        description="Replicas of the new version that run beside all of the old. Devices for them count against "
        "max_accelerators and max_power, and against the cost where devices are owned or reserved. Default: 1.",
    )
    max_unavailable: Annotated[int, Field(ge=0, le=1000)] = Field(
        default=0, description="Replicas that may be missing meanwhile: at most the redundancy. Default: 0."
    )


class Deploy(SpecModel):
    """Server, further targets, and the platform's options."""

    server: ServerChoice = Field(default="auto", description="Inference server. Default: auto, by model and hardware.")
    targets: HardwareIds = Field(
        default=(),
        description="Also plan and compile for each of these, besides the best choice.",
        examples=[["cpu"]],
        json_schema_extra={"minItems": 1, "uniqueItems": True},
    )
    rollout: Rollout | None = Field(
        default=None,
        description="Rolling updates. Default: one more replica where a device can be had for the time, else one less.",
    )
    kubernetes: Kubernetes | None = Field(default=None, description="Emit Kubernetes manifests with these options.")
    jetson: Jetson | None = Field(default=None, description="Options of a Jetson bundle.")
    vllm: Vllm | None = Field(default=None, description="Options of a vLLM server.")
    shadow: Shadow | None = Field(
        default=None, description="Compare a share of live answers with the unquantised model's. Default: off."
    )
