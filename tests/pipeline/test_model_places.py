"""Deployments of a spec that would read different models from one place are told."""

from dataclasses import replace
from pathlib import Path

import pytest

from infc.pipeline.model_places import shared_places
from infc.spec import load_spec
from tests.lock.entries import entry

SPEC = """\
model: {onnx: model.onnx}
slo: {latency: {p99: 25ms}}
workload: {rate: 300/s}
deploy:
  targets: [l4]
  kubernetes: {model: MODEL}
"""
IMAGE = "registry.example.com/models/encoder"


@pytest.mark.parametrize(
    ("model", "count"),
    [
        ("{pvc: {claim: models, path: encoder}}", 1),
        ("{s3: {uri: s3://acme-models/encoder}}", 1),
        (f"{{oci: {{image: '{IMAGE}:v2'}}}}", 1),
        (f"{{oci: {{image: {IMAGE}}}}}", 0),
    ],
)
def test_one_place_for_two_engines_is_a_warning(model: str, count: int, tmp_path: Path) -> None:
    """Not for an image whose tag is the release's digest, for one engine, or for engines that are not known yet."""
    path = tmp_path / "encoder.infc.yaml"
    (tmp_path / "model.onnx").write_bytes(b"\x08\x08")
    path.write_text(SPEC.replace("MODEL", model))
    loaded = load_spec(path)
    first = entry()
    other = replace(first, target="other", engine=replace(first.engine, key="f" * 64))
    found = shared_places(loaded, (first, other))
    assert [(each.id, each.span.line if each.span else None) for each in found] == [
        ("kubernetes-model-shared", 6)
    ] * count
    assert shared_places(loaded, (first, replace(first, target="other"))) == ()
    assert shared_places(loaded, (first, replace(other, engine=replace(other.engine, key=None)))) == ()
