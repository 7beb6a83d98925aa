"""From specs of language models to problems: where the model comes from, targets, lengths, what is refused."""

import json
from pathlib import Path

import pytest

from infc.ir.problem import LlmProblem
from infc.resolve.hf_config import llm_profile
from infc.resolve.hub_cache import cached_config, hub_folder
from infc.resolve.problem import resolve_problem
from infc.resolve.store import ProfileStore
from infc.resolve.targets import load_catalogue
from infc.spec import load_spec
from tests.resolve.hf_config.models import CONFIGS

CONFIG = Path(__file__).parents[2] / "specs/qwen3-8b/model/config.json"
HEAD = "apiVersion: infc.dev/v1\nkind: InferenceSpec\n"
BODY = (
    "slo: {ttft: {p99: 1s}, tpot: {p50: 20ms, p99: 40ms}, e2e: {p95: 9s}}\n"
    "workload: {rate: 2/s, peak: 5/s, prompt_tokens: {p50: 512, max: 4096}, output_tokens: 128, shared_prefix: 30%}\n"
    "constraints: {hardware: [l40s]}\n"
)
REVISION = "0123456789abcdef0123456789abcdef01234567"


def resolved(folder: Path, text: str) -> tuple[LlmProblem | None, list[str]]:
    """The problem of a spec in `folder`, and the ids of the diagnostics."""
    path = folder / "chat.infc.yaml"
    path.write_text(HEAD + text)
    store = ProfileStore(root=folder, cache=folder / ".infc")
    found, diagnostics = resolve_problem(load_spec(path), load_catalogue(None), store)
    problem = None if found is None else found.problem
    assert problem is None or isinstance(problem, LlmProblem)
    return problem, [d.id for d in diagnostics]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A workspace with a checkpoint's config.json."""
    (tmp_path / "model").mkdir()
    (tmp_path / "model/config.json").write_bytes(CONFIG.read_bytes())
    return tmp_path


def test_targets_lengths_and_limits_are_resolved(folder: Path) -> None:
    """Every percentile keeps its place in the spec; one number is a fixed length."""
    problem, ids = resolved(folder, "model: {checkpoint: model}\n" + BODY)
    assert ids == []
    assert problem is not None
    assert [(t.label, t.limit_s) for t in problem.tpot] == [("p50", 0.02), ("p99", 0.04)]
    assert problem.tpot[1].span is not None
    assert problem.tpot[1].span.line == 4
    assert [t.label for t in problem.e2e] == ["p95"]
    assert (problem.tokens.output.maximum, problem.tokens.output.percentiles) == (128, {})
    assert problem.tokens.longest == 4096 + 128
    assert problem.tokens.shared_prefix == 0.3
    assert problem.traffic.peak_rps == 5.0
    assert problem.model.layers == 36


def test_requests_longer_than_the_context_are_an_error(folder: Path) -> None:
    """Qwen3-8B attends to 40960 tokens."""
    problem, ids = resolved(folder, "model: {checkpoint: model}\n" + BODY.replace("max: 4096", "max: 40900"))
    assert problem is None
    assert ids == ["plan-context-exceeded"]


def test_a_stored_profile_stands_in_for_a_hub_model(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A committed profile of the repository at that revision is enough; another revision is not."""
    monkeypatch.setenv("HF_HUB_CACHE", str(folder / "nothing"))
    profile, _ = llm_profile(CONFIG, f"Qwen/Qwen3-8B@{REVISION}")
    assert profile is not None
    ProfileStore(root=folder, cache=folder / ".infc").add_llm(profile)
    model = f"model: {{huggingface: {{repo: Qwen/Qwen3-8B, revision: {REVISION}}}}}\n"
    problem, _ = resolved(folder, model + BODY)
    assert problem is not None
    assert problem.model == profile
    problem, ids = resolved(folder, model.replace("0123", "3210", 1) + BODY)
    assert problem is None
    assert "plan-hub-model-missing" in ids


def test_the_hubs_cache_is_found_as_its_own_tools_find_it(tmp_path: Path) -> None:
    """By environment, and by branch or commit within it."""
    assert hub_folder({"HF_HUB_CACHE": "/a", "HF_HOME": "/b"}) == Path("/a")
    assert hub_folder({"XDG_CACHE_HOME": "/c"}) == Path("/c/huggingface/hub")
    assert hub_folder({"HOME": "/home/u"}) == Path("/home/u/.cache/huggingface/hub")
    assert hub_folder({}) is None
    root = tmp_path / "models--a--b"
    (root / "refs").mkdir(parents=True)
    (root / "refs/main").write_text(REVISION)
    snapshot = root / "snapshots" / REVISION
    snapshot.mkdir(parents=True)
    (snapshot / "config.json").write_text("{}")
    for revision in (None, "main", REVISION):
        assert cached_config(tmp_path, "a/b", revision) == snapshot / "config.json"
    assert cached_config(tmp_path, "a/b", "v2") is None
    assert cached_config(tmp_path, "a/b", f"x/../../snapshots/{REVISION}") is None


def test_a_config_that_is_no_language_models_is_refused_on_its_line(folder: Path) -> None:
    """What config.json lacks is said where the spec names the model."""
    (folder / "model/config.json").write_text('{"model_type": "bert"}')
    problem, ids = resolved(folder, "model: {checkpoint: model}\n" + BODY)
    assert problem is None
    assert ids


def test_several_models_are_one_problem_with_alternatives(folder: Path) -> None:
    """Each with its own profile and figure, all under the name that clients ask for."""
    (folder / "small").mkdir()
    (folder / "small/config.json").write_bytes((CONFIGS / "qwen3-4b.json").read_bytes())
    model = (
        "model:\n  name: assistant\n  min_accuracy: 70%\n  candidates:\n"
        "    - {name: large, checkpoint: model, accuracy: 0.74}\n"
        "    - {name: small, checkpoint: small, accuracy: 71%}\n"
    )
    problem, _ = resolved(folder, model + BODY + "deploy: {targets: [l4]}\n")
    assert problem is not None
    (other,) = problem.alternatives
    assert (problem.source.name, problem.source.accuracy, problem.model.layers) == ("large", 0.74, 36)
    assert (other.source.name, other.source.checkpoint, other.min_accuracy) == ("small", "small", 0.7)
    assert {problem.source.served_name, other.source.served_name} == {"assistant"}
    assert other.alternatives == ()
    assert other.model.parameters < problem.model.parameters
    assert (other.traffic, other.tokens, other.options) == (problem.traffic, problem.tokens, problem.options)


def test_what_is_wrong_with_one_of_several_is_said_on_its_line(folder: Path) -> None:
    """An unknown architecture among them, and one that the pinned vLLM does not serve."""
    for name, change in (("next", {"model_type": "llama9"}), ("gone", {"architectures": ["Dots1ForCausalLM"]})):
        (folder / name).mkdir()
        config = {**json.loads(CONFIG.read_text()), **change}
        (folder / name / "config.json").write_text(json.dumps(config))
    model = "model:\n  candidates:\n" + "".join(
        f"    - {{name: {name}, checkpoint: {path}}}\n" for name, path in (("a", "model"), ("b", "next"), ("c", "gone"))
    )
    path = folder / "chat.infc.yaml"
    path.write_text(HEAD + model + BODY)
    store = ProfileStore(root=folder, cache=folder / ".infc")
    found, diagnostics = resolve_problem(load_spec(path), load_catalogue(None), store)
    assert found is None
    assert [(d.id, d.span.line if d.span else 0) for d in diagnostics] == [
        ("config-architecture", 6),
        ("plan-not-served", 7),
    ]
