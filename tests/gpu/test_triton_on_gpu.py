"""A compiled bundle on a real Triton with a real GPU: TensorRT-RTX in infc's own server, TensorRT in its container."""

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

import pytest

from infc.diag import ToolError
from infc.emit.release import default_release
from infc.ir.accuracy import Verdict
from infc.ir.precision import Precision
from infc.serve.management import TritonManagement
from infc.validate.load import LoadSettings
from infc.validate.served import measure_served
from infc.validate.session import ValidationRequest, validate_bundle

from .checks import Machine, check_bundle

pytestmark = [pytest.mark.gpu, pytest.mark.slow, pytest.mark.server]
PORT_OFFSET = 40
READY_WITHIN_S = 240.0


def test_a_bundle_answers_and_is_measured_through_triton(machine: Machine) -> None:
    """Served, loaded, judged; then Triton's own service times of every batch size."""
    bundle = check_bundle(machine, Precision.FP16)
    with served(machine, bundle) as endpoint:
        request = ValidationRequest(
            bundle=bundle, settings=LoadSettings(budget_s=20.0), endpoint=endpoint, is_realtime=False
        )
        measurement = validate_bundle(request)
        assert measurement.errors == 0
        assert measurement.verdict is not Verdict.FAIL
        device = machine.device if endpoint is None else None
        profile = measure_served(request, (1, 2, 4), device, print)
    assert profile.points
    assert profile.environment["server"].startswith("tritonserver ")


@contextmanager
def served(machine: Machine, bundle: Path) -> Iterator[str | None]:
    """The address of a server of the bundle; None where infc starts its own for it."""
    if machine.kind == "tensorrt_rtx" and find_spec("pytriton") is not None:
        yield None
        return
    image = default_release().container
    docker = shutil.which("docker")
    if docker is None:
        pytest.skip("neither infc's server for this engine nor docker is here")
    if subprocess.run([docker, "image", "inspect", image], capture_output=True, check=False).returncode:
        pytest.skip(f"the image {image} is not here: docker pull {image}")
    environment = {**os.environ, "INFC_PORT_OFFSET": str(PORT_OFFSET), "INFC_GPU": str(machine.device.index)}
    process = subprocess.Popen(["/bin/sh", str(bundle / "launch.sh")], env=environment)
    try:
        management = TritonManagement(f"127.0.0.1:{8000 + PORT_OFFSET}")
        deadline = time.monotonic() + READY_WITHIN_S
        while not management.is_ready():
            if process.poll() is not None or time.monotonic() > deadline:
                raise ToolError("the container did not become ready")
            time.sleep(1.0)
        yield f"grpc://127.0.0.1:{8001 + PORT_OFFSET}"
    finally:
        process.terminate()
        process.wait(60.0)
