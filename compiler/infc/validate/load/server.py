"""What a load test asks the server besides inference: readiness, one checked answer, statistics. gRPC, read only."""

import json
from typing import Any

from infc.diag import ToolError
from infc.serve.statistics import ModelStatistics, statistics_from_json

_TIMEOUT_S = 10.0
_FIRST_ANSWER_TIMEOUT_S = 60.0


class ObservedServer:
    """A running server at `target` (host:port of its gRPC service). Never changes it. Close it when done.

    Raises:
        ToolError: tritonclient is not installed.
    """

    def __init__(self, target: str) -> None:
        try:
            import grpc
            from tritonclient.grpc import service_pb2, service_pb2_grpc
        except ImportError as error:
            raise ToolError("a load test needs tritonclient", help="pip install 'infc[triton]'") from error
        self.target = target
        self._grpc = grpc
        self._messages = service_pb2
        options = [("grpc.max_send_message_length", -1), ("grpc.max_receive_message_length", -1)]
        self._channel = grpc.insecure_channel(target, options=options)
        self._stub = service_pb2_grpc.GRPCInferenceServiceStub(self._channel)

    def close(self) -> None:
        """Close the connection."""
        self._channel.close()

    def version(self, model: str) -> str:
        """`tritonserver <version>`, without the server's own name, which may be random.

        Raises:
            ToolError: nothing answers, or the model is not ready.
        """
        metadata = self._call(self._stub.ServerMetadata, self._messages.ServerMetadataRequest())
        ready = self._call(self._stub.ModelReady, self._messages.ModelReadyRequest(name=model))
        if not ready.ready:
            raise ToolError(
                f"the server at {self.target} does not serve model {model}",
                help="start it with the bundle's model_repository, or give the address of the one that has it",
            )
        return f"tritonserver {metadata.version}"

    def check_answer(self, message: bytes) -> None:
        """Send one request and look at its answer: every output must hold data.

        Raises:
            ToolError: the request is refused, or an output is empty.
        """
        request = self._messages.ModelInferRequest.FromString(message)
        answer = self._call(self._stub.ModelInfer, request, timeout_s=_FIRST_ANSWER_TIMEOUT_S)
        empty = [
            tensor.name
            for tensor, content in zip(answer.outputs, answer.raw_output_contents, strict=False)
            if not content
        ]
        if empty or not answer.outputs:
            # tritonserver 2.51 with numpy 2 in its Python backend answers empty outputs without an error.
            raise ToolError(
                f"the server at {self.target} answers without data ({', '.join(empty) or 'no outputs'})",
                help="a Python backend of Triton 24.10 needs numpy 1.x",
            )

    def statistics(self, model: str) -> ModelStatistics:
        """Counters of the model since it was loaded."""
        from google.protobuf import json_format

        answer = self._call(self._stub.ModelStatistics, self._messages.ModelStatisticsRequest(name=model))
        text = json_format.MessageToJson(
            answer, preserving_proto_field_name=True, always_print_fields_with_no_presence=True
        )
        return statistics_from_json(json.loads(text))

    def config(self, model: str) -> Any:
        """The model's effective configuration as protobuf message."""
        return self._call(self._stub.ModelConfig, self._messages.ModelConfigRequest(name=model)).config

    def _call(self, method: Any, request: Any, timeout_s: float = _TIMEOUT_S) -> Any:
        try:
            return method(request, timeout=timeout_s)
        except self._grpc.RpcError as error:
            if error.code() in (self._grpc.StatusCode.UNAVAILABLE, self._grpc.StatusCode.DEADLINE_EXCEEDED):
                raise ToolError(
                    f"no Triton server answers at {self.target} (gRPC)",
                    help="--endpoint takes the gRPC address, by default port 8001: grpc://host:8001",
                ) from error
            raise ToolError(f"the server at {self.target} refuses: {error.details()}") from error
