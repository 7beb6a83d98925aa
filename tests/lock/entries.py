"""Lock entries for tests."""

from dataclasses import replace

from infc.ir.accuracy import Verdict
from infc.ir.candidate import Speculation
from infc.ir.interval import Basis
from infc.ir.precision import Precision
from infc.lock.entry import as_written
from infc.lock.values import InputDigests, LockedAccuracy, LockedChoice, LockedEngine, LockedPrediction, LockEntry


def digest(letter: str) -> str:
    """A digest that says where it comes from."""
    return "sha256:" + letter * 64


def inputs(**changes: object) -> InputDigests:
    """Inputs of a spec with a dataset."""
    base = InputDigests(
        spec=digest("a"),
        build_settings=digest("0"),
        model=digest("b"),
        dataset=digest("c"),
        calibration=None,
        trace=None,
        hardware=digest("d"),
        price="aws g6.xlarge us-east-1 on-demand 0.8048 USD/h of 2026-09-01",
        toolchain="infc 0.1.0, triton 24.10",
        profiles=("accuracy-0123456789ab", "service-time-0123456789ab"),
        catalogue=digest("e"),
    )
    return replace(base, **changes)  # type: ignore[arg-type]


def choice(**changes: object) -> LockedChoice:
    """A Triton deployment."""
    base = LockedChoice(
        server="triton",
        hardware="l4",
        power_mode=None,
        precision=Precision.FP16,
        tensor_parallel=1,
        instances_per_gpu=2,
        max_batch_size=16,
        max_queue_delay_us=0,
        preferred_batch_sizes=(8, 16),
        prefetch=False,
        max_num_seqs=None,
        max_num_batched_tokens=None,
        replicas=3,
    )
    return replace(base, **changes)  # type: ignore[arg-type]


def prediction(**changes: object) -> LockedPrediction:
    """Predicted numbers."""
    base = LockedPrediction(
        latency_ms={"mean": 5.0, "p50": 4.8, "p99": 9.8, "p99.9": 14.25},
        utilization=0.61,
        throughput_rps=1480.0,
        memory_gib=0.65,
        power_w=72.0,
        usd_per_hour=2.1,
        usd_per_month=1533.0,
        usd_per_million_requests=1.9,
        basis=Basis.MEASURED,
    )
    return replace(base, **changes)  # type: ignore[arg-type]


def entry(name: str = "encoder", target: str = "l4", **changes: object) -> LockEntry:
    """A whole entry."""
    base = LockEntry(
        name=name,
        target=target,
        spec=f"specs/{name}.infc.yaml",
        profile="infc-profiles/model-0123456789ab.json",
        inputs=inputs(),
        choice=choice(),
        predicted=prediction(),
        accuracy=LockedAccuracy(
            metric="top1",
            value=0.9192,
            drop=0.0012,
            samples=2000,
            confidence=0.95,
            subject="lowered",
            verdict=Verdict.PASS,
            worst_slice="class 6",
            worst_slice_drop=0.0145,
            raised={"node.one/MatMul": 0.3065, "second": 0.1273},
        ),
        engine=LockedEngine(
            kind="tensorrt_rtx",
            inputs=digest("f"),
            key="ab" * 32,
            file=f"model_repository/{name}/1/model.plan",
            is_pending=False,
            toolchain={"tensorrt_rtx": "1.7.1.116"},
        ),
        files={f"model_repository/{name}/config.pbtxt": digest("1"), "launch.sh": digest("2")},
    )
    return as_written(replace(base, **changes))  # type: ignore[arg-type]


def llm_entry(name: str = "chat", target: str = "h100-sxm", **changes: object) -> LockEntry:
    """A vLLM deployment with everything that such a choice can hold."""
    own = entry(
        name,
        target,
        inputs=inputs(toolchain="infc 0.1.0, vllm 0.32.0", tokenizer=digest("3"), weights=digest("4"), profiles=()),
        choice=choice(
            server="vllm",
            hardware="h100-sxm",
            precision=Precision.FP8,
            tensor_parallel=2,
            instances_per_gpu=1,
            max_batch_size=None,
            max_queue_delay_us=None,
            preferred_batch_sizes=(),
            prefetch=None,
            max_num_seqs=128,
            max_num_batched_tokens=8192,
            pipeline_parallel=2,
            max_model_len=7200,
            kv_precision=Precision.FP8,
            gpu_memory_utilization=0.92,
            kv_cache_memory_bytes=1 << 30,
            prefix_caching=False,
            chunked_prefill=True,
            long_prefill_tokens=2048,
            speculation=Speculation(method="eagle3", tokens=3, acceptance=0.7, model="drafters/eagle"),
            model="Qwen/Qwen3-8B",
            revision="9" * 40,
            model_name="qwen3-8b",
        ),
        predicted=prediction(
            ttft_ms={"mean": 80.0, "p99": 320.5},
            tpot_ms={"mean": 9.0, "p99": 21.25},
            output_tokens_per_s=5120.0,
            kv_cache_tokens=411520,
            usd_per_million_tokens=0.824,
        ),
        engine=LockedEngine(
            kind="checkpoint",
            inputs=digest("f"),
            key="cd" * 32,
            file="model",
            is_pending=False,
            toolchain={"llmcompressor": "0.12.0"},
        ),
        files={"serve.yaml": digest("5")},
    )
    return as_written(replace(own, **changes))  # type: ignore[arg-type]
