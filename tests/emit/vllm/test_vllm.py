"""What the bundle of a language model says: the plan's limits, nothing twice, nothing that breaks out of its place."""

import math
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from syrupy.assertion import SnapshotAssertion

from infc.diag import Diagnostic, InternalError
from infc.emit.vllm import CHAT_TEMPLATE, emit
from infc.emit.vllm.admission import OVERLOAD_FACTOR, prefill_tokens_per_s
from infc.emit.vllm.arguments import check_arguments
from infc.emit.vllm.release import default_release, vllm_releases
from infc.emit.vllm.schema import argument_schema
from infc.emit.vllm.settings import drain_seconds
from infc.emit.yaml_text import yaml_text
from infc.ir.candidate import ContinuousBatching, Speculation
from infc.ir.precision import Precision
from infc.ir.problem import LatencyTarget, LlmProblem
from infc.ir.spec import Deploy, Kubernetes, Vllm
from tests import llm_specs
from tests.emit.vllm import samples

PINNED = argument_schema(default_release().version)


def served(bundle_text: str) -> dict[str, Any]:
    """serve.yaml as vLLM reads it."""
    document: dict[str, Any] = yaml.safe_load(bundle_text)
    return document


def refusals(problem: LlmProblem, deploy: Deploy | None = None, **changes: Any) -> tuple[Diagnostic, ...]:
    """Why nothing is emitted."""
    bundle, problems = emit(
        problem,
        samples.plan(problem, **changes),
        samples.checkpoint(problem, samples.MODEL),
        deploy or Deploy(),
    )
    assert bundle is None
    return problems


@pytest.mark.parametrize("name", llm_specs.NAMES)
def test_every_limit_is_the_plans(name: str) -> None:
    """Sequences, tokens, lengths, cache and parallelism in the file are the plan's, and the pinned vLLM takes each."""
    problem, plan = llm_specs.problem(name), llm_specs.planned(name)
    deploy = llm_specs.load(name).spec.deploy  # type: ignore[union-attr]
    made = samples.checkpoint(problem, name, plan.candidate.precision)
    bundle, problems = emit(problem, plan, made, deploy, plan_json=b"{}\n")
    assert bundle is not None, problems
    settings = served(samples.text(bundle))
    batching = plan.candidate.batching
    assert isinstance(batching, ContinuousBatching)
    assert settings["max-num-seqs"] == batching.max_num_seqs
    assert settings["max-num-batched-tokens"] == batching.max_num_batched_tokens
    assert settings["max-model-len"] == batching.max_model_len == problem.tokens.longest
    assert settings.get("gpu-memory-utilization") == batching.gpu_memory_utilization
    assert settings.get("kv-cache-memory-bytes") == batching.kv_cache_memory_bytes
    assert settings["tensor-parallel-size"] == plan.candidate.tensor_parallel
    assert settings.get("pipeline-parallel-size", 1) == plan.candidate.pipeline_parallel
    assert ("enable-prefix-caching" in settings) == batching.has_prefix_caching
    assert ("no-enable-prefix-caching" in settings) == (not batching.has_prefix_caching)
    assert settings["served-model-name"] == problem.source.served_name
    assert settings.get("revision") == settings.get("tokenizer-revision") == problem.source.revision
    assert check_arguments(PINNED, settings) == ()
    assert ("kubernetes/kustomization.yaml" in bundle.files) == (deploy.kubernetes is not None)
    assert list(bundle.files) == sorted(bundle.files)


@pytest.mark.parametrize("release", vllm_releases(), ids=lambda release: release.version)
def test_another_release_can_be_emitted_for(release: Any) -> None:
    """Each release has its image, and its own arguments judge the file."""
    problem = samples.problem_on("l40s")
    bundle, problems = emit(
        problem, samples.plan(problem), samples.checkpoint(problem, samples.MODEL), Deploy(), release=release
    )
    assert bundle is not None, problems
    compose = yaml.safe_load(samples.text(bundle, "compose.yaml"))
    assert compose["services"][problem.name]["image"] == release.image
    assert release.version in samples.text(bundle)


@pytest.mark.parametrize(
    ("hardware", "precision", "dtype"),
    [
        ("t4", Precision.FP16, "float16"),
        ("t4", Precision.INT4, "float16"),
        ("l4", Precision.FP8, "bfloat16"),
        ("a100-sxm-80gb", Precision.BF16, "bfloat16"),
        ("h100-sxm", Precision.FP8, "bfloat16"),
        ("b200-sxm", Precision.FP4, "bfloat16"),
        ("cpu", Precision.BF16, "bfloat16"),
        ("cpu", Precision.FP32, "float32"),
    ],
)
def test_device_decides_image_memory_and_type(hardware: str, precision: Precision, dtype: str) -> None:
    """A GPU gets a share of its memory, a CPU the size of its cache; what is not quantised is in a type it has."""
    problem = samples.problem_on(hardware)
    is_cpu = hardware == "cpu"
    memory = {"gpu_memory_utilization": None, "kv_cache_memory_bytes": 2**30} if is_cpu else {}
    bundle = samples.bundle_of(problem, samples.plan(problem, precision=precision, settings=samples.batching(**memory)))
    settings = served(samples.text(bundle))
    assert settings["dtype"] == dtype
    assert ("gpu-memory-utilization" in settings) is not is_cpu
    assert ("kv-cache-memory-bytes" in settings) is is_cpu
    assert ("enforce-eager" in settings) is is_cpu
    service = yaml.safe_load(samples.text(bundle, "compose.yaml"))["services"][problem.name]
    assert ("cpu" in service["image"]) is is_cpu
    assert ("deploy" in service) is not is_cpu
    assert "privileged" not in service
    assert service["volumes"][0] == {"type": "bind", "source": ".", "target": "/bundle", "read_only": True}


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"has_prefix_caching": False}, {"no-enable-prefix-caching": True}),
        ({"has_prefix_caching": True}, {"enable-prefix-caching": True}),
        ({"has_chunked_prefill": False}, {"no-enable-chunked-prefill": True}),
        ({"long_prefill_tokens": 512}, {"long-prefill-token-threshold": 512}),
        ({"kv_precision": Precision.FP8}, {"kv-cache-dtype": "fp8"}),
        ({"kv_precision": None}, {"kv-cache-dtype": "auto"}),
        ({"kv_precision": Precision.FP4}, {"kv-cache-dtype": "nvfp4"}),
        ({"max_model_len": 0}, {"max-model-len": 7000}),
        (
            {"speculation": Speculation(method="ngram", tokens=3, acceptance=0.6)},
            {"speculative-config": {"method": "ngram", "num_speculative_tokens": 3}},
        ),
        (
            {"speculation": Speculation(method="eagle3", tokens=2, acceptance=0.7, model="org/drafter")},
            {"speculative-config": {"method": "eagle3", "num_speculative_tokens": 2, "model": "org/drafter"}},
        ),
    ],
)
def test_scheduler_settings(changes: Mapping[str, Any], expected: Mapping[str, Any]) -> None:
    """Switches are written as vLLM reads them from a file: what is off as its negation, never `false`."""
    problem = samples.problem_on("h100-sxm")
    bundle = samples.bundle_of(problem, samples.plan(problem, settings=samples.batching(**changes)))
    settings = served(samples.text(bundle))
    assert {key: settings[key] for key in expected} == expected
    assert not any(value is False for value in settings.values())


def test_a_checkpoint_of_a_folder_lies_in_the_bundle_and_nothing_is_fetched() -> None:
    """The files of the model are copied by their own names, and the server is told to stay offline."""
    problem, plan = llm_specs.problem("gemma-2-9b"), llm_specs.planned("gemma-2-9b")
    made = replace(samples.checkpoint(problem, "gemma-2-9b"), quantization="fp8")
    bundle, _ = emit(problem, plan, made, Deploy())
    assert bundle is not None
    assert made.folder is not None
    assert bundle.files["model/config.json"] == made.folder / "config.json"
    settings = served(samples.text(bundle))
    assert settings["model"] == "model"
    assert settings["quantization"] == "fp8"
    assert "revision" not in settings
    environment = yaml.safe_load(samples.text(bundle, "compose.yaml"))["services"][problem.name]["environment"]
    assert environment["HF_HUB_OFFLINE"] == "1"
    assert "HF_TOKEN" not in environment
    assert "The weights are not here yet" in samples.text(bundle, "README.md")


def test_a_drafter_in_the_bundle_is_named_by_its_folder() -> None:
    """A drafter that the spec names as a folder comes with the bundle."""
    problem = samples.problem_on("h100-sxm")
    speculation = Speculation(method="draft_model", tokens=2, acceptance=0.7, model="models/small")
    decided = samples.plan(problem, settings=samples.batching(speculation=speculation))
    bundle = samples.bundle_of(problem, decided, drafter__config=b"{}")
    assert served(samples.text(bundle))["speculative-config"]["model"] == "drafter"
    assert bundle.files["drafter/config"] == b"{}"


def test_encoders_of_a_model_are_not_loaded() -> None:
    """The plan counts the text part of a vision-language model, and so does the server."""
    problem, plan = llm_specs.problem("qwen2.5-vl-7b"), llm_specs.planned("qwen2.5-vl-7b")
    bundle, _ = emit(problem, plan, samples.checkpoint(problem, "qwen2.5-vl-7b"), Deploy())
    assert bundle is not None
    assert served(samples.text(bundle))["language-model-only"] is True
    assert "Text only" in samples.text(bundle, "README.md")


def test_waiting_prompts_are_bounded_by_the_ttft_limit() -> None:
    """Four limits long at the predicted speed of prefilling, and the longest prompt; unbounded without a limit."""
    problem = samples.problem_on("l40s")
    decided = samples.plan(problem)
    batching = decided.candidate.batching
    assert isinstance(batching, ContinuousBatching)
    speed = prefill_tokens_per_s(problem, decided.candidate, batching, problem.options[0].hardware)
    assert speed is not None
    assert 2_000 < speed < 60_000
    tokens = OVERLOAD_FACTOR * problem.ttft[-1].limit_s * speed + problem.tokens.prompt.maximum
    settings = served(samples.text(samples.bundle_of(problem, decided)))
    assert settings["max-num-queued-tokens"] == math.ceil(tokens / 1000) * 1000
    unlimited = samples.bundle_of(replace(problem, ttft=()), decided)
    assert "max-num-queued-tokens" not in served(samples.text(unlimited))
    assert "limit it in front of the server" in " ".join(samples.text(unlimited, "README.md").split())


def test_limits_of_the_slo_are_bounds_of_the_histograms() -> None:
    """/metrics can tell the share of requests that met each limit; vLLM's own bounds stay."""
    problem = samples.problem_on("l40s")
    odd = replace(
        problem,
        ttft=(LatencyTarget(percentile=99, limit_s=0.333),),
        tpot=(LatencyTarget(percentile=50, limit_s=0.021), LatencyTarget(percentile=99, limit_s=0.037)),
        e2e=(),
    )
    buckets = served(samples.text(samples.bundle_of(odd, samples.plan(odd))))["custom-histogram-buckets"]
    assert buckets["time_to_first_token"] == sorted({*PINNED.histograms["time_to_first_token"], 0.333})
    assert buckets["inter_token_latency"] == sorted({*PINNED.histograms["inter_token_latency"], 0.021, 0.037})
    assert "request_latency" not in buckets


@pytest.mark.parametrize(
    ("ttft", "tpot", "e2e", "expected"),
    [(1.0, 0.05, None, 51), (1.0, None, None, 60), (None, None, 0.5, 15), (None, 2.0, None, 300), (None, None, 40, 40)],
)
def test_requests_in_flight_get_the_time_of_the_longest_answer(
    ttft: float | None, tpot: float | None, e2e: float | None, expected: int
) -> None:
    """TTFT and a thousand tokens at the TPOT limit, or the e2e limit, within 15 to 300 s."""

    def targets(limit_s: float | None) -> tuple[LatencyTarget, ...]:
        return () if limit_s is None else (LatencyTarget(percentile=99, limit_s=limit_s),)

    problem = samples.problem_on("l40s")
    assert problem.tokens.output.maximum == 1000
    assert drain_seconds(replace(problem, ttft=targets(ttft), tpot=targets(tpot), e2e=targets(e2e))) == expected


def test_flags_of_the_user_are_added_or_take_the_place_of_infcs_own() -> None:
    """What the plan does not decide is the user's; its negation replaces infc's choice."""
    problem = samples.problem_on("cpu")
    arguments = {
        "tool-call-parser": "hermes",
        "enable-auto-tool-choice": True,
        "no-enforce-eager": True,
        "max-num-queued-tokens": 9000,
        "compilation-config": '{"cudagraph_mode": "NONE"}',
    }
    settings = samples.batching(gpu_memory_utilization=None, kv_cache_memory_bytes=2**30)
    deploy = Deploy(vllm=Vllm(args=arguments))
    bundle = samples.bundle_of(problem, samples.plan(problem, settings=settings), deploy)
    written = served(samples.text(bundle))
    assert {key: written[key] for key in arguments} == arguments
    assert "enforce-eager" not in written
    assert list(written)[-5:] == list(arguments)


@pytest.mark.parametrize(
    ("key", "value", "id", "note"),
    [
        ("max-num-seqs", 512, "vllm-argument-reserved", "the SLO"),
        ("no-enable-prefix-caching", True, "vllm-argument-reserved", "deploy.vllm.prefix_caching"),
        ("device-memory-utilization", 0.5, "vllm-argument-reserved", "constraints.max_memory"),
        ("trust-remote-code", True, "vllm-argument-reserved", "loads code"),
        ("api-key", "abc", "vllm-argument-reserved", "VLLM_API_KEY"),
        ("max-log-lens", 5, "vllm-argument", "0.32.0"),
    ],
)
def test_flags_that_cannot_be_set_are_refused_where_they_stand(key: str, value: Any, id: str, note: str) -> None:
    """Refused by name, with what decides it; nothing is emitted."""
    problem = samples.problem_on("l40s")
    span = llm_specs.load(samples.MODEL).span("deploy")
    placed = replace(problem, spans={**problem.spans, f"deploy.vllm.args.{key}": span})
    (diagnostic,) = refusals(placed, Deploy(vllm=Vllm(args={key: value})))
    assert diagnostic.id == id
    assert diagnostic.span == span
    assert note in diagnostic.notes[0]


@pytest.mark.parametrize(
    ("hardware", "tensor", "pipeline", "id"),
    [
        ("jetson-agx-orin-64gb", 1, 1, "vllm-device"),
        ("mi300x", 1, 1, "vllm-device"),
        ("h100-sxm", 8, 2, "vllm-several-hosts"),
    ],
)
def test_places_that_one_vllm_cannot_serve_are_refused(hardware: str, tensor: int, pipeline: int, id: str) -> None:
    """Devices without an image, and replicas wider than a host."""
    found = refusals(samples.problem_on(hardware), tensor_parallel=tensor, pipeline_parallel=pipeline)
    assert [diagnostic.id for diagnostic in found] == [id]


def test_text_of_others_stays_text() -> None:
    """Comments of a plan cannot become settings, and a template with YAML in it stays a file of its own."""
    problem = samples.problem_on("l40s")
    hostile = "fine\nmodel: other\r\n\x85trust-remote-code: true\u2028- x: &a [*a]"
    bundle = samples.bundle_of(problem, samples.plan(problem, comments=(hostile,)))
    plain = samples.bundle_of(problem, samples.plan(problem, comments=()))
    assert served(samples.text(bundle)) == served(samples.text(plain))
    template = b"model: other\n{{ '---' }}\n"
    deploy = Deploy(vllm=Vllm(chat_template="templates/$(rm -rf ~).jinja"), kubernetes=Kubernetes())
    with_template = samples.bundle_of(problem, samples.plan(problem), deploy, chat_template_jinja=template)
    assert with_template.files[CHAT_TEMPLATE] == template
    assert served(samples.text(with_template))["chat-template"] == CHAT_TEMPLATE
    assert all(b"rm -rf" not in content for content in with_template.files.values() if isinstance(content, bytes))
    config = yaml.safe_load(samples.text(with_template, "kubernetes/configmap.yaml"))
    assert config["data"][CHAT_TEMPLATE] == template.decode()


def test_what_the_caller_got_wrong_is_a_bug() -> None:
    """Names that are no names, a plan of something else, a template that is missing: never in a user's hands."""
    problem = samples.problem_on("l40s")
    decided, made = samples.plan(problem), samples.checkpoint(problem, samples.MODEL)
    with pytest.raises(InternalError, match="cannot name a server"):
        emit(replace(problem, name="Bad name"), decided, made, Deploy())
    with pytest.raises(InternalError, match="cannot name a server"):
        emit(replace(problem, source=replace(problem.source, served_name="--x")), decided, made, Deploy())
    with pytest.raises(InternalError, match="is a plan of"):
        emit(problem, replace(decided, name="other"), made, Deploy())
    with pytest.raises(InternalError, match="chat template"):
        emit(problem, decided, made, Deploy(vllm=Vllm(chat_template="t.jinja")))
    with pytest.raises(InternalError, match=r"would not take the emitted serve.yaml: `max-num-seqs`"):
        emit(problem, samples.plan(problem, settings=samples.batching(max_num_seqs=0)), made, Deploy())


def test_files_by_byte(snapshot: SnapshotAssertion) -> None:
    """Same values, same bytes: server, compose file and README of a model from the hub."""
    problem = replace(samples.problem_on("l40s"), ttft=())
    bundle = samples.bundle_of(problem, samples.plan(problem), Deploy(kubernetes=Kubernetes(namespace="chat")))
    again = samples.bundle_of(problem, samples.plan(problem), Deploy(kubernetes=Kubernetes(namespace="chat")))
    assert bundle == again
    for path in ("serve.yaml", "compose.yaml", "README.md"):
        assert samples.text(bundle, path) == snapshot(name=path)
    here = str(Path(__file__).resolve().parents[3]).encode()
    assert all(here not in content for content in bundle.files.values() if isinstance(content, bytes))


@pytest.mark.parametrize(
    "text", ["y", "No", "on", "1e3", "0x1F", "12:30", "1_000", "null", "~", "- a", "a: b", "#x", ""]
)
def test_text_that_looks_like_something_else_is_quoted(text: str) -> None:
    """Whatever version of YAML a reader follows, a text is read as the text that it is."""
    written = yaml_text({"key": text})
    assert yaml.safe_load(written) == {"key": text}
    assert written.split(": ", 1)[1].startswith(("'", '"'))
