"""What the emitted settings of a vLLM server rest on, one sentence each."""

import math
from collections.abc import Iterator

from infc.ir.problem import LlmProblem
from infc.perf.llm.memory import DEFAULT_MEMORY_UTILIZATION, visible_memory_bytes
from infc.plan.jetson_words import jetson_comments
from infc.plan.llm.load import TokenLoad, targets_of
from infc.plan.llm.site import LlmSite, usual_tokens
from infc.plan.llm.sizing import LlmSized, LlmSizer
from infc.plan.words import counted, duration_text, size_text


def comments(problem: LlmProblem, sized: LlmSized, sizer: LlmSizer) -> tuple[str, ...]:
    """One sentence for each setting, in the order of the file."""
    return tuple(
        f"{sentence}."
        for sentence in (
            _sequences(problem, sized),
            _budget(problem, sized, sizer),
            *_memory(problem, sized),
            _length(problem),
            _prefix_caching(problem, sized, sizer),
            _chunked_prefill(problem, sized),
            *_scheduling(sized),
            *_module(problem, sized),
        )
    )


def _module(problem: LlmProblem, sized: LlmSized) -> Iterator[str]:
    """What is assumed of a Jetson module, as for any model."""
    site, batching = sized.site, sized.trial.batching
    memory = site.memory(batching.max_num_seqs, batching.max_num_batched_tokens).breakdown
    sentences = jetson_comments(problem, site.hardware, site.power_mode, memory.total_bytes)
    yield from (sentence.removesuffix(".") for sentence in sentences)


def _sequences(problem: LlmProblem, sized: LlmSized) -> str:
    batching, load = sized.trial.batching, sized.trial.load
    words = f"max_num_seqs {batching.max_num_seqs}: a replica served {load.running:.3g} requests at once on average,"
    words += f" {load.most_running} at most (simulated)"
    if load.most_running >= batching.max_num_seqs:
        words += "; the limit holds others back so that those keep their pace"
    settings = (batching.max_num_seqs, batching.max_num_batched_tokens)
    longest = sized.site.requests_that_fit(*settings, problem.tokens.longest)
    usual = sized.site.requests_that_fit(*settings, usual_tokens(problem))
    if batching.max_num_seqs > usual:
        words += f"; the KV cache holds {usual} of usual length, the limit is above that for shorter ones"
    elif batching.max_num_seqs > longest:
        words += f"; of the longest the KV cache holds {counted(longest, 'request')}: beyond that vLLM preempts"
    return words


def _budget(problem: LlmProblem, sized: LlmSized, sizer: LlmSizer) -> str:
    """The token budget against the other ones that were simulated for as many replicas."""
    chosen = sized.trial.batching.max_num_batched_tokens
    words = f"max_num_batched_tokens {chosen}"
    quick = {t.batching.max_num_batched_tokens: t for t in sizer.compared(sized.site, sized.needed)}
    if len(quick) < 2 or chosen not in quick:
        return f"{words}: {_tails(problem, sized.trial.load)} (simulated)"
    tails = [f"{_tails(problem, trial.load)} with {budget}" for budget, trial in sorted(quick.items())]
    return f"{words}: {'; '.join(tails)} (short runs)"


def _tails(problem: LlmProblem, load: TokenLoad) -> str:
    """The highest percentile of each metric that the spec limits."""
    parts = []
    for metric, targets in targets_of(problem).items():
        if targets:
            parts.append(
                f"{metric} {targets[-1].label} {duration_text(load.percentile_s(metric, targets[-1].percentile))}"
            )
    return ", ".join(parts)


def _memory(problem: LlmProblem, sized: LlmSized) -> Iterator[str]:
    site, batching, load = sized.site, sized.trial.batching, sized.trial.load
    settings = (batching.max_num_seqs, batching.max_num_batched_tokens)
    if batching.kv_cache_memory_bytes is not None:
        yield f"kv_cache_memory_bytes {batching.kv_cache_memory_bytes}: {_cache_words(site, batching.max_num_seqs)}"
        if batching.gpu_memory_utilization is not None:
            yield (
                f"gpu_memory_utilization {batching.gpu_memory_utilization:g}: what weights, activations, runtime and"
                " cache need; vLLM does not start where less is free"
            )
    else:
        yield f"gpu_memory_utilization {batching.gpu_memory_utilization:g}: {_share_words(problem, site)}"
    preempted = "none was preempted" if load.preemptions == 0 else f"{load.preemptions:.2g} preemptions a request"
    usual, longest = usual_tokens(problem), problem.tokens.longest
    yield (
        f"KV cache: {sized.trial.kv_cache_tokens:,} tokens a replica,"
        f" {counted(site.requests_that_fit(*settings, usual), 'request')} of {usual} tokens (the medians of prompt and"
        f" output) or {site.requests_that_fit(*settings, longest)} of {longest} (the longest);"
        f" {load.kv_cache_utilization:.0%} in use on average, {preempted}"
    )


def _cache_words(site: LlmSite, sequences: int) -> str:
    if site.is_cpu:
        return (
            f"{sequences} requests of the longest length; on a CPU vLLM would else take its share of the machine's"
            " whole memory"
        )
    return (
        f"{sequences} requests of the longest length, or what is left for them; vLLM would else take its share of a"
        " memory that the rest of the device uses too"
    )


def _share_words(problem: LlmProblem, site: LlmSite) -> str:
    share, visible = site.memory_utilization, visible_memory_bytes(site.hardware)
    if math.isclose(share, DEFAULT_MEMORY_UTILIZATION, abs_tol=5e-4):
        return "vLLM's default"
    limit = problem.limits.max_memory_bytes
    less = f"{size_text((DEFAULT_MEMORY_UTILIZATION - share) * visible)} a device less than the default"
    if limit is not None and limit / visible < DEFAULT_MEMORY_UTILIZATION:
        return f"constraints.max_memory; {less}, all of it KV cache"
    return f"the CUDA context needs the rest; {less}"


def _length(problem: LlmProblem) -> str:
    longest = problem.tokens.longest
    words = f"max_model_len {longest}: the longest request of the workload, prompt and output"
    if longest == problem.model.max_context_tokens:
        return f"{words}, which is the model's own context"
    return f"{words}; the model's context is {problem.model.max_context_tokens}"


def _prefix_caching(problem: LlmProblem, sized: LlmSized, sizer: LlmSizer) -> str:
    is_on, share = sized.trial.batching.has_prefix_caching, problem.tokens.shared_prefix
    asked = "" if problem.has_prefix_caching is None else " (deploy.vllm.prefix_caching)"
    if not is_on:
        lost = (
            f"; the {share:.0%} that prompts share are computed each time" if share else ", no prompt shares a prefix"
        )
        return f"prefix caching off{asked}{lost}"
    if not share:
        return f"prefix caching on{asked}; workload.shared_prefix names nothing that it would save"
    result = sized.trial.load.result
    every = float(sizer.loaders.quick.requests.prompt_tokens.mean()) * len(result.e2e_s)
    return (
        f"prefix caching on{asked}: prompts share {share:.0%} of their tokens; {result.cached_tokens / every:.0%} of"
        " all prompt tokens were in the cache (simulated)"
    )


def _chunked_prefill(problem: LlmProblem, sized: LlmSized) -> str:
    budget, prompt = sized.trial.batching.max_num_batched_tokens, problem.tokens.prompt.maximum
    steps = -(-prompt // budget)
    words = "chunked prefill on: prompts share steps with requests that decode"
    if steps > 1:
        return f"{words}; one of {prompt} tokens takes {steps} steps or more, none of them longer than {budget} tokens"
    return f"{words}; the longest of {prompt} tokens fits one step"


def _scheduling(sized: LlmSized) -> Iterator[str]:
    drafted = sized.site.speculation
    if drafted is not None:
        yield (
            f"speculative decoding: {drafted.tokens} drafted by {drafted.method}, so that each sequence has"
            f" {drafted.tokens + 1} tokens in a step and max_num_seqs times that fits max_num_batched_tokens"
        )
    if sized.site.is_synchronous:
        why = "on a CPU" if sized.site.is_cpu else "with drafting by n-grams"
        yield f"scheduling is synchronous {why}: each step waits for the scheduler"
