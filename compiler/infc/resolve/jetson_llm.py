"""What serves language models on Jetson modules: `targets/servers/jetson/vllm.yaml` and `edge_llm.yaml` as values."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

from infc.diag import InternalError
from infc.ir.hardware import Hardware
from infc.ir.jetson import JetPack, JetsonSetup
from infc.ir.llm_profile import LlmProfile
from infc.ir.precision import Precision
from infc.ir.problem import LlmRuntime
from infc.resolve.jetson import jetpacks
from infc.resolve.served_models import not_served
from infc.resolve.targets.fields import Field, FieldKind
from infc.resolve.targets.location import data_directory
from infc.resolve.targets.records import Record, read_record

_T, _TS, _RECORDS = FieldKind.TEXT, FieldKind.TEXTS, FieldKind.RECORDS
_MEGA, _MINUTE_S = 1e6, 60.0
_WIDE = (Precision.BF16, Precision.FP16)
_OWN_METHOD = "compressed-tensors"


@dataclass(frozen=True, kw_only=True)
class VllmImage:
    """An image with vLLM. `l4t_at_least` and `l4t_below` are releases of Jetson Linux.

    `needs_gpu_request`: a container asks for the GPU besides the `nvidia` runtime.
    """

    vllm: str
    image: str
    l4t_at_least: str
    l4t_below: str
    compute_capabilities: tuple[str, ...]
    cuda: str
    needs_gpu_request: bool


@dataclass(frozen=True, kw_only=True)
class EdgeLlm:
    """A release of TensorRT Edge-LLM.

    `platforms` are pairs of Jetson Linux and compute capability that it has native code for. `precisions` are those of
    weights by compute capability, `quantised` those read from a checkpoint by the library that quantised it.
    `free_bytes` must be free besides the model, `build_s` is what building an engine takes at most.
    """

    version: str
    package: str
    extra: str
    python: str
    wheel_platform: str
    tensorrt_major: str
    platforms: tuple[tuple[str, str], ...]
    precisions: Mapping[str, tuple[Precision, ...]]
    architectures: tuple[str, ...]
    quantised: Mapping[str, tuple[Precision, ...]]
    options: tuple[str, ...]
    free_bytes: float
    build_s: float


@cache
def vllm_images() -> tuple[VllmImage, ...]:
    """Every image that infc knows, oldest vLLM first."""
    return tuple(
        VllmImage(
            vllm=record.required_text("vllm"),
            image=record.required_text("image"),
            l4t_at_least=record.required_text("l4t_at_least"),
            l4t_below=record.required_text("l4t_below"),
            compute_capabilities=record.texts("compute_capabilities"),
            cuda=record.required_text("cuda"),
            needs_gpu_request=bool(record.flag("needs_gpu_request")),
        )
        for record in _read("vllm").records("images")
    )


@cache
def edge_llm() -> EdgeLlm:
    """The release of TensorRT Edge-LLM that recipes are written for: the newest in the file."""
    record = _read("edge_llm").records("releases")[-1]
    return EdgeLlm(
        version=record.required_text("version"),
        package=record.required_text("package"),
        extra=record.required_text("extra"),
        python=record.required_text("python"),
        wheel_platform=record.required_text("wheel_platform"),
        tensorrt_major=record.required_text("tensorrt_major"),
        platforms=tuple(
            (row.required_text("l4t"), row.required_text("compute_capability")) for row in record.records("platforms")
        ),
        precisions={row.required_text("compute_capability"): _precisions(row) for row in record.records("precisions")},
        architectures=record.texts("architectures"),
        quantised={row.required_text("method"): _precisions(row) for row in record.records("quantised")},
        options=record.texts("options"),
        free_bytes=record.required_number("free_memory_mb", _MEGA),
        build_s=record.required_number("build_minutes", _MINUTE_S),
    )


def vllm_image_for(hardware: Hardware, jetpack: JetPack) -> VllmImage | None:
    """The newest image that runs on a module with this JetPack; None when there is none.

    >>> from infc.resolve.jetson import jetpack_for
    >>> from infc.resolve.targets.catalogue import load_catalogue
    >>> orin = load_catalogue(None).find("jetson-agx-orin-64gb")
    >>> [vllm_image_for(orin, jetpack_for(orin.id, wanted)).vllm for wanted in ("6.2", "7.2")]
    ['0.19.0', '0.32.0']
    """
    return next((image for image in reversed(vllm_images()) if _runs_on(image, hardware, jetpack)), None)


def serving_refusal(
    model: LlmProfile, hardware: Hardware, precision: Precision, runtime: LlmRuntime, setup: JetsonSetup | None
) -> str | None:
    """Why a language model is not served on a Jetson module in this way, memory apart; None when it is.

    What vLLM itself runs on such a device is asked of the performance model.
    """
    if setup is None or setup.jetpack is None:
        return f"no JetPack is known for {hardware.id}"
    match runtime:
        case "vllm":
            image = vllm_image_for(hardware, setup.jetpack)
            if image is None:
                return _no_image(hardware, setup.jetpack)
            unserved = not_served(model, image.vllm)
            return None if unserved is None else f"{unserved.message} (the image for JetPack {setup.jetpack.version})"
        case "edge-llm":
            return edge_llm_refusal(model, hardware, precision, setup.jetpack, setup.tensorrt)


def runtime_version(runtime: LlmRuntime, hardware: Hardware, setup: JetsonSetup) -> str:
    """Name and version of what serves on a module, `vllm 0.19.0`; the name alone where nothing does."""
    if runtime == "edge-llm":
        return f"tensorrt-edge-llm {edge_llm().version}"
    image = None if setup.jetpack is None else vllm_image_for(hardware, setup.jetpack)
    return "vllm" if image is None else f"vllm {image.vllm}"


def edge_llm_refusal(
    model: LlmProfile, hardware: Hardware, precision: Precision, jetpack: JetPack, tensorrt: str | None = None
) -> str | None:
    """Why TensorRT Edge-LLM does not serve a model on a module; None when it does."""
    release = edge_llm()
    name, capability = f"TensorRT Edge-LLM {release.version}", hardware.compute_capability or ""
    usable = [p.version for p in jetpacks() if hardware.id in p.hardware_ids and _has_code(release, capability, p.l4t)]
    if not _has_code(release, capability, jetpack.l4t):
        where = f"; it has for JetPack {', '.join(usable)}" if usable else ""
        return f"{name} has no code for {hardware.name} on JetPack {jetpack.version}{where}"
    installed = tensorrt or jetpack.tensorrt
    if installed.partition(".")[0] != release.tensorrt_major:
        return f"{name} runs with TensorRT {release.tensorrt_major}, not {installed}"
    if model.architecture not in release.architectures:
        return (
            f"{name} does not build {model.architecture}; of text models it builds {', '.join(release.architectures)}"
        )
    allowed = release.precisions.get(capability, ())
    if precision not in allowed:
        return f"{name} runs no {precision.value.upper()} weights on {hardware.name}"
    if precision not in _WIDE:
        method = _OWN_METHOD if model.quantization is None else model.quantization.method
        if precision not in release.quantised.get(method, ()):
            made = ", which is what infc quantises to" if model.quantization is None else ""
            return f"{name} reads no {precision.value.upper()} weights from checkpoints of {method}{made}"
    return None


def _no_image(hardware: Hardware, jetpack: JetPack) -> str:
    usable = [
        p.version
        for p in jetpacks()
        if hardware.id in p.hardware_ids and any(_runs_on(image, hardware, p) for image in vllm_images())
    ]
    where = f"; there is for {', '.join(usable)}" if usable else ", and none for another"
    return f"no image with vLLM is known for {hardware.name} on JetPack {jetpack.version}{where}"


def _runs_on(image: VllmImage, hardware: Hardware, jetpack: JetPack) -> bool:
    is_release = _number(image.l4t_at_least) <= _number(jetpack.l4t) < _number(image.l4t_below)
    return is_release and (hardware.compute_capability or "") in image.compute_capabilities


def _has_code(release: EdgeLlm, capability: str, l4t: str) -> bool:
    major_minor = ".".join(l4t.split(".")[:2])
    return (major_minor, capability) in release.platforms


def _number(version: str) -> tuple[int, ...]:
    return tuple(map(int, version.split(".")))


def _precisions(record: Record) -> tuple[Precision, ...]:
    return tuple(map(Precision, record.texts("precisions")))


_SOURCES = (
    Field(key="sources", kind=_TS, description="Who says so.", is_required=True),
    Field(key="recalled_fields", kind=_TS, description="Keys whose values rest on recall alone."),
)
_CAPABILITY = Field(key="compute_capability", kind=_T, description="Compute capability.", is_required=True)
_PRECISIONS = Field(key="precisions", kind=_TS, description="Precisions of weights.", is_required=True)
_IMAGE_FIELDS = (
    Field(key="vllm", kind=_T, description="The vLLM in the image.", is_required=True),
    Field(key="image", kind=_T, description="Container image.", is_required=True),
    Field(key="l4t_at_least", kind=_T, description="Oldest Jetson Linux.", is_required=True),
    Field(key="l4t_below", kind=_T, description="First Jetson Linux that it is not for.", is_required=True),
    Field(key="compute_capabilities", kind=_TS, description="GPUs that it has kernels for.", is_required=True),
    Field(key="cuda", kind=_T, description="CUDA in the image.", is_required=True),
    Field(key="needs_gpu_request", kind=FieldKind.FLAG, description="GPU asked for besides the runtime."),
    *_SOURCES,
)
_RELEASE_FIELDS = (
    Field(key="version", kind=_T, description="Version.", is_required=True),
    Field(key="package", kind=_T, description="Python package.", is_required=True),
    Field(key="extra", kind=_T, description="Extra with the server.", is_required=True),
    Field(key="python", kind=_T, description="Python of the device.", is_required=True),
    Field(key="wheel_platform", kind=_T, description="Platform tag of its wheel.", is_required=True),
    Field(key="tensorrt_major", kind=_T, description="Major version of TensorRT.", is_required=True),
    Field(
        key="platforms",
        kind=_RECORDS,
        description="Where it has native code.",
        is_required=True,
        fields=(Field(key="l4t", kind=_T, description="Jetson Linux.", is_required=True), _CAPABILITY),
    ),
    Field(
        key="precisions",
        kind=_RECORDS,
        description="Precisions by GPU.",
        is_required=True,
        fields=(_CAPABILITY, _PRECISIONS),
    ),
    Field(key="architectures", kind=_TS, description="Architectures of text models.", is_required=True),
    Field(
        key="quantised",
        kind=_RECORDS,
        description="Quantised checkpoints that it reads.",
        is_required=True,
        fields=(Field(key="method", kind=_T, description="Library.", is_required=True), _PRECISIONS),
    ),
    Field(key="options", kind=_TS, description="Options of its server.", is_required=True),
    Field(key="free_memory_mb", kind=FieldKind.NUMBER, description="Memory besides the model, 10^6 bytes."),
    Field(key="build_minutes", kind=FieldKind.NUMBER, description="Longest build of an engine."),
    *_SOURCES,
)
_FILES: Mapping[str, tuple[Field, ...]] = {
    "vllm": (Field(key="images", kind=_RECORDS, description="Images.", is_required=True, fields=_IMAGE_FIELDS),),
    "edge_llm": (
        Field(key="releases", kind=_RECORDS, description="Releases.", is_required=True, fields=_RELEASE_FIELDS),
    ),
}


def _read(name: str) -> Record:
    path = data_directory("targets") / "servers" / "jetson" / f"{name}.yaml"
    record, problems = read_record(path.read_text("utf-8"), path.name, _FILES[name], is_untrusted=False)
    if record is None:
        raise InternalError(f"built-in {path.name}: {problems[0].message}")
    return record
