"""Checkpoints of language models: which files belong to one, and quantising it into the precision of a plan.

Quantisation is done by llm-compressor into compressed-tensors, which vLLM loads, in the environment that has it
(`INFC_LLMCOMPRESSOR`). A checkpoint that is quantised already is left as it is.
"""

import hashlib
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from infc.diag import Diagnostic, Severity
from infc.ir.candidate import ContinuousBatching
from infc.ir.checkpoint import Checkpoint
from infc.ir.plan import Plan
from infc.ir.precision import Precision
from infc.ir.problem import LlmProblem
from infc.lower.llm.environment import LlmCompressor, find_llmcompressor, worker_environment
from infc.lower.llm.files import CheckpointFiles, checkpoint_files
from infc.lower.llm.quantize import calibration_digest, quantised
from infc.lower.llm.recipe import recipe_of
from infc.lower.llm.settings import SCHEMES, QuantizationSettings, Scheme, quantization_settings
from infc.resolve.hub_cache import cached_config, hub_folder

__all__ = [
    "LlmCompressor",
    "QuantizationSettings",
    "find_llmcompressor",
    "hub_checkpoint",
    "local_checkpoint",
    "lower_checkpoint",
    "quantization_settings",
    "weights_folder",
    "worker_environment",
]

ON_LOAD = "fp8"
"""vLLM's `--quantization` that rounds 16-bit weights to FP8 while it loads them."""


def local_checkpoint(
    folder: Path, problem: LlmProblem, *, boundary: Path | None = None
) -> tuple[Checkpoint | None, tuple[Diagnostic, ...]]:
    """The checkpoint in a folder as it is; what is wrong with its files else.

    A folder without weights is a checkpoint too: the bundle then waits for them. Links may lead inside `boundary`
    (default: the folder).
    """
    files = checkpoint_files(folder, boundary=boundary)
    if isinstance(files, tuple):
        return None, files
    return _as_is(problem, files, folder), ()


def hub_checkpoint(problem: LlmProblem) -> Checkpoint:
    """The pinned repository that a server fetches itself: no folder; the files that the hub's cache has, by digest.

    The digest names repository, revision and config, so it is the same with and without a cache.
    """
    source = problem.source
    named = "\0".join((source.repo or "", source.revision or "", problem.model.digest))
    snapshot = _snapshot(problem)
    files = None if snapshot is None else checkpoint_files(snapshot, boundary=snapshot.parent.parent)
    digest = hashlib.sha256(named.encode()).hexdigest()
    return Checkpoint(
        folder=None,
        repo=source.repo,
        revision=source.revision,
        files=files.digests if isinstance(files, CheckpointFiles) else {},
        has_weights=isinstance(files, CheckpointFiles) and files.has_weights,
        digest=digest,
        source_digest=digest,
        precision=_own_precision(problem),
    )


def lower_checkpoint(
    checkpoint: Checkpoint,
    problem: LlmProblem,
    plan: Plan,
    settings: QuantizationSettings,
    folder: Path,
    progress: Callable[[str], None],
) -> tuple[Checkpoint | None, tuple[Diagnostic, ...]]:
    """The checkpoint in the plan's precision, from the cache `folder` (`.infc/checkpoints`) where it was made before.

    Unchanged when the precision is its own, or another 16-bit format, which the server casts to. Same checkpoint,
    settings, data and tool versions give the same recipe digest. Without weights at hand FP8 is left to the server and
    a folder waits for its weights; a hub repository in another precision cannot be made.

    Raises:
        ToolError: there is no llm-compressor.
    """
    precision = plan.candidate.precision
    scheme = SCHEMES.get(precision)
    own = _own_precision(problem)
    if own in SCHEMES or scheme is None:
        return replace(checkpoint, precision=own if own in SCHEMES else precision), ()
    source = weights_folder(checkpoint, problem)
    if source is None:
        return _without_weights(checkpoint, precision)
    if settings.calibration is None and scheme.needs_data:
        return None, (_needs_data(precision, scheme),)
    data = None if settings.calibration is None else calibration_digest(settings.calibration)
    if isinstance(data, Diagnostic):
        return None, (data,)
    tool = find_llmcompressor()
    recipe = recipe_of(
        checkpoint.source_digest,
        scheme,
        settings,
        tool,
        has_fp8_cache=_has_fp8_cache(plan),
        calibration_digest=data,
    )
    made = quantised(source, precision, recipe, tool, folder, progress)
    if isinstance(made, Diagnostic):
        return None, (made,)
    lowered = Checkpoint(
        folder=made.folder,
        repo=None,
        revision=None,
        files=made.files.digests,
        has_weights=True,
        digest=made.files.digest,
        source_digest=checkpoint.source_digest,
        precision=precision,
        passes=(made.report,),
        recipe_digest=recipe.digest,
        toolchain=tool.toolchain,
    )
    return lowered, ()


def weights_folder(checkpoint: Checkpoint, problem: LlmProblem) -> Path | None:
    """Where the files of a checkpoint are on this machine, weights included; None where they are not."""
    if not checkpoint.has_weights:
        return None
    return checkpoint.folder or _snapshot(problem)


def _as_is(problem: LlmProblem, files: CheckpointFiles, folder: Path) -> Checkpoint:
    return Checkpoint(
        folder=folder,
        repo=None,
        revision=None,
        files=files.digests,
        has_weights=files.has_weights,
        digest=files.digest,
        source_digest=files.digest,
        precision=_own_precision(problem),
    )


def _own_precision(problem: LlmProblem) -> Precision:
    stored = problem.model.quantization
    return problem.model.dtype if stored is None else stored.weight_precision


def _has_fp8_cache(plan: Plan) -> bool:
    batching = plan.candidate.batching
    return isinstance(batching, ContinuousBatching) and batching.kv_precision is Precision.FP8


def _snapshot(problem: LlmProblem) -> Path | None:
    hub = hub_folder(os.environ)
    if hub is None or problem.source.repo is None:
        return None
    config = cached_config(hub, problem.source.repo, problem.source.revision)
    return None if config is None else config.parent


def _without_weights(checkpoint: Checkpoint, precision: Precision) -> tuple[Checkpoint | None, tuple[Diagnostic, ...]]:
    """What can be said before the weights are here: the server rounds to FP8, a folder waits, the rest is refused."""
    if precision is Precision.FP8:
        rounded = replace(checkpoint, precision=precision, quantization=ON_LOAD)
        return rounded, (_rounded_on_load(),)
    if checkpoint.folder is not None:
        waiting = Diagnostic(
            id="quantise-needs-weights",
            severity=Severity.WARNING,
            message=f"the checkpoint is planned in {precision.value}, and its weights are not here to be quantised",
            help="put them beside config.json and compile again: infc quantises them then",
        )
        return replace(checkpoint, precision=precision), (waiting,)
    at = f" --revision {checkpoint.revision}" if checkpoint.revision else ""
    return None, (
        Diagnostic(
            id="quantise-needs-weights",
            message=f"{checkpoint.repo} is planned in {precision.value}, and its weights are not here to be quantised",
            notes=("the hub's local cache does not hold them; infc does not fetch weights",),
            help=f"run `hf download {checkpoint.repo}{at}` and compile again, or name a repository that is quantised"
            f" already, or leave {precision.value} out of constraints.precision",
        ),
    )


def _rounded_on_load() -> Diagnostic:
    return Diagnostic(
        id="quantise-on-load",
        severity=Severity.WARNING,
        message="the weights are not here: vLLM rounds them to FP8 when it loads them, and no accuracy was measured",
        help="compile where the weights are: infc quantises them, and measures the accuracy where the spec has a goal",
    )


def _needs_data(precision: Precision, scheme: Scheme) -> Diagnostic:
    return Diagnostic(
        id="quantise-data",
        message=f"{precision.value} ({scheme.name}) needs calibration data, and the spec names none",
        notes=("it holds scales of activations, which only texts can tell",),
        help="add `quantization: {calibration: data/texts.jsonl}` with rows of {text}, or allow another precision",
    )
