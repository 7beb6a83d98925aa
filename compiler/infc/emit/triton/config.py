"""config.pbtxt: the settings as Triton's own protobuf, in protobuf's text format, under a header of comments."""

from typing import TYPE_CHECKING, assert_never

from infc.diag import ToolError
from infc.emit.triton.settings import ENGINE_PARAMETER, ModelSettings
from infc.emit.triton.tensors import TritonTensor
from infc.ir.engine_kind import ENGINE_NAMES

if TYPE_CHECKING:
    from tritonclient.grpc.model_config_pb2 import ModelConfig


def config_pbtxt(settings: ModelSettings, header: str) -> bytes:
    """The file's bytes: `header` (comment lines) and the model configuration; same settings, same bytes."""
    from google.protobuf import text_format

    body: str = text_format.MessageToString(model_config(settings), use_short_repeated_primitives=True)
    return (header + body).encode()


def model_config(settings: ModelSettings) -> "ModelConfig":
    """The model configuration as Triton's protobuf message.

    Raises:
        ToolError: tritonclient is not installed.
    """
    try:
        from tritonclient.grpc import model_config_pb2 as pb
    except ImportError as error:
        raise ToolError("emitting a Triton repository needs tritonclient", help="pip install 'infc[triton]'") from error
    config = pb.ModelConfig(name=settings.name, max_batch_size=settings.max_batch_size)
    match settings.engine_kind:
        case "tensorrt":
            config.platform = "tensorrt_plan"
        case "tensorrt_rtx":
            config.backend = "tensorrt_rtx"
        case "onnxruntime" | "onnxruntime_cuda" | "onnxruntime_tensorrt":
            config.platform = "onnxruntime_onnx"
        case "torch_inductor":
            config.backend = "torch_inductor"
        case _:
            assert_never(settings.engine_kind)
    config.version_policy.specific.versions.append(1)
    config.default_model_filename = ENGINE_NAMES[settings.engine_kind]
    for source, target in ((settings.inputs, config.input), (settings.outputs, config.output)):
        for tensor in source:
            _fill_tensor(target.add(), tensor)
    group = config.instance_group.add(count=settings.instances)
    group.kind = group.KIND_CPU if settings.is_cpu else group.KIND_GPU
    _fill_batching(config, settings)
    _fill_warmup(config, settings)
    if settings.graph_level:
        config.optimization.graph.level = settings.graph_level
    if settings.accelerator:
        accelerator = config.optimization.execution_accelerators.gpu_execution_accelerator.add(name="tensorrt")
        for name, value in sorted(settings.accelerator.items()):
            accelerator.parameters[name] = value
    own = {} if settings.engine_key is None else {ENGINE_PARAMETER: settings.engine_key}
    for name, value in sorted({**settings.parameters, **own}.items()):
        config.parameters[name].string_value = value
    return config


def _fill_tensor(message: "ModelConfig", tensor: TritonTensor) -> None:
    message.name = tensor.name
    message.data_type = message.DESCRIPTOR.fields_by_name["data_type"].enum_type.values_by_name[tensor.data_type].number
    message.dims.extend(tensor.dims)
    if tensor.is_scalar:
        message.reshape.SetInParent()


def _fill_batching(config: "ModelConfig", settings: ModelSettings) -> None:
    batching = settings.batching
    if batching is None:
        return
    config.dynamic_batching.SetInParent()
    config.dynamic_batching.preferred_batch_size.extend(batching.preferred_batch_sizes)
    config.dynamic_batching.max_queue_delay_microseconds = round(batching.max_queue_delay_s * 1e6)
    if settings.queue_timeout_us is not None:
        policy = config.dynamic_batching.default_queue_policy
        policy.timeout_action = policy.DELAY
        policy.default_timeout_microseconds = settings.queue_timeout_us


def _fill_warmup(config: "ModelConfig", settings: ModelSettings) -> None:
    tensors = {tensor.name: tensor for tensor in settings.inputs}
    for sample in settings.warmup:
        message = config.model_warmup.add(name=sample.name, batch_size=sample.batch_size, count=1)
        for name, dims in sorted(sample.dims.items()):
            data = message.inputs[name]
            enum = data.DESCRIPTOR.fields_by_name["data_type"].enum_type
            data.data_type = enum.values_by_name[tensors[name].data_type].number
            data.dims.extend(dims)
            # Triton's random data is random bytes: token ids out of the vocabulary fail the load, floats become NaN.
            data.zero_data = True
