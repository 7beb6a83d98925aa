"""This machine as an attestation describes it, and which kinds of engines it can build."""

from collections.abc import Mapping

from infc.build.far import machine
from infc.build.job_json import environment_from_json
from infc.build.strict_json import FieldProblem, Fields
from infc.build.toolchain import TOOLS, installed_version
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


def installed_tools() -> Mapping[EngineKind, str]:
    """The kinds whose builder is installed here, with its version."""
    found = {kind: installed_version(tool.package) for kind, tool in TOOLS.items()}
    return {kind: version for kind, version in found.items() if version is not None}
