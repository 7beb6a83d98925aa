"""Asking a hub for a model's config: what is taken, what is refused, and where the token goes."""

from dataclasses import replace

import pytest

from infc.resolve import hub
from tests.resolve.hf_config.models import CONFIGS
from tests.resolve.hub_server import SHA, Answer, answers_for, hub_server

CONFIG = (CONFIGS / "qwen3-8b.json").read_bytes()
REPO = "Qwen/Qwen3-8B"


def test_a_branch_is_resolved_to_its_commit() -> None:
    """Of all files only the config is taken, at the commit that the branch is."""
    with hub_server(answers_for(REPO, "main", {"config.json": CONFIG, "tokenizer.json": b"{}"})) as server:
        found, problem = hub.fetch_model(REPO, None, {"HF_ENDPOINT": server.url + "/"})
    assert problem is None
    assert found is not None
    assert (found.commit, dict(found.files)) == (SHA, {"config.json": CONFIG})
    assert [path for path, _ in server.asked] == [
        f"/api/models/{REPO}/revision/main",
        f"/{REPO}/resolve/{SHA}/config.json",
    ]


def test_how_a_checkpoint_is_quantised_comes_along() -> None:
    """ModelOpt says it in a file of its own."""
    files = {"config.json": CONFIG, "hf_quant_config.json": b'{"quantization": {"quant_algo": "FP8"}}'}
    with hub_server(answers_for(REPO, SHA, files)) as server:
        found, _ = hub.fetch_model(REPO, SHA, {"HF_ENDPOINT": server.url})
    assert found is not None
    assert dict(found.files) == files


def test_the_token_goes_to_the_hub_and_not_where_it_redirects() -> None:
    """Files may lie elsewhere; who keeps them is not told the token."""
    with hub_server({"/config": Answer(body=CONFIG)}) as store:
        answers = answers_for(REPO, SHA, {"config.json": CONFIG})
        answers[f"/{REPO}/resolve/{SHA}/config.json"] = Answer(status=302, headers={"Location": store.url + "/config"})
        with hub_server(answers) as server:
            found, problem = hub.fetch_model(REPO, SHA, {"HF_ENDPOINT": server.url, "HF_TOKEN": "hf_secret"})
    assert problem is None
    assert found is not None
    assert {token for _, token in server.asked} == {"Bearer hf_secret"}
    assert store.asked == [("/config", None)]


@pytest.mark.parametrize(
    ("answer", "id", "words"),
    [
        (Answer(status=404), "plan-hub-not-found", "no such repository"),
        (Answer(status=401), "plan-hub-access", "HTTP 401"),
        (Answer(status=403), "plan-hub-access", "HTTP 403"),
        (Answer(status=429), "plan-hub-unreachable", "fewer requests"),
        (Answer(status=503), "plan-hub-unreachable", "HTTP 503"),
        (Answer(body=b"<html>"), "plan-hub-answer", "no description"),
        (Answer(body=b"[" * 100_000), "plan-hub-answer", "no description"),
        (
            Answer(body=b'{"sha": "../../x", "siblings": [{"rfilename": "config.json"}]}'),
            "plan-hub-answer",
            "no commit",
        ),
        (Answer(body=b'{"sha": "0123456789", "siblings": []}'), "plan-hub-answer", "no config.json"),
        (Answer(status=302, headers={"Location": "http://example.com/"}), "plan-hub-answer", "not https"),
        (Answer(status=302, headers={"Location": "file:///etc/passwd"}), "plan-hub-unreachable", "HTTP 302"),
        (Answer(body=b"{}", headers={"Content-Length": "500"}), "plan-hub-unreachable", ""),
    ],
)
def test_every_refusal_is_told_with_its_fix(answer: Answer, id: str, words: str) -> None:
    """A hub that does not answer as one is no traceback."""
    with hub_server({f"/api/models/{REPO}/revision/main": answer}) as server:
        found, problem = hub.fetch_model(REPO, "main", {"HF_ENDPOINT": server.url})
    assert found is None
    assert problem is not None
    assert problem.id == id
    assert words in problem.message
    assert problem.help


def test_a_gated_model_names_licence_and_token() -> None:
    """What is needed to see it."""
    with hub_server({f"/api/models/{REPO}/revision/main": Answer(status=401)}) as server:
        _, problem = hub.fetch_model(REPO, "main", {"HF_ENDPOINT": server.url})
    assert problem is not None
    assert "accept its licence" in (problem.help or "")
    assert "HF_TOKEN" in (problem.help or "")


def test_a_redirect_that_never_ends_is_given_up() -> None:
    """A loop is no answer."""
    path = f"/api/models/{REPO}/revision/main"
    with hub_server({path: Answer(status=302, headers={"Location": path})}) as server:
        _, problem = hub.fetch_model(REPO, "main", {"HF_ENDPOINT": server.url})
    assert problem is not None
    assert problem.id == "plan-hub-unreachable"
    assert len(server.asked) < 10


def test_too_large_a_config_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever a server sends, no more than a config's size is kept."""
    monkeypatch.setattr(hub, "MAX_CONFIG_BYTES", 100)
    with hub_server(answers_for(REPO, SHA, {"config.json": CONFIG})) as server:
        _, problem = hub.fetch_model(REPO, SHA, {"HF_ENDPOINT": server.url})
    assert problem is not None
    assert problem.id == "plan-hub-answer"


def test_a_server_that_says_nothing_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """A listening socket that never answers."""
    import socket

    monkeypatch.setattr(hub, "TIMEOUT_S", 0.05)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        endpoint = f"http://127.0.0.1:{silent.getsockname()[1]}"
        _, problem = hub.fetch_model(REPO, SHA, {"HF_ENDPOINT": endpoint})
    assert problem is not None
    assert "no answer within" in problem.message


@pytest.mark.parametrize(
    "environment",
    [
        {"HF_ENDPOINT": "http://hub.example.com"},
        {"HF_ENDPOINT": "ftp://hub.example.com"},
        {"HF_ENDPOINT": "https://user:secret@hub.example.com"},
        {"HF_ENDPOINT": "https://[::1"},
        {"HF_HUB_OFFLINE": "1"},
    ],
)
def test_nothing_is_asked_where_that_is_not_safe_or_not_allowed(environment: dict[str, str]) -> None:
    """No plain HTTP beyond this machine, no password in an address, and never against HF_HUB_OFFLINE."""
    found, problem = hub.fetch_model(REPO, "main", environment)
    assert found is None
    assert problem is not None
    assert problem.id == "plan-hub-unreachable"


def test_a_revision_cannot_leave_its_place_in_the_address() -> None:
    """A slash or dots are part of its name."""
    answers = answers_for(REPO, "refs%2Fpr%2F1", {"config.json": CONFIG})
    with hub_server(answers) as server:
        found, _ = hub.fetch_model(REPO, "refs/pr/1", {"HF_ENDPOINT": server.url})
    assert found is not None
    assert replace(found, files={}).revision == "refs/pr/1"
