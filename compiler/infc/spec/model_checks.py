"""Rules about `model`: commits instead of branches, what a list of candidates must say, what serves it on a Jetson."""

from collections.abc import Iterator

from infc.diag import Severity
from infc.ir.spec import (
    CheckpointCandidate,
    CheckpointModel,
    FleetModel,
    HuggingFaceCandidate,
    HuggingFaceModel,
    HuggingFaceRepo,
    OnnxModel,
    Spec,
)
from infc.spec.findings import Finding

FEWEST_CANDIDATES, MOST_CANDIDATES = 2, 16
_SHA_LENGTH = 40
_ENGINE_RUNTIMES, _LLM_RUNTIMES = ("triton", "deepstream", "none"), ("vllm", "edge-llm")


def hub_models(spec: Spec) -> Iterator[tuple[str, HuggingFaceRepo]]:
    """Every hub repository that the spec names as a model, with the path of its mapping."""
    match spec.model:
        case HuggingFaceModel(huggingface=hub):
            yield "model.huggingface", hub
        case FleetModel(candidates=candidates):
            for index, candidate in enumerate(candidates):
                if isinstance(candidate, HuggingFaceCandidate):
                    yield f"model.candidates[{index}].huggingface", candidate.huggingface


def checkpoints(spec: Spec) -> Iterator[tuple[str, str]]:
    """Every checkpoint folder that the spec names as a model, with its path in the spec."""
    match spec.model:
        case CheckpointModel(checkpoint=written):
            yield "model.checkpoint", written
        case FleetModel(candidates=candidates):
            for index, candidate in enumerate(candidates):
                if isinstance(candidate, CheckpointCandidate):
                    yield f"model.candidates[{index}].checkpoint", candidate.checkpoint


def is_commit(revision: str | None) -> bool:
    """Whether a revision is a full commit sha, which never moves.

    >>> is_commit("main"), is_commit("b968826d9c46dd6066d109eabc6255188de91218")
    (False, True)
    """
    return revision is not None and len(revision) == _SHA_LENGTH and not set(revision) - set("0123456789abcdef")


def revisions_are_pinned(spec: Spec) -> Iterator[Finding]:
    """A branch moves; a commit does not."""
    for path, hub in hub_models(spec):
        if not is_commit(hub.revision):
            yield Finding(
                id="spec-unpinned-revision",
                paths=(path if hub.revision is None else f"{path}.revision",),
                severity=Severity.WARNING,
                message="the model's revision is not a commit: what is deployed may change under the lock",
                help="write the full commit sha as `revision` (`infc plan --fetch` asks the hub for it)",
                is_about_key=hub.revision is None,
            )


def candidates_are_several(spec: Spec) -> Iterator[Finding]:
    """A choice has at least two sides, and each stands once."""
    if not isinstance(spec.model, FleetModel):
        return
    candidates = spec.model.candidates
    if not FEWEST_CANDIDATES <= len(candidates) <= MOST_CANDIDATES:
        few = len(candidates) < FEWEST_CANDIDATES
        yield Finding(
            id="spec-candidates",
            paths=("model.candidates",),
            message=f"`candidates` names {len(candidates)} model{'' if len(candidates) == 1 else 's'}",
            label=f"needs {FEWEST_CANDIDATES} to {MOST_CANDIDATES}",
            help="write `model: {huggingface: ...}` or `model: {checkpoint: ...}` for one model, or add another"
            if few
            else f"keep the {MOST_CANDIDATES} that matter",
            is_about_key=True,
        )
    seen: dict[str, int] = {}
    for index, candidate in enumerate(candidates):
        if candidate.name in seen:
            yield Finding(
                id="spec-duplicate-item",
                paths=(f"model.candidates[{index}].name", f"model.candidates[{seen[candidate.name]}].name"),
                message=f"two candidates are called `{candidate.name}`",
                help="give each its own name: reports and the lock tell them apart by it",
            )
        seen.setdefault(candidate.name, index)
    sources: dict[str, int] = {}
    for index, candidate in enumerate(candidates):
        if isinstance(candidate, HuggingFaceCandidate):
            key, source = "huggingface", f"{candidate.huggingface.repo}@{candidate.huggingface.revision}"
        else:
            key, source = "checkpoint", candidate.checkpoint
        if source in sources:
            yield Finding(
                id="spec-duplicate-item",
                paths=(f"model.candidates[{index}].{key}", f"model.candidates[{sources[source]}].{key}"),
                message=f"`{candidate.name}` is the same model as `{candidates[sources[source]].name}`",
                help="remove one",
            )
        sources.setdefault(source, index)


def candidates_state_accuracy(spec: Spec) -> Iterator[Finding]:
    """Where a least accuracy is asked for, every candidate states its own, and one of them reaches it."""
    if not isinstance(spec.model, FleetModel) or spec.model.min_accuracy is None:
        return
    least = spec.model.min_accuracy
    silent = [index for index, candidate in enumerate(spec.model.candidates) if candidate.accuracy is None]
    for index in silent:
        yield Finding(
            id="spec-candidate-accuracy",
            paths=(f"model.candidates[{index}].name", "model.min_accuracy"),
            message=f"`{spec.model.candidates[index].name}` states no accuracy",
            label=f"must be at least {least:g}, and nothing says what it is",
            help="add `accuracy: 0.74` as you measured it, or remove `min_accuracy`",
        )
    stated = {c.name: c.accuracy for c in spec.model.candidates if c.accuracy is not None}
    if stated and not silent and max(stated.values()) < least:
        best = max(stated, key=lambda name: stated[name])
        yield Finding(
            id="spec-candidate-accuracy",
            paths=("model.min_accuracy", "model.candidates"),
            message=f"no candidate states an accuracy of {least:g}",
            label=f"the best is {best} with {stated[best]:g}",
            help=f"set min_accuracy to at most {stated[best]:g}, or add a better model",
        )


def runtime_fits_the_model(spec: Spec) -> Iterator[Finding]:
    """What serves an engine on a Jetson module does not serve a language model, and the other way round."""
    jetson = spec.deploy.jetson
    if jetson is None or "runtime" not in jetson.model_fields_set:
        return
    known = _ENGINE_RUNTIMES if isinstance(spec.model, OnnxModel) else _LLM_RUNTIMES
    if jetson.runtime not in known:
        yield Finding(
            id="spec-model-mismatch",
            paths=("deploy.jetson.runtime", "model"),
            message=f"{jetson.runtime} does not serve this model",
            help=f"write {', '.join(known[:-1])} or {known[-1]}",
        )
