"""Service times by Triton's own clock: batches of every wanted size are made to form on the real server."""

from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

from infc.diag import ToolError
from infc.serve.triton import TritonServer
from infc.validate.load import LoadSettings
from infc.validate.load.closed_loop import ClosedLoop
from infc.validate.rehearsal import write_rehearsal_repository
from infc.validate.served import measure_served
from infc.validate.session import ValidationRequest

from .bundles import contract, write_bundle

pytest.importorskip("onnxruntime", reason="the extra `onnx` is not installed")
pytest.importorskip("tritonclient.grpc", reason="the extra `triton` is not installed")

pytestmark = [
    pytest.mark.server,
    pytest.mark.skipif(find_spec("pytriton") is None, reason="the real tritonserver comes with the extra `server`"),
]


@pytest.fixture(scope="module")
def endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server with an encoder that takes 4, 5, 6, 7 ms for batches of 1 to 4."""
    folder = tmp_path_factory.mktemp("served")
    each = contract(limits_s={99.0: 2.0}, rate_rps=100)
    bundle = write_bundle(folder / "bundle", each)
    write_rehearsal_repository(bundle, each, folder / "repository")
    with TritonServer(folder / "repository", workdir=folder) as server:
        yield f"grpc://{server.grpc_url}"


def test_every_wanted_batch_size_forms_and_is_timed(endpoint: str, tmp_path: Path) -> None:
    """The times rise with the batch, at least as long as the model takes; what ran is named."""
    bundle = write_bundle(tmp_path, contract(limits_s={99.0: 2.0}, rate_rps=100))
    request = ValidationRequest(
        bundle=bundle, settings=LoadSettings(budget_s=4.0), endpoint=endpoint, is_realtime=False
    )
    said: list[str] = []
    profile = measure_served(request, (1, 4, 64), None, said.append)
    times = {point.batch_size: point.seconds.value for point in profile.points}
    assert {1, 4} <= set(times)
    assert 0.004 <= times[1] < times[4]
    assert times[4] >= 0.9 * 0.007
    assert profile.environment["server"] == "tritonserver 2.51.0"
    assert (profile.hardware_id, profile.engine_kind, profile.instances) == ("l4", "tensorrt", 1)
    assert profile.usage is None
    assert said[-1].startswith("batch 4: ")


def test_a_refused_request_ends_the_loop(endpoint: str) -> None:
    """The server's reason is raised, and nothing more is sent."""
    from tritonclient.grpc import service_pb2

    message = service_pb2.ModelInferRequest(model_name="encoder").SerializeToString()
    with ClosedLoop(endpoint.removeprefix("grpc://"), [message]) as loop:
        with pytest.raises(ToolError, match="INVALID_ARG"):
            hold_and_drain(loop)
        with pytest.raises(ToolError, match="the server refuses the requests"):
            loop.check()


def hold_and_drain(loop: ClosedLoop) -> None:
    """Two requests, and their answers."""
    loop.hold(2)
    loop.drain()
