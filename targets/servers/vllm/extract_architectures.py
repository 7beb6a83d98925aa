"""Writes `<version>/architectures.json`: which models a vLLM release serves, by the names in their config.json.

Run it with the Python of an environment that has that vLLM, or with PYTHONPATH on the unpacked wheel (see
`extract_arguments.py`). Only the sources are read: nothing of vLLM is imported.

One architecture is one line of the result, so that two versions can be compared with `diff`. `kind` is what vLLM files
it under. `pipeline` says that it can be divided into stages. `text_only` is of multimodal models: `language-model-only`
leaves their encoders unloaded. `transformers` says that transformers' own layers do the work. `float16` is false of
models that vLLM does not start in float16. `dropped` names the last release that served an architecture, and `plugins`
who serves it outside vLLM.
"""

import ast
import importlib.util
import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

FORMAT_VERSION = "1.0"
KINDS: Mapping[str, str] = {
    "_TEXT_GENERATION_MODELS": "text",
    "_MULTIMODAL_MODELS": "multimodal",
    "_TRANSFORMERS_SUPPORTED_MODELS": "transformers",
    "_EMBEDDING_MODELS": "embedding",
    "_LATE_INTERACTION_MODELS": "embedding",
    "_REWARD_MODELS": "classification",
    "_TOKEN_CLASSIFICATION_MODELS": "classification",
    "_SEQUENCE_CLASSIFICATION_MODELS": "classification",
    "_SPECULATIVE_DECODING_MODELS": "drafter",
}
DROPPED, PLUGINS = "_PREVIOUSLY_SUPPORTED_MODELS", "_OOT_SUPPORTED_MODELS"
# What leaves the encoders of a multimodal model unloaded when no prompt may hold an image.
TOWER_MARKS = frozenset({"_mark_tower_model", "_mark_composite_model"})
PIPELINE_BASE = "SupportsPP"
INTERFACE_PREFIX = "Supports"
MODELS = "vllm.model_executor.models"
NO_FLOAT16 = "_FLOAT16_NOT_SUPPORTED_MODELS"


def main() -> None:
    """Read the sources of the vLLM that would be imported and write beside this script."""
    package = package_folder()
    registry = tables(package / "model_executor" / "models" / "registry.py")
    sources = Sources(package=package)
    rows: dict[str, dict[str, object]] = {}
    for table, kind in KINDS.items():
        for name, (module, class_name) in registry[table].items():
            rows.setdefault(name, row(kind, str(module), str(class_name), sources))
    refused = no_float16(package / "config" / "model.py")
    for name, said in rows.items():
        if said["kind"] in ("text", "multimodal") and any(is_of_type(name, model_type) for model_type in refused):
            said["float16"] = False
    version = sys.argv[1] if len(sys.argv) > 1 else installed_version(package)
    path = Path(__file__).resolve().parent / version / "architectures.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(to_text(version, rows, registry[DROPPED], registry[PLUGINS]), encoding="utf-8")
    print(f"{path.parent.name}/{path.name}: {len(rows)} architectures, {len(registry[DROPPED])} dropped")


def package_folder() -> Path:
    """Where the sources of vLLM are."""
    found = importlib.util.find_spec("vllm")
    if found is None or found.origin is None:
        raise SystemExit("there is no vllm to read; run this with the Python of an environment that has it")
    return Path(found.origin).parent


def installed_version(package: Path) -> str:
    """The version of the sources, without what a build adds to it."""
    for line in (package / "_version.py").read_text(encoding="utf-8").splitlines():
        if line.startswith("__version__ = ") and "'" in line:
            return line.split("'")[1].partition("+")[0]
    raise SystemExit("vllm/_version.py names no version; give it as an argument")


def tables(registry: Path) -> dict[str, dict[str, Any]]:
    """The literal tables of the registry by name."""
    found: dict[str, dict[str, Any]] = {}
    for node in ast.parse(registry.read_text(encoding="utf-8")).body:
        if not isinstance(node, ast.Assign) or not isinstance(node.targets[0], ast.Name):
            continue
        if node.targets[0].id in (*KINDS, DROPPED, PLUGINS) and isinstance(node.value, ast.Dict):
            # Without a key stands what is computed of other tables: text models that also embed.
            pairs = zip(node.value.keys, node.value.values, strict=True)
            found[node.targets[0].id] = {ast.literal_eval(k): ast.literal_eval(v) for k, v in pairs if k is not None}
    missing = {*KINDS, DROPPED, PLUGINS} - set(found)
    if missing:
        raise SystemExit(
            f"the registry of this release has no {', '.join(sorted(missing))}; teach this script its names"
        )
    return found


def no_float16(config: Path) -> tuple[str, ...]:
    """The model types that a release refuses to start in float16."""
    for node in ast.parse(config.read_text(encoding="utf-8")).body:
        is_named = isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name)
        if is_named and node.targets[0].id == NO_FLOAT16 and isinstance(node.value, ast.Dict):
            return tuple(ast.literal_eval(key) for key in node.value.keys if key is not None)
    raise SystemExit(f"vllm/config/model.py of this release has no {NO_FLOAT16}; teach this script its name")


def is_of_type(architecture: str, model_type: str) -> bool:
    """Whether an architecture generates text for a model type: Gemma3ForCausalLM is of gemma3 and gemma3_text."""
    return architecture.lower().startswith(model_type.removesuffix("_text").replace("_", "") + "for")


@dataclass(kw_only=True)
class Sources:
    """The modules of a release as syntax, each read once."""

    package: Path
    modules: dict[str, ast.Module | None] = field(default_factory=dict)

    def module(self, name: str) -> ast.Module | None:
        """The module of that full name, None where the release has none."""
        if name not in self.modules:
            base = self.package.parent.joinpath(*name.split("."))
            files = [file for file in (base.with_suffix(".py"), base / "__init__.py") if file.is_file()]
            self.modules[name] = ast.parse(files[0].read_text(encoding="utf-8")) if files else None
        return self.modules[name]

    def lineage(self, module: str, class_name: str, seen: frozenset[str] = frozenset()) -> list[ast.ClassDef]:
        """A class and the models it is made from; interfaces (`Supports...`) say what is possible, not what is done."""
        tree = None if class_name.startswith(INTERFACE_PREFIX) else self.module(module)
        key = f"{module}.{class_name}"
        if tree is None or key in seen:
            return []
        for node in ast.walk(tree):
            if isinstance(node, ast.ClassDef) and node.name == class_name:
                bases = [name for base in node.bases if (name := plain_name(base)) is not None]
                return [node, *(c for name in bases for c in self.lineage(module, name, seen | {key}))]
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom) and any((a.asname or a.name) == class_name for a in node.names):
                original = next(a.name for a in node.names if (a.asname or a.name) == class_name)
                return self.lineage(self.absolute(module, node), original, seen | {key})
        return []

    def absolute(self, module: str, node: ast.ImportFrom) -> str:
        """The full name of what a module imports from."""
        if not node.level:
            return node.module or ""
        folder = self.package.parent.joinpath(*module.split("."))
        parts = module.split(".") if folder.is_dir() else module.split(".")[:-1]
        parts = parts[: len(parts) - node.level + 1]
        return ".".join([*parts, *([node.module] if node.module else [])])


def plain_name(base: ast.expr) -> str | None:
    """The name of a base class, None for an expression."""
    match base:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name
        case ast.Subscript(value=value):
            return plain_name(value)
    return None


def row(kind: str, module: str, class_name: str, sources: Sources) -> dict[str, object]:
    """What is known of one architecture."""
    full = module if module.startswith("vllm.") else f"{MODELS}.{module}"
    lineage = sources.lineage(full, class_name)
    said: dict[str, object] = {"kind": kind}
    if kind == "transformers":
        said = {"kind": "multimodal" if "MultiModal" in class_name else "text", "transformers": True}
    if said["kind"] in ("text", "multimodal"):
        bases = {plain_name(base) for node in lineage for base in node.bases}
        said["pipeline"] = PIPELINE_BASE in bases
    if said["kind"] == "multimodal":
        names = {n.attr for node in lineage for n in ast.walk(node) if isinstance(n, ast.Attribute)}
        said["text_only"] = bool(names & TOWER_MARKS)
    return said


def to_text(
    version: str, rows: Mapping[str, object], dropped: Mapping[str, object], plugins: Mapping[str, object]
) -> str:
    """The document, one architecture a line."""
    parts = [f'"format_version": "{FORMAT_VERSION}"', f'"vllm": "{version}"']
    for name, table in (("architectures", rows), ("dropped", dropped), ("plugins", plugins)):
        lines = [f"  {json.dumps(key)}: {json.dumps(table[key], sort_keys=True)}" for key in sorted(table)]
        parts.append(f'"{name}": {{\n' + ",\n".join(lines) + "\n}")
    return "{\n" + ",\n".join(parts) + "\n}\n"


if __name__ == "__main__":
    main()
