"""What builds an engine of each kind: packages with their exact versions, which are part of the engine key."""

import platform
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import metadata

from infc.build.torch_target import CPU_LEVEL, cpu_level
from infc.diag import ToolError
from infc.ir.engine_kind import EngineKind

MACHINE = "machine"
"""Name in a toolchain for the processor architecture, where the engine holds code for it or was made by its kernels."""


@dataclass(frozen=True, kw_only=True)
class Tool:
    """The package that builds a kind of engine, the oldest version that will do, and infc's extra that brings it."""

    package: str
    oldest: tuple[int, int]
    extra: str
    depends_on_machine: bool = False


TOOLS: Mapping[EngineKind, Tool] = {
    "tensorrt": Tool(package="tensorrt", oldest=(10, 0), extra="tensorrt"),
    "tensorrt_rtx": Tool(package="tensorrt_rtx", oldest=(1, 0), extra="rtx"),
    "onnxruntime": Tool(package="onnxruntime", oldest=(1, 0), extra="onnx", depends_on_machine=True),
    "onnxruntime_cuda": Tool(package="onnxruntime", oldest=(1, 0), extra="onnx", depends_on_machine=True),
    "onnxruntime_tensorrt": Tool(package="onnxruntime", oldest=(1, 0), extra="onnx", depends_on_machine=True),
    "torch_inductor": Tool(package="torch", oldest=(2, 13), extra="torch", depends_on_machine=True),
}


_NAMES: Mapping[str, tuple[str, ...]] = {"onnxruntime": ("onnxruntime", "onnxruntime-gpu")}


def toolchain_for(kind: EngineKind) -> Mapping[str, str]:
    """Names and versions of what builds engines of this kind here, without importing it.

    Raises ToolError when absent or too old.
    """
    tool = TOOLS[kind]
    version = installed_version(tool.package)
    if version is None:
        raise ToolError(
            f"building {kind} engines needs the package {tool.package}, which is not installed",
            help=f"pip install 'infc[{tool.extra}]'",
        )
    oldest = ".".join(map(str, tool.oldest))
    if _numbers(version) < tool.oldest:
        raise ToolError(
            f"{tool.package} {version} is too old to build engines with, {oldest} or newer is needed",
            help=f"pip install '{tool.package}>={oldest}'",
        )
    versions = {tool.package: version}
    if kind == "torch_inductor":
        level = cpu_level()
        versions[CPU_LEVEL] = level.name if level else "none"
    return with_machine(kind, versions, platform.machine())


def with_machine(kind: EngineKind, versions: Mapping[str, str], machine: str) -> Mapping[str, str]:
    """A toolchain of packages with the processor architecture, where the kind depends on it.

    >>> with_machine("tensorrt", {"tensorrt": "10.5.0"}, "x86_64")
    {'tensorrt': '10.5.0'}
    """
    return {**versions, MACHINE: machine} if TOOLS[kind].depends_on_machine else dict(versions)


def installed_version(package: str) -> str | None:
    """The version of an installed package, under any of the names it is published under; None when it is not there."""
    for name in _NAMES.get(package, (package,)):
        try:
            return metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return None


def _numbers(version: str) -> tuple[int, int]:
    major, _, rest = version.partition(".")
    minor = "".join(character for character in rest.partition(".")[0] if character.isdigit())
    return int(major), int(minor or 0)
