"""Bundles of models and specs whose words do something: every file parses to what was meant, and runs nothing."""

import ast
import json
import os
import subprocess
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

import infc.emit.triton as triton
from infc.ir.bundle import Bundle
from infc.ir.candidate import DynamicBatching
from infc.ir.model_profile import ModelProfile, TensorSpec
from infc.ir.problem import AccuracyGoal, AxisDistribution, Problem
from infc.ir.spec import Deploy, Kubernetes
from tests.emit import samples
from tests.emit.vllm import samples as llm
from tests.injection.hostile import CANARY
from tests.injection.inert import hidden_faults, markdown_faults, shape
from tests.injection.repositories import Vocabulary, hostile, plain

if TYPE_CHECKING:
    from tritonclient.grpc.model_config_pb2 import ModelConfig

pytest.importorskip("tritonclient.grpc", reason="the extra `triton` is not installed")
pytest.importorskip("onnx", reason="the extra `onnx` is not installed")
pytest.importorskip("markdown_it", reason="comes with rich")

CONFIG = "model_repository/lookup/config.pbtxt"
KINDS = ("tensorrt", "tensorrt_rtx", "onnxruntime", "torch_inductor")


def tensors(words: Vocabulary, what: str) -> tuple[TensorSpec, ...]:
    """One tensor a word, its axis named by another; a checkpoint of a model never holds what cannot be seen."""
    shown = [words.shown(text) for text in words.raw.values()]
    axes = [*shown[1:], shown[0]]
    return tuple(
        TensorSpec(name=f"{what}{index} {name}", dtype="float32", shape=("batch", f"axis {axis}"))
        for index, (name, axis) in enumerate(zip(shown, axes, strict=True))
    )


def asked(words: Vocabulary) -> Problem:
    """A problem whose every name is one of the words."""
    texts = [words.shown(text) for text in words.raw.values()]
    axes = {f"axis {text}": AxisDistribution(percentiles={50.0: 4}, maximum=8) for text in texts}
    inputs, outputs = tensors(words, "in"), tensors(words, "out")
    model: ModelProfile = samples.model_profile(inputs=inputs, outputs=outputs, axes=tuple(axes))
    problem = samples.problem(model)
    goal = AccuracyGoal(dataset=f"{texts[0]}.npz", metric="top1", floor=0.9, max_drop=None, confidence=0.95)
    path = "/".join(words.named(text) for text in words.raw.values()) + "/lookup.infc.yaml"
    return replace(problem, spec_path=path, accuracy=goal, traffic=replace(problem.traffic, axes=axes))


def triton_bundle(words: Vocabulary, folder: Path, kind: Any, flavor: str) -> Bundle:
    """Everything that a compile for Triton writes."""
    hardware = "cpu" if kind == "onnxruntime" else "l4"
    batching = DynamicBatching(max_batch_size=8, preferred_batch_sizes=(4, 8), has_prefetch=False)
    decided = samples.plan(hardware_id=hardware, batching=batching, comments=tuple(words.raw.values()))
    decided = replace(decided, reasons=tuple(words.raw.values()), spec_path=asked(words).spec_path)
    engine = samples.engine(samples.write_onnx(folder / "model.onnx"), kind=kind)
    kubernetes = Kubernetes.model_validate({"namespace": "search", "flavor": flavor})
    bundle, _ = triton.emit(asked(words), decided, engine, deploy=Deploy(kubernetes=kubernetes))
    assert bundle is not None
    return bundle


def vllm_bundle(words: Vocabulary) -> Bundle:
    """Everything that a compile for vLLM writes."""
    problem = llm.problem_on("l40s")
    texts = [words.shown(text) for text in words.raw.values()]
    problem = replace(problem, spec_path="/".join(words.named(text) for text in words.raw.values()) + "/a.infc.yaml")
    decided = llm.plan(problem, comments=tuple(words.raw.values()))
    decided = replace(decided, reasons=tuple(words.raw.values()))
    vllm = {"args": {"chat-template-content-format": "auto", "override-generation-config": json.dumps({"x": texts})}}
    deploy = Deploy.model_validate({"kubernetes": {"namespace": "search"}, "vllm": vllm})
    return llm.bundle_of(problem, decided, deploy)


@pytest.fixture(scope="module")
def bundles(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, tuple[Bundle, Bundle]]:
    """The bundles of hostile and of plain words, by what they are."""
    folder = tmp_path_factory.mktemp("models")
    found = {
        f"triton {kind}": (
            triton_bundle(hostile(), folder, kind, "kserve" if kind == "tensorrt" else "deployment"),
            triton_bundle(plain(), folder, kind, "kserve" if kind == "tensorrt" else "deployment"),
        )
        for kind in KINDS
    }
    return {**found, "vllm": (vllm_bundle(hostile()), vllm_bundle(plain()))}


NAMES = (*(f"triton {kind}" for kind in KINDS), "vllm")


def texts_of(bundle: Bundle) -> dict[str, str]:
    """The files that are text."""
    return {path: content.decode() for path, content in bundle.files.items() if isinstance(content, bytes)}


@pytest.mark.parametrize("name", NAMES)
def test_every_file_is_what_it_is_with_plain_words(name: str, bundles: Mapping[str, tuple[Bundle, Bundle]]) -> None:
    """The same files; YAML and JSON hold the same keys and lists, Markdown the same elements, Python the same code."""
    mine, twin = (texts_of(bundle) for bundle in bundles[name])
    assert mine.keys() == twin.keys()
    for path, text in mine.items():
        assert list(hidden_faults(text)) == [], path
        match Path(path).suffix:
            case ".yaml" | ".yml":
                assert _shapes(text) == _shapes(twin[path]), path
            case ".json":
                assert shape(json.loads(text)) == shape(json.loads(twin[path])), path
            case ".md":
                assert markdown_faults(text, twin[path]) == [], path
            case ".py":
                assert _code(text) == _code(twin[path]), path


@pytest.mark.parametrize("kind", KINDS)
def test_triton_reads_the_names_that_the_model_has(kind: str, bundles: Mapping[str, tuple[Bundle, Bundle]]) -> None:
    """config.pbtxt through Triton's own protobuf: names as they are, and no group or parameter from them."""
    mine, twin = (_config(texts_of(bundle)[CONFIG]) for bundle in bundles[f"triton {kind}"])
    assert [tensor.name for tensor in mine.input] == [tensor.name for tensor in tensors(hostile(), "in")]
    assert [tensor.name for tensor in mine.output] == [tensor.name for tensor in tensors(hostile(), "out")]
    assert [(g.count, g.kind) for g in mine.instance_group] == [(g.count, g.kind) for g in twin.instance_group]
    assert mine.parameters.keys() == twin.parameters.keys()
    assert [field.name for field, _ in mine.ListFields()] == [field.name for field, _ in twin.ListFields()]


@pytest.mark.parametrize("name", NAMES)
def test_scripts_start_the_server_and_nothing_else(
    name: str, bundles: Mapping[str, tuple[Bundle, Bundle]], tmp_path: Path
) -> None:
    """launch.sh with stand-ins for everything that it starts: no word of others is run, whatever the shell."""
    bundle = bundles[name][0]
    scripts = {path: text for path, text in texts_of(bundle).items() if text.startswith("#!") and ".sh" in path}
    programs = tmp_path / "programs"
    programs.mkdir()
    for program in ("docker", "podman", "tritonserver", "vllm", "curl", "nvidia-smi"):
        (programs / program).write_text('#!/bin/sh\nprintf "%s\\n" "$@" > /dev/null\n')
        (programs / program).chmod(0o755)
    for path, text in scripts.items():
        script = tmp_path / "bundle" / path
        script.parent.mkdir(parents=True, exist_ok=True)
        script.write_text(text)
        script.chmod(0o755)
        environment = {"PATH": f"{programs}:{os.environ['PATH']}", "HOME": str(tmp_path)}
        subprocess.run([script], cwd=script.parent, env=environment, capture_output=True, timeout=60, check=False)
    assert [path for path in tmp_path.rglob("*") if CANARY in path.name] == []


@pytest.mark.parametrize("name", NAMES)
def test_expressions_of_alerts_hold_no_more_than_with_plain_words(
    name: str, bundles: Mapping[str, tuple[Bundle, Bundle]]
) -> None:
    """As many alerts and recordings, by the same names, and no name of others outside of a string."""
    mine, twin = (list(_rules(texts_of(bundle))) for bundle in bundles[name])
    assert [rule.get("alert", rule.get("record")) for rule in mine] == [
        rule.get("alert", rule.get("record")) for rule in twin
    ]
    assert [_without_strings(rule["expr"]) for rule in mine] == [_without_strings(rule["expr"]) for rule in twin]


def _shapes(text: str) -> list[Any]:
    """The shapes of the documents."""
    return [shape(document) for document in yaml.safe_load_all(text)]


def _code(text: str) -> list[str]:
    """The kinds of a program's statements and expressions."""
    return [type(node).__name__ for node in ast.walk(ast.parse(text))]


def _config(text: str) -> "ModelConfig":
    from google.protobuf import text_format
    from tritonclient.grpc.model_config_pb2 import ModelConfig

    return text_format.Parse(text, ModelConfig())


def _rules(files: Mapping[str, str]) -> Any:
    for path, text in files.items():
        if path.endswith(".yaml"):
            for document in yaml.safe_load_all(text):
                spec = document.get("spec", document) if isinstance(document, dict) else {}
                groups = spec.get("groups", []) if isinstance(spec, dict) else []
                for group in groups if isinstance(groups, list) else []:
                    yield from group.get("rules", [])


def _without_strings(expression: str) -> str:
    """The expression with every string literal empty."""
    parts, inside, escaped = [], False, False
    for character in expression:
        if not inside:
            parts.append(character)
        elif character == '"' and not escaped:
            parts.append('"')
        inside = not inside if character == '"' and not escaped else inside
        escaped = inside and character == "\\" and not escaped
    return "".join(parts)
