"""ONNX file -> model profile: open, infer shapes, flatten, count."""

import contextlib
import logging
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import onnx_ir as ir
from google.protobuf.message import DecodeError

from infc.diag import Diagnostic, Severity
from infc.ir.model_profile import Caveat, ModelProfile
from infc.resolve.model_file import corrupt_model, model_digest, open_model
from infc.resolve.onnx_analysis.fitted import fit_batch_only, fit_shapes
from infc.resolve.onnx_analysis.flatten import flatten
from infc.resolve.onnx_analysis.folding import fold_small_constants
from infc.resolve.onnx_analysis.graph import Graph
from infc.resolve.onnx_analysis.profile import Profiled, profile_of
from infc.resolve.onnx_analysis.shapes import HANDLER_ERRORS, InferredModel, infer_symbolically, load_ir

MAX_FOLDS = 6
"""Rounds of folding and inference; each can make the condition of an inner If known."""

MAX_REASON = 200
"""Characters of a library's error message that a note repeats."""

MAX_NAMED = 5
"""How many operators a diagnostic lists."""


@dataclass(frozen=True, kw_only=True)
class AnalysisResult:
    """The profile, or None with at least one error among the diagnostics."""

    profile: ModelProfile | None
    diagnostics: tuple[Diagnostic, ...]


def analyse(path: Path, name: str) -> AnalysisResult:
    """Profile an ONNX file; `name` becomes the profile's name.

    Weights are hashed but not loaded. Deterministic: the same bytes give the same profile.
    Every problem is a diagnostic.
    """
    file, problems = open_model(path)
    if file is None:
        return AnalysisResult(profile=None, diagnostics=problems)
    try:
        with _quiet_libraries():
            inferred = _inferred(load_ir(file))
            graph = flatten(inferred)
    except (DecodeError, *HANDLER_ERRORS) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0][:MAX_REASON]
        return AnalysisResult(profile=None, diagnostics=(corrupt_model(path, reason),))
    if not graph.nodes:
        return AnalysisResult(profile=None, diagnostics=(corrupt_model(path, "its graph computes nothing"),))
    profiled = profile_of(graph, name=name, digest=model_digest(file), axes=inferred.axes)
    notes = (
        *_unknown_flops(path, profiled),
        *_unknown_shapes(path, graph),
        *_unknown_operators(path, profiled.unknown_operators),
        *_bodies(path, graph),
        *_fixed_batch(path, profiled.profile),
    )
    caveats = tuple(Caveat(id=note.id, message=note.message, help=note.help or "") for note in notes)
    return AnalysisResult(profile=replace(profiled.profile, caveats=caveats), diagnostics=notes)


@contextlib.contextmanager
def _quiet_libraries() -> Iterator[None]:
    """Keep warnings of onnx-ir and onnx-shape-inference from the terminal; the analysis says what matters."""
    loggers = [logging.getLogger(name) for name in ("onnx_ir", "onnx_shape_inference")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


def _inferred(model: ir.Model) -> InferredModel:
    """Shapes by the cheapest way that finds all: at fixed batch sizes, symbolic, constants folded, fitted."""
    fitted = fit_batch_only(model)
    if fitted is not None:
        return fitted
    inferred = infer_symbolically(model)
    for _ in range(MAX_FOLDS):
        if (inferred.is_complete and not _has_branches(model)) or not fold_small_constants(model):
            break
        inferred = infer_symbolically(model)
    return fit_shapes(inferred)


def _has_branches(model: ir.Model) -> bool:
    return any(node.op_type == "If" and not node.domain for node in model.graph.all_nodes())


def _unknown_shapes(path: Path, graph: Graph) -> tuple[Diagnostic, ...]:
    unsized = [node for node in graph.nodes if any(value.shape is None for value in (*node.activations, *node.outputs))]
    if not unsized:
        return ()
    return (
        Diagnostic(
            id="model-shape-unknown",
            severity=Severity.WARNING,
            message=f"{len(unsized)} of {len(graph.nodes)} operators of {path.name} have sizes that could not be found",
            notes=(
                "their unknown tensors count as one element, so estimates are too low by their share",
                f"operators: {_listed([f'{node.op_type} {node.name!r}' for node in unsized])}",
            ),
            help="give the ONNX file fixed input sizes, or measure it (infc calibrate)",
        ),
    )


def _unknown_flops(path: Path, profiled: Profiled) -> tuple[Diagnostic, ...]:
    unsized = profiled.unsized_products
    if not unsized:
        return ()
    return (
        Diagnostic(
            id="model-flops-unknown",
            severity=Severity.WARNING,
            message=f"the FLOPs of {len(unsized)} of {profiled.products} convolutions and matrix products of "
            f"{path.name} could not be found",
            notes=(
                "they hold most of a network's arithmetic: its predicted service time is far too low",
                f"operators: {_listed([f'{node.op_type} {node.name!r}' for node in unsized])}",
            ),
            help="give the ONNX file fixed input sizes (all but the batch), or measure it (infc calibrate)",
        ),
    )


def _unknown_operators(path: Path, unknown: tuple[str, ...]) -> tuple[Diagnostic, ...]:
    if not unknown:
        return ()
    return (
        Diagnostic(
            id="model-operator-unknown",
            severity=Severity.WARNING,
            message=f"{path.name} uses operators whose arithmetic is not known: {_listed(list(unknown))}",
            notes=("they count as data movement: their inputs and outputs, no FLOPs",),
            help="measure the model (infc calibrate) before trusting its predicted latency",
        ),
    )


def _bodies(path: Path, graph: Graph) -> tuple[Diagnostic, ...]:
    bodies = sorted({node.body_of for node in graph.nodes if node.body_of})
    if not bodies:
        return ()
    return (
        Diagnostic(
            id="model-control-flow",
            severity=Severity.WARNING,
            message=f"{path.name} has loops or branches; the body of each is counted once",
            notes=(f"bodies of: {_listed(bodies)}",),
            help="export the model without control flow, or measure it (infc calibrate)",
        ),
    )


def _fixed_batch(path: Path, profile: ModelProfile) -> tuple[Diagnostic, ...]:
    if profile.batch_axis is not None:
        return ()
    shapes = [f"{spec.name} [{', '.join(map(str, spec.shape))}]" for spec in (*profile.inputs, *profile.outputs)]
    return (
        Diagnostic(
            id="model-batch-fixed",
            severity=Severity.WARNING,
            message=f"{path.name} has no batch axis, so every request is an execution of its own",
            notes=(f"the leading dimensions are not one shared axis: {_listed(shapes)}",),
            help="export it with a dynamic first dimension on every input and output",
        ),
    )


def _listed(names: list[str]) -> str:
    shown = ", ".join(names[:MAX_NAMED])
    return shown if len(names) <= MAX_NAMED else f"{shown} and {len(names) - MAX_NAMED} more"
