"""A GPU bundle's scheduling without the GPU: its own config.pbtxt, planned service times in place of engines."""

from pathlib import Path

from infc.diag import ToolError
from infc.validate.contract import ValidationContract

SERVER_OVERHEAD_S = 0.0005
REQUEST_OVERHEAD_S = 0.0002
"""What tritonserver 2.51 and its channel to a python-based backend add to an execution, and for each further request
in it.

Measured: 0.45 to 0.65 ms for one request, 0.1 (idle machine) to 0.3 ms (busy) for each further one. Both are
subtracted from the slept time, since planned service times already hold the server's own cost.
"""


def write_rehearsal_repository(bundle: Path, contract: ValidationContract, folder: Path) -> None:
    """Write the bundle's model repository to `folder`, changed only so that it runs without the GPU.

    Kept: maximum batch size, dynamic batching, queue policy, number of instances, inputs and outputs, warm-up.
    Changed: instances run on the CPU, the engine file is empty, and the stand-in backend is told how long each batch
    size takes.

    Raises:
        ToolError: config.pbtxt is missing or no configuration, or tritonclient is not installed.
    """
    try:
        from google.protobuf import text_format
        from tritonclient.grpc import model_config_pb2
    except ImportError as error:
        raise ToolError("a rehearsal needs tritonclient", help="pip install 'infc[triton]'") from error
    source = bundle / "model_repository" / contract.model.name / "config.pbtxt"
    config = model_config_pb2.ModelConfig()
    try:
        text_format.Parse(source.read_text(encoding="utf-8"), config)
    except OSError as error:
        raise ToolError(f"{source} cannot be read: {error.strerror}", help="compile the spec again") from error
    except text_format.ParseError as error:
        raise ToolError(f"{source} is not a model configuration: {error}", help="compile the spec again") from error
    for group in config.instance_group:
        group.kind = group.KIND_CPU
        del group.gpus[:]
    seconds = ",".join(f"{each:.9f}" for each in _slept_s(contract.service_time.values))
    config.parameters["infc.service_times_s"].string_value = seconds
    config.parameters["infc.server_overhead_s"].string_value = str(SERVER_OVERHEAD_S)
    model = folder / contract.model.name
    (model / "1").mkdir(parents=True)
    (model / "1" / (config.default_model_filename or "model.plan")).touch()
    (model / "config.pbtxt").write_text(text_format.MessageToString(config), encoding="utf-8")


def _slept_s(planned_s: tuple[float, ...]) -> tuple[float, ...]:
    """Planned seconds by batch size, less what further requests of a batch cost around the execution."""
    return tuple(max(seconds - REQUEST_OVERHEAD_S * index, 0.0) for index, seconds in enumerate(planned_s))
