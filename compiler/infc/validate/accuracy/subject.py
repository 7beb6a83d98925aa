"""What an accuracy test runs: the unquantised reference, a lowered model, or a built engine, opened as a session."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import onnx

from infc.build import onnxruntime_settings
from infc.diag import Diagnostic, Severity, ToolError
from infc.ir.accuracy import EMULATED, LOWERED
from infc.ir.engine import Engine, LoweredModel
from infc.ir.engine_kind import EngineKind
from infc.ir.precision import Precision
from infc.lower.emulate import emulated, has_half_arithmetic
from infc.validate.accuracy.inference import Session, open_session
from infc.validate.torch_session import torch_session

ON_GPU: tuple[EngineKind, ...] = ("tensorrt", "tensorrt_rtx", "onnxruntime_cuda", "onnxruntime_tensorrt")
"""Engines that `validate.gpu` runs where their GPU is."""
NEEDS_REWRITES_OFF = (Precision.INT8, Precision.FP8, Precision.INT4, Precision.FP4)
Opened: TypeAlias = Callable[[], Session]


@dataclass(frozen=True, kw_only=True)
class Runnable:
    """A subject that can run here; `open` opens a session when it is time.

    `name` is what the evidence calls it, `words` what progress does.
    """

    name: str
    open: Opened
    words: str


def runnable(subject: LoweredModel | Engine) -> Runnable | Diagnostic:
    """How a subject runs on this machine, or the note that it cannot.

    A lowered model with 16-bit operators runs emulated: ONNX Runtime's CPU kernels compute FP16 in FP32 and have no
    BF16 convolutions, an engine rounds after every operator. Q/DQ models run without graph rewrites, which corrupt some
    of them (onnxruntime 1.31); an ONNX Runtime engine with exactly the settings of its server.
    """
    if isinstance(subject, LoweredModel):
        return _lowered(subject)
    words = f"the {subject.precision.value} {subject.kind} engine"
    if subject.kind == "onnxruntime":
        has_rewrites = onnxruntime_settings(subject).has_rewrites
        return Runnable(
            name=subject.kind,
            words=words,
            open=lambda: open_session(subject.path, has_rewrites=has_rewrites, threads=0),
        )
    if subject.kind == "torch_inductor":
        try:
            package = torch_session(subject)
        except ToolError as error:
            return _not_here(subject, str(error))
        return Runnable(name=subject.kind, words=words, open=lambda: package)
    if subject.kind not in ON_GPU:
        return _not_here(subject, f"infc has no runner for {subject.kind} engines here")
    from infc.validate.gpu import engine_session

    try:
        session = engine_session(subject)
    except ToolError as error:
        return _not_here(subject, str(error))
    if isinstance(session, Diagnostic):
        return _not_here(subject, session.message)
    return Runnable(name=subject.kind, words=words, open=lambda: session)


def reference_session(path: Path) -> Session:
    """The unquantised model as ONNX Runtime runs it best."""
    return open_session(path, has_rewrites=True, threads=0)


def _lowered(subject: LoweredModel) -> Runnable:
    words = f"the {subject.precision.value} lowered model"
    model = onnx.load(subject.path)
    if not has_half_arithmetic(model):
        has_rewrites = subject.precision not in NEEDS_REWRITES_OFF
        return Runnable(
            name=LOWERED, words=words, open=lambda: open_session(subject.path, has_rewrites=has_rewrites, threads=0)
        )
    content = emulated(model).SerializeToString()
    return Runnable(name=EMULATED, words=words, open=lambda: open_session(content, has_rewrites=False, threads=0))


def _not_here(engine: Engine, reason: str) -> Diagnostic:
    return Diagnostic(
        id="accuracy-needs-gpu",
        severity=Severity.NOTE,
        message=f"the {engine.kind} engine for {engine.hardware_id} cannot run on this machine",
        notes=(reason, "the lowered model that it was built from is measured instead"),
        help=f"infc compile on a host with a {engine.hardware_id} measures the engine itself",
    )
