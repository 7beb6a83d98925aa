"""`manifest.json`, `verify/samples.json` and `acceptance.json`: what is written is read back; damage is named."""

import json
import re
from pathlib import Path

import jsonschema
import pytest

from infc.build import edge_acceptance_json, edge_release_json
from infc.build.edge_schema import edge_acceptance_schema, edge_manifest_schema, edge_samples_schema
from infc.ir.arrival import BurstyArrival, ConstantArrival

DOCUMENT = Path(__file__).parents[2] / "docs" / "edge-format.md"


def documented(marker: str) -> dict[str, object]:
    """The example of docs/edge-format.md that holds `marker`, with its ellipses filled."""
    blocks = re.findall(r"```json\n(.*?)```", DOCUMENT.read_text(encoding="utf-8"), re.DOTALL)
    text = next(block for block in blocks if marker in block)
    interval = '{"value": 0.006, "low": 0.005, "high": 0.007}'
    text = text.replace('"sha256:..."', f'"sha256:{"0" * 64}"').replace('{"...": 0}', interval)
    return json.loads(text.replace('"key": "..."', f'"key": "{"1" * 64}"'))


def test_the_documented_manifest_is_one() -> None:
    """The example of the page is valid and comes back as it was."""
    document = documented('"releases_kept"')
    jsonschema.validate(document, edge_manifest_schema())
    release, problems = edge_release_json.from_json(json.dumps(document).encode())
    assert problems == ()
    assert release is not None
    assert release.load.arrival == ConstantArrival(streams=2)
    assert release.targets[0].predicted.latency_s["p99"].high == 0.007
    written = edge_release_json.to_json(release)
    assert json.loads(written) == document
    assert edge_release_json.from_json(written) == (release, ())


def test_a_manifest_of_a_language_model_has_limits_of_tokens() -> None:
    """`slo.ttft`, `slo.tpot` and `load.tokens` are there for it, and no engines."""
    document = documented('"releases_kept"')
    document |= {"kind": "llm", "engines": [], "verify": None}
    document["targets"][0]["engine"] = None
    document["slo"] |= {"ttft": [{"percentile": 99.0, "limit_s": 0.5}], "tpot": [{"percentile": 50.0, "limit_s": 0.1}]}
    document["load"] |= {"arrival": {"kind": "bursty", "cv": 2.0}, "tokens": {"prompt_tokens": 8, "output_tokens": 4}}
    jsonschema.validate(document, edge_manifest_schema())
    release, problems = edge_release_json.from_json(json.dumps(document).encode())
    assert problems == ()
    assert release is not None
    assert release.load.arrival == BurstyArrival(cv=2.0)
    assert json.loads(edge_release_json.to_json(release)) == document


def test_a_delta_names_what_is_absent() -> None:
    """By path, digest and size."""
    document = documented('"releases_kept"')
    absent = {"path": "models/a.onnx", "sha256": "2" * 64, "size_bytes": 5}
    document["delta"] = {"base_version": "6", "absent": [absent]}
    jsonschema.validate(document, edge_manifest_schema())
    release, problems = edge_release_json.from_json(json.dumps(document).encode())
    assert problems == ()
    assert release is not None
    assert json.loads(edge_release_json.to_json(release)) == document


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        ("name", "../x", "$.name is"),
        ("version", "1.x", "$.version is"),
        ("verify", "../samples.json", "$.verify is"),
        ("extra", 1, "$.extra is not a field"),
        ("format_version", "2.0", "$.format_version is 2.0"),
        ("engines", [], "$.engines has none for jetson-orin-nx-16gb"),
        ("releases_kept", 0, "$.releases_kept is 0"),
    ],
)
def test_what_is_wrong_with_a_manifest_is_named(path: str, value: object, words: str) -> None:
    """With the path of the field, as a diagnostic."""
    document = documented('"releases_kept"') | {path: value}
    release, problems = edge_release_json.from_json(json.dumps(document).encode())
    assert release is None
    assert {problem.id for problem in problems} == {"edge-file-damaged"}
    assert any(words in problem.message for problem in problems), problems


def test_a_manifest_that_is_no_json_is_refused() -> None:
    """Cut short on its way."""
    release, problems = edge_release_json.from_json(b'{"format_version": "1.0", ')
    assert release is None
    assert "is not JSON" in problems[0].message


def test_the_documented_samples_are_read() -> None:
    """Tensors by file, tolerances by output."""
    document = documented('"tolerances"')
    jsonschema.validate(document, edge_samples_schema())
    samples, problems = edge_release_json.samples_from_json(json.dumps(document).encode())
    assert problems == ()
    assert samples is not None
    assert samples.samples[0].inputs[0].shape == (1, 3, 224, 224)
    assert json.loads(edge_release_json.samples_to_json(samples)) == document


def test_the_documented_acceptance_is_read() -> None:
    """As it is printed on the page, and without sensors."""
    document = documented('"is_throttled"')
    jsonschema.validate(document, edge_acceptance_schema())
    acceptance, problems = edge_acceptance_json.from_json(json.dumps(document).encode())
    assert problems == ()
    assert acceptance is not None
    assert acceptance.verdicts[0].metric == "p99"
    assert edge_acceptance_json.from_json(edge_acceptance_json.to_json(acceptance)) == (acceptance, ())
    without = document | {"power_w": None, "temperature_c": None, "is_throttled": None, "engine_latency_s": None}
    jsonschema.validate(without, edge_acceptance_schema())
    assert edge_acceptance_json.from_json(json.dumps(without).encode())[1] == ()


def test_a_damaged_acceptance_is_named() -> None:
    """Every problem at once."""
    document = documented('"is_throttled"') | {"verdict": "passed", "load": {}}
    acceptance, problems = edge_acceptance_json.from_json(json.dumps(document).encode())
    assert acceptance is None
    messages = [problem.message for problem in problems]
    assert any("$.verdict" in message for message in messages)
    assert any("$.load.what is missing" in message for message in messages)
