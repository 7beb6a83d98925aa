"""Why a deployment of a language model was not chosen, or was: every constraint with what is predicted for it."""

import re
from collections.abc import Iterator

from infc.ir.estimate import Estimate
from infc.ir.plan import Rejection
from infc.ir.precision import Precision
from infc.ir.problem import LlmProblem
from infc.plan.llm.assess import assess, candidate_of
from infc.plan.llm.load import TokenLoaders, targets_of
from infc.plan.llm.objective import achieved
from infc.plan.llm.search import ceiling
from infc.plan.llm.site import LlmSite
from infc.plan.llm.sizing import LlmSized, LlmSizer
from infc.plan.llm.space import sites
from infc.plan.why import Check, Why, failed_checks, limit_checks
from infc.plan.words import duration_text, objective_text, size_text

_LABEL = re.compile(
    r"(?P<precision>[a-z0-9]+)/(?P<hardware>[^/]+)(?:/tp(?P<tp>[0-9]{1,2}))?(?:/pp(?P<pp>[0-9]{1,2}))?"
    r"(?:/kv-(?P<kv>[a-z0-9]+))?(?:/s(?P<seqs>[0-9]{1,5})/t(?P<tokens>[0-9]{1,6}))?"
    r"(?:/(?P<method>ngram|mtp|eagle3|draft_model)(?P<drafted>[0-9]{1,2}))?"
)


def why_llm(problem: LlmProblem, label: str) -> Why | None:
    """What is known of the candidate with this label, `fp8/h100-sxm`, `.../tp2`, or in full `.../tp2/s128/t8192`.

    None when the spec's constraints leave no such device and precision. What the label leaves open is taken as the
    planner would: the parallelism with the best objective, the settings with the fewest replicas.
    """
    match = _LABEL.fullmatch(label)
    if match is None:
        return None
    every, rejected = sites(problem)
    asked = [site for site in every if _fits(match, site)]
    if not asked:
        names = (f"{match['precision']}/{match['hardware']}", match["hardware"].partition("@")[0])
        found = [r for r in rejected if r.candidate in names] or _not_tried(problem, match)
        return _without_estimate(label, found) if found else None
    sizer = LlmSizer(problem, TokenLoaders(problem))
    answers = [_sized(problem, match, site, sizer) for site in asked]
    sized = [answer for answer in answers if isinstance(answer, LlmSized)]
    if not sized:
        return _without_estimate(label, [answer for answer in answers if isinstance(answer, Rejection)])
    return _answer(problem, label, min(sized, key=lambda s: achieved(problem, s.site, s)), sizer)


def _not_tried(problem: LlmProblem, match: re.Match[str]) -> list[Rejection]:
    """Why an allowed device is not planned for like this; nothing for an unknown device or precision."""
    hardware = match["hardware"].partition("@")[0]
    is_device = any(option.hardware.id == hardware for option in problem.options)
    if not is_device or match["precision"] not in {precision.value for precision in Precision}:
        return []
    words = f"constraints.precision does not name {match['precision']}, and no accuracy evidence has passed it"
    if match["precision"] in {site.precision.value for site in sites(problem)[0] if site.hardware.id == hardware}:
        words = "no such parallelism or precision of the cache is considered"
    name = f"{match['precision']}/{hardware}"
    return [Rejection(candidate=name, constraint="precision", predicted=words, limit="")]


def _fits(match: re.Match[str], site: LlmSite) -> bool:
    mode = f"@{site.power_mode}" if site.power_mode else ""
    kv_precision = site.kv_precision.value if site.kv_precision is not None else None
    return (
        (match["precision"], match["hardware"]) == (site.precision.value, site.hardware.id + mode)
        and (match["tp"] is None or int(match["tp"]) == site.tensor_parallel)
        and (match["pp"] is None or int(match["pp"]) == site.pipeline_parallel)
        and match["kv"] == kv_precision
        and _drafts_of(match)
        == (None if site.speculation is None else (site.speculation.method, site.speculation.tokens))
    )


def _drafts_of(match: re.Match[str]) -> tuple[str, int] | None:
    return None if match["method"] is None else (match["method"], int(match["drafted"]))


def _sized(problem: LlmProblem, match: re.Match[str], site: LlmSite, sizer: LlmSizer) -> LlmSized | Rejection:
    rejection = sizer.ruled_out(site)
    if rejection is not None:
        return rejection
    if match["seqs"] is not None:
        return _held(site, int(match["seqs"]), int(match["tokens"]), sizer)
    sized = sizer.size(site, ceiling(problem, site))
    return sizer.confirm(sized) if isinstance(sized, LlmSized) else sized


def _held(site: LlmSite, sequences: int, budget: int, sizer: LlmSizer) -> LlmSized | Rejection:
    """These very settings with the fewest replicas that hold, or that the load leaves unless nothing holds."""
    most = max(min(sequences, budget // sizer.work(site).width), 1)
    sized = sizer.with_settings(site, most, budget)
    if sized is not None:
        return sized
    cached = site.memory(most, budget).kv_cache_tokens
    return Rejection(
        candidate=site.label,
        constraint="memory",
        predicted=f"room for {max(cached, 0)} cached tokens with these settings",
        limit=f"{site.problem.tokens.longest} tokens of the longest request",
    )


def _answer(problem: LlmProblem, label: str, sized: LlmSized, sizer: LlmSizer) -> Why:
    site = sized.site
    estimate = assess(problem, sized, sizer, is_chosen=True)
    checks = [*_slo_checks(problem, sized), _memory_check(sized, estimate)]
    checks += limit_checks(problem, sized.total * site.devices, estimate, site.power_cap_w)
    return Why(
        label=label,
        checks=tuple(checks),
        candidate=candidate_of(sized),
        estimate=estimate,
        objective=objective_text(problem.objective, achieved(problem, site, sized)),
    )


def _slo_checks(problem: LlmProblem, sized: LlmSized) -> Iterator[Check]:
    for metric, targets in targets_of(problem).items():
        for target in targets:
            value_s = sized.trial.load.percentile_s(metric, target.percentile)
            yield Check(
                constraint=f"slo.{metric}.{target.label}",
                predicted=duration_text(value_s),
                limit=duration_text(target.limit_s),
                holds=value_s <= target.limit_s,
            )


def _memory_check(sized: LlmSized, estimate: Estimate) -> Check:
    batching = sized.trial.batching
    memory = sized.site.memory(batching.max_num_seqs, batching.max_num_batched_tokens)
    return Check(
        constraint="memory",
        predicted=size_text(estimate.memory.total_bytes),
        limit=size_text(memory.budget_bytes),
        holds=estimate.memory.total_bytes <= memory.budget_bytes * (1 + 1e-9),
    )


def _without_estimate(label: str, rejections: list[Rejection]) -> Why:
    return Why(label=label, checks=failed_checks(rejections), candidate=None, estimate=None, objective=None)
