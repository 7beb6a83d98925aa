"""The quality shadow: two more models in the repository, and the options that have the server capture for them.

The served model stays as it is. Beside it lie `<name>-reference`, the unquantised ONNX model on one core of the host,
and `<name>-shadow`, the program that compares (`targets/servers/triton/shadow/`). docs/shadow.md says why so.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from infc.diag import InternalError
from infc.emit.release import triton_folder
from infc.emit.triton.config import config_pbtxt
from infc.emit.triton.settings import THREADS, ModelSettings
from infc.ir import shadow as captures
from infc.ir.accuracy import AccuracyEvidence
from infc.ir.model_profile import ModelProfile, TensorSpec
from infc.ir.precision import Precision
from infc.ir.problem import Problem, ShadowGoal

CLASS_METRICS = ("top1", "top5", "f1", "map")
"""Metrics of the accuracy goal that read classes from scores."""
EVIDENCE_SLACK = 2.0
"""Live data may lie this much further off than the samples of the accuracy test."""
LEAST_TOLERANCE = 1e-3
"""Kernels that differ in nothing but the order of a sum are closer than this; the trace's six digits are, too."""
PRECISION_TOLERANCE: Mapping[Precision, float] = {
    Precision.FP32: LEAST_TOLERANCE,
    Precision.TF32: 5e-3,
    Precision.FP16: 1e-2,
    Precision.BF16: 5e-2,
}
"""Where there is no evidence: some hundred times the rounding of one value. Chosen, not measured."""
QUANTISED_TOLERANCE = 0.2
"""The same for precisions of 8 bits and fewer. Chosen: the accuracy tests of the examples end between 5% and 20%."""
_PROGRAM = ("agreement.py", "captures.py", "model.py")


@dataclass(frozen=True, kw_only=True)
class ShadowSource:
    """What a shadow is made from: the model file with its external data, and what the accuracy test saw (or None)."""

    model: Path
    external_files: tuple[Path, ...] = ()
    evidence: AccuracyEvidence | None = None


def shadow_files(
    problem: Problem, settings: ModelSettings, source: ShadowSource, precision: Precision
) -> dict[str, bytes | Path]:
    """The two models by path in the bundle.

    Args:
        problem: what was asked; it has a shadow.
        settings: those of the served model.
        source: the unquantised model.
        precision: that of the served engine.
    """
    goal = problem.shadow
    if goal is None:
        raise InternalError("a bundle without a quality shadow has no files of one")
    reference = f"model_repository/{captures.reference_name(problem.name)}"
    program = f"model_repository/{captures.shadow_name(problem.name)}"
    folder = triton_folder() / "shadow"
    return {
        f"{reference}/config.pbtxt": config_pbtxt(_reference_settings(settings), _reference_header(settings)),
        f"{reference}/1/model.onnx": source.model,
        **{f"{reference}/1/{path.relative_to(source.model.parent).as_posix()}": path for path in source.external_files},
        f"{program}/config.pbtxt": _program_config(problem.name),
        f"{program}/1/{captures.SETTINGS_NAME}": _settings_json(problem, goal, settings, source.evidence, precision),
        **{f"{program}/1/{name}": (folder / name).read_bytes() for name in _PROGRAM},
    }


def shadow_folders(problem: Problem) -> Mapping[str, tuple[str, int]]:
    """Name -> path and size in bytes of the folders in memory that a server needs; none without a shadow."""
    return {} if problem.shadow is None else {"shadow": (captures.FOLDER, captures.FOLDER_BYTES)}


def shadow_outputs(problem: Problem) -> Mapping[str, float]:
    """Output -> share of comparisons below which somebody should look; empty without a shadow."""
    goal = problem.shadow
    return {} if goal is None else {output.name: goal.min_agreement for output in problem.model.outputs}


def comparison_of(output: TensorSpec, model: ModelProfile, metric: str | None) -> str:
    """How an output is compared: `equal`, `argmax` or `close`.

    Whole numbers must be equal. Scores of classes, in a model whose accuracy is judged by classes, must name the same
    class. Everything else must be close.
    """
    if not output.dtype.startswith("float"):
        return "equal"
    rank = len(output.shape) - (model.batch_axis is not None)
    has_classes = rank == 1 and isinstance(output.shape[-1], int) and output.shape[-1] > 1
    return "argmax" if has_classes and metric in CLASS_METRICS else "close"


def tolerance_of(goal: ShadowGoal, evidence: AccuracyEvidence | None, precision: Precision) -> float:
    """How far an output may lie from the reference's, as a share of its norm.

    The spec's own word; else twice the distance that 99% of the samples of the passed accuracy test kept; else by
    precision.
    """
    if goal.tolerance is not None:
        return goal.tolerance
    if evidence is not None and evidence.errors is not None:
        return max(LEAST_TOLERANCE, float(f"{EVIDENCE_SLACK * evidence.errors.p99:.3g}"))
    return PRECISION_TOLERANCE.get(precision, QUANTISED_TOLERANCE)


def _settings_json(
    problem: Problem,
    goal: ShadowGoal,
    settings: ModelSettings,
    evidence: AccuracyEvidence | None,
    precision: Precision,
) -> bytes:
    metric = problem.accuracy.metric if problem.accuracy is not None else None
    tolerance = tolerance_of(goal, evidence, precision)
    document = {
        "model": problem.name,
        "reference": captures.reference_name(problem.name),
        "one_in": goal.one_in,
        "folder": captures.FOLDER,
        "queue": captures.QUEUE_LENGTH,
        "busy_share": captures.BUSY_SHARE,
        "is_batched": settings.max_batch_size > 0,
        "outputs": [
            {"name": output.name, "compare": comparison_of(output, problem.model, metric), "tolerance": tolerance}
            for output in problem.model.outputs
        ],
    }
    return (json.dumps(document, indent=2) + "\n").encode()


def _reference_settings(settings: ModelSettings) -> ModelSettings:
    return ModelSettings(
        name=captures.reference_name(settings.name),
        engine_kind="onnxruntime",
        is_cpu=True,
        max_batch_size=settings.max_batch_size,
        inputs=settings.inputs,
        outputs=settings.outputs,
        batching=None,
        queue_timeout_us=None,
        instances=1,
        warmup=(),
        parameters={"intra_op_thread_count": str(THREADS), "inter_op_thread_count": "1"},
        graph_level=0,
        accelerator={},
    )


def _reference_header(settings: ModelSettings) -> str:
    return (
        f"# The unquantised model that {settings.name}'s answers are compared with: one instance, one core.\n"
        f"# Only {captures.shadow_name(settings.name)} asks it.\n"
    )


def _program_config(name: str) -> bytes:
    from google.protobuf import text_format
    from tritonclient.grpc import model_config_pb2 as pb

    config = pb.ModelConfig(name=captures.shadow_name(name), backend="python", max_batch_size=0)
    config.version_policy.specific.versions.append(1)
    for tensors, tensor in ((config.input, "nothing"), (config.output, "nothing_either")):
        tensors.add(name=tensor, data_type=pb.TYPE_BOOL, dims=[1])
    config.instance_group.add(count=1, kind=pb.ModelInstanceGroup.KIND_CPU)
    header = (
        f"# Compares answers of {name} with its reference. It takes no requests; Triton wants tensors all the same.\n"
    )
    body: str = text_format.MessageToString(config, use_short_repeated_primitives=True)
    return (header + body).encode()
