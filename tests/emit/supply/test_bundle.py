"""SBOM and provenance of bundles for servers, against CycloneDX's own schema and the rules of in-toto and SLSA."""

import gzip
import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft7Validator
from referencing import Registry, Resource

from infc.emit.supply.bundle import Contents, supply_files, whole_digest
from infc.emit.supply.provenance import PROVENANCE_NAME, Dependency, statement_from
from infc.emit.supply.sbom import SBOM_NAME, BundledModel, Dataset, Metric, image_of

SCHEMAS = Path(__file__).parent / "cyclonedx"
FILES: dict[str, bytes | Path] = {
    "README.md": b"read me",
    "model_repository/m/1/model.onnx": b"weights",
    "backends/b/model.py": b"code",
}
MODEL = BundledModel(
    name="m",
    files=("model_repository/m/1/model.onnx",),
    precision="int8",
    origin="models/m.onnx",
    source_digest="sha256:" + "1" * 64,
    task="classification",
    inputs=("image float32[batch, 3, 224, 224]",),
    outputs=("scores float32[batch, 1000]",),
    metrics=(Metric(name="top1", value="0.91", low="0.90", high="0.92"), Metric(name="reference", value="0.92")),
    datasets=(Dataset(name="data/test.npz", digest="sha256:" + "2" * 64, use="judged with"),),
    properties=(("infc:engine_key", "ab"),),
)


def contents(**changes: Any) -> Contents:
    """What the documents of the sample bundle say."""
    settings: dict[str, Any] = {
        "name": "m",
        "target": "l4",
        "infc_version": "0.1.0",
        "models": [MODEL],
        "images": [image_of("nvcr.io/nvidia/tritonserver:24.10-py3@sha256:" + "3" * 64)],
        "libraries": {"tensorrt": "10.5"},
        "external": {"spec": "specs/m.infc.yaml", "target": "l4"},
        "internal": {"hardware": "l4"},
        "dependencies": [Dependency(name="specs/m.infc.yaml", digest="sha256:" + "4" * 64)],
        "programs": ["backends/b/model.py"],
    }
    return Contents(**{**settings, **changes})


@pytest.fixture(scope="module")
def validator() -> Draft7Validator:
    """CycloneDX's schema, with the two that it refers to."""
    documents = {
        path.name.removesuffix(".gz"): json.loads(gzip.decompress(path.read_bytes())) for path in SCHEMAS.glob("*.gz")
    }
    registry: Registry[Any] = Registry().with_resources(
        (f"http://cyclonedx.org/schema/{name}", Resource.from_contents(document))
        for name, document in documents.items()
    )
    schema = documents["bom-1.6.SNAPSHOT.schema.json"]
    return Draft7Validator(schema, registry=registry, format_checker=Draft7Validator.FORMAT_CHECKER)


def test_cyclonedx_takes_the_sbom(validator: Draft7Validator) -> None:
    """With the model's card: task, tensors, data by digest, figures with their intervals, precision, quantisation."""
    document = json.loads(supply_files(contents(), FILES)[SBOM_NAME])
    assert list(validator.iter_errors(document)) == []
    (model,) = (each for each in document["components"] if each["type"] == "machine-learning-model")
    card = model["modelCard"]
    assert card["modelParameters"]["task"] == "classification"
    assert card["modelParameters"]["datasets"] == [{"ref": "data:data/test.npz"}]
    assert card["quantitativeAnalysis"]["performanceMetrics"][0]["confidenceInterval"] == {
        "lowerBound": "0.90",
        "upperBound": "0.92",
    }
    (data,) = (each for each in document["components"] if each["type"] == "data")
    assert data["hashes"] == [{"alg": "SHA-256", "content": "2" * 64}]
    references = [component["bom-ref"] for component in document["components"]]
    assert len(set(references)) == len(references)
    assert sorted(references) == document["dependencies"][0]["dependsOn"]


def test_the_strict_validator_of_cyclonedx_takes_it() -> None:
    """Where their library is installed."""
    validation = pytest.importorskip("cyclonedx.validation.json")
    schema = pytest.importorskip("cyclonedx.schema")
    validator = validation.JsonStrictValidator(schema.SchemaVersion.V1_6)
    assert validator.validate_str(supply_files(contents(), FILES)[SBOM_NAME].decode()) is None


def test_the_provenance_describes_every_file_and_what_they_were_made_from() -> None:
    """The subjects are the whole and each file, the SBOM among them, the provenance itself not."""
    files = supply_files(contents(), FILES)
    statement = statement_from(files[PROVENANCE_NAME])
    assert statement is not None
    described = {**FILES, SBOM_NAME: files[SBOM_NAME]}
    digests = {
        path: hashlib.sha256(content).hexdigest() for path, content in described.items() if isinstance(content, bytes)
    }
    assert statement.subjects == {
        ("m@l4", "dirHash"): whole_digest(digests),
        **{(path, "sha256"): digest for path, digest in digests.items()},
    }
    assert statement.dependencies == {"specs/m.infc.yaml": "4" * 64}
    assert statement.spec == "specs/m.infc.yaml"
    document = json.loads(files[PROVENANCE_NAME])
    assert set(document) == {"_type", "subject", "predicateType", "predicate"}
    assert set(document["predicate"]) == {"buildDefinition", "runDetails"}
    assert document["predicate"]["runDetails"]["builder"]["version"] == {"infc": "0.1.0", "tensorrt": "10.5"}


def test_the_same_bundle_gives_the_same_bytes_and_another_one_another_serial_number() -> None:
    """No clock, no chance; a time only where one is given."""
    first = supply_files(contents(), FILES)
    assert supply_files(contents(), dict(reversed(FILES.items()))) == first
    assert supply_files(contents(), {**FILES, **first}) == first
    other = supply_files(contents(), {**FILES, "README.md": b"another"})
    serials = {json.loads(each[SBOM_NAME])["serialNumber"] for each in (first, other)}
    assert len(serials) == 2
    assert b"timestamp" not in first[SBOM_NAME]
    timed = supply_files(contents(timestamp="1980-01-01T00:00:00Z"), FILES)
    assert json.loads(timed[SBOM_NAME])["metadata"]["timestamp"] == "1980-01-01T00:00:00Z"
    assert json.loads(timed[PROVENANCE_NAME])["predicate"]["runDetails"]["metadata"]["startedOn"]


def test_digests_that_are_known_are_not_computed_again(tmp_path: Path) -> None:
    """A model of many gigabytes is not read for its SBOM."""
    known = {"model_repository/m/1/model.onnx": "sha256:" + "5" * 64}
    files = {**FILES, "model_repository/m/1/model.onnx": tmp_path / "absent"}
    statement = statement_from(supply_files(contents(), files, known)[PROVENANCE_NAME])
    assert statement is not None
    assert statement.subjects["model_repository/m/1/model.onnx", "sha256"] == "5" * 64


@pytest.mark.parametrize(
    "change",
    [
        lambda d: d.update(predicateType="https://example.com/other"),
        lambda d: d.update(_type="https://in-toto.io/Statement/v0.1"),
        lambda d: d["subject"].append(d["subject"][0]),
        lambda d: d["subject"][0]["digest"].update(sha1="0" * 40),
        lambda d: d["subject"].append({"name": "x", "digest": {"md5": "0"}}),
        lambda d: d["predicate"]["buildDefinition"].pop("resolvedDependencies"),
    ],
)
def test_a_statement_of_another_form_is_not_read(change: Any) -> None:
    """Nothing is guessed."""
    document = json.loads(supply_files(contents(), FILES)[PROVENANCE_NAME])
    change(document)
    assert statement_from(json.dumps(document).encode()) is None
    assert statement_from(b"{") is None
