"""`infc plan --fetch`: the network once, a stored profile ever after."""

from pathlib import Path

import pytest

from infc.pipeline.fetch import fetch_models
from tests.cli.test_plan_language_models import CONFIG, HEAD, SLO, TRAFFIC, run
from tests.resolve.hub_server import SHA, Answer, answers_for, hub_server

REPO = "Qwen/Qwen3-8B"
LIMITS = "constraints: {hardware: [l40s]}\n"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty workspace on a machine without a hub cache."""
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "no-cache"))
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    monkeypatch.delenv("HF_TOKEN", raising=False)
    return tmp_path


def spec(folder: Path, revision: str | None) -> Path:
    """A spec about the repository at a revision."""
    path = folder / "chat.infc.yaml"
    at = "" if revision is None else f", revision: {revision}"
    path.write_text(HEAD + f"model: {{huggingface: {{repo: {REPO}{at}}}}}\n" + SLO + TRAFFIC + LIMITS)
    return path


def test_a_commit_is_fetched_once_and_planned_offline_ever_after(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The profile is stored where a commit keeps it; the second --fetch asks nothing."""
    path = spec(folder, SHA)
    with hub_server(answers_for(REPO, SHA, {"config.json": CONFIG.read_bytes()})) as server:
        monkeypatch.setenv("HF_ENDPOINT", server.url)
        code, _, errors = run("plan", str(path), "--fetch")
        asked = len(server.asked)
        assert (code, asked) == (0, 2)
        assert f"fetched config.json of {REPO} at {SHA}" in errors
        assert fetch_models([path], announce=print) == ()
        assert len(server.asked) == asked
    assert len(list((folder / "infc-profiles").glob("llm-*.json"))) == 1
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert run("plan", str(path), "--why", "bf16/l40s/tp1")[0] == 0


def test_a_branch_is_fetched_with_the_commit_to_pin(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A warning names it; what the branch is later is asked again."""
    path = spec(folder, None)
    with hub_server(answers_for(REPO, "main", {"config.json": CONFIG.read_bytes()})) as server:
        environment = {"HF_ENDPOINT": server.url}
        (warning,) = fetch_models([path], environment=environment, announce=print)
        assert warning.id == "plan-hub-branch"
        assert warning.help == f"write `revision: {SHA}`"
        assert warning.span is not None
        asked = len(server.asked)
        fetch_models([path], environment=environment, announce=print)
        assert len(server.asked) == 2 * asked


def test_what_cannot_be_fetched_is_said_on_its_line_and_nothing_is_stored(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Exit 1; a refused architecture is no stored profile either."""
    path = spec(folder, SHA)
    with hub_server({}) as server:
        monkeypatch.setenv("HF_ENDPOINT", server.url)
        code, out, errors = run("plan", str(path), "--fetch")
    assert (code, out) == (1, "")
    assert "plan-hub-not-found" in errors
    assert "chat.infc.yaml:3" in errors
    with hub_server(answers_for(REPO, SHA, {"config.json": b'{"model_type": "llama9"}'})) as server:
        monkeypatch.setenv("HF_ENDPOINT", server.url)
        code, _, errors = run("plan", str(path), "--fetch")
    assert code == 1
    assert "config-architecture" in errors
    with hub_server({f"/api/models/{REPO}/revision/{SHA}": Answer(status=401)}) as server:
        monkeypatch.setenv("HF_ENDPOINT", server.url)
        assert "HF_TOKEN" in run("plan", str(path), "--fetch")[2]
    assert not (folder / "infc-profiles").exists()
