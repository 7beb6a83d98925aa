"""pydantic's findings as diagnostics: located in the text, in the words of the spec, each with its fix."""

import re
from collections.abc import Mapping

from pydantic_core import ErrorDetails

from infc.diag import Diagnostic
from infc.diag.nearest import did_you_mean
from infc.ir.spec.model_source import CANDIDATE_KEYS, SOURCE_KEYS
from infc.ir.spec.model_storage import STORAGE_KEYS
from infc.ir.spec.workload import ARRIVAL_KEYS
from infc.spec.keys import homes_of, known_keys
from infc.spec.source_map import SourceMap, child_path, parent_path

_MISSING_EXAMPLES: Mapping[str, str] = {
    "model": "model: {onnx: models/encoder.onnx}",
    "slo": "slo: {latency: {p99: 25ms}}",
    "workload": "workload: {rate: 300/s}",
    "rate": "rate: 300/s",
    "dataset": "dataset: data/pairs.npz",
    "metric": "metric: top1",
    "repo": "repo: Qwen/Qwen3-8B",
    "name": "name: qwen3-8b",
    "cv": "cv: 2.5",
    "max": "max: 128",
}
_FORMATS: Mapping[str, tuple[str, str]] = {
    "repo": ("a Hugging Face repository", "write owner/name, such as Qwen/Qwen3-8B"),
    "revision": ("a revision", "write the commit sha"),
    "image": ("a container image", "write registry/name:tag, in lower case"),
    "cluster_version": ("a Kubernetes version", 'write it as text, such as "1.33"'),
    "priority_class": ("a priority class", "write its name: lower case letters, digits, hyphens and dots"),
    "path": ("a folder of a volume", "write names with slashes between them, such as encoder/v2, without .."),
    "uri": ("the address of a folder in a bucket", "write s3://bucket/folder, without .."),
    "endpoint": ("the address of a store", "write https://host:port"),
    "power_mode": ("a power mode", "write the nvpmodel mode's name, such as 15W or MAXN"),
    "jetpack": ("a JetPack version", 'write it as text, such as "6.2"'),
    "tensorrt": ("a TensorRT version", 'write it as text, such as "10.7"'),
    "version": ("a release's version", 'write whole numbers with dots, as text, such as "1.4.0"'),
}
_TYPES: Mapping[str, tuple[str, str]] = {
    "int_type": ("a whole number", "write a whole number, without quotes and unit"),
    "int_from_float": ("a whole number", "write a whole number"),
    "float_type": ("a number", "write a number, without quotes and unit"),
    "string_type": ("text", "put the value in quotes"),
    "bool_type": ("true or false", "write true or false"),
    "model_type": ("a mapping", ""),
    "model_attributes_type": ("a mapping", ""),
    "dict_type": ("a mapping", ""),
    "tuple_type": ("a list", "write it as a list: [a, b]"),
}
_TAGGED: Mapping[str, tuple[str, tuple[str, ...], str]] = {
    "spec-model-source": ("model", SOURCE_KEYS, "write `model: {onnx: models/encoder.onnx}`"),
    "spec-model-storage": ("model", STORAGE_KEYS, "write `model: {pvc: {claim: models}}`"),
    "spec-candidate-source": ("candidate", CANDIDATE_KEYS, "write `{name: qwen3-4b, checkpoint: models/qwen3-4b}`"),
    "spec-arrival": (
        "arrival",
        ARRIVAL_KEYS,
        "write poisson, constant, {constant: {streams: 4}}, {bursty: {cv: 2.5}}, {diurnal: {...}} or "
        "{trace: traffic.csv}",
    ),
}
_BOUNDS: Mapping[str, tuple[str, str]] = {
    "greater_than": ("gt", "greater than"),
    "greater_than_equal": ("ge", "at least"),
    "less_than_equal": ("le", "at most"),
}


def diagnostic_from_error(error: ErrorDetails, source: SourceMap) -> tuple[str, Diagnostic]:
    """The path that the error is about (it may be an absent key), and the diagnostic."""
    segments = [segment for segment in error["loc"] if segment != "[key]"]
    if error["type"] == "missing":  # its own key may stand there without a value
        return _missing(source.locate(segments[:-1]), str(segments[-1]), source)
    path = source.locate(segments)
    return path, _about(error, path, source)


def _about(error: ErrorDetails, path: str, source: SourceMap) -> Diagnostic:
    kind = error["type"]
    if kind == "extra_forbidden":
        return _unknown_key(path, source)
    if kind == "infc":
        return _from_infc(error, path, source)
    if kind in {"literal_error", "enum"}:
        return _unknown_value(error, path, source)
    if kind in _TAGGED:
        return _tagged(error, path, source)
    if kind in _TYPES:
        return _wrong_type(error, path, source)
    if kind in _BOUNDS:
        return _out_of_bounds(error, path, source)
    if kind == "finite_number":
        return _at(source, path, "spec-range", f"`{_last(path)}` must be a finite number", "write a finite number")
    if kind in {"string_pattern_mismatch", "string_too_short", "string_too_long"}:
        what, help = _FORMATS.get(_last(path), ("a valid value", "write 1 to 200 characters"))
        return _at(source, path, "spec-format", f"{shown_value(error['input'])} is not {what}", help)
    return _at(source, path, "spec-format", f"`{_last(path)}`: {error['msg'].lower()}", "see `infc schema spec`")


def _out_of_bounds(error: ErrorDetails, path: str, source: SourceMap) -> Diagnostic:
    name, words = _BOUNDS[error["type"]]
    bound = f"{error['ctx'][name]:.12g}"
    help = {"at least": f"write {bound} or more", "at most": f"write {bound} or less"}.get(
        words, f"write more than {bound}"
    )
    label = f"is {shown_value(error['input'])}"
    return _at(source, path, "spec-range", f"`{_last(path)}` must be {words} {bound}", help, label=label)


def shown_value(value: object) -> str:
    """A value as the message shows it: short, on one line."""
    if isinstance(value, bool):
        return "`true`" if value else "`false`"
    match value:
        case None:
            return "nothing"
        case dict():
            return "a mapping"
        case list() | tuple():
            return "a list"
        case float() | int():
            return f"`{value:.12g}`" if isinstance(value, float) or abs(value) < 10**18 else "a huge number"
    if value == "":
        return "empty text"
    text = "".join(c if c.isprintable() else " " for c in str(value))
    return f"`{text if len(text) <= 40 else text[:37] + '...'}`"


def _missing(parent: str, key: str, source: SourceMap) -> tuple[str, Diagnostic]:
    where = f"in `{parent}`" if parent else "in the spec"
    example = _MISSING_EXAMPLES.get(key, f"{key}: ...")
    span = source.key_span(parent)
    if not parent:
        keys = (location.key for path, location in source.entries.items() if path and location.key)
        first = next((key for key in keys if key.path == source.path), None)
        span = first or span
    diagnostic = Diagnostic(
        id="spec-missing-key",
        message=f"`{key}` is missing {where}",
        span=span,
        label=f"has no `{key}`" if parent else "",
        help=f"add `{example}`",
    )
    return child_path(parent, key), diagnostic


def _unknown_key(path: str, source: SourceMap) -> Diagnostic:
    parent, key = parent_path(path), _last(path)
    location = source.location(path)
    if location.key is not None:  # keys may hold dots: take the key from where it hangs
        parent = max((p for p in source.entries if path.startswith(p + ".")), key=len, default="")
        key = path[len(parent) + 1 :] if parent else path
    known = known_keys(parent)
    near = did_you_mean(key, known)
    homes = homes_of(key)
    if near:
        help = near
    elif homes:
        help = f"`{key}` belongs under `{homes[0]}`" if homes[0] else f"`{key}` belongs at the top level"
    else:
        help = "known keys: " + ", ".join(known) if known else "remove it"
    where = f"in `{parent}`" if parent else "in the spec"
    return Diagnostic(
        id="spec-unknown-key",
        message=f"unknown key `{key[:60]}` {where}",
        span=source.key_span(path),
        label="unknown key",
        help=help,
    )


def _from_infc(error: ErrorDetails, path: str, source: SourceMap) -> Diagnostic:
    context = error["ctx"]
    is_key = error["loc"][-1] == "[key]"
    span = source.key_span(path) if is_key else source.span(path)
    help = str(context["help"])
    if context["id"] == "spec-unknown-value":
        help = _choices(str(error["input"]), tuple(help.split("|")))
    return Diagnostic(id=str(context["id"]), message=str(context["message"]), span=span, help=help)


def _unknown_value(error: ErrorDetails, path: str, source: SourceMap) -> Diagnostic:
    choices = tuple(re.findall(r"'([^']*)'", str(error["ctx"]["expected"])))
    value = error["input"]
    name = _last(path)
    if not isinstance(value, str):
        message = f"expected a name for `{name}`, found {shown_value(value)}"
        return _at(source, path, "spec-type", message, "one of: " + ", ".join(choices))
    message = f"unknown {name} {shown_value(value)}"
    if name == "arrival":
        choices = (*choices, *(f"{{{key}: ...}}" for key in ARRIVAL_KEYS))
    return _at(source, path, "spec-unknown-value", message, _choices(value, choices))


def _choices(value: str, choices: tuple[str, ...]) -> str:
    if len(choices) == 1:
        return f"write {choices[0]}"
    near = did_you_mean(value, choices)
    listed = "one of: " + ", ".join(choices)
    return f"{near} ({listed})" if near else listed


def _tagged(error: ErrorDetails, path: str, source: SourceMap) -> Diagnostic:
    value = error["input"]
    id = error["type"]
    what, keys, help = _TAGGED[id]
    if not isinstance(value, dict):
        if what == "model" and isinstance(value, str) and value.endswith(".onnx"):
            help = f"write `model: {{onnx: {value}}}`"
        return _at(source, path, id, f"`{what}` cannot be {shown_value(value)}", help)
    present = [key for key in keys if key in value]
    if id == "spec-candidate-source" and "onnx" in value:
        span = source.key_span(child_path(path, "onnx"))
        return Diagnostic(
            id=id, message="an ONNX model cannot be one of several candidates", span=span, help="name language models"
        )
    if len(present) > 1:
        second = child_path(path, present[1])
        message = f"`{what}` holds more than one of {_or(keys)}"
        return Diagnostic(id=id, message=message, span=source.key_span(second), help=f"keep {_or(tuple(present))}")
    for key in value:
        near = did_you_mean(str(key), keys)
        if near:
            span = source.key_span(child_path(path, str(key)))
            return Diagnostic(
                id="spec-unknown-key",
                message=f"unknown key `{key}` in `{path}`",
                span=span,
                label="unknown key",
                help=near,
            )
    return _at(source, path, id, f"`{what}` needs one of {_or(keys)}", help)


def _wrong_type(error: ErrorDetails, path: str, source: SourceMap) -> Diagnostic:
    expected, help = _TYPES[error["type"]]
    if expected == "a mapping":
        keys = known_keys(path)
        help = f"write keys under it: {', '.join(keys)}" if keys else "write `key: value` pairs under it"
    if expected == "text" and isinstance(error["input"], dict | list):
        help = "write one value"
    message = f"expected {expected} for `{_last(path)}`, found {_found(error['input'])}"
    if not path:
        message = f"a spec is a mapping, found {_found(error['input'])}"
        help = "start with `apiVersion: infc.dev/v1`"
    return _at(source, path, "spec-type", message, help)


def _found(value: object) -> str:
    if isinstance(value, bool):
        return "true or false"
    names = {str: "text", int: "a number", float: "a number", dict: "a mapping", list: "a list", tuple: "a list"}
    return names.get(type(value), "nothing")


def _at(source: SourceMap, path: str, id: str, message: str, help: str, *, label: str = "") -> Diagnostic:
    return Diagnostic(id=id, message=message, span=source.span(path), label=label, help=help)


def _or(names: tuple[str, ...]) -> str:
    quoted = [f"`{name}`" for name in names]
    return quoted[0] if len(quoted) == 1 else ", ".join(quoted[:-1]) + " or " + quoted[-1]


def _last(path: str) -> str:
    if path.endswith("]"):
        return path[: path.rindex("[")].rpartition(".")[2]
    return path.rpartition(".")[2] or "spec"
