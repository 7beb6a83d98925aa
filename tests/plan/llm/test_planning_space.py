"""What a plan for a language model settles beyond replicas: parallelism, limits, memory, drafting, a CPU."""

from dataclasses import replace

import pytest
from hypothesis import given

from infc.ir.candidate import ContinuousBatching, Speculation
from infc.ir.plan import Infeasible, Plan
from infc.ir.precision import Precision
from infc.ir.problem import Drafter, HardwareOption, LlmProblem
from infc.plan.llm.load import TokenLoaders
from infc.plan.llm.site import usual_tokens
from infc.plan.llm.sizing import LlmSizer
from infc.plan.llm.solve import solve_llm
from infc.plan.llm.space import sites
from tests.plan.llm.problems import LIMITS, SCALE, device, model, priced, problem
from tests.plan.llm.test_solve_llm import FEW, planned, problems, solved


def batching_of(plan: Plan) -> ContinuousBatching:
    """The scheduler settings of a plan."""
    assert isinstance(plan.candidate.batching, ContinuousBatching)
    return plan.candidate.batching


def wide(layers: int) -> LlmProblem:
    """A model with as many layers of Qwen3-8B's shape, on T4s."""
    groups = tuple(replace(group, count=layers) for group in model().groups)
    return problem(
        ttft_ms=60e3, tpot_ms=3e3, peak_rps=0.05, options=(priced("t4"),), model=replace(model(), groups=groups)
    )


@FEW
@given(problems())
def test_no_plan_goes_past_the_kv_cache(asked: LlmProblem) -> None:
    """The longest request fits, the cache is what the device leaves, what fits is stated; groups divide the heads."""
    decision = solved(asked)
    if isinstance(decision, Infeasible):
        return
    tokens, batching = decision.estimate.tokens, batching_of(decision)
    assert tokens is not None
    assert batching.max_model_len == asked.tokens.longest <= tokens.kv_cache_tokens
    assert tokens.longest_requests >= 1
    assert tokens.usual_requests * usual_tokens(asked) <= tokens.kv_cache_tokens
    said = next(comment for comment in decision.comments if comment.startswith("max_num_seqs"))
    assert batching.max_num_seqs <= tokens.longest_requests or "KV cache holds" in said
    assert batching.gpu_memory_utilization is not None
    visible = device(decision.candidate.hardware_id).memory_bytes * 1.08
    assert batching.gpu_memory_utilization * visible <= (asked.limits.max_memory_bytes or visible) * 1.08
    devices = decision.candidate.tensor_parallel
    for group in asked.model.groups:
        heads = group.attention.kv_heads
        assert group.attention.query_heads % devices == 0
        assert max(heads, devices) % min(heads, devices) == 0


def test_a_pipeline_only_where_no_host_holds_the_model() -> None:
    """A model larger than eight T4s becomes a pipeline; its devices are counted, and the plan says why."""
    fitting, large = wide(36), wide(420)
    assert {site.pipeline_parallel for site in sites(fitting)[0]} == {1}
    plan = planned(large)
    candidate = plan.candidate
    assert candidate.pipeline_parallel > 1
    assert candidate.devices == candidate.tensor_parallel * candidate.pipeline_parallel
    assert plan.accelerators == candidate.replicas * candidate.devices
    assert plan.estimate.cost is not None
    assert plan.estimate.cost.usd_per_hour == pytest.approx(plan.accelerators * 0.5)
    assert any("pipeline of" in reason and "no pipeline was measured" in reason for reason in plan.reasons)
    limited = solved(replace(large, limits=replace(LIMITS, max_accelerators=8)))
    assert isinstance(limited, Infeasible)


def test_a_model_that_float16_breaks_runs_in_bfloat16() -> None:
    """Gemma 2 is not started in float16: a checkpoint stored so runs in BF16, and on no device without it."""
    options = (priced("t4"), priced("l4"))
    gemma = replace(model(), architecture="Gemma2ForCausalLM", dtype=Precision.FP16)
    found = [site for site in sites(problem(options=options, model=gemma))[0] if site.is_supported]
    assert {(site.hardware.id, site.precision) for site in found} == {("l4", Precision.BF16)}
    other = replace(gemma, architecture="GemmaForCausalLM")
    found = [site for site in sites(problem(options=options, model=other))[0] if site.is_supported]
    assert {(site.hardware.id, site.precision) for site in found} == {("l4", Precision.FP16), ("t4", Precision.FP16)}


def test_key_value_heads_that_do_not_divide_are_refused() -> None:
    """Ten key-value heads make two halves, not four quarters."""
    groups = tuple(
        replace(group, attention=replace(group.attention, query_heads=40, kv_heads=10)) for group in model().groups
    )
    found = sites(problem(model=replace(model(), groups=groups)))[0]
    assert {site.tensor_parallel for site in found if site.is_supported} == {1, 2}


def test_a_cpu_is_told_the_size_of_its_cache() -> None:
    """Room for every admitted request at its longest, in blocks of 128, and no share of the machine."""
    small = replace(model(), groups=tuple(replace(group, count=1) for group in model().groups), vocabulary=1000)
    asked = problem(
        ttft_ms=60e3,
        tpot_ms=3e3,
        peak_rps=0.05,
        options=(HardwareOption(hardware=device("cpu"), price=None),),
        model=replace(small, embedding_parameters=4_096_000, head_parameters=4_096_000),
    )
    plan = planned(asked)
    batching, tokens = batching_of(plan), plan.estimate.tokens
    assert tokens is not None
    assert batching.gpu_memory_utilization is None
    assert batching.kv_cache_memory_bytes is not None
    assert batching.kv_cache_memory_bytes == plan.estimate.memory.kv_cache_bytes
    assert batching.max_num_seqs == tokens.longest_requests == 16
    assert tokens.kv_cache_tokens % 128 == 0
    assert any("synchronous" in comment for comment in plan.comments)


@pytest.mark.parametrize(("asked", "share", "is_on"), [(None, 0.0, False), (None, 0.3, True), (False, 0.3, False)])
def test_prefixes_are_cached_where_prompts_share_one(asked: bool | None, share: float, is_on: bool) -> None:
    """By default where they share one; the spec's word goes before, and the plan says so."""
    base = problem()
    spec = replace(base, has_prefix_caching=asked, tokens=replace(base.tokens, shared_prefix=share))
    plan = planned(spec)
    assert batching_of(plan).has_prefix_caching is is_on
    said = next(comment for comment in plan.comments if comment.startswith("prefix caching"))
    assert ("deploy.vllm.prefix_caching" in said) is (asked is not None)
    loaders = TokenLoaders(spec, scale=SCALE)
    assert bool(loaders.quick.requests.prefix_tokens.any()) is is_on


def test_a_memory_limit_lowers_the_share_of_the_device() -> None:
    """constraints.max_memory becomes gpu_memory_utilization, and the plan says what it takes."""
    asked = problem(options=(priced("h100-sxm"),), limits=replace(LIMITS, max_memory_bytes=40e9))
    plan = planned(asked)
    assert batching_of(plan).gpu_memory_utilization == pytest.approx(0.465, abs=0.01)
    assert plan.estimate.memory.total_bytes <= 40e9
    assert any("constraints.max_memory" in comment for comment in plan.comments)


def test_drafting_is_chosen_where_it_saves_replicas_and_said_where_it_does_not() -> None:
    """A tight pace with much accepted: fewer replicas. Nothing accepted: left out, with the reason."""
    drafter = Drafter(method="ngram", acceptance=0.9, most_tokens=4)
    tight = problem(tpot_ms=14.0, peak_rps=60.0, options=(priced("h100-sxm"),))
    drafting, plain = planned(replace(tight, drafter=drafter)), planned(tight)
    chosen = batching_of(drafting).speculation
    assert chosen is not None
    assert drafting.accelerators < plain.accelerators
    assert any("tokens are drafted a step" in reason for reason in drafting.reasons)
    width = chosen.tokens + 1
    assert batching_of(drafting).max_num_seqs * width <= batching_of(drafting).max_num_batched_tokens
    useless = planned(replace(tight, drafter=replace(drafter, acceptance=0.01)))
    assert batching_of(useless).speculation is None
    assert any("does not pay" in reason for reason in useless.reasons)
    missing = planned(replace(tight, drafter=replace(drafter, method="mtp")))
    assert any("no layers that predict" in reason for reason in missing.reasons)


def test_more_acceptance_never_needs_more_replicas_or_time() -> None:
    """At one place and one number of drafted tokens the tail falls as more is accepted."""
    asked = problem(tpot_ms=14.0, peak_rps=30.0, options=(priced("h100-sxm"),))
    sizer = LlmSizer(asked, TokenLoaders(asked, scale=0.1))
    plain = next(site for site in sites(asked)[0] if site.tensor_parallel == 1)
    tails = []
    for acceptance in (0.2, 0.5, 0.8, 1.0):
        drafted = Speculation(method="eagle3", tokens=2, acceptance=acceptance, model="drafter")
        trial = sizer.run(
            replace(plain, speculation=drafted, _steps=[], _memories={}), 1, 64, 2048, (sizer.loaders.quick,)
        )
        assert trial is not None
        tails.append(trial.load.percentile_s("tpot", 95.0))
    assert tails == sorted(tails, reverse=True)


def test_a_model_that_fits_nowhere_names_the_least_hardware() -> None:
    """What is missing is said with device, count and precision, from all that is rented out."""
    groups = tuple(replace(group, count=400) for group in model().groups)
    large = replace(model(), groups=groups)
    market = (priced("l4"), priced("h100-sxm"))
    asked = problem(options=(HardwareOption(hardware=device("cpu"), price=None),), model=large, peak_rps=0.1)
    decision = solve_llm(asked, lambda: market, scale=SCALE)
    assert isinstance(decision, Infeasible)
    assert "constraints.hardware" in decision.binding
    least = decision.smallest
    assert least is not None
    assert (least.hardware_id, least.precision) == ("h100-sxm", Precision.BF16)
    assert least.memory_bytes > 400 * 350e6
    counted = problem(
        options=market, model=large, peak_rps=0.1, limits=replace(LIMITS, max_accelerators=1), ttft_ms=9e3
    )
    too_few = solve_llm(counted, scale=SCALE)
    assert isinstance(too_few, Infeasible)
    assert too_few.smallest == least
    assert "constraints.max_accelerators" in too_few.binding
    fitting = solved(problem(tpot_ms=0.5))
    assert isinstance(fitting, Infeasible)
    assert fitting.smallest is None
