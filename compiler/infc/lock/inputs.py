"""Digests of everything that decides a deployment, the same on every machine.

Each is a sha256 over canonical JSON (sorted keys, no spaces, UTF-8, shortest decimal floats) or over a file's bytes.
Paths are as the spec writes them, relative to it; comments, key order and layout of the YAML do not count, nor do line
ends, times, or where the checkout lies.
"""

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from enum import Enum
from pathlib import Path

import infc
from infc.ir.arrival import TraceArrival
from infc.ir.candidate import Candidate, DynamicBatching
from infc.ir.precision import Precision
from infc.ir.price import Price
from infc.ir.problem import AnyProblem, HardwareOption, LlmProblem
from infc.ir.spec import Spec
from infc.lock.values import InputDigests
from infc.resolve.store import engine_name, measurement_name, step_time_name
from infc.spec import LoadedSpec

WEIGHT_SUFFIXES = (".safetensors", ".safetensors.index.json")
"""Endings of weight files of a checkpoint, and of the file that tells which tensor is in which."""
MISSING = "missing"
"""Stands for the digest of a file that the spec names, that is not here, and that no lock knows."""


def input_digests(
    loaded: LoadedSpec,
    problem: AnyProblem,
    hardware_id: str,
    *,
    server: str,
    files: Mapping[str, str] | None = None,
    locked: InputDigests | None = None,
) -> InputDigests:
    """The inputs of the plan of `problem` on one device.

    Args:
        loaded: the spec as read, without errors; the files that it names are hashed where they exist.
        problem: what `resolve` made of it.
        hardware_id: the device of the plan.
        server: name and version of the server that is emitted for, such as `triton 24.10`.
        files: file -> `sha256:<hex>` of a language model's checkpoint folder; None where there is no such folder.
        locked: digests to keep for files that are absent here (data may be fetched only where it is needed).
    """
    if loaded.spec is None:
        raise ValueError("a spec with errors has no inputs")
    named = _named_files(loaded.spec, problem)
    digests = {kind: _file_digest(loaded.file(written), getattr(locked, kind, None)) for kind, written in named.items()}
    chosen = [option for option in problem.options if option.hardware.id == hardware_id]
    others = [option for option in problem.options if option.hardware.id != hardware_id]
    return InputDigests(
        spec=spec_digest(loaded.spec),
        build_settings=digest_of(_build_settings(loaded.spec)),
        model=f"sha256:{problem.model.digest.removeprefix('sha256:')}",
        dataset=digests.get("dataset"),
        calibration=digests.get("calibration"),
        trace=digests.get("trace"),
        hardware=digest_of([row for option in chosen for row in _hardware_rows(option)]),
        price=_prices_text(chosen),
        toolchain=f"infc {infc.__version__}, {server}",
        profiles=profile_names(problem, hardware_id),
        catalogue=digest_of(sorted((_option(option) for option in others), key=lambda row: str(row[0]))),
        tokenizer=_tokenizer(loaded, files, locked),
        weights=_weights(files, locked),
    )


def spec_digest(spec: Spec) -> str:
    """The digest of what a spec says: comments, key order, layout and defaults that are written out do not count."""
    return digest_of(spec.model_dump(mode="json", by_alias=True, exclude_none=True, exclude_defaults=True))


def engine_inputs(candidate: Candidate, inputs: InputDigests) -> str:
    """Digest of what the engine of an ONNX model is made from, as far as it is known before lowering and building.

    Equal digests mean the same engine as long as the builder's own version is the same: the model, its precision and
    how it is quantised, the shapes it must accept, and the device.
    """
    batching = candidate.batching
    assert isinstance(batching, DynamicBatching)  # noqa: S101 - ONNX models are served by Triton
    is_quantised = candidate.precision not in (Precision.FP32, Precision.TF32, Precision.BF16, Precision.FP16)
    return digest_of(
        {
            "model": inputs.model,
            "precision": candidate.precision.value,
            "calibration": (inputs.calibration or inputs.dataset) if is_quantised else None,
            "settings": inputs.build_settings,
            "batch_sizes": _batch_sizes(batching),
            "device": [
                *(candidate.hardware_id, candidate.power_mode, candidate.server, candidate.tensor_parallel),
                *(() if candidate.dla_core is None else (f"dla{candidate.dla_core}",)),
            ],
        }
    )


def checkpoint_inputs(candidate: Candidate, inputs: InputDigests) -> str:
    """Digest of what the checkpoint of a language model is made from, as far as it is known before it is quantised."""
    is_quantised = candidate.precision not in (Precision.FP32, Precision.TF32, Precision.BF16, Precision.FP16)
    return digest_of(
        {
            "model": inputs.model,
            "tokenizer": inputs.tokenizer,
            "weights": inputs.weights,
            "precision": candidate.precision.value,
            "calibration": (inputs.calibration or inputs.dataset) if is_quantised else None,
            "settings": inputs.build_settings if is_quantised else None,
            "device": candidate.hardware_id if is_quantised else None,
        }
    )


def _batch_sizes(batching: DynamicBatching) -> list[int]:
    return sorted({batching.max_batch_size, *batching.preferred_batch_sizes})


def profile_names(problem: AnyProblem, hardware_id: str) -> tuple[str, ...]:
    """File names of the stored figures that a plan on this device rests on; they carry a digest of their content.

    They are service times of this model, or where it has none there, those of other models; and what builders reported
    of its engines for the device's compute capability. Of a language model they are its step times.

    Accuracy evidence is not listed: it follows from model, data and toolchain, which are inputs themselves.
    """
    if isinstance(problem, LlmProblem):
        return tuple(sorted(step_time_name(p) for p in problem.step_times if p.hardware_id == hardware_id))
    used = [m for m in problem.measurements if m.hardware_id == hardware_id]
    used = used or [n.profile for n in problem.neighbours if n.profile.hardware_id == hardware_id]
    capabilities = {o.hardware.compute_capability for o in problem.options if o.hardware.id == hardware_id}
    engines = [e for e in problem.engines if e.compute_capability in capabilities]
    return tuple(sorted([*map(measurement_name, used), *map(engine_name, engines)]))


def digest_of(value: object) -> str:
    """`sha256:<hex>` of canonical JSON.

    >>> digest_of({"b": 1, "a": 2.50}) == digest_of({"a": 2.5, "b": 1})
    True
    """
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return "sha256:" + hashlib.sha256(text.encode()).hexdigest()


def plain(value: object) -> object:
    """A frozen value of infc as JSON types: dataclasses and mappings become objects, enumerations their values."""
    if isinstance(value, Enum):
        return value.value
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(plain(key)): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return value


def _build_settings(spec: Spec) -> dict[str, object]:
    axes = {name: axis.model_dump(mode="json") for name, axis in sorted(spec.workload.axes.items())}
    return {"axes": axes, "quantization": spec.quantization.model_dump(mode="json", exclude_defaults=True)}


def _hardware_rows(option: HardwareOption) -> list[object]:
    """The device's row of the catalogue; of a Jetson module also what runs on it."""
    return [plain(option.hardware), *(() if option.jetson is None else (plain(option.jetson),))]


def _option(option: HardwareOption) -> list[object]:
    return [option.hardware.id, plain(option.hardware), plain(option.price), plain(option.reserved)]


def _tokenizer(loaded: LoadedSpec, files: Mapping[str, str] | None, locked: InputDigests | None) -> str | None:
    """Digest of what turns text into tokens: every file of the checkpoint but config and weights, and the template."""
    if files is None:
        return None
    found = {name: digest for name, digest in files.items() if name != "config.json" and not _is_weight(name)}
    vllm = loaded.spec.deploy.vllm if loaded.spec is not None else None
    if vllm is not None and vllm.chat_template is not None:
        found["deploy.vllm.chat_template"] = _file_digest(loaded.file(vllm.chat_template), None)
    return digest_of(found) if found else locked.tokenizer if locked is not None else None


def _weights(files: Mapping[str, str] | None, locked: InputDigests | None) -> str | None:
    if files is None:
        return None
    found = {name: digest for name, digest in files.items() if _is_weight(name)}
    return digest_of(found) if found else (locked.weights if locked is not None else None) or MISSING


def _is_weight(name: str) -> bool:
    return name.endswith(WEIGHT_SUFFIXES)


def _named_files(spec: Spec, problem: AnyProblem) -> dict[str, str]:
    named = {}
    if spec.accuracy is not None:
        named["dataset"] = spec.accuracy.dataset
    if spec.quantization.calibration is not None:
        named["calibration"] = spec.quantization.calibration
    if isinstance(problem.traffic.arrival, TraceArrival):
        named["trace"] = problem.traffic.arrival.path
    return named


def _file_digest(path: Path, locked: str | None) -> str:
    try:
        with path.open("rb") as file:
            return "sha256:" + hashlib.file_digest(file, "sha256").hexdigest()
    except FileNotFoundError:
        return locked or MISSING


def _prices_text(chosen: list[HardwareOption]) -> str | None:
    prices = (price for option in chosen for price in (option.price, option.reserved, option.burst))
    return " and ".join(_price_text(price) for price in prices if price is not None) or None


def _price_text(price: Price) -> str:
    return (
        f"{price.provider} {price.sku} {price.region} {price.commitment} {price.usd_per_hour:.6g} USD/h of {price.date}"
    )
