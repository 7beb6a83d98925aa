"""The same repository twice: with words that do something, and with plain ones."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from onnx import TensorProto, helper, numpy_helper, save

from tests.injection.hostile import HOSTILE, file_name, visible


@dataclass(frozen=True, kw_only=True)
class Vocabulary:
    """What is written where: raw in a model's own texts, `shown` in specs and tensor names, `named` in file names."""

    raw: Mapping[str, str]
    shown: Callable[[str], str]
    named: Callable[[str], str]


def hostile() -> Vocabulary:
    """The words that do something."""
    return Vocabulary(raw=HOSTILE, shown=visible, named=file_name)


def plain() -> Vocabulary:
    """As many words that do nothing."""
    words = {key: f"plain {index} words" for index, key in enumerate(HOSTILE)}
    return Vocabulary(raw=words, shown=str, named=str)


def write_model(path: Path, words: Vocabulary) -> None:
    """A model whose tensors, nodes, domain texts and metadata are named by the words."""
    inputs, outputs, nodes, weights = [], [], [], []
    for index, text in enumerate(words.raw.values()):
        shown = words.shown(text)
        weights.append(numpy_helper.from_array(np.eye(4, dtype=np.float32), f"w{index} {text}"))
        shape = ["batch", 4]
        inputs.append(helper.make_tensor_value_info(f"in{index} {shown}", TensorProto.FLOAT, shape, doc_string=text))
        outputs.append(helper.make_tensor_value_info(f"out{index} {shown}", TensorProto.FLOAT, shape))
        edges = ([f"in{index} {shown}", f"w{index} {text}"], [f"out{index} {shown}"])
        nodes.append(helper.make_node("MatMul", *edges, name=f"node{index} {shown}", doc_string=text))
    everything = "".join(words.raw.values())
    graph = helper.make_graph(nodes, everything, inputs, outputs, weights, doc_string=everything)
    model = helper.make_model(
        graph, producer_name=everything, producer_version=everything, domain=everything, doc_string=everything
    )
    model.ir_version = 9
    del model.opset_import[:]
    model.opset_import.append(helper.make_opsetid("", 17))
    for text in words.raw.values():
        entry = model.metadata_props.add()
        entry.key, entry.value = text, text
    save(model, path)


def write_repository(root: Path, words: Vocabulary) -> tuple[Path, ...]:
    """Specs with one fault each in `faulty/`, and those that can be planned: returned, relative to `root`."""
    (root / ".git").mkdir(parents=True)
    write_model(root / "model.onnx", words)
    texts = [words.shown(text) for text in words.raw.values()]
    rules = [{"max_cost": "$1/month", "because": text} for text in texts]
    (root / "infc-policy.yaml").write_text(json.dumps({"rules": rules}))
    _write_prices(root, texts)
    for index, text in enumerate(texts):
        _write_faulty(root / "faulty" / f"{index}" / f"{words.named(text)}.infc.yaml", text)
    planned = []
    names = [words.named(text) for text in words.raw.values()]
    for index in range(0, len(names), 7):
        folder = root / "specs" / f"{index} {names[index]}" / names[index + 1]
        folder.mkdir(parents=True)
        path = folder / f"{index} {names[index + 2]}.infc.yaml"
        path.write_text(json.dumps(_spec(texts[index], name=f"deployment-{index}")))
        planned.append(path.relative_to(root))
    return tuple(planned)


def _spec(owner: str, name: str) -> dict[str, object]:
    return {
        "metadata": {"name": name, "owner": owner},
        "model": {"onnx": "../../../model.onnx"},
        "slo": {"latency": {"p99": "50ms"}},
        "workload": {"rate": "50/s"},
        "constraints": {"hardware": ["l4"], "precision": ["fp16"]},
        "pricing": {"provider": "acme"},
    }


def _write_faulty(path: Path, text: str) -> None:
    """Unknown keys, values, devices and paths: what diagnostics repeat."""
    path.parent.mkdir(parents=True)
    document = {
        **_spec(text, name="faulty"),
        "model": {"onnx": f"{text.replace('/', '_')}.onnx"},
        "objective": text,
        "constraints": {"hardware": [text, "l4"], "max_cost": text},
        text: text,
        "slo": {"latency": {text: "50ms", "p99": text}},
    }
    path.write_text(json.dumps(document, ensure_ascii=False, indent=1), encoding="utf-8")


def _write_prices(root: Path, texts: list[str]) -> None:
    """A team's own price book, its notes in the words."""
    folder = root / "targets" / "prices"
    folder.mkdir(parents=True)
    row = {
        "hardware": "l4",
        "sku": texts[0],
        "region": texts[2],
        "commitment": "on-demand",
        "accelerators": 1,
        "usd_per_accelerator_hour": 0.8,
        "date": "2026-01-01",
        "source": texts[3],
        "notes": " ".join(texts),
    }
    book = {"provider": "acme", "title": texts[5], "kind": "cloud", "sources": {}, "prices": [row]}
    (folder / "acme.yaml").write_text(json.dumps(book, ensure_ascii=False), encoding="utf-8")
