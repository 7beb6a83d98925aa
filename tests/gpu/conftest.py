"""The GPU of this machine, for the tests that need one."""

from collections.abc import Iterable
from pathlib import Path

import pytest

from infc.build.libraries import LIBRARIES
from infc.diag import Diagnostic, ToolError
from infc.ir.engine_kind import EngineKind
from infc.ir.hardware import Hardware
from infc.resolve.targets import load_catalogue
from infc.validate.gpu import GpuDevice, find_gpus
from infc.validate.gpu.identity import is_device
from infc.validate.session import has_gpu

from .checks import Machine


@pytest.fixture(scope="session")
def device() -> GpuDevice:
    """This machine's first GPU."""
    if not has_gpu():
        pytest.skip("this machine has no NVIDIA GPU")
    try:
        found = find_gpus()
    except ToolError as error:
        pytest.skip(f"{error} ({error.help})")
    if isinstance(found, Diagnostic):
        pytest.skip(f"{found.message}: {', '.join(found.notes)}")
    return found[0]


@pytest.fixture(scope="session")
def hardware(device: GpuDevice) -> Hardware:
    """Its row in the catalogue."""
    rows: Iterable[Hardware] = load_catalogue(None).all()
    row = next((hardware for hardware in rows if is_device(device, hardware)), None)
    if row is None:
        pytest.skip(f"{device.label} is not in the catalogue")
    return row


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where all tests keep lowered models and engines."""
    return tmp_path_factory.mktemp("gpu")


@pytest.fixture(params=["tensorrt", "tensorrt_rtx"])
def machine(request: pytest.FixtureRequest, device: GpuDevice, hardware: Hardware, folder: Path) -> Machine:
    """The GPU with each of the two libraries, where it is installed and supports the GPU."""
    kind: EngineKind = request.param
    pytest.importorskip(kind, reason=f"{kind} is not installed")
    capabilities = LIBRARIES[kind].capabilities
    if capabilities and device.compute_capability not in capabilities:
        pytest.skip(f"{LIBRARIES[kind].title} does not support compute capability {device.compute_capability}")
    return Machine(device=device, hardware=hardware, kind=kind, folder=folder)
