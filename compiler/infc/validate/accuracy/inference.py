"""Runs a model over a dataset, batch by batch, in ONNX Runtime on the CPU or in whatever session is given."""

from collections.abc import Callable
from pathlib import Path
from typing import Protocol, TypeAlias

import numpy as np

from infc.diag import Diagnostic, ToolError
from infc.ir.model_profile import ModelProfile
from infc.lower.arrays import Array, Arrays

BATCH = 32
Outputs: TypeAlias = tuple[Array, ...]
Progress: TypeAlias = Callable[[str, int, int], None]
"""Called with what is running, samples done, samples in all."""


class Session(Protocol):
    """An open model."""

    def run(self, names: list[str], feeds: dict[str, Array]) -> list[Array]:
        """The named outputs for one batch of inputs."""


def run_model(
    open_model: Callable[[], Session], model: ModelProfile, inputs: Arrays, *, progress: Progress, what: str
) -> Outputs | Diagnostic:
    """Every output of the model for every sample, in the order of `model.outputs`.

    Runs in batches; models of a fixed batch get their last batch padded.
    """
    from onnxruntime.capi import onnxruntime_pybind11_state as errors

    try:
        return run_batches(open_model(), model, inputs, lambda done, total: progress(what, done, total))
    except (errors.NotImplemented, errors.Fail, errors.InvalidGraph, errors.RuntimeException, ToolError) as error:
        return Diagnostic(
            id="accuracy-cannot-run",
            message=f"{what[0].upper()}{what[1:]} cannot run on this machine",
            notes=(str(error).strip().splitlines()[0][:240],),
            help="this precision has no accuracy evidence here: run infc compile on a host with the target GPU",
        )
    except errors.InvalidArgument as error:
        return Diagnostic(
            id="dataset-array-shape",
            message=f"{what} does not accept the dataset's samples",
            notes=(str(error).strip().splitlines()[0][:240],),
            help="the sizes of dynamic axes must be ones the model was exported for",
        )


def open_session(model: Path | bytes, *, has_rewrites: bool, threads: int) -> Session:
    """A session on the CPU with all of a server's settings but its own: `threads` per operator (0: one per core).

    `has_rewrites` False opens the model with ORT_DISABLE_ALL, which is always right; True with every rewrite, which
    is right for models without Q/DQ nodes.
    """
    import onnxruntime as ort

    options = ort.SessionOptions()
    level = ort.GraphOptimizationLevel
    options.graph_optimization_level = level.ORT_ENABLE_ALL if has_rewrites else level.ORT_DISABLE_ALL
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 4
    source = model if isinstance(model, bytes) else str(model)
    session: Session = ort.InferenceSession(source, options, providers=["CPUExecutionProvider"])
    return session


def run_batches(
    session: Session, model: ModelProfile, inputs: Arrays, report: Callable[[int, int], None] | None = None
) -> Outputs:
    """Every output for every sample; `report` gets the samples done, and how many there are."""
    names = [spec.name for spec in model.outputs]
    count = len(next(iter(inputs.values())))
    size = model.fixed_batch or min(BATCH, count)
    parts: list[list[Array]] = []
    for start in range(0, count, size):
        feeds = {name: _padded(values[start : start + size], model.fixed_batch) for name, values in inputs.items()}
        parts.append(session.run(names, feeds))
        if report is not None:
            report(min(start + size, count), count)
    joined = zip(*parts, strict=True)
    return tuple(np.concatenate(pieces)[:count] for pieces in joined)


def _padded(values: Array, size: int | None) -> Array:
    missing = 0 if size is None else size - len(values)
    return values if missing <= 0 else np.concatenate([values, np.repeat(values[-1:], missing, axis=0)])
