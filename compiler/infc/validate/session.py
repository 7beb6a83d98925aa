"""From a bundle on disk to its measurement: which server, its start and end, what the report says of it."""

import importlib.metadata
import json
import platform
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import urlsplit

from infc.diag import ToolError
from infc.ir.measurement import Measurement
from infc.ir.shadow import FOLDER_VARIABLE, SETTINGS_NAME, capture_options, shadow_name
from infc.serve.backends import OWN_BACKENDS, SLEEPER, STAND_INS, TRITON_BACKENDS
from infc.serve.triton import TritonServer
from infc.validate.bundled import bundled_contract
from infc.validate.contract import SAMPLES_NAME, ValidationContract
from infc.validate.contract_json import from_json
from infc.validate.load.requests import AxisSizes, request_messages
from infc.validate.load.run import LoadSubject, run_load_test
from infc.validate.load.settings import LoadSettings
from infc.validate.load.watch import LoadProgress
from infc.validate.realtime import GENERATOR_PRIORITY, SERVER_PRIORITY, can_be_realtime
from infc.validate.rehearsal import write_rehearsal_repository

_GPU_DEVICES = ("/dev/nvidia0", "/dev/nvhost-gpu", "/dev/nvgpu/igpu0", "/dev/dxg")
_GRPC_PORT = 8001


@dataclass(frozen=True, kw_only=True)
class ValidationRequest:
    """What to validate, and how.

    `endpoint` is the gRPC address of a running server (`grpc://host:port`), which is used as it is; None starts one.
    `is_rehearsal` runs a GPU bundle's scheduling without its GPU. `is_realtime` None takes real-time priority where
    it can be had.
    """

    bundle: Path
    settings: LoadSettings
    endpoint: str | None = None
    is_rehearsal: bool = False
    is_realtime: bool | None = None
    axis_sizes: AxisSizes = "padded"


@dataclass(frozen=True, kw_only=True)
class UnderTest:
    """A server that is up: its gRPC address, and a check that raises ToolError when it is gone.

    `load_s` is how long it took until it was ready; None where it runs already, or only stands in for an engine.
    """

    target: str
    check: Callable[[], None]
    load_s: float | None = None


def read_contract(bundle: Path) -> ValidationContract:
    """The contract of a bundle.

    Raises:
        ToolError: the folder holds none, or it cannot be read.
    """
    return bundled_contract(bundle, from_json, "Triton")


def validate_bundle(
    request: ValidationRequest,
    *,
    progress: Callable[[LoadProgress], None] = lambda _: None,
    announce: Callable[[str], None] = lambda _: None,
) -> Measurement:
    """Serve a bundle, or use the server that already does, and judge it by its contract.

    A server started here listens on loopback and is ended before this returns or raises.

    Args:
        request: what to validate.
        progress: called about five times a second during the load test.
        announce: called with one line about each step.

    Raises:
        ToolError: the bundle cannot be served here, or the server fails.
    """
    contract = read_contract(request.bundle)
    is_realtime = wants_realtime(request)
    settings = replace(request.settings, realtime_priority=GENERATOR_PRIORITY if is_realtime else None)
    samples = request.bundle / SAMPLES_NAME
    messages = request_messages(
        contract.model,
        contract.traffic.axes,
        samples=samples if samples.is_file() else None,
        sizes=request.axis_sizes,
        seed=settings.seed,
    )
    is_fixed = request.axis_sizes == "padded" or not contract.traffic.axes
    with serving(request, contract, SERVER_PRIORITY if is_realtime else None, announce) as under_test:
        subject = LoadSubject(
            contract=contract,
            target=under_test.target,
            messages=messages,
            axes={name: axis.maximum for name, axis in contract.traffic.axes.items()} if is_fixed else None,
            environment=environment_of(request, contract, is_realtime=is_realtime),
            is_rehearsal=request.is_rehearsal,
        )
        announce(
            f"offering {settings.rate_rps or contract.replica_rps:g} requests/s for at most {settings.budget_s:g} s"
        )
        measured = run_load_test(subject, settings, progress=progress, check_server=under_test.check)
        if measured.service_time is None:
            return measured
        return replace(measured, service_time=replace(measured.service_time, load_s=under_test.load_s))


@contextmanager
def serving(
    request: ValidationRequest,
    contract: ValidationContract,
    priority: int | None,
    announce: Callable[[str], None],
) -> Iterator[UnderTest]:
    """The server to test, for as long as the block runs."""
    if request.endpoint is not None:
        yield UnderTest(target=grpc_target(request.endpoint), check=lambda: None)
        return
    _require_servable(request, contract)
    with tempfile.TemporaryDirectory(prefix="infc-validate-") as folder:
        repository = request.bundle / "model_repository"
        if request.is_rehearsal:
            repository = Path(folder) / "model_repository"
            write_rehearsal_repository(request.bundle, contract, repository)
        shadow = None if request.is_rehearsal else shadow_of(request.bundle, contract.model.name)
        captures = Path(folder) / "captures"
        if shadow is not None:
            captures.mkdir()
        server = TritonServer(
            repository,
            workdir=Path(folder),
            backends=_backends(request, contract, has_shadow=shadow is not None),
            realtime_priority=priority,
            extra_args=() if shadow is None else capture_options(contract.model.name, shadow, folder=str(captures)),
            environment={} if shadow is None else {FOLDER_VARIABLE: str(captures)},
        )

        def check() -> None:
            if not server.is_running():
                last = server.log_text().strip().splitlines()[-3:]
                raise ToolError("tritonserver ended during the load test", help=f"its last words: {' | '.join(last)}")

        announce("starting tritonserver on loopback" + (" (rehearsal)" if request.is_rehearsal else ""))
        begun_s = time.monotonic()
        with server:
            load_s = None if request.is_rehearsal else round(time.monotonic() - begun_s, 3)
            yield UnderTest(target=server.grpc_url, check=check, load_s=load_s)


def grpc_target(endpoint: str) -> str:
    """`grpc://host:port`, `host:port` or `host` as gRPC's host:port; the port is 8001 where none is given.

    Raises:
        ToolError: it is no gRPC address.

    >>> grpc_target("grpc://triton.example:9001"), grpc_target("triton.example")
    ('triton.example:9001', 'triton.example:8001')
    """
    parts = urlsplit(endpoint if "//" in endpoint else f"grpc://{endpoint}")
    try:
        host, port = parts.hostname, parts.port or _GRPC_PORT
    except ValueError:
        host, port = None, 0
    if parts.scheme != "grpc" or not host or parts.path.strip("/"):
        raise ToolError(
            f"{endpoint} is not the gRPC address of a server", help="give grpc://host:port; Triton's gRPC port is 8001"
        )
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def has_gpu() -> bool:
    """Whether this machine shows an NVIDIA GPU."""
    return any(Path(device).exists() for device in _GPU_DEVICES)


def must_be_rehearsed(bundle: Path) -> bool:
    """Whether the tritonserver that infc starts can only rehearse a bundle here: its GPU or its backend is missing."""
    model = read_contract(bundle).model
    return not model.is_cpu and (model.engine_kind not in OWN_BACKENDS or not has_gpu())


def _require_servable(request: ValidationRequest, contract: ValidationContract) -> None:
    """Raise ToolError when the server that infc starts cannot run this bundle."""
    model, name = contract.model, request.bundle
    if request.is_rehearsal and model.is_cpu:
        raise ToolError(
            f"{name} is for {contract.target}: it needs no rehearsal",
            help="leave --rehearse out: the bundle runs here as it is",
        )
    if request.is_rehearsal:
        return
    if not any((name / "model_repository" / model.name / "1").glob("*")):
        raise ToolError(f"{name} holds no engine yet", help="build it (see its README), or use --rehearse")
    if model.is_cpu:
        return
    if not has_gpu():
        raise ToolError(
            f"{name} is for {contract.target}, and this machine has no NVIDIA GPU",
            help="--rehearse tests its scheduling here with the planned service times; "
            "--endpoint grpc://host:8001 tests a server that has the GPU",
        )
    if model.engine_kind not in OWN_BACKENDS:
        raise ToolError(
            f"the tritonserver that infc starts has no backend for {model.engine_kind} engines",
            help="start the bundle in Triton's container (its README says how) and give --endpoint grpc://host:8001",
        )


def shadow_of(bundle: Path, model: str) -> int | None:
    """Of how many requests the bundle's quality shadow compares one; None without a shadow.

    Raises:
        ToolError: its settings cannot be read.
    """
    path = bundle / "model_repository" / shadow_name(model) / "1" / SETTINGS_NAME
    if not path.is_file():
        return None
    try:
        return int(json.loads(path.read_bytes())["one_in"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ToolError(f"{path} cannot be read: {error}", help="compile the spec again") from error


def _backends(
    request: ValidationRequest, contract: ValidationContract, *, has_shadow: bool = False
) -> Mapping[str, Path]:
    """Backend folders by name: the bundle's own backend when it runs for real, else one that keeps time.

    The reference of a quality shadow runs on ONNX Runtime besides.
    """
    if has_shadow:
        return {**_backends(request, contract), "onnxruntime": STAND_INS["onnxruntime"]}
    kind = contract.model.engine_kind
    if kind in OWN_BACKENDS and not request.is_rehearsal:
        return {kind: request.bundle / "backends" / kind}
    if request.is_rehearsal:
        return {TRITON_BACKENDS[kind]: SLEEPER}
    return {TRITON_BACKENDS[kind]: STAND_INS[TRITON_BACKENDS[kind]]}


def wants_realtime(request: ValidationRequest) -> bool:
    """Whether server and client are to have real-time priority; ToolError when it was asked for and cannot be had."""
    if request.is_realtime is False:
        return False
    possible = can_be_realtime()
    if request.is_realtime and not possible:
        raise ToolError("real-time priority cannot be had here", help="run as root on Linux, or give --no-realtime")
    return possible


def environment_of(request: ValidationRequest, contract: ValidationContract, *, is_realtime: bool) -> dict[str, str]:
    """What ran, without anything that names this machine or the time."""
    model = contract.model
    if request.endpoint is not None:
        backend = "as the endpoint has it"
    elif request.is_rehearsal:
        backend = f"sleeps the planned service times in place of {model.engine_kind}"
    elif model.engine_kind == "onnxruntime":
        backend = f"ONNX Runtime {importlib.metadata.version('onnxruntime')} in a python-based backend"
    else:
        backend = f"{model.engine_kind} in a python-based backend"
    device = "the endpoint's" if request.endpoint is not None else processor()
    return {
        "backend": backend,
        "engine": f"{model.engine_kind}, {model.precision.value}",
        "device": device,
        "priority": "real-time (SCHED_FIFO)" if is_realtime else "normal",
    }


def processor() -> str:
    """The name of this machine's processor, as the system tells it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return f"{names[0]}, {len(names)} threads" if names else platform.machine()
