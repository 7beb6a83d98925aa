"""The JSON Schema of infc.lock, as TOML parses it."""

from infc.ir.accuracy import Verdict
from infc.ir.interval import Basis
from infc.ir.json_schema import object_schema
from infc.ir.precision import Precision
from infc.lock.document import KINDS, METHODS, SERVERS
from infc.lock.values import VERSION

_TEXT: dict[str, object] = {"type": "string"}
_DIGEST: dict[str, object] = {"type": "string", "pattern": "^(sha256:[0-9a-f]{64}|missing)$"}
_COUNT: dict[str, object] = {"type": "integer", "minimum": 1}
_NUMBER: dict[str, object] = {"type": "number"}


def lock_schema() -> dict[str, object]:
    """The schema: `version` and one `artifact` table for each spec and target."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": "https://infc.dev/schemas/lock.schema.json",
        "title": "infc.lock",
        "description": "What infc decided and built, and from which inputs.",
        **object_schema(
            {"version": {"const": VERSION}, "artifact": {"type": "array", "items": _artifact()}}, optional=("artifact",)
        ),
    }


def _artifact() -> dict[str, object]:
    return object_schema(
        {
            "name": _TEXT,
            "target": {**_TEXT, "description": "Hardware id, with @<power mode> where it has one."},
            "spec": {**_TEXT, "description": "Path of the spec, relative to the lock."},
            "profile": {**_TEXT, "description": "Committed profile of the model: plans need no weights."},
            "inputs": _inputs(),
            "choice": _choice(),
            "predicted": _predicted(),
            "accuracy": _accuracy(),
            "engine": _engine(),
            "files": {
                "type": "object",
                "additionalProperties": _DIGEST,
                "description": "Emitted files; engines whose bytes do not repeat are left out. Files of an archive for "
                "edge devices are listed as they are inside.",
            },
            "release": _release(),
        },
        optional=("profile", "accuracy", "files", "release"),
    )


def _inputs() -> dict[str, object]:
    return object_schema(
        {
            "spec": {**_DIGEST, "description": "The spec's meaning: layout, comments and key order do not count."},
            "build_settings": {**_DIGEST, "description": "Axes and quantization of the spec."},
            "model": _DIGEST,
            "dataset": _DIGEST,
            "calibration": _DIGEST,
            "trace": _DIGEST,
            "hardware": {**_DIGEST, "description": "The device's row of the catalogue."},
            "price": _TEXT,
            "toolchain": _TEXT,
            "profiles": {
                "type": "array",
                "items": _TEXT,
                "description": "Stored measurements; others make the entry outdated, not stale.",
            },
            "catalogue": {**_DIGEST, "description": "Other devices considered; a change makes it outdated, not stale."},
            "tokenizer": {**_DIGEST, "description": "Tokeniser and chat template of a language model."},
            "weights": {**_DIGEST, "description": "Weight files of a language model."},
        },
        optional=("dataset", "calibration", "trace", "price", "tokenizer", "weights"),
    )


def _choice() -> dict[str, object]:
    return object_schema(
        {
            "server": {"enum": list(SERVERS)},
            "hardware": _TEXT,
            "power_mode": _TEXT,
            "precision": {"enum": [precision.value for precision in Precision]},
            "tensor_parallel": _COUNT,
            "instances_per_gpu": _COUNT,
            "max_batch_size": _COUNT,
            "max_queue_delay_us": {"type": "integer", "minimum": 0},
            "preferred_batch_sizes": {"type": "array", "items": _COUNT},
            "prefetch": {"type": "boolean", "description": "Whether Triton forms batches ahead of a free instance."},
            "max_num_seqs": _COUNT,
            "max_num_batched_tokens": _COUNT,
            "replicas": _COUNT,
            "pipeline_parallel": _COUNT,
            "max_model_len": {"type": "integer", "minimum": 0, "description": "0: the model's own context."},
            "kv_precision": {"enum": [precision.value for precision in Precision]},
            "gpu_memory_utilization": _NUMBER,
            "kv_cache_memory_bytes": {**_COUNT, "description": "Where the server is told: on a CPU, on a Jetson."},
            "prefix_caching": {"type": "boolean"},
            "chunked_prefill": {"type": "boolean"},
            "long_prefill_tokens": {"type": "integer", "minimum": 0},
            "speculation": _speculation(),
            "model": {**_TEXT, "description": "The repository or folder that was chosen, as the spec names it."},
            "revision": _TEXT,
            "model_name": {**_TEXT, "description": "Its name among several models."},
            "dla_core": {"type": "integer", "minimum": 0, "description": "Deep learning accelerator of a Jetson."},
        },
        optional=(
            "power_mode",
            "max_batch_size",
            "max_queue_delay_us",
            "preferred_batch_sizes",
            "prefetch",
            "max_num_seqs",
            "max_num_batched_tokens",
            "pipeline_parallel",
            "max_model_len",
            "kv_precision",
            "gpu_memory_utilization",
            "kv_cache_memory_bytes",
            "prefix_caching",
            "chunked_prefill",
            "long_prefill_tokens",
            "speculation",
            "model",
            "revision",
            "model_name",
            "dla_core",
        ),
    )


def _speculation() -> dict[str, object]:
    return object_schema(
        {"method": {"enum": list(METHODS)}, "tokens": _COUNT, "acceptance": _NUMBER, "model": _TEXT},
        optional=("model",),
    )


def _predicted() -> dict[str, object]:
    fixed = object_schema(
        {
            "utilization": _NUMBER,
            "throughput_rps": _NUMBER,
            "memory_gib": _NUMBER,
            "power_w": _NUMBER,
            "usd_per_hour": _NUMBER,
            "usd_per_month": _NUMBER,
            "usd_per_million_requests": _NUMBER,
            "output_tokens_per_s": _NUMBER,
            "kv_cache_tokens": {"type": "integer", "minimum": 0, "description": "What one replica's KV cache holds."},
            "usd_per_million_tokens": _NUMBER,
            "basis": {"enum": [basis.value for basis in Basis]},
        },
        optional=(
            "power_w",
            "usd_per_hour",
            "usd_per_month",
            "usd_per_million_requests",
            "output_tokens_per_s",
            "kv_cache_tokens",
            "usd_per_million_tokens",
        ),
    )
    return {**fixed, "patternProperties": {"^((ttft|tpot)_)?(mean|p[0-9.]+)_ms$": _NUMBER}}


def _accuracy() -> dict[str, object]:
    return object_schema(
        {
            "metric": _TEXT,
            "value": _NUMBER,
            "drop": {**_NUMBER, "description": "Relative to the unquantised reference."},
            "samples": _COUNT,
            "confidence": _NUMBER,
            "subject": _TEXT,
            "verdict": {"enum": [verdict.value for verdict in Verdict]},
            "worst_slice": {**_TEXT, "description": "The part of the data that lost most."},
            "worst_slice_drop": _NUMBER,
            "raised": {
                "type": "object",
                "additionalProperties": _NUMBER,
                "description": "Operators that keep a higher precision, and the share of the output error that "
                "quantising each would cause.",
            },
        },
        optional=("worst_slice", "worst_slice_drop", "raised"),
    )


def _release() -> dict[str, object]:
    return {
        "description": "The release that edge devices get; deployments of one bundle have the same.",
        **object_schema(
            {
                "version": {"type": "string", "pattern": r"^(0|[1-9]\d{0,8})(\.(0|[1-9]\d{0,8})){0,3}$"},
                "content": {**_DIGEST, "description": "Content digest of the archive as it was compiled."},
                "repeats": {**_DIGEST, "description": "Of what is the same wherever it is compiled."},
            }
        ),
    }


def _engine() -> dict[str, object]:
    return object_schema(
        {
            "kind": {
                "enum": list(KINDS),
                "description": "What the server loads: an engine, or a language model's checkpoint.",
            },
            "inputs": {**_DIGEST, "description": "What the engine is made from, known before it is built."},
            "key": {**_TEXT, "description": "Hash of the build inputs; absent until it is built."},
            "file": {**_TEXT, "description": "Its place in the bundle; absent where the server fetches it."},
            "pending": {"type": "boolean"},
            "toolchain": {"type": "object", "additionalProperties": _TEXT},
        },
        optional=("key", "file", "toolchain"),
    )
