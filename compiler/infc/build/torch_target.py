"""What a torch package is compiled for on the processor's side, and the settings that a server must run it with.

Inductor compiles for the instruction set of the machine it runs on unless it is told otherwise. infc names a level of
the x86-64 psABI, so that a package runs on every processor of that level, and the level is part of the engine key.
"""

import platform
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

from infc.ir.engine import Engine

CPU_LEVEL = "cpu-level"
"""Name of the level in the toolchain of a torch package."""
TORCH_VERSION = "torch.version"
TORCH_CPU_LEVEL = "torch.cpu_level"
TORCH_DEVICE = "torch.device"
TORCH_FLOAT32 = "torch.float32_matmul_precision"
TORCH_INPUTS = "torch.inputs"
TORCH_OUTPUTS = "torch.outputs"
"""Settings of a package among the facts of its engine; the tensors are JSON lists of names, in the package's order."""


@dataclass(frozen=True, kw_only=True)
class CpuLevel:
    """An instruction set: its name for the compiler, the width of its vectors, the processor flags that it needs."""

    name: str
    vector_bits: int
    flags: tuple[str, ...]


LEVELS = (
    CpuLevel(
        name="x86-64-v4", vector_bits=512, flags=("avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl", "avx2")
    ),
    CpuLevel(name="x86-64-v3", vector_bits=256, flags=("avx2", "bmi1", "bmi2", "f16c", "fma", "movbe")),
)
"""Highest first. Source: x86-64 psABI, micro-architecture levels."""


def cpu_level(flags: Collection[str] | None = None) -> CpuLevel | None:
    """The highest level of this machine's processor (or of one with these flags); None when it has none.

    >>> cpu_level({"avx2", "bmi1", "bmi2", "f16c", "fma", "movbe"}).name
    'x86-64-v3'
    """
    found = cpu_flags() if flags is None else flags
    return next((level for level in LEVELS if all(flag in found for flag in level.flags)), None)


def level_named(name: str) -> CpuLevel:
    """A level by its name; KeyError when there is none."""
    return {level.name: level for level in LEVELS}[name]


def cpu_flags() -> Collection[str]:
    """What this machine's first processor can do, as Linux names it; nothing where it is not x86-64 or not Linux."""
    if platform.machine() not in ("x86_64", "AMD64"):
        return ()
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return ()
    return next((frozenset(line.partition(":")[2].split()) for line in lines if line.startswith("flags")), ())


def torch_parameters(engine: Engine) -> Mapping[str, str]:
    """Parameters of config.pbtxt by which infc's backend checks that it may run the package, and sets torch.

    `cpu_flags` are the processor flags that the package's machine code needs.
    """
    names = {
        TORCH_VERSION: "torch_version",
        TORCH_CPU_LEVEL: "cpu_level",
        TORCH_DEVICE: "device",
        TORCH_FLOAT32: "float32_matmul_precision",
        TORCH_INPUTS: "inputs",
        TORCH_OUTPUTS: "outputs",
    }
    settings = engine.facts.settings
    stated = {name: settings[setting] for setting, name in names.items()}
    return {**stated, "cpu_flags": ",".join(level_named(settings[TORCH_CPU_LEVEL]).flags)}
