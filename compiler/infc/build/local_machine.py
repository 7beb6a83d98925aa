"""This machine as an attestation describes it, and which kinds of engines it can build."""

from collections.abc import Mapping
from dataclasses import dataclass

from infc.build.far import machine
from infc.build.job_json import environment_from_json
from infc.build.libraries import LIBRARIES
from infc.build.strict_json import FieldProblem, Fields
from infc.build.toolchain import TOOLS, Tool, installed_version
from infc.diag import InternalError
from infc.ir.engine_kind import EngineKind
from infc.ir.job import BuildEnvironment


def local_environment(versions: Mapping[str, str]) -> BuildEnvironment:
    """This machine; `versions` are those of the packages that take part in a build."""
    problems: list[FieldProblem] = []
    environment = environment_from_json(Fields(machine.environment(dict(versions)), "$", problems))
    if problems:
        raise InternalError(f"this machine cannot be described: {problems[0].path} {problems[0].message}")
    return environment


@dataclass(frozen=True, kw_only=True)
class BuildAbility:
    """Whether engines of a kind can be built here: `missing` says what stands in the way, None: nothing.

    `version` is that of the package that builds them (None: not installed), `compute_capabilities` the GPUs that they
    can be for (none: the engine is for the CPU, or bound to no GPU).
    """

    kind: EngineKind
    version: str | None
    compute_capabilities: tuple[str, ...]
    missing: str | None


def abilities() -> tuple[BuildEnvironment, tuple[BuildAbility, ...]]:
    """This machine and what it can build, for every kind of engine."""
    versions = {tool.package: installed_version(tool.package) for tool in TOOLS.values()}
    environment = local_environment({name: version for name, version in versions.items() if version is not None})
    return environment, tuple(_ability(kind, versions[tool.package], tool, environment) for kind, tool in TOOLS.items())


def _ability(kind: EngineKind, version: str | None, tool: Tool, environment: BuildEnvironment) -> BuildAbility:
    here = (environment.compute_capability,) if environment.compute_capability else ()
    ahead = tuple(LIBRARIES[kind].capabilities) if kind in LIBRARIES else ()
    missing = None
    if version is None:
        missing = f"{tool.package} is not installed: pip install 'infc[{tool.extra}]'"
    elif kind in LIBRARIES and LIBRARIES[kind].needs_gpu and not here:
        missing = "this machine has no NVIDIA GPU that its driver shows"
    return BuildAbility(
        kind=kind,
        version=version,
        compute_capabilities=() if missing or kind.startswith("onnxruntime") else ahead or here,
        missing=missing,
    )
