"""DeepStream's nvinfer configuration of an engine: what of it follows from the model, and what its user must fill in.

nvinfer scales frames of a camera to the network's size and subtracts means; which, the spec does not say. So the file
holds what is known, with the two lines that its user checks, and names the raw outputs where infc does not know how to
read them as objects. The keys are those that nvinfer has (`targets/servers/jetson/deepstream.yaml`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache

from infc.diag import InternalError
from infc.emit.comment import comment_lines
from infc.emit.jetson.parts import JetsonPart
from infc.ir.edge_release import EdgeEngine
from infc.ir.model_profile import ModelProfile, TensorSpec
from infc.ir.precision import Precision
from infc.resolve.targets.location import data_directory

FOLDER = "deepstream"
ENGINE_FILE = "../engine/model.plan"
"""Where a device keeps the engine of a release, as seen from the configuration."""
_CHANNELS = {1: "gray", 3: "rgb"}


@dataclass(frozen=True, kw_only=True)
class NvinferData:
    """What nvinfer reads: keys of the group [property], and the numbers that stand for words."""

    keys: frozenset[str]
    network_mode: Mapping[str, int]
    network_type: Mapping[str, int]
    color_format: Mapping[str, int]
    input_order: Mapping[str, int]


@dataclass(frozen=True, kw_only=True)
class _Image:
    channels: int
    height: int
    width: int
    order: str


@cache
def nvinfer_data() -> NvinferData:
    """The data file as values."""
    import yaml

    path = data_directory("targets") / "servers" / "jetson" / "deepstream.yaml"
    document = yaml.safe_load(path.read_text(encoding="utf-8"))
    numbers = {name: {str(key): int(value) for key, value in document[name].items()} for name in _TABLES}
    return NvinferData(keys=frozenset(document["property"]), **numbers)


_TABLES = ("network_mode", "network_type", "color_format", "input_order")


def no_deepstream(model: ModelProfile) -> str | None:
    """Why nvinfer cannot feed the model, as a sentence without a full stop; None when it can."""
    if len(model.inputs) != 1:
        return f"nvinfer feeds one image, and the model has {len(model.inputs)} inputs"
    spec = model.inputs[0]
    if _image(spec) is None:
        shape = ", ".join(str(dim) for dim in spec.shape)
        return (
            f"nvinfer feeds float images of 1 or 3 channels and a fixed size, and {spec.name} is {spec.dtype}[{shape}]"
        )
    return None


def deepstream_files(parts: Sequence[JetsonPart], engines: Sequence[EdgeEngine]) -> dict[str, bytes]:
    """One configuration for each engine, by path; none for models that nvinfer cannot feed."""
    files = {}
    for part, engine in zip(parts, engines, strict=True):
        image = _image(part.problem.model.inputs[0]) if no_deepstream(part.problem.model) is None else None
        if image is not None:
            files[f"{FOLDER}/nvinfer_{engine.name}.txt"] = _config(part, engine, image)
    return files


def _config(part: JetsonPart, engine: EdgeEngine, image: _Image) -> bytes:
    data, model = nvinfer_data(), part.problem.model
    lines = {
        "gpu-id": "0",
        "gie-unique-id": "1",
        "process-mode": "1",
        "interval": "0",
        "model-engine-file": ENGINE_FILE,
        "batch-size": str(max(shape.maximum[0] for shape in engine.shapes)),
        "network-mode": str(data.network_mode[_mode(engine.precision)]),
        "network-input-order": str(data.input_order[image.order]),
        "infer-dims": f"{image.channels};{image.height};{image.width}",
        "model-color-format": str(data.color_format[_CHANNELS[image.channels]]),
        "net-scale-factor": "1.0",
        "maintain-aspect-ratio": "0",
        **_reading(model, data),
    }
    if engine.options.dla_core is not None:
        lines |= {"enable-dla": "1", "use-dla-core": str(engine.options.dla_core)}
    unknown = sorted(lines.keys() - data.keys)
    if unknown:
        raise InternalError(f"nvinfer has no key {unknown[0]}")
    comments = [
        f"{part.problem.name} for DeepStream's nvinfer: the engine that this device built from {engine.model}.",
        "net-scale-factor, offsets: how frames become the numbers that the model was trained on (each is "
        "net-scale-factor * (pixel - offset)). The spec does not say; 1.0 without offsets passes pixels from 0 to 255.",
        "network-mode is of engines that nvinfer builds itself; this one is built, and holds its own precision.",
        "A path that is not absolute is taken from the folder of this file.",
    ]
    body = "".join(f"{key}={value}\n" for key, value in lines.items())
    return ("".join(comment_lines(comments)) + "[property]\n" + body).encode()


def _reading(model: ModelProfile, data: NvinferData) -> dict[str, str]:
    """How outputs are read: as classes where the model has one row of scores for each image, else raw."""
    first = model.outputs[0]
    if len(model.outputs) == 1 and len(first.shape) == 2:
        return {"network-type": str(data.network_type["classifier"]), "classifier-threshold": "0.5"}
    return {"network-type": str(data.network_type["other"]), "output-tensor-meta": "1"}


def _mode(precision: Precision) -> str:
    match precision:
        case Precision.INT8:
            return "int8"
        case Precision.FP16:
            return "fp16"
    return "fp32"


def _image(spec: TensorSpec) -> _Image | None:
    """The image that an input is, channels first or last; None when it is none that nvinfer makes."""
    sizes = [dim for dim in spec.shape[1:] if isinstance(dim, int)]
    if len(spec.shape) != 4 or len(sizes) != 3 or spec.dtype not in ("float32", "float16"):
        return None
    if sizes[0] in _CHANNELS:
        return _Image(channels=sizes[0], height=sizes[1], width=sizes[2], order="nchw")
    if sizes[2] in _CHANNELS:
        return _Image(channels=sizes[2], height=sizes[0], width=sizes[1], order="nhwc")
    return None
