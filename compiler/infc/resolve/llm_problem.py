"""From a spec about a language model to the planner's problem: the model's profile, token lengths, token targets."""

import os
from collections.abc import Iterator
from dataclasses import fields, replace

from infc.diag import Diagnostic, Severity, has_errors
from infc.ir.llm_profile import LlmProfile
from infc.ir.problem import AxisDistribution, BaseProblem, Drafter, LatencyTarget, LlmProblem, LlmSource, TokenTraffic
from infc.ir.spec import (
    CheckpointCandidate,
    CheckpointModel,
    FleetModel,
    HuggingFaceCandidate,
    HuggingFaceModel,
    SizeDistribution,
    Spec,
)
from infc.resolve.hf_config import llm_profile
from infc.resolve.hub_cache import cached_config, hub_folder
from infc.resolve.served_models import not_served
from infc.resolve.store import ProfileStore
from infc.spec import LoadedSpec


def language_models(
    loaded: LoadedSpec, spec: Spec, store: ProfileStore, locked_digest: str | None = None
) -> tuple[tuple[tuple[LlmSource, LlmProfile], ...], tuple[Diagnostic, ...]]:
    """The language models that a spec names, each with its profile, without the network; none with errors.

    A checkpoint's own config.json says it all; where its folder is absent, the stored profile stands in that the lock
    names by `locked_digest`, or of several models the one of that name. A hub repository is known from the stored
    profile of that name, else from the hub's local cache.
    """
    found: list[tuple[LlmSource, LlmProfile]] = []
    problems: list[Diagnostic] = []
    for path, source in named_models(loaded, spec):
        profile, said = _profile(loaded, path, source, store, locked_digest)
        if profile is not None and not has_errors(said):
            refusal = not_served(profile)
            said = (*said, *(() if refusal is None else (refusal,)), *_context_problems(loaded, spec, profile))
        span = loaded.span(path)
        problems += [problem if problem.span is not None else replace(problem, span=span) for problem in said]
        if profile is not None:
            found.append((source, profile))
    problems = [*store.diagnostics, *dict.fromkeys(problems)]
    return () if has_errors(problems) else tuple(found), tuple(problems)


def named_models(loaded: LoadedSpec, spec: Spec) -> Iterator[tuple[str, LlmSource]]:
    """Where each language model of a spec comes from, with the path in the spec that says so."""
    served = spec.model.name or loaded.name
    match spec.model:
        case CheckpointModel(checkpoint=written):
            yield "model", LlmSource(served_name=served, checkpoint=written)
        case HuggingFaceModel(huggingface=hub):
            yield "model", LlmSource(served_name=served, repo=hub.repo, revision=hub.revision)
        case FleetModel(candidates=candidates):
            for index, candidate in enumerate(candidates):
                named = LlmSource(served_name=served, name=candidate.name, accuracy=candidate.accuracy)
                path = f"model.candidates[{index}]"
                match candidate:
                    case CheckpointCandidate(checkpoint=written):
                        yield path, replace(named, checkpoint=written)
                    case HuggingFaceCandidate(huggingface=hub):
                        yield path, replace(named, repo=hub.repo, revision=hub.revision)


def _profile(
    loaded: LoadedSpec, path: str, source: LlmSource, store: ProfileStore, locked_digest: str | None
) -> tuple[LlmProfile | None, tuple[Diagnostic, ...]]:
    if source.checkpoint is not None:
        if locked_digest is not None and not loaded.file(source.checkpoint).exists():
            stored = store.llm(locked_digest) if source.name is None else store.llm_named(source.name)
            if stored is not None:
                return stored, ()
        return llm_profile(loaded.file(source.checkpoint), source.name or loaded.name)
    assert source.repo is not None  # noqa: S101 - one of the two is set
    return _of_hub(loaded, path, source.repo, source.revision, store)


def llm_problem(
    base: BaseProblem, loaded: LoadedSpec, spec: Spec, source: LlmSource, model: LlmProfile, store: ProfileStore
) -> LlmProblem:
    """The problem of a valid spec about one of its models; `base` holds what it shares with any other model's."""
    workload, jetson = spec.workload, spec.deploy.jetson
    assert workload.prompt_tokens is not None and workload.output_tokens is not None  # noqa: S101, PT018 - checked
    shared = {field.name: getattr(base, field.name) for field in fields(BaseProblem)}
    return LlmProblem(
        **shared,
        model=model,
        source=source,
        ttft=_targets(loaded, "ttft", spec.slo.ttft),
        tpot=_targets(loaded, "tpot", spec.slo.tpot),
        e2e=_targets(loaded, "e2e", spec.slo.e2e),
        tokens=TokenTraffic(
            prompt=_distribution(workload.prompt_tokens),
            output=_distribution(workload.output_tokens),
            shared_prefix=workload.shared_prefix or 0.0,
        ),
        step_times=store.step_times(model.digest),
        has_prefix_caching=None if spec.deploy.vllm is None else spec.deploy.vllm.prefix_caching,
        drafter=_drafter(spec),
        min_accuracy=spec.model.min_accuracy if isinstance(spec.model, FleetModel) else None,
        jetson_runtime="edge-llm" if jetson is not None and jetson.runtime == "edge-llm" else "vllm",
    )


def _drafter(spec: Spec) -> Drafter | None:
    asked = None if spec.deploy.vllm is None else spec.deploy.vllm.speculative
    if asked is None:
        return None
    return Drafter(method=asked.method, acceptance=asked.acceptance, most_tokens=asked.max_tokens, model=asked.model)


def _of_hub(
    loaded: LoadedSpec, path: str, repo: str, revision: str | None, store: ProfileStore
) -> tuple[LlmProfile | None, tuple[Diagnostic, ...]]:
    name = hub_name(repo, revision)
    stored = store.llm_named(name)
    if stored is not None:
        return stored, ()
    hub = hub_folder(os.environ)
    config = cached_config(hub, repo, revision) if hub is not None else None
    if config is None:
        return None, (_not_here(loaded, path, repo, revision),)
    return llm_profile(config, name)


def hub_name(repo: str, revision: str | None) -> str:
    """What the stored profile of a hub model is called.

    >>> hub_name("Qwen/Qwen3-8B", "main")
    'Qwen/Qwen3-8B@main'
    """
    return f"{repo}@{revision}" if revision else repo


def _not_here(loaded: LoadedSpec, path: str, repo: str, revision: str | None) -> Diagnostic:
    return Diagnostic(
        id="plan-hub-model-missing",
        message=f"nothing on this machine says what {repo} looks like{f' at {revision}' if revision else ''}",
        span=loaded.span(f"{path}.huggingface.repo"),
        notes=("a plan needs no weights, only config.json; infc fetches it when it is asked to",),
        help="run `infc plan --fetch` once (it stores a profile), or put config.json into a folder of this repository"
        " and name the folder as `checkpoint:`",
    )


def _context_problems(loaded: LoadedSpec, spec: Spec, model: LlmProfile) -> Iterator[Diagnostic]:
    """Requests longer than the model's context cannot be served."""
    prompt, output = spec.workload.prompt_tokens, spec.workload.output_tokens
    if prompt is None or output is None or prompt.max + output.max <= model.max_context_tokens:
        return
    room = model.max_context_tokens - output.max
    path = "workload.prompt_tokens" if room > 0 else "workload.output_tokens"
    yield Diagnostic(
        id="plan-context-exceeded",
        severity=Severity.ERROR,
        message=f"the longest request has {prompt.max + output.max} tokens, the model's context"
        f" {model.max_context_tokens}",
        span=loaded.span(f"{path}.max"),
        notes=(f"prompt_tokens.max {prompt.max} + output_tokens.max {output.max}",),
        help=f"set prompt_tokens.max to at most {room}"
        if room > 0
        else f"set output_tokens.max below {model.max_context_tokens}",
    )


def _targets(loaded: LoadedSpec, name: str, written: dict[float, float] | None) -> tuple[LatencyTarget, ...]:
    return tuple(
        LatencyTarget(percentile=percentile, limit_s=limit, span=loaded.span(f"slo.{name}.p{percentile:g}"))
        for percentile, limit in sorted((written or {}).items())
    )


def _distribution(sizes: SizeDistribution) -> AxisDistribution:
    return AxisDistribution(percentiles=dict(sizes.percentiles), maximum=sizes.max)
