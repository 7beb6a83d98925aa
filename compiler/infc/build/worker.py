"""The process that runs a TensorRT builder: `python -m infc.build.worker` in the folder of a job.

It is separate so that a crash or kill of the library cannot take infc down, and so that address space randomisation,
on which the library's internal order depends, can be turned off. It reads `job.json`, writes `model.plan` and
`result.json` into the same folder, and prints one progress line per step on standard output.
"""

import ctypes
import importlib
import json
import os
import platform
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from infc.build.builder_log import facts_from_log
from infc.build.libraries import LIBRARIES, TensorRTLibrary

if TYPE_CHECKING:
    from types import ModuleType

ADDR_NO_RANDOMIZE = 0x0040000
PR_SET_PDEATHSIG = 1
FIXED_ADDRESSES = "INFC_WORKER_FIXED_ADDRESSES"
BUILT, REFUSED = 0, 3


def main(job_dir: Path) -> int:
    """Build one engine; 0 when `model.plan` was written, 3 when the builder refused (its messages: `result.json`)."""
    job = json.loads((job_dir / "job.json").read_text())
    library = LIBRARIES[job["kind"]]
    module = importlib.import_module(library.module)
    messages: list[tuple[str, str]] = []
    errors = []
    parse_errors: list[str] = []
    plan: bytes | None = None
    try:
        plan = _build(module, library, job, messages, parse_errors)
    except (RuntimeError, TypeError, ValueError) as error:
        errors.append(str(error))
    errors += [text for severity, text in messages if severity in ("ERROR", "INTERNAL_ERROR")]
    facts = facts_from_log([text for _, text in messages], {})
    result = {
        "version": module.__version__,
        "errors": errors,
        "parse_errors": parse_errors,
        "activation_bytes": facts.activation_bytes,
        "weight_bytes": facts.weight_bytes,
        "layers": [[layer.name, layer.kind, layer.dtype] for layer in facts.layers],
    }
    if plan is not None:
        (job_dir / "model.plan").write_bytes(plan)
    (job_dir / "result.json").write_text(json.dumps(result))
    return BUILT if plan is not None else REFUSED


def _build(
    trt: "ModuleType",
    library: TensorRTLibrary,
    job: dict[str, Any],
    messages: list[tuple[str, str]],
    parse_errors: list[str],
) -> bytes | None:
    logger = _logger(trt, messages)
    builder = trt.Builder(logger)
    builder.max_threads = 1
    flags = 1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED)
    network = builder.create_network(flags)
    parser = trt.OnnxParser(network, logger)
    _say(f"{library.title} {trt.__version__}: reading the model")
    if not parser.parse_from_file("model.onnx"):
        for index in range(parser.num_errors):
            error = parser.get_error(index)
            parse_errors.append(f"{error.node_name() or 'model'}: {error.desc()}")
        return None
    config = builder.create_builder_config()
    config.profiling_verbosity = trt.ProfilingVerbosity.DETAILED
    if job["workspace_bytes"] is not None:
        config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, job["workspace_bytes"])
    if library.capabilities:
        config.num_compute_capabilities = 1
        name = library.capabilities[job["compute_capability"]]
        config.set_compute_capability(getattr(trt.ComputeCapability, name), 0)
    profile = builder.create_optimization_profile()
    for shape in job["shapes"]:
        profile.set_shape(shape["input"], shape["minimum"], shape["optimum"], shape["maximum"])
    config.add_optimization_profile(profile)
    _say(f"building {network.num_layers} layers for compute capability {job['compute_capability']}")
    serialized = builder.build_serialized_network(network, config)
    return None if serialized is None else bytes(serialized)


def _logger(trt: "ModuleType", messages: list[tuple[str, str]]) -> Any:
    class Collector(trt.ILogger):  # type: ignore[misc, name-defined]
        """Keeps every message: at VERBOSE the builder states layers, types and memory."""

        def __init__(self) -> None:
            trt.ILogger.__init__(self)

        def log(self, severity: Any, message: str) -> None:
            """Called by the library."""
            messages.append((str(severity).rpartition(".")[2], message))

    return Collector()


def _say(line: str) -> None:
    print(line, flush=True)


def _end_with_parent() -> None:
    """Have Linux end this process when infc ends, however it ends: nobody would read the engine."""
    if platform.system() == "Linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, int(signal.SIGKILL))


def _fix_addresses() -> None:
    """Start this process again without address space randomisation, where Linux allows it."""
    if FIXED_ADDRESSES in os.environ or platform.system() != "Linux":
        return
    os.environ[FIXED_ADDRESSES] = "1"
    libc = ctypes.CDLL(None)
    current = libc.personality(0xFFFFFFFF)
    if current >= 0 and libc.personality(current | ADDR_NO_RANDOMIZE) >= 0:
        os.execv(sys.executable, sys.orig_argv)  # noqa: S606


if __name__ == "__main__":
    _fix_addresses()
    _end_with_parent()
    sys.exit(main(Path()))
