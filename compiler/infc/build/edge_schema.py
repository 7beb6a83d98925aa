"""The JSON Schemas of what an edge release says of itself, and of what a device says of it."""

import re
from collections.abc import Mapping
from typing import Any

from infc.build.edge_acceptance_json import METRIC, SUBJECTS, VERDICTS
from infc.build.edge_release_json import (
    ARRIVALS,
    DIGEST,
    DTYPE,
    ENVIRONMENT,
    FILE,
    HEXADECIMAL,
    KINDS,
    MAJOR,
    MODULE,
    NAME,
    PERCENTILE,
    PLAIN,
    POWER_MODE,
    RELEASE_VERSION,
    SERVICE_KINDS,
    TEXT,
    UNIT,
    URL,
    VERSION,
)
from infc.build.job_json import CAPABILITY, HARDWARE
from infc.build.job_schema import nullable, options_schema, shape_schema
from infc.ir.json_schema import object_schema
from infc.ir.precision import Precision

_NUMBER: dict[str, object] = {"type": "number"}
_POSITIVE: dict[str, object] = {"type": "number", "exclusiveMinimum": 0}
_FROM_ZERO: dict[str, object] = {"type": "number", "minimum": 0}
_SHARE: dict[str, object] = {"type": "number", "minimum": 0, "maximum": 1}
_COUNT: dict[str, object] = {"type": "integer", "minimum": 0}
_FLAG: dict[str, object] = {"type": "boolean"}


def edge_manifest_schema() -> dict[str, object]:
    """The JSON Schema of `manifest.json`."""
    return {
        "description": "An edge release: docs/edge-format.md.",
        **object_schema(
            {
                "format_version": _format_version(),
                "name": _text(NAME),
                "version": _text(RELEASE_VERSION),
                "kind": {"enum": list(KINDS)},
                "content_digest": {
                    **_text(DIGEST),
                    "description": "sha256 over the sorted lines `<sha256>  <path>` of every file but this one, "
                    "provenance.json, SHA256SUMS and its signatures",
                },
                "infc_version": _text(PLAIN),
                "targets": _list(_target(), minimum=1),
                "engines": _list(_engine()),
                "service": _service(),
                "verify": nullable(_text(FILE)),
                "slo": _slo(),
                "load": _load(),
                "is_rolled_back": _FLAG,
                "releases_kept": {"type": "integer", "minimum": 1, "maximum": 100},
                "delta": nullable(_delta()),
            }
        ),
    }


def edge_samples_schema() -> dict[str, object]:
    """The JSON Schema of `verify/samples.json`."""
    sizes = {"type": "array", "items": _COUNT}
    tensor = object_schema({"name": _text(TEXT), "file": _text(FILE), "dtype": _text(DTYPE), "shape": sizes})
    tolerance = object_schema(
        {"max_absolute": _FROM_ZERO, "mean_absolute": _FROM_ZERO, "min_argmax_agreement": nullable(_SHARE)}
    )
    sample = object_schema({"inputs": _list(tensor), "outputs": _list(tensor)})
    return object_schema(
        {
            "format_version": _format_version(),
            "samples": _list(sample),
            "tolerances": {"type": "object", "additionalProperties": tolerance},
        }
    )


def edge_acceptance_schema() -> dict[str, object]:
    """The JSON Schema of `acceptance.json`."""
    verdict = {"enum": list(VERDICTS)}
    error = object_schema(
        {"max_absolute": _FROM_ZERO, "mean_absolute": _FROM_ZERO, "argmax_agreement": nullable(_SHARE)}
    )
    worst = {"type": "object", "additionalProperties": error}
    bound = nullable(_FROM_ZERO)
    bounds = object_schema({"value": _FROM_ZERO, "low": bound, "high": bound})
    latencies = {
        "type": "object",
        "patternProperties": {f"^{PERCENTILE.pattern}$": bounds},
        "additionalProperties": False,
    }
    sensor = object_schema({"mean": _NUMBER, "max": _NUMBER})
    judged = {
        "metric": _text(METRIC),
        "limit": _NUMBER,
        "value": nullable(_NUMBER),
        "low": nullable(_NUMBER),
        "high": nullable(_NUMBER),
        "verdict": verdict,
    }
    return {
        "description": "What a device says of a release that it judged: docs/edge-format.md.",
        **object_schema(
            {
                "format_version": _format_version(),
                "name": _text(NAME),
                "version": _text(RELEASE_VERSION),
                "content_digest": _text(DIGEST),
                "hardware_id": _text(HARDWARE),
                "device": _device(),
                "engine": nullable(_built()),
                "power_mode": nullable(_text(POWER_MODE)),
                "verdict": verdict,
                "outputs": nullable(object_schema({"samples": _COUNT, "verdict": verdict, "worst": worst})),
                "load": object_schema(
                    {
                        "what": {"enum": list(SUBJECTS)},
                        "rate_rps": _FROM_ZERO,
                        "requests": _COUNT,
                        "failed": _COUNT,
                        "seconds": _FROM_ZERO,
                    }
                ),
                "latency_s": latencies,
                "engine_latency_s": nullable(latencies),
                "verdicts": _list(object_schema(judged)),
                "power_w": nullable(sensor),
                "temperature_c": nullable(sensor),
                "is_throttled": nullable(_FLAG),
                "engine_executions": _COUNT,
                "accepted_at": nullable(_text(TEXT)),
                "ttft_s": nullable(latencies),
                "tpot_s": nullable(latencies),
            },
            optional=("engine_executions", "accepted_at", "ttft_s", "tpot_s"),
        ),
    }


def _target() -> dict[str, object]:
    predicted = {
        "type": "object",
        "properties": {"power_w": nullable(_interval())},
        "patternProperties": {f"^{PERCENTILE.pattern}_s$": _interval()},
        "required": ["power_w"],
        "additionalProperties": False,
    }
    return object_schema(
        {
            "hardware_id": _text(HARDWARE),
            "title": _text(TEXT),
            "modules": _list(_text(MODULE), minimum=1),
            "soc": _text(PLAIN),
            "compute_capability": _text(CAPABILITY),
            "l4t": _range(),
            "tensorrt": _range(),
            "power_mode": nullable(_text(POWER_MODE)),
            "power_cap_w": nullable(_FROM_ZERO),
            "engine": nullable(_text(PLAIN)),
            "min_memory_bytes": _COUNT,
            "min_free_bytes": _COUNT,
            "predicted": predicted,
            "environment": {
                "type": "object",
                "additionalProperties": _text(ENVIRONMENT),
                "description": "what the service is started with on this module: the device writes it to target.env",
            },
        },
        optional=("environment",),
    )


def _engine() -> dict[str, object]:
    return object_schema(
        {
            "name": _text(PLAIN),
            "kind": {"const": "tensorrt"},
            "model": _text(FILE),
            "model_digest": _text(DIGEST),
            "precision": {"enum": [precision.value for precision in Precision]},
            "shapes": _list(shape_schema()),
            "options": options_schema(),
            "most_gpu_fallback": {**_SHARE, "description": "largest share of layers on the GPU in place of a DLA"},
            "source_digest": _text(DIGEST),
            "recipe_digest": _text(DIGEST),
            "timeout_s": _POSITIVE,
        }
    )


def _service() -> dict[str, object]:
    return object_schema(
        {
            "kind": {"enum": list(SERVICE_KINDS)},
            "unit": _text(UNIT),
            "url": _text(URL),
            "model": _text(TEXT),
            "ready_timeout_s": _POSITIVE,
        }
    )


def _slo() -> dict[str, object]:
    limits = _list(
        object_schema({"percentile": {"type": "number", "minimum": 0, "maximum": 100}, "limit_s": _POSITIVE})
    )
    return object_schema(
        {
            "latency": limits,
            "confidence": _SHARE,
            "max_power_w": nullable(_FROM_ZERO),
            "max_temperature_c": nullable(_NUMBER),
            "ttft": limits,
            "tpot": limits,
        },
        optional=("ttft", "tpot"),
    )


def _load() -> dict[str, object]:
    arrival = object_schema(
        {"kind": {"enum": list(ARRIVALS)}, "streams": {"type": "integer", "minimum": 1}, "cv": _FROM_ZERO},
        optional=("streams", "cv"),
    )
    tokens = {"type": "integer", "minimum": 1}
    return object_schema(
        {
            "arrival": arrival,
            "rate_rps": _FROM_ZERO,
            "batch_size": {"type": "integer", "minimum": 1},
            "warm_up_s": _FROM_ZERO,
            "seconds_at_most": _POSITIVE,
            "tokens": object_schema(
                {
                    "prompt_tokens": tokens,
                    "output_tokens": tokens,
                    "prompt_lengths": {"type": "array", "items": tokens},
                    "output_lengths": {"type": "array", "items": tokens},
                },
                optional=("prompt_lengths", "output_lengths"),
            ),
        },
        optional=("tokens",),
    )


def _delta() -> dict[str, object]:
    absent = object_schema({"path": _text(FILE), "sha256": _text(HEXADECIMAL), "size_bytes": _COUNT})
    return object_schema({"base_version": _text(RELEASE_VERSION), "absent": _list(absent)})


def _device() -> dict[str, object]:
    return object_schema(
        {
            "machine": _text(PLAIN),
            "module": nullable(_text(MODULE)),
            "soc": nullable(_text(PLAIN)),
            "model": nullable(_text(TEXT)),
            "l4t": nullable(_text(VERSION)),
            "tensorrt": nullable(_text(VERSION)),
            "memory_bytes": nullable(_COUNT),
        }
    )


def _built() -> dict[str, object]:
    return object_schema(
        {
            "key": _text(HEXADECIMAL),
            "digest": {"type": "string", "pattern": f"^(sha256:)?{HEXADECIMAL.pattern}$"},
            "size_bytes": _COUNT,
            "is_reused": _FLAG,
            "seconds": _FROM_ZERO,
        }
    )


def _interval() -> dict[str, object]:
    return object_schema({"value": _NUMBER, "low": _NUMBER, "high": _NUMBER})


def _range() -> dict[str, object]:
    return object_schema({"at_least": _text(VERSION), "below": _text(VERSION)})


def _format_version() -> dict[str, object]:
    return {"type": "string", "pattern": f"^{MAJOR}\\."}


def _text(pattern: re.Pattern[str]) -> dict[str, object]:
    return {"type": "string", "pattern": f"^({pattern.pattern})$"}


def _list(items: Mapping[str, Any], minimum: int = 0) -> dict[str, object]:
    return {"type": "array", "items": items, **({"minItems": minimum} if minimum else {})}
