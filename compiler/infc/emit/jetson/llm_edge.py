"""The recipe of TensorRT Edge-LLM on a Jetson module: scripts that install it, and serve the model with it.

It has no container image. Its wheel goes into a virtual environment on the device, once; its server then builds the
engine from the checkpoint at the first start, keeps it by the checkpoint's content, and answers as OpenAI's API does.
"""

import shlex
from collections.abc import Mapping
from pathlib import Path

from infc.diag import InternalError
from infc.emit.jetson.compose import HTTP_PORT
from infc.emit.jetson.llm_place import DIGESTS_FILE, ModelPlace
from infc.emit.jetson.systemd import FOLDER, MOST_STOP_S, unit_name
from infc.emit.templates import TemplateValue, render
from infc.emit.vllm.container import STOP_MARGIN_S
from infc.emit.vllm.settings import MODEL_FOLDER, drain_seconds
from infc.ir.candidate import ContinuousBatching
from infc.ir.plan import Plan
from infc.ir.problem import LlmProblem
from infc.perf.llm.cache import sequence_cache_bytes
from infc.plan.llm.site import native_kv_precision
from infc.resolve.jetson_llm import EdgeLlm
from infc.resolve.targets.location import data_directory

SERVE_SCRIPT, PREPARE_SCRIPT = "bin/serve-edge-llm.sh", "bin/prepare-edge-llm.sh"
STATE = "infc/edge-llm"
"""Folder below /var/lib where engines are kept for later starts and releases."""
TEMPLATE_TOKENS = 64
"""What a chat template adds to a prompt at most, counted on top of the workload's longest."""
_PAGE_TOKENS = 64
_QUEUED = 64


def edge_llm_files(problem: LlmProblem, plan: Plan, place: ModelPlace, release: EdgeLlm) -> dict[str, bytes | Path]:
    """The scripts and the unit, by their paths in the bundle."""
    options = serve_options(problem, plan)
    unknown = sorted(set(options) - set(release.options))
    if unknown:
        raise InternalError(f"TensorRT Edge-LLM {release.version} has no option {', '.join(unknown)}")
    runtime = f"/usr/local/lib/infc/edge-llm-{release.version}"
    common: dict[str, TemplateValue] = {"name": problem.name, "version": release.version, "runtime": runtime}
    serve: dict[str, TemplateValue] = {
        **common,
        "cache": f"/var/lib/{STATE}",
        "model": MODEL_FOLDER if place.folder is None else place.folder,
        "digests": "" if place.folder is None else DIGESTS_FILE,
        "options": tuple(_spelled(name, value) for name, value in options.items()),
    }
    prepare: dict[str, TemplateValue] = {
        **common,
        "python": release.python,
        "package": release.package,
        "extra": release.extra,
    }
    unit: dict[str, TemplateValue] = {
        "name": problem.name,
        "script": SERVE_SCRIPT,
        "state": STATE,
        "stop_s": min(drain_seconds(problem) + STOP_MARGIN_S, MOST_STOP_S),
    }
    folder = data_directory("targets") / "servers" / "jetson" / "templates"
    return {
        SERVE_SCRIPT: render(folder, "serve-edge-llm.sh.j2", serve),
        PREPARE_SCRIPT: render(folder, "prepare-edge-llm.sh.j2", prepare),
        f"{FOLDER}/{unit_name(problem.name)}": render(folder, "edge-llm.service.j2", unit),
    }


def serve_options(problem: LlmProblem, plan: Plan) -> Mapping[str, str | int | bool]:
    """Options of `tensorrt-edgellm-serve`, by name without the dashes."""
    batching = plan.candidate.batching
    if not isinstance(batching, ContinuousBatching):
        raise InternalError(f"a language model needs continuous batching, not {type(batching).__name__}")
    capacity = -(-(problem.tokens.longest + TEMPLATE_TOKENS) // _PAGE_TOKENS) * _PAGE_TOKENS
    options: dict[str, str | int | bool] = {
        "host": "127.0.0.1",
        "port": HTTP_PORT,
        "served-model-name": problem.source.served_name,
        "cache-dir": f"/var/lib/{STATE}",
        "max-input-len": problem.tokens.prompt.maximum + TEMPLATE_TOKENS,
        "max-kv-cache-capacity": capacity,
        "max-batch-size": batch_size(problem, plan, batching, capacity),
        "enable-in-flight-batching": True,
        "max-queued-requests": _QUEUED,
    }
    if batching.has_prefix_caching:
        options["enable-context-reuse"] = True
    return options


def batch_size(problem: LlmProblem, plan: Plan, batching: ContinuousBatching, capacity: int) -> int:
    """Requests that decode together: those planned, less where the planned cache does not hold each at its longest.

    The server reserves a whole `capacity` for each of them when it starts, where vLLM takes pages as they are needed.
    """
    one = sequence_cache_bytes(problem.model, capacity, batching.kv_precision or native_kv_precision(problem))
    held = int(plan.estimate.memory.kv_cache_bytes // one) if one else batching.max_num_seqs
    return max(1, min(batching.max_num_seqs, held))


def _spelled(name: str, value: str | int | bool) -> str:
    return f"--{name}" if value is True else f"--{name} {shlex.quote(str(value))}"
