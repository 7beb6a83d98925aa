"""What a bundle with a language model holds: vLLM's recipe, TensorRT Edge-LLM's, and when there is none."""

import hashlib
import json
import shlex
import shutil
import subprocess
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import yaml

from infc.build.edge_release_json import from_json, to_json
from infc.emit.jetson.emit import Drafted
from infc.emit.jetson.llm import emit_jetson_llm
from infc.emit.jetson.llm_edge import PREPARE_SCRIPT, SERVE_SCRIPT
from infc.emit.jetson.llm_place import DIGESTS_FILE
from infc.emit.jetson.llm_release import LENGTHS
from infc.emit.vllm.arguments import check_arguments
from infc.emit.vllm.schema import argument_schema
from infc.ir.checkpoint import Checkpoint
from infc.ir.precision import Precision
from infc.ir.spec import Deploy, Jetson, Kubernetes, Vllm
from infc.resolve.jetson_llm import edge_llm
from tests.llm_edge import LARGE, TINY, emitted, load, part_of

ORIN, NANO, THOR = "jetson-agx-orin-64gb", "jetson-orin-nano-8gb", "jetson-agx-thor-t5000"
UNIT = "systemd/infc-helper.service"


def drafted_of(folder: Path, hardware: str, deploy: str = "") -> Drafted:
    """What is emitted of the tiny model."""
    drafted, problems = emitted(load(folder, hardware, deploy=deploy))
    assert drafted is not None, problems
    return drafted


def text(drafted: Drafted, path: str) -> str:
    """A text file of the bundle."""
    content = drafted.files[path]
    assert isinstance(content, bytes)
    return content.decode()


def documents(drafted: Drafted) -> tuple[dict[str, Any], dict[str, Any]]:
    """serve.yaml, and the one service of compose.yaml."""
    compose = yaml.safe_load(text(drafted, "compose.yaml"))
    assert list(compose["services"]) == ["helper"]
    return yaml.safe_load(text(drafted, "serve.yaml")), compose["services"]["helper"]


def test_a_model_in_a_folder_travels_whole(tmp_path: Path) -> None:
    """Weights, tokeniser and template are in the bundle, the settings name the folder, and nothing is fetched."""
    drafted = drafted_of(tmp_path, NANO)
    names = {path.name for path in TINY.iterdir()}
    assert {p.removeprefix("model/") for p in drafted.files if p.startswith("model/")} == names
    serve, service = documents(drafted)
    assert serve["model"] == "model"
    assert service["environment"]["HF_HUB_OFFLINE"] == "1"
    assert {"install.sh", "bin/edge.py", UNIT} <= set(drafted.files)
    assert drafted.image == service["image"]
    assert "down --timeout 33" in text(drafted, UNIT)  # the longest answer, 3 s + 96 x 150 ms, and 15 s


@pytest.mark.parametrize(
    ("hardware", "jetpack", "version", "asks_for_gpu"),
    [(ORIN, "6.2.1", "0.19.0", False), (ORIN, "7.2", "0.32.0", True), (THOR, "7.0", "0.32.0", True)],
)
def test_settings_are_what_the_images_vllm_takes(
    tmp_path: Path, hardware: str, jetpack: str, version: str, asks_for_gpu: bool
) -> None:
    """The older vLLM of JetPack 6 gets no flag that it does not know; its image needs the runtime alone."""
    serve, service = documents(drafted_of(tmp_path, hardware, f'jetpack: "{jetpack}"'))
    assert version in service["image"]
    assert check_arguments(argument_schema(version), serve) == ()
    assert ("max-num-queued-tokens" in serve) is ("custom-histogram-buckets" in serve) is (version == "0.32.0")
    assert service["runtime"] == "nvidia"
    assert ("deploy" in service) is asks_for_gpu


def test_the_container_is_fenced_in_and_never_swaps(tmp_path: Path) -> None:
    """Reachable from the device alone, without capabilities, with the memory that is left to it."""
    _, service = documents(drafted_of(tmp_path, NANO, "reserved_memory: 1GiB"))
    assert service["ports"] == ["127.0.0.1:8000:8000"]
    assert service["cap_drop"] == ["ALL"]
    assert service["mem_limit"] == service["memswap_limit"]
    assert int(service["mem_limit"].removesuffix("m")) * 2**20 < 8e9 - 2**30
    assert service["pull_policy"] == "never"
    assert all(mount.get("read_only") or mount["type"] == "volume" for mount in service["volumes"])


def test_the_manifest_says_what_is_judged_and_how(tmp_path: Path) -> None:
    """Objectives of tokens, lengths that are taken in turn, the memory of the whole server, no engine."""
    release = drafted_of(tmp_path, ORIN).release
    (target,) = release.targets
    assert (release.kind, release.engines, target.engine, release.verify) == ("llm", (), None, None)
    assert release.service.kind == "vllm"
    assert [t.label for t in (*release.slo.ttft, *release.slo.tpot)] == ["p95", "p95"]
    tokens = release.load.tokens
    assert tokens is not None
    assert len(tokens.prompt_lengths) == len(tokens.output_lengths) == LENGTHS
    assert sorted(tokens.prompt_lengths)[LENGTHS // 2] == pytest.approx(64, abs=3)
    assert max(tokens.prompt_lengths) <= 256
    assert (target.l4t.at_least, target.l4t.below) == ("39.2", "40")
    assert target.min_memory_bytes > 2.4e9
    read, problems = from_json(to_json(release))
    assert read is not None, problems
    assert to_json(read) == to_json(release)


def test_the_same_plan_gives_the_same_bytes(tmp_path: Path) -> None:
    """Nothing of this machine is in it."""
    first, second = (drafted_of(tmp_path / name, ORIN) for name in "ab")
    contents = [{p: c if isinstance(c, bytes) else c.read_bytes() for p, c in d.files.items()} for d in (first, second)]
    assert contents[0] == contents[1]
    assert str(tmp_path) not in "".join(c.decode("latin-1") for c in contents[0].values())


def hub_checkpoint(folder: Path) -> Checkpoint:
    """The tiny model as if a repository had it and the hub's cache held its files."""
    digests = {p.name: "sha256:" + hashlib.sha256(p.read_bytes()).hexdigest() for p in sorted(folder.iterdir())}
    return Checkpoint(
        folder=None,
        repo="org/tiny",
        revision="0" * 40,
        files=digests,
        has_weights=True,
        digest="ab" * 32,
        source_digest="ab" * 32,
        precision=Precision.BF16,
    )


def test_a_model_of_the_hub_is_named_by_the_digests_of_its_files(tmp_path: Path) -> None:
    """It travels apart: the container starts only where the folder holds exactly these files."""
    loaded = load(tmp_path, NANO)
    assert loaded.spec is not None
    part = replace(part_of(loaded), checkpoint=hub_checkpoint(TINY))
    drafted, problems = emit_jetson_llm(part, loaded.spec.deploy)
    assert drafted is not None, problems
    serve, service = documents(drafted)
    assert serve["model"] == "/model"
    assert "revision" not in serve
    assert not any(path.startswith("model/") for path in drafted.files)
    mount = next(m for m in service["volumes"] if m["target"] == "/model")
    assert mount["source"] == "/var/lib/infc/models/helper-abababababab"
    shell, flag, script = service["entrypoint"]
    assert (shell, flag, service["command"]) == ("/bin/sh", "-c", [])
    # The check itself, with this machine's sha256sum: whole, then with a changed file.
    (tmp_path / DIGESTS_FILE).write_text(text(drafted, DIGESTS_FILE))
    copy = tmp_path / "there"
    shutil.copytree(TINY, copy)
    local = script.replace("/model", str(copy), 1).replace("/bundle", str(tmp_path)).replace("exec vllm", "echo vllm")
    assert subprocess.run(["sh", "-c", local], capture_output=True, check=False).returncode == 0
    (copy / "config.json").write_text("{}")
    assert subprocess.run(["sh", "-c", local], capture_output=True, check=False).returncode != 0


def test_edge_llm_is_installed_and_started_by_scripts(tmp_path: Path) -> None:
    """No container: a script that serves with options of the release, one that installs its wheels, and a unit."""
    drafted = drafted_of(tmp_path, THOR, "runtime: edge-llm")
    assert drafted.image is None
    assert "compose.yaml" not in drafted.files
    assert drafted.release.service.kind == "edge-llm"
    assert (drafted.release.targets[0].l4t.at_least, drafted.release.targets[0].l4t.below) == ("39.2", "39.3")
    command = text(drafted, SERVE_SCRIPT).partition('exec "$runtime/bin/tensorrt-edgellm-serve" ')[2]
    words = shlex.split(command.replace("\\\n", " "))
    assert words[0] == "model"
    names = [word.removeprefix("--") for word in words if word.startswith("--")]
    assert set(names) <= set(edge_llm().options)
    options = dict(pairwise(words))
    assert int(options["--max-kv-cache-capacity"]) >= 256 + 96
    assert 1 <= int(options["--max-batch-size"]) <= 8
    assert f"=={edge_llm().version}" in text(drafted, PREPARE_SCRIPT)
    assert f"ExecStart=/bin/sh {SERVE_SCRIPT}" in text(drafted, UNIT)
    for script in (SERVE_SCRIPT, PREPARE_SCRIPT):
        checked = subprocess.run(["sh", "-n"], input=text(drafted, script), text=True, capture_output=True, check=False)
        assert checked.returncode == 0, checked.stderr


def test_edge_llm_that_is_not_installed_says_what_to_do(tmp_path: Path) -> None:
    """The unit's log then names the script that installs it."""
    drafted = drafted_of(tmp_path, THOR, "runtime: edge-llm")
    script = tmp_path / "bin/serve-edge-llm.sh"
    script.parent.mkdir()
    script.write_text(text(drafted, SERVE_SCRIPT))
    ran = subprocess.run(["sh", str(script)], capture_output=True, text=True, check=False)
    assert ran.returncode == 1
    assert PREPARE_SCRIPT in ran.stderr
    usage = tmp_path / "prepare.sh"
    usage.write_text(text(drafted, PREPARE_SCRIPT))
    assert subprocess.run(["sh", str(usage)], capture_output=True, check=False).returncode == 64


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed")
def test_the_unit_of_edge_llm_is_one(tmp_path: Path) -> None:
    """Systemd finds nothing to say of it."""
    unit = tmp_path / "infc-helper.service"
    unit.write_text(text(drafted_of(tmp_path / "spec", THOR, "runtime: edge-llm"), UNIT))
    told = subprocess.run(["systemd-analyze", "verify", str(unit)], capture_output=True, text=True, check=False)
    assert told.stderr == ""


def test_a_model_without_weights_is_no_bundle(tmp_path: Path) -> None:
    """A signed bundle takes no file later, and a device fetches none."""
    drafted, problems = emitted(load(tmp_path, ORIN, model=LARGE))
    assert drafted is None
    assert [p.id for p in problems] == ["edge-model-incomplete"]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (Vllm(args={"enable-log-requests": True}), "flags of vLLM"),
        (Vllm(chat_template="chat.jinja"), "chat template of the checkpoint"),
    ],
)
def test_options_of_vllm_are_refused_for_edge_llm(tmp_path: Path, options: Vllm, words: str) -> None:
    """They would be dropped without a word."""
    part = part_of(load(tmp_path, THOR, deploy="runtime: edge-llm"))
    deploy = Deploy(server="jetson", jetson=Jetson(runtime="edge-llm"), vllm=options)
    drafted, problems = emit_jetson_llm(part, deploy)
    assert drafted is None
    assert [p.id for p in problems] == ["edge-llm-refused"]
    assert words in problems[0].message


def test_options_of_a_cluster_are_refused(tmp_path: Path) -> None:
    """Nothing of them would be emitted."""
    drafted, problems = emit_jetson_llm(part_of(load(tmp_path, THOR)), Deploy(kubernetes=Kubernetes()))
    assert drafted is None
    assert [p.id for p in problems] == ["edge-llm-refused"]


def test_arguments_are_checked_against_the_images_release(tmp_path: Path) -> None:
    """A flag of a newer vLLM is refused for JetPack 6, and taken for JetPack 7."""
    deploy = Deploy(server="jetson", vllm=Vllm(args={"max-num-active-seqs-typo": 1}))
    drafted, problems = emit_jetson_llm(part_of(load(tmp_path, ORIN, deploy='jetpack: "6.2"')), deploy)
    assert drafted is None
    assert problems[0].id == "vllm-argument"
    assert any("0.19.0" in note for note in problems[0].notes)


def test_the_schema_of_the_manifest_takes_it(tmp_path: Path) -> None:
    """What is emitted is what `schemas/` says."""
    jsonschema = pytest.importorskip("jsonschema")
    schema = json.loads((Path(__file__).parents[3] / "schemas/edge_manifest.schema.json").read_text())
    for deploy in ("", "runtime: edge-llm"):
        document = json.loads(to_json(drafted_of(tmp_path / (deploy or "vllm"), THOR, deploy).release))
        jsonschema.validate(document, schema)
