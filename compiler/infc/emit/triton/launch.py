"""How tritonserver is started: one list of arguments for launch.sh and for Kubernetes."""

from collections.abc import Sequence

from infc.emit.monitoring.triton_summary import metrics_arguments
from infc.emit.release import TritonRelease
from infc.emit.triton.own_backends import own_backend_of
from infc.ir.engine import Engine, PendingEngine
from infc.ir.problem import Problem
from infc.ir.shadow import capture_options

REPOSITORY = "/models"
"""Where a container has the model repository."""
PROGRAM = "tritonserver"
EXIT_TIMEOUT_S = 30
"""Seconds that requests in flight are given when the server is told to stop."""
HTTP_PORT, GRPC_PORT, METRICS_PORT = 8000, 8001, 8002


def server_image(engine: Engine | PendingEngine, release: TritonRelease) -> str:
    """The image that can run the engine: NVIDIA's, or the one that the bundle's Dockerfile makes of it."""
    own = own_backend_of(engine.kind)
    return own.image(engine, release) if own else release.container


def brings_its_runtime(problem: Problem, engine: Engine | PendingEngine) -> bool:
    """Whether the engine holds the TensorRT runtime that it was built with."""
    return engine.kind == "tensorrt" and problem.build_options.is_version_compatible


def argument_lines(
    problem: Problem, engine: Engine | PendingEngine, repository: str = REPOSITORY
) -> tuple[tuple[str, ...], ...]:
    """The server's arguments, those that belong together on one line."""
    lines: list[tuple[str, ...]] = [
        (
            f"--model-repository={repository}",
            "--disable-auto-complete-config",
            f"--exit-timeout-secs={EXIT_TIMEOUT_S}",
        )
    ]
    if brings_its_runtime(problem, engine):
        lines.append(("--backend-config=tensorrt,version-compatible=true",))
    lines.append(metrics_arguments(target.percentile for target in problem.latency))
    if problem.shadow is not None:
        lines.append(capture_options(problem.name, problem.shadow.one_in))
    return tuple(lines)


def cluster_arguments(
    problem: Problem, engine: Engine | PendingEngine, repository: str, models: Sequence[str]
) -> tuple[str, ...]:
    """The same for a cluster: just the bundle's models are loaded, and the server is ready when all of them are."""
    return (
        *(argument for line in argument_lines(problem, engine, repository) for argument in line),
        "--model-control-mode=explicit",
        *(f"--load-model={model}" for model in models),
        "--strict-readiness=true",
    )
