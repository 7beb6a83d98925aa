"""Problems, plans and checkpoints for the tests of the vLLM emitter: the twelve specs, and a plan by hand."""

import hashlib
from dataclasses import replace
from functools import cache
from pathlib import Path

from infc.emit.vllm import emit
from infc.ir.bundle import Bundle
from infc.ir.candidate import Candidate, ContinuousBatching
from infc.ir.checkpoint import Checkpoint
from infc.ir.estimate import Estimate, MemoryBreakdown, TokenEstimate
from infc.ir.interval import Basis, Interval
from infc.ir.plan import Plan
from infc.ir.precision import Precision
from infc.ir.problem import HardwareOption, LlmProblem
from infc.ir.spec import Deploy
from infc.resolve.targets import Catalogue, load_catalogue
from tests import llm_specs

COMMENTS = ("max_num_seqs 48: a replica served 14 requests at once on average (simulated).",)
MODEL = "llama-3.1-8b"


def model_folder(name: str) -> Path:
    """The folder with the config.json of one of the twelve."""
    return llm_specs.FOLDER / name / "model"


def checkpoint(problem: LlmProblem, name: str, precision: Precision = Precision.BF16) -> Checkpoint:
    """The checkpoint as the spec `name` has it: its folder, or the repository; without weights."""
    config = model_folder(name) / "config.json"
    digest = "sha256:" + hashlib.sha256(config.read_bytes()).hexdigest()
    is_hub = problem.source.repo is not None
    return Checkpoint(
        folder=None if is_hub else config.parent,
        repo=problem.source.repo,
        revision=problem.source.revision,
        files={} if is_hub else {"config.json": digest},
        has_weights=False,
        digest=digest,
        source_digest=digest,
        precision=precision,
    )


@cache
def catalogue() -> Catalogue:
    """Every device, read once."""
    return load_catalogue(None)


def problem_on(hardware_id: str, name: str = MODEL) -> LlmProblem:
    """The problem of a spec, on one device."""
    hardware = catalogue().find(hardware_id)
    assert hardware is not None
    return replace(llm_specs.problem(name), options=(HardwareOption(hardware=hardware, price=None),))


def batching(**changes: object) -> ContinuousBatching:
    """Settings of a scheduler, round numbers."""
    settings = ContinuousBatching(
        max_num_seqs=48, max_num_batched_tokens=2048, max_model_len=7000, gpu_memory_utilization=0.92
    )
    return replace(settings, **changes)  # type: ignore[arg-type]


def plan(
    problem: LlmProblem,
    *,
    precision: Precision = Precision.BF16,
    settings: ContinuousBatching | None = None,
    tensor_parallel: int = 1,
    pipeline_parallel: int = 1,
    replicas: int = 3,
    comments: tuple[str, ...] = COMMENTS,
) -> Plan:
    """A plan for the problem's only device."""
    return Plan(
        name=problem.name,
        spec_path=problem.spec_path,
        candidate=Candidate(
            hardware_id=problem.options[0].hardware.id,
            server="vllm",
            precision=precision,
            batching=settings or batching(),
            tensor_parallel=tensor_parallel,
            pipeline_parallel=pipeline_parallel,
            replicas=replicas,
        ),
        estimate=estimate(),
        reasons=(),
        comments=comments,
        rejections=(),
        runners_up=(),
    )


def estimate() -> Estimate:
    """Round numbers."""
    value = Interval(value=0.4, low=0.2, high=0.9)
    return Estimate(
        e2e_s={"p50": value, "p99": value},
        throughput_rps=Interval.exact(8.0),
        goodput_rps=5.0,
        utilization=0.5,
        mean_batch_size=14.0,
        memory=MemoryBreakdown(weights_bytes=16e9, activations_bytes=1e9, kv_cache_bytes=20e9, runtime_bytes=1e9),
        power_w=None,
        cost=None,
        service_time=None,
        basis=Basis.ANALYTIC,
        confidence=0.9,
        tokens=TokenEstimate(
            ttft_s={"p99": value},
            tpot_s={"p99": value.scaled(0.1)},
            itl_s={},
            output_tokens_per_s=Interval.exact(900.0),
            kv_cache_utilization=0.1,
            kv_cache_tokens=200_000,
            running_sequences=14.0,
            preemptions=0.0,
        ),
    )


def bundle_of(
    problem: LlmProblem, decided: Plan, deploy: Deploy | None = None, *, name: str = MODEL, **extra: bytes
) -> Bundle:
    """The bundle, which must come without a diagnostic; `extra` are more files, `_` for the dots of their names."""
    files = {path.replace("__", "/").replace("_jinja", ".jinja"): content for path, content in extra.items()}
    made = checkpoint(problem, name, decided.candidate.precision)
    bundle, problems = emit(problem, decided, made, deploy or Deploy(), extra_files=files)
    assert problems == ()
    assert bundle is not None
    return bundle


def text(bundle: Bundle, path: str = "serve.yaml") -> str:
    """The content of a text file."""
    content = bundle.files[path]
    assert isinstance(content, bytes)
    return content.decode()
