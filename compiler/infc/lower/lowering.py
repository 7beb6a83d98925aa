"""Precision lowering on ONNX: an FP32 model in, the same model in 16-bit floats or with explicit Q/DQ nodes out.

`PASSES` says which passes run for a precision, in order; a verifier runs before the first and after each, and names
the guilty one.
"""

from collections.abc import Mapping
from pathlib import Path

import onnx

from infc.diag import Diagnostic, DiagnosticError, InternalError
from infc.ir.engine import LoweredModel, PassReport
from infc.ir.model_profile import ModelProfile
from infc.ir.precision import Precision
from infc.lower.arrays import Calibration
from infc.lower.cleanup import clean_up, fold_shapes
from infc.lower.half import remainder_to_fp16, to_bf16, to_fp16
from infc.lower.names import name_operators
from infc.lower.opset import raise_opset
from infc.lower.passes import Pass, PassContext
from infc.lower.placement import QUANTISED, place
from infc.lower.quantize import quantize
from infc.lower.recipe import read_cached, recipe_digest, store
from infc.lower.settings import SUPPORTED, LoweringSettings
from infc.lower.verifier import checker_problem, source_problems, verify

_PREPARE: tuple[Pass, ...] = (name_operators, clean_up, fold_shapes)
_QUANTISE: tuple[Pass, ...] = (*_PREPARE, raise_opset, quantize, remainder_to_fp16)
PASSES: Mapping[Precision, tuple[Pass, ...]] = {
    Precision.FP32: _PREPARE,
    Precision.FP16: (*_PREPARE, raise_opset, to_fp16),
    Precision.BF16: (*_PREPARE, raise_opset, to_bf16),
    Precision.INT8: _QUANTISE,
    Precision.FP8: _QUANTISE,
    Precision.INT4: _QUANTISE,
}
MAX_MODEL_BYTES = 2**31 - 2**20
"""Protocol buffers end at 2 GiB; larger models need external data, which infc's engine builders do not get."""


def lower(
    source: Path,
    profile: ModelProfile,
    precision: Precision,
    calibration: Calibration | None,
    settings: LoweringSettings,
    out_dir: Path,
) -> tuple[LoweredModel | None, tuple[Diagnostic, ...]]:
    """The model in the asked precision, from the cache `out_dir` (`<workspace>/.infc/lowered`) when it was made before.

    Same source, settings, data and tool versions give the same bytes. Precisions other than `SUPPORTED`, models with
    control flow and missing calibration data are diagnostics. TF32 is FP32 in the file: the engine decides.
    """
    stored_precision = precision
    if precision is Precision.TF32:
        precision = Precision.FP32
    if precision not in PASSES:
        return None, (_unsupported(precision),)
    used = calibration if _has_ranges(precision, settings) else None
    digest = recipe_digest(profile.digest, stored_precision, settings, used)
    cached = read_cached(out_dir, digest, profile.digest, stored_precision)
    if cached is not None:
        return cached, ()
    model = _load(source, profile)
    if isinstance(model, Diagnostic):
        return None, (model,)
    context = PassContext(
        profile=profile, precision=precision, settings=settings, calibration=used, ranges=out_dir / "ranges"
    )
    result = run_passes(model, PASSES[precision], context)
    if isinstance(result, Diagnostic):
        return None, (result,)
    lowered, reports = result
    content = lowered.SerializeToString(deterministic=True)
    return store(out_dir, digest, content, reports, profile.digest, stored_precision), ()


def _has_ranges(precision: Precision, settings: LoweringSettings) -> bool:
    """Whether calibration data decides anything: ranges of INT8 and FP8, and values that FP16 cannot hold."""
    if precision is Precision.INT4:
        return settings.remainder is Precision.FP16
    return precision in (Precision.INT8, Precision.FP8, Precision.FP16)


def quantized_operators(
    source: Path, profile: ModelProfile, precision: Precision, settings: LoweringSettings
) -> tuple[str, ...]:
    """Names of the source operators that get Q/DQ nodes in this precision, in graph order.

    `settings.kept` are not among them: each name that is returned can be raised back by adding it there. Empty for
    precisions without Q/DQ nodes. Raises DiagnosticError where `lower` would answer with diagnostics.
    """
    if precision not in QUANTISED:
        return ()
    model = _load(source, profile)
    if isinstance(model, Diagnostic):
        raise DiagnosticError((model,))
    context = PassContext(profile=profile, precision=precision, settings=settings, calibration=None)
    prepared = run_passes(model, (*_PREPARE, raise_opset), context)
    if isinstance(prepared, Diagnostic):
        raise DiagnosticError((prepared,))
    return place(prepared[0], precision, settings).chosen


def run_passes(
    model: onnx.ModelProto, passes: tuple[Pass, ...], context: PassContext
) -> tuple[onnx.ModelProto, tuple[PassReport, ...]] | Diagnostic:
    """Run passes in order with the verifier around each.

    Raises InternalError that names a pass which broke a sound model.
    """
    refusal = _source_refusal(model, context)
    if refusal is not None:
        return refusal
    reports: list[PassReport] = []
    for one_pass in passes:
        result = one_pass(model, context)
        if isinstance(result, Diagnostic):
            return result
        model, report = result
        reports.append(report)
        problems = verify(model, context, reports)
        if problems:
            raise InternalError(f"lowering pass {report.name} broke {context.profile.name}: {'; '.join(problems[:3])}")
    return model, tuple(reports)


def _source_refusal(model: onnx.ModelProto, context: PassContext) -> Diagnostic | None:
    unsound = checker_problem(model)
    if unsound is not None:
        return Diagnostic(
            id="model-corrupt",
            message=f"{context.profile.name} is not a valid ONNX model",
            notes=(unsound,),
            help="export the model again; onnx.checker.check_model(path, full_check=True) shows the same",
        )
    problems = source_problems(model, context)
    if not problems:
        return None
    return Diagnostic(
        id="lower-source-precision",
        message=f"{context.profile.name} is not an FP32 model that can be lowered to {context.precision.value}",
        notes=problems[:3],
        help="give infc the FP32 model: it lowers and quantises itself, with the accuracy measured",
    )


def _load(source: Path, profile: ModelProfile) -> onnx.ModelProto | Diagnostic:
    if profile.weight_bytes > MAX_MODEL_BYTES:
        return Diagnostic(
            id="model-too-large",
            message=f"{profile.name} holds {profile.weight_bytes / 2**30:.1f} GiB of weights, lowering ends at 2 GiB",
            help="split the model, or plan it with the precision it is stored in",
        )
    try:
        return onnx.load(source)
    except FileNotFoundError as error:
        return Diagnostic(
            id="model-missing",
            message=f"there is no file {Path(error.filename or source).name} of model {profile.name}",
            help="lowering needs the weights: fetch the model file (a plan does not need it, a compile does)",
        )
    except (onnx.onnx_cpp2py_export.checker.ValidationError, ValueError, OSError) as error:
        return Diagnostic(
            id="model-corrupt", message=f"cannot read {source.name}", notes=(str(error).splitlines()[0],), help=None
        )


def _unsupported(precision: Precision) -> Diagnostic:
    names = ", ".join(p.value for p in SUPPORTED)
    return Diagnostic(
        id="precision-not-lowered",
        message=f"infc does not lower ONNX models to {precision.value}",
        notes=(f"it lowers to {names}",),
        help="allow one of these in constraints.precision",
    )
