"""Whether the server under test is the one that was planned: its version, model and limits against the contract."""

from collections.abc import Iterator

from infc.diag import ToolError
from infc.serve.vllm_view import FactName, VllmView
from infc.validate.llm.contract import LlmContract

CACHE_TOLERANCE = 0.1
"""How far a KV cache may be from its planned size, which is a prediction."""


def check_served(contract: LlmContract, view: VllmView) -> None:
    """The server must serve the model, and take the longest request.

    Raises:
        ToolError: it does not.
    """
    name, longest = contract.model.name, contract.tokens.longest
    if view.served_models and name not in view.served_models:
        raise ToolError(
            f"the server at {view.url} serves {', '.join(view.served_models)}, not {name}",
            help="give the address of the server that runs this bundle",
        )
    limit = _number(view, "max-model-len")
    if limit is not None and limit < longest:
        raise ToolError(
            f"the server at {view.url} takes requests of {limit:.0f} tokens at most; those of the spec have {longest}",
            help="start it with the bundle's serve.yaml, which sets max-model-len",
        )


def limit_notes(contract: LlmContract, view: VllmView) -> tuple[str, ...]:
    """What of the server is not as it was planned, one sentence each; nothing where it does not say."""
    return tuple(_notes(contract, view))


def server_name(view: VllmView) -> str:
    """`vLLM 0.32.0`, or `vLLM` where it does not tell its version."""
    version = view.facts.get("version")
    return f"vLLM {version.value}" if version else "vLLM"


def _notes(contract: LlmContract, view: VllmView) -> Iterator[str]:
    model, version = contract.model, view.facts.get("version")
    planned = contract.server_version
    if version is not None and planned and str(version.value).partition("+")[0] != planned:
        yield f"the server is vLLM {version.value}; the bundle was made for {planned}"
    limits: tuple[tuple[FactName, int], ...] = (
        ("max-model-len", model.max_model_len),
        ("max-num-seqs", model.max_num_seqs),
        ("max-num-batched-tokens", model.max_num_batched_tokens),
        ("tensor-parallel-size", model.tensor_parallel),
        ("pipeline-parallel-size", model.pipeline_parallel),
    )
    for fact, wanted in limits:
        found = _number(view, fact)
        if found is not None and found != wanted:
            yield f"the server has {fact} {found:.0f}; the plan has {wanted}"
    cached = _number(view, "kv-cache-tokens")
    if cached is not None and cached < (1.0 - CACHE_TOLERANCE) * model.kv_cache_tokens:
        yield (
            f"the server's KV cache holds {cached:,.0f} tokens; the plan counts on {model.kv_cache_tokens:,}: fewer "
            "requests run at once than planned"
        )
    caching = view.facts.get("prefix-caching")
    if caching is not None and caching.value != model.has_prefix_caching:
        has, wants = (" not" if not each else "" for each in (caching.value, model.has_prefix_caching))
        yield f"the server does{has} cache prefixes; the plan does{wants}"


def traffic_notes(contract: LlmContract) -> tuple[str, ...]:
    """What a load of random prompts cannot show of this deployment."""
    if not contract.model.is_speculative:
        return ()
    return (
        "prompts are random: drafted tokens are accepted as they happen to be, not as often as on your traffic, so "
        "TPOT and end-to-end times are not those of your traffic",
    )


def _number(view: VllmView, name: FactName) -> float | None:
    fact = view.facts.get(name)
    if fact is None or isinstance(fact.value, str | bool):
        return None
    return float(fact.value)
