"""Which models the pinned vLLM serves: `targets/servers/vllm/<version>/architectures.json`, read from its sources."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache

from infc.diag import Diagnostic, InternalError
from infc.diag.nearest import nearest
from infc.ir.llm_profile import LlmProfile
from infc.resolve.targets.location import data_directory

TEXT_ONLY_CAVEAT = "config-text-only"
_METHODS = {"auto-round": "inc"}
"""Names of vLLM's for methods that a checkpoint calls otherwise."""


@dataclass(frozen=True, kw_only=True)
class Served:
    """How vLLM serves one architecture. `kind` is text, multimodal, embedding, classification or drafter.

    `is_text_only_possible`: the encoders of a multimodal model stay unloaded where only text is asked for (True for a
    text model). `has_float16`: vLLM starts it in float16.
    """

    kind: str
    is_text_only_possible: bool
    has_float16: bool = True


@dataclass(frozen=True, kw_only=True)
class ServedModels:
    """What one release serves, by architecture; `dropped` maps others to the last release that served them.

    `quantizations` are the methods of quantised checkpoints that it loads.
    """

    version: str
    quantizations: frozenset[str]
    architectures: Mapping[str, Served]
    dropped: Mapping[str, str]


@cache
def served_models(version: str | None = None) -> ServedModels:
    """What a release serves; `version` None is the pinned one."""
    import yaml

    folder = data_directory("targets") / "servers" / "vllm"
    version = version or str(yaml.safe_load((folder / "versions.yaml").read_text(encoding="utf-8"))["default"])
    try:
        document = json.loads((folder / version / "architectures.json").read_text(encoding="utf-8"))
        arguments = json.loads((folder / version / "arguments.json").read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise InternalError(f"what vLLM {version} serves was not extracted") from error
    return ServedModels(
        version=version,
        quantizations=frozenset(arguments["values"]["quantization"]),
        architectures={
            name: Served(
                kind=row["kind"],
                is_text_only_possible=row.get("text_only", True),
                has_float16=row.get("float16", True),
            )
            for name, row in document["architectures"].items()
        },
        dropped=document["dropped"],
    )


def not_served(model: LlmProfile, version: str | None = None) -> Diagnostic | None:
    """Why a release (None: the pinned one) does not serve a model as it is planned; None when it does."""
    served = served_models(version)
    name = model.architecture
    found = served.architectures.get(name)
    if found is None:
        return _unknown(name, served)
    if found.kind not in ("text", "multimodal"):
        return _refusal(f"vLLM {served.version} serves {name} for {found.kind}, not to generate text")
    is_text_only = any(caveat.id == TEXT_ONLY_CAVEAT for caveat in model.caveats)
    if found.kind == "multimodal" and not (found.is_text_only_possible and is_text_only):
        why = "loads the encoders of" if is_text_only else "looks for encoders in"
        return _refusal(f"vLLM {served.version} {why} {name}, and infc does not know their size")
    stored = model.quantization
    if stored is not None and _METHODS.get(stored.method, stored.method) not in served.quantizations:
        return replace(
            _refusal(f"vLLM {served.version} does not load checkpoints that {stored.method} quantised"),
            help="take one in another format, or plan the unquantised one with constraints.precision",
        )
    return None


def has_float16(model: LlmProfile) -> bool:
    """Whether the pinned release starts the model in float16; unknown models count as if it did."""
    found = served_models().architectures.get(model.architecture)
    return found is None or found.has_float16


def _unknown(name: str, served: ServedModels) -> Diagnostic:
    last = served.dropped.get(name)
    if last is not None:
        return _refusal(f"vLLM {served.version} no longer serves {name}; {last} was the last release that did")
    if not name:
        return _refusal("config.json names no architecture, so no server can tell how to load the model")
    usable = [known for known, row in served.architectures.items() if row.kind in ("text", "multimodal")]
    near = nearest(name, usable)
    notes = (f"it serves {', '.join(near)}",) if near else ()
    return _refusal(f"vLLM {served.version} does not serve the architecture {name[:60]!r}", *notes)


def _refusal(message: str, *notes: str) -> Diagnostic:
    return Diagnostic(
        id="plan-not-served",
        message=message,
        notes=notes,
        help="use a model of an architecture that it serves as a language model (docs/models.md)",
    )
