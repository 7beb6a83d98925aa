"""The Python API: `infc.load`, `infc.plan`, `infc.compile` and `infc.validate`.

They take paths, return values, and raise `DiagnosticError` with every problem where the command line would exit with
its code. Imports wait until a function runs.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from infc.ir.llm_measurement import LlmMeasurement
    from infc.ir.measurement import Measurement
    from infc.ir.plan import Decision
    from infc.pipeline.compile import CompiledTarget, CompileOptions
    from infc.spec import LoadedSpec

__all__ = ["compile", "load", "plan", "validate"]


def load(path: Path | str) -> LoadedSpec:
    """The spec at `path`, without errors.

    Raises:
        DiagnosticError: the spec has errors; all of them.
    """
    from infc.diag import DiagnosticError, has_errors
    from infc.spec import load_spec

    loaded = load_spec(Path(path))
    if has_errors(loaded.diagnostics):
        raise DiagnosticError(loaded.diagnostics)
    return loaded


def plan(path: Path | str, *, overlay: Path | None = None) -> dict[str | None, Decision]:
    """The decisions of a spec: the free choice under None, and one under the name of each `deploy.targets` entry.

    Raises:
        DiagnosticError: the spec has errors, or cannot be planned.
        ToolError: the model must be analysed and the extra `onnx` is not installed.
    """
    from infc.diag import DiagnosticError
    from infc.lock import read_lock
    from infc.pipeline.plan import locked_digest_from, plan_spec
    from infc.spec import find_workspace

    path = Path(path)
    lock, _ = read_lock(find_workspace(path).lock)
    planned = plan_spec(path, overlay=overlay, locked_digest=locked_digest_from(lock))
    if not planned.decisions:
        raise DiagnosticError(planned.diagnostics, exit_code=5 if planned.is_spec_invalid else 1)
    return {decided.target: decided.decision for decided in planned.decisions}


def compile(path: Path | str, options: CompileOptions | None = None) -> tuple[CompiledTarget, ...]:
    """Compile a spec: one bundle per decision, and the lock.

    Raises:
        DiagnosticError: nothing was written, and why; its exit code is the command line's.
        ToolError: a package, a tool or the file system is missing or refuses.
    """
    from infc.diag import DiagnosticError
    from infc.pipeline.compile import CompileOptions, compile_spec

    result = compile_spec(Path(path), options or CompileOptions())
    if not result.compiled:
        raise DiagnosticError(result.diagnostics, exit_code=result.exit_code)
    return result.compiled


def validate(
    bundle: Path | str, *, budget_s: float = 120.0, is_rehearsal: bool = False
) -> Measurement | LlmMeasurement:
    """Serve a bundle on the real server on loopback and judge it; the server is ended in any case.

    Raises:
        ToolError: the bundle cannot be served here, or the server fails.
    """
    from infc.pipeline.validate import is_language_model

    bundle = Path(bundle)
    if is_language_model(bundle):
        from infc.validate.llm.load import LlmLoadSettings
        from infc.validate.llm.session import LlmValidationRequest, validate_llm_bundle

        request = LlmValidationRequest(
            bundle=bundle, settings=LlmLoadSettings(budget_s=budget_s), is_rehearsal=is_rehearsal
        )
        return validate_llm_bundle(request)
    from infc.validate.load.settings import LoadSettings
    from infc.validate.session import ValidationRequest, validate_bundle

    settings = LoadSettings(budget_s=budget_s)
    return validate_bundle(ValidationRequest(bundle=bundle, settings=settings, is_rehearsal=is_rehearsal))
