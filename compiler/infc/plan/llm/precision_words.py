"""Why a language model is served in a precision that is not its checkpoint's, and what that bought."""

from dataclasses import replace

from infc.ir.problem import LlmProblem, Origin
from infc.perf import Unsupported
from infc.plan.evidence import passed_evidence
from infc.plan.llm.site import LlmSite, native_precision, own_precision
from infc.plan.llm.sizing import LlmSized, LlmSizer
from infc.plan.words import counted

_GROUPS = (1, 2, 4, 8)


def precision_reason(problem: LlmProblem, sized: LlmSized, sizer: LlmSizer) -> str:
    """Why the weights are not served as they are stored; empty where they are."""
    site, native = sized.site, native_precision(problem)
    if site.precision is native:
        return ""
    words = f"{site.precision.value}: the checkpoint is {native.value}"
    own = own_precision(problem, site.hardware)
    if site.precision is own:
        return f"{words}, which {site.hardware.name} does not compute"
    if not site.is_lowered:
        return words
    return f"{words}; {_bought(problem, sized, sizer)}; {_allowed_by(problem, site)}"


def cache_precision_reason(problem: LlmProblem, sized: LlmSized) -> str:
    """Why the KV cache is not kept in the model's own precision; empty where it is."""
    site, batching = sized.site, sized.trial.batching
    if site.kv_precision is None:
        return ""
    settings = (batching.max_num_seqs, batching.max_num_batched_tokens)
    wide = replace(site, kv_precision=None, _steps=[], _memories={}).memory(*settings).kv_cache_tokens
    return (
        f"KV cache in {site.kv_precision.value}: {sized.trial.kv_cache_tokens:,} tokens a replica rather than"
        f" {max(wide, 0):,}, and fewer bytes to read a step; constraints.precision names it"
    )


def _allowed_by(problem: LlmProblem, site: LlmSite) -> str:
    evidence = passed_evidence(problem, site.hardware, site.precision)
    if evidence is not None:
        measured = f"{evidence.metric} {evidence.value.value:.4g} against {evidence.reference:.4g}"
        return f"{measured}, {evidence.verdict.value}"
    if problem.origins.get("constraints.precision") is Origin.DEFAULT:
        return "its accuracy is not measured yet: compile does, and plans again where it misses the goal"
    return "constraints.precision allows it, and no accuracy evidence is stored"


def _bought(problem: LlmProblem, sized: LlmSized, sizer: LlmSizer) -> str:
    """What the checkpoint's own precision would take on the same device, by arithmetic."""
    site, own = sized.site, own_precision(problem, sized.site.hardware)
    least: int | None = None
    reason = ""
    for devices in _GROUPS:
        plain = replace(site, precision=own, kv_precision=None, tensor_parallel=devices, _steps=[], _memories={})
        if isinstance(plain.steps(), Unsupported):
            continue
        refused = sizer.ruled_out(plain)
        if refused is not None:
            reason = f"{own.value} misses {refused.constraint} there ({refused.predicted})"
            continue
        count = (sizer.fewest(plain) + problem.limits.redundancy) * plain.devices
        least = count if least is None else min(least, count)
    if least is None:
        return reason or f"{own.value} does not run there"
    taken = counted(sized.total * site.devices, "device")
    return f"{taken} of this kind, where {own.value} would take at least {least}"
