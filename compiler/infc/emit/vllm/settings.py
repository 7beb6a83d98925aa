"""What serve.yaml will say, as a value: every choice once, with what it rests on."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from infc.diag import InternalError
from infc.emit.vllm.admission import queued_tokens
from infc.emit.vllm.schema import ArgumentSchema
from infc.emit.yaml_text import YamlValue
from infc.ir.candidate import ContinuousBatching, Speculation
from infc.ir.checkpoint import Checkpoint
from infc.ir.hardware import Hardware
from infc.ir.plan import Plan
from infc.ir.precision import Precision
from infc.ir.problem import LlmProblem
from infc.resolve.served_models import has_float16

MODEL_FOLDER = "model"
"""Folder of the bundle that holds the checkpoint's files."""
CHAT_TEMPLATE = "chat_template.jinja"
"""Where the bundle holds a chat template that the spec names."""
DRAFTER_FOLDER = "drafter"
"""Folder of the bundle that holds a drafter that the spec names as a folder."""
PORT = 8000
QUIET_ENDPOINTS = "/health,/metrics,/ping"
_DTYPES = {
    Precision.FP32: "float32",
    Precision.TF32: "float32",
    Precision.BF16: "bfloat16",
    Precision.FP16: "float16",
}
_CACHE_DTYPES = {
    Precision.BF16: "bfloat16",
    Precision.FP16: "float16",
    Precision.FP8: "fp8",
    Precision.INT8: "int8_per_token_head",
    Precision.INT4: "int4_per_token_head",
    Precision.FP4: "nvfp4",
}
_DRAIN_MIN_S, _DRAIN_MAX_S = 15, 300
_TEXT_ONLY = "config-text-only"


@dataclass(frozen=True, kw_only=True)
class Section:
    """Settings that belong together. `notes` say what they rest on."""

    title: str
    notes: tuple[str, ...]
    settings: Mapping[str, YamlValue]


@dataclass(frozen=True, kw_only=True)
class ServeSettings:
    """Choices of one server. `drain_s` is what requests in flight are given when it is told to stop."""

    sections: tuple[Section, ...]
    hardware: Hardware
    drain_s: int

    @property
    def is_cpu(self) -> bool:
        """Whether the server runs without a GPU."""
        return self.hardware.kind == "cpu"

    @property
    def all(self) -> dict[str, YamlValue]:
        """Every setting in the order of the file."""
        return {key: value for section in self.sections for key, value in section.settings.items()}


def serve_settings(
    problem: LlmProblem, plan: Plan, checkpoint: Checkpoint, schema: ArgumentSchema, extra_files: frozenset[str]
) -> ServeSettings:
    """The settings of `plan`; `extra_files` are paths of the bundle that the caller adds (template, drafter)."""
    batching = plan.candidate.batching
    if not isinstance(batching, ContinuousBatching):
        raise InternalError(f"a vLLM plan needs continuous batching, not {type(batching).__name__}")
    hardware = hardware_of(problem, plan)
    drain_s = drain_seconds(problem)
    sections = (
        _model_section(problem, plan, checkpoint, hardware, extra_files),
        _device_section(problem, plan, batching, hardware),
        _scheduler_section(plan, batching, extra_files),
        _overload_section(problem, plan, batching, hardware, schema),
        _server_section(problem, schema, drain_s),
    )
    used = tuple(section for section in sections if section.settings)
    return ServeSettings(sections=used, hardware=hardware, drain_s=drain_s)


def hardware_of(problem: LlmProblem, plan: Plan) -> Hardware:
    """The device of the plan."""
    for option in problem.options:
        if option.hardware.id == plan.candidate.hardware_id:
            return option.hardware
    raise InternalError(f"the plan's device {plan.candidate.hardware_id!r} is none of the problem's")


def drain_seconds(problem: LlmProblem) -> int:
    """Seconds for requests in flight after the server is told to stop: those of the longest answer within the SLO.

    At least 15 and at most 300; 60 where the SLO does not say how long an answer takes.
    """
    longest = max((target.limit_s for target in problem.e2e), default=0.0)
    if problem.tpot:
        first = max((target.limit_s for target in problem.ttft), default=0.0)
        pace = max(target.limit_s for target in problem.tpot)
        longest = max(longest, first + pace * problem.tokens.output.maximum)
    return min(max(math.ceil(longest or 60.0), _DRAIN_MIN_S), _DRAIN_MAX_S)


def dtype_of(problem: LlmProblem, plan: Plan, hardware: Hardware) -> str:
    """What weights and activations that are not quantised are computed in.

    Of quantised weights it is the checkpoint's, FP16 on a GPU without BF16, BF16 of a model that vLLM does not start in
    FP16 (which is never planned on a GPU without).
    """
    planned = plan.candidate.precision
    if planned in _DTYPES:
        return _DTYPES[planned]
    own = problem.model.dtype
    if own is Precision.FP16 and not has_float16(problem.model):
        own = Precision.BF16
    if own is Precision.BF16 and hardware.kind == "gpu" and Precision.BF16 not in hardware.peak_flops:
        own = Precision.FP16
    return _DTYPES.get(own, "auto")


def _model_section(
    problem: LlmProblem, plan: Plan, checkpoint: Checkpoint, hardware: Hardware, extra_files: frozenset[str]
) -> Section:
    settings: dict[str, YamlValue] = {}
    notes = []
    if checkpoint.folder is not None:
        settings["model"] = MODEL_FOLDER
        notes.append(f"model: the folder beside this file, {checkpoint.digest}")
    else:
        if checkpoint.repo is None:
            raise InternalError("a checkpoint without a folder has no repository")
        settings["model"] = checkpoint.repo
        if checkpoint.revision is not None:
            settings |= {"revision": checkpoint.revision, "tokenizer-revision": checkpoint.revision}
        notes.append(
            f"model: of the hub, weights, tokeniser and chat template of the same revision; {checkpoint.digest}"
        )
    settings["served-model-name"] = problem.source.served_name
    settings["dtype"] = dtype_of(problem, plan, hardware)
    if checkpoint.quantization is not None:
        settings["quantization"] = checkpoint.quantization
    if plan.candidate.precision not in _DTYPES:
        stored = "as its own config says" if checkpoint.quantization is None else "converted when it is loaded"
        notes.append(f"{plan.candidate.precision.value} weights, {stored}; dtype is that of the rest")
    if any(caveat.id == _TEXT_ONLY for caveat in problem.model.caveats):
        settings["language-model-only"] = True
        notes.append("language-model-only: the plan counts the text part; images are refused, their encoder not loaded")
    if CHAT_TEMPLATE in extra_files:
        settings["chat-template"] = CHAT_TEMPLATE
    return Section(title="The model.", notes=tuple(notes), settings=settings)


def _device_section(problem: LlmProblem, plan: Plan, batching: ContinuousBatching, hardware: Hardware) -> Section:
    candidate = plan.candidate
    settings: dict[str, YamlValue] = {"tensor-parallel-size": candidate.tensor_parallel}
    notes = []
    if candidate.pipeline_parallel > 1:
        settings["pipeline-parallel-size"] = candidate.pipeline_parallel
    if batching.kv_cache_memory_bytes is not None:
        settings["kv-cache-memory-bytes"] = batching.kv_cache_memory_bytes
        notes.append("kv-cache-memory-bytes: a share of the memory would depend on what else the host runs")
    if batching.gpu_memory_utilization is not None:
        settings["gpu-memory-utilization"] = batching.gpu_memory_utilization
    tokens = plan.estimate.tokens
    if tokens is not None:
        notes.append(
            f"KV cache: the plan counts on {tokens.kv_cache_tokens:,} tokens; the server logs what it has when it "
            "starts, and infc validate compares"
        )
    settings["kv-cache-dtype"] = "auto" if batching.kv_precision is None else _CACHE_DTYPES[batching.kv_precision]
    settings["max-model-len"] = batching.max_model_len or problem.tokens.longest
    notes.append("max-model-len: workload.prompt_tokens.max + workload.output_tokens.max")
    if hardware.kind == "cpu":
        settings["enforce-eager"] = True
        notes.append("enforce-eager: nothing is compiled, so that a start needs no compiler and takes no minutes")
    return Section(title="Devices and memory.", notes=tuple(notes), settings=settings)


def _scheduler_section(plan: Plan, batching: ContinuousBatching, extra_files: frozenset[str]) -> Section:
    settings: dict[str, YamlValue] = {
        "max-num-seqs": batching.max_num_seqs,
        "max-num-batched-tokens": batching.max_num_batched_tokens,
        _switch("enable-prefix-caching", batching.has_prefix_caching): True,
        _switch("enable-chunked-prefill", batching.has_chunked_prefill): True,
    }
    notes = list(plan.comments)
    if batching.long_prefill_tokens:
        settings["long-prefill-token-threshold"] = batching.long_prefill_tokens
    if batching.speculation is not None:
        settings["speculative-config"] = _speculative_config(batching.speculation, extra_files)
        notes.append(
            f"speculative-config: {batching.speculation.tokens} tokens drafted a step, each accepted with chance "
            f"{batching.speculation.acceptance:.0%} (deploy.vllm.speculative.acceptance)"
        )
    return Section(title="The scheduler.", notes=tuple(notes), settings=settings)


def _speculative_config(speculation: Speculation, extra_files: frozenset[str]) -> dict[str, YamlValue]:
    config: dict[str, YamlValue] = {
        "method": speculation.method,
        "num_speculative_tokens": speculation.tokens,
    }
    if speculation.model is not None:
        is_folder = any(path.startswith(f"{DRAFTER_FOLDER}/") for path in extra_files)
        config["model"] = DRAFTER_FOLDER if is_folder else speculation.model
    return config


def _overload_section(
    problem: LlmProblem, plan: Plan, batching: ContinuousBatching, hardware: Hardware, schema: ArgumentSchema
) -> Section:
    is_known = "max-num-queued-tokens" in schema.by_key  # vLLM 0.19 queues without a bound
    limit = queued_tokens(problem, plan.candidate, batching, hardware) if is_known else None
    if limit is None:
        return Section(title="", notes=(), settings={})
    return Section(
        title="Overload.",
        notes=(
            f"max-num-queued-tokens: a request that would wait {limit.wait_s:g} s for its first token is refused (HTTP "
            f"503) instead of queued: {limit.factor} times slo.ttft.{limit.label}, at {limit.tokens_per_s:,.0f} prompt "
            "tokens/s and the longest prompt on top. Traffic as planned never gets there",
        ),
        settings={"max-num-queued-tokens": limit.tokens},
    )


def _server_section(problem: LlmProblem, schema: ArgumentSchema, drain_s: int) -> Section:
    notes = [
        "host: every address, as a container needs; on a shared machine start it with --host 127.0.0.1",
        f"shutdown-timeout: {drain_s} s for requests in flight, the longest answer within the SLO",
    ]
    settings: dict[str, YamlValue] = {
        "host": "0.0.0.0",  # noqa: S104 - inside a container
        "port": PORT,
        "seed": 0,
        "shutdown-timeout": drain_s,
        "disable-access-log-for-endpoints": QUIET_ENDPOINTS,
    }
    if "custom-histogram-buckets" in schema.by_key:
        notes.append(
            "custom-histogram-buckets: the default bounds and those of the SLO, so that /metrics tells who met it"
        )
        settings["custom-histogram-buckets"] = _histogram_buckets(problem, schema)
    return Section(title="The server.", notes=tuple(notes), settings=settings)


def _histogram_buckets(problem: LlmProblem, schema: ArgumentSchema) -> dict[str, YamlValue]:
    """The families that the SLO is about, with its limits among the bounds."""
    families = {
        "time_to_first_token": problem.ttft,
        "inter_token_latency": problem.tpot,
        "request_latency": problem.e2e,
    }
    return {
        family: sorted({*schema.histograms[family], *(round(target.limit_s, 6) for target in targets)})
        for family, targets in families.items()
        if targets
    }


def _switch(name: str, is_on: bool) -> str:
    """The key that says so with `true`: vLLM drops `false` from a file."""
    return name if is_on else f"no-{name}"
