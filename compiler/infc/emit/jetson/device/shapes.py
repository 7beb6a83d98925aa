"""What this program reads of a manifest and of its samples: a signed file that says it otherwise is refused by name."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Any

from .codes import DAMAGED, Refusal
from .durable import read_json
from .trust import MANIFEST_NAME, is_plain_path

_URL = re.compile(r"http://[A-Za-z0-9.-]+(?::\d{1,5})?")
_NUMBERS = re.compile(r"\d{1,6}(?:\.\d{1,6}){0,3}")
_SHAPE_HELP = "compile the bundle again; tell who signed it"


def is_text(value: object) -> bool:
    """Words that fit on a line and on the command line of a tool."""
    return isinstance(value, str) and 0 < len(value) <= 1000 and value.isprintable()


def is_flag(value: object) -> bool:
    """True or false."""
    return isinstance(value, bool)


def is_amount(value: object) -> bool:
    """A finite number from 0 on.

    >>> is_amount(0), is_amount(2.5), is_amount(True), is_amount(float("nan"))
    (True, True, False, False)
    """
    return isinstance(value, (int, float)) and not is_flag(value) and 0 <= value < math.inf


def is_positive(value: object) -> bool:
    """A finite number above 0."""
    return is_amount(value) and value != 0


def is_count(value: object) -> bool:
    """A whole number from 0 on."""
    return isinstance(value, int) and is_amount(value)


def is_share(value: object) -> bool:
    """Between 0 and 1, neither of them."""
    return is_positive(value) and isinstance(value, float) and value < 1.0


def is_percentile(value: object) -> bool:
    """Above 0 and below 100."""
    return isinstance(value, (int, float)) and is_positive(value) and value < 100


def is_numbers(value: object) -> bool:
    """A version: whole numbers with dots."""
    return isinstance(value, str) and _NUMBERS.fullmatch(value) is not None


def is_path(value: object) -> bool:
    """A file inside the bundle."""
    return isinstance(value, str) and is_plain_path(value)


def is_url(value: object) -> bool:
    """Where a service answers."""
    return isinstance(value, str) and _URL.fullmatch(value) is not None


def is_environment(value: object) -> bool:
    """Variables, each of which fits on a line of target.env."""
    return isinstance(value, dict) and all(is_text(name) and is_text(text) for name, text in value.items())


def is_object(value: object) -> bool:
    """Anything with names."""
    return isinstance(value, dict)


_RANGE = {"at_least": is_numbers, "below": is_numbers}
_LIMITS = [{"percentile": is_percentile, "limit_s": is_positive}]
_TARGET = {
    "hardware_id": is_text,
    "title": is_text,
    "modules": [is_text],
    "compute_capability": is_text,
    "l4t": (None, _RANGE),
    "tensorrt": (None, _RANGE),
    "power_mode": (None, is_text),
    "engine": (None, is_text),
    "min_memory_bytes": is_amount,
    "min_free_bytes": is_amount,
    "environment?": is_environment,
}
_OPTIONS = {
    "optimization_level": (None, is_count),
    "workspace_bytes": (None, is_count),
    "is_version_compatible": is_flag,
    "hardware_compatibility": is_text,
    "is_weight_streaming": is_flag,
    "is_refittable": is_flag,
    "dla_core": (None, is_count),
}
_ENGINE = {
    "name": is_text,
    "model": is_path,
    "model_digest": is_text,
    "precision": is_text,
    "shapes": [{"input": is_text, "minimum": [is_count], "optimum": [is_count], "maximum": [is_count]}],
    "options": _OPTIONS,
    "most_gpu_fallback": is_amount,
    "timeout_s": is_positive,
}
_TOKENS = {
    "prompt_tokens": is_count,
    "output_tokens": is_count,
    "prompt_lengths?": (None, [is_count]),
    "output_lengths?": (None, [is_count]),
}
_MANIFEST: dict[str, Any] = {
    "kind": is_text,
    "targets": [_TARGET],
    "engines": [_ENGINE],
    "service": {"kind": is_text, "unit": is_text, "url": is_url, "model": is_text, "ready_timeout_s": is_amount},
    "verify": (None, is_path),
    "slo": {
        "latency?": _LIMITS,
        "ttft?": _LIMITS,
        "tpot?": _LIMITS,
        "confidence": is_share,
        "max_power_w?": (None, is_positive),
        "max_temperature_c?": (None, is_positive),
    },
    "load": {
        "arrival": {"kind": is_text, "streams?": is_positive, "cv?": is_positive},
        "rate_rps": is_positive,
        "batch_size": is_positive,
        "warm_up_s": is_amount,
        "seconds_at_most": is_positive,
        "tokens?": (None, _TOKENS),
    },
    "is_rolled_back": is_flag,
    "releases_kept": is_positive,
    "delta?": (None, {"base_version": is_numbers, "absent": [{"path": is_path, "sha256": is_text}]}),
}
_TENSORS = [{"name": is_text, "file": is_path, "dtype": is_text, "shape": [is_count]}]
_SAMPLES = {"samples": [{"inputs": _TENSORS, "outputs": _TENSORS}], "tolerances": is_object}


def misfit(value: object, shape: Any, at: str = "") -> str | None:
    """Where a value is not as its shape says, as a path with dots; None where it is.

    A shape is a function that says yes; a list of one, for each of a list; a tuple, for one of several; None; or an
    object's fields, a name with `?` for one that may be absent. Other fields than these are of a later minor format.

    >>> misfit({"a": [1, "b"], "c": 2}, {"a": [is_count], "d?": is_text})
    'a.1'
    """
    if isinstance(shape, dict):
        return _misfit_of_fields(value, shape, at)
    if isinstance(shape, list):
        if not isinstance(value, list):
            return at
        found = (misfit(each, shape[0], f"{at}.{index}") for index, each in enumerate(value))
        return next((place for place in found if place is not None), None)
    if isinstance(shape, tuple):
        places = [misfit(value, each, at) for each in shape]
        return None if None in places else places[-1]
    fits = value is None if shape is None else shape(value)
    return None if fits else at


def _misfit_of_fields(value: object, shape: dict[str, Any], at: str) -> str | None:
    if not isinstance(value, dict):
        return at
    for field, inner in shape.items():
        name = field.rstrip("?")
        place = f"{at}.{name}" if at else name
        if name in value:
            found = misfit(value[name], inner, place)
            if found is not None:
                return found
        elif name == field:
            return place
    return None


def check_shape(manifest: dict[str, Any]) -> None:
    """Refuse a manifest that says what it must in another way. Raises Refusal 11."""
    place = misfit(manifest, _MANIFEST)
    if place is not None:
        raise Refusal(DAMAGED, f"{MANIFEST_NAME} has no {place} that can be used", _SHAPE_HELP)


def samples_of(release: Path, manifest: dict[str, Any]) -> dict[str, Any] | None:
    """The samples and tolerances of a release; None where it has none. Raises Refusal 11."""
    if manifest["verify"] is None:
        return None
    document = read_json(release / manifest["verify"])
    if document is None:
        raise Refusal(DAMAGED, f"{manifest['verify']} cannot be read", "get the bundle again")
    place = misfit(document, _SAMPLES) or (None if document["samples"] else "samples")
    if place is not None:
        raise Refusal(DAMAGED, f"{manifest['verify']} has no {place} that can be used", _SHAPE_HELP)
    return document
