"""Prints what a wheel of TensorRT Edge-LLM says of itself, as edge_llm.yaml has it: platforms, TensorRT, options.

    pip download --no-deps tensorrt-edgellm==0.11.0 --only-binary=:all: --python-version 3.12 \
        --platform manylinux_2_39_aarch64
    python extract_edge_llm.py tensorrt_edgellm-0.11.0-cp312-cp312-manylinux_2_39_aarch64.whl

Only the sources in the wheel are read: nothing of it is imported, and no Jetson is needed.
"""

import ast
import json
import sys
import zipfile
from collections.abc import Iterator, Mapping

VARIANTS = "tensorrt_edgellm/_native/variants.json"
OPTIONS = "experimental/server/config.py"
REGISTRY = "experimental/builder/models/registry.py"
_TEXT_ALONE = "_set(Component.LLM)"


def main() -> None:
    """Read the wheel that is named, and print."""
    with zipfile.ZipFile(sys.argv[1]) as wheel:
        variants = json.loads(wheel.read(VARIANTS))
        options = wheel.read(OPTIONS).decode("utf-8")
        registry = wheel.read(REGISTRY).decode("utf-8")
    print(f"version: {variants['package_version']}")
    for row in platforms(variants):
        print(f"  platform: {row}")
    print("options:")
    for name in sorted(set(options_of(options))):
        print(f"  - {name}")
    print("model types that are text alone:", ", ".join(sorted(text_families(registry))))


def platforms(variants: Mapping[str, list[Mapping[str, object]]]) -> Iterator[str]:
    """Jetson Linux, compute capability and TensorRT of each native payload for a Jetson module."""
    for row in variants["variants"]:
        if row["platform_probe_source"] != "l4t":
            continue
        capability = f"{int(str(row['gpu_sm'])) // 10}.{int(str(row['gpu_sm'])) % 10}"
        for probe in row["platform_probe_values"] if isinstance(row["platform_probe_values"], list) else ():
            yield f"l4t {probe}, compute capability {capability}, {row['tensorrt_runtime_soname']}"


def options_of(source: str) -> Iterator[str]:
    """Long options of every `add_argument` in the sources of the server's configuration."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "add_argument":
            words = [arg.value for arg in node.args if isinstance(arg, ast.Constant)]
            yield from (str(word)[2:] for word in words if str(word).startswith("--"))


def text_families(source: str) -> Iterator[str]:
    """Model types of config.json whose only component is the language model."""
    for node in ast.walk(ast.parse(source)):
        if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "ModelFamily"):
            continue
        variants = node.args[1] if len(node.args) > 1 else None
        if isinstance(variants, ast.Dict) and all(ast.unparse(value) == _TEXT_ALONE for value in variants.values):
            yield from (str(key.value) for key in variants.keys if isinstance(key, ast.Constant))


if __name__ == "__main__":
    main()
