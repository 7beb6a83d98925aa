"""`sbom.cdx.json` against CycloneDX's own schema, and `provenance.json` against in-toto's and SLSA's rules."""

import gzip
import json
import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft7Validator
from referencing import Registry, Resource

from infc.diag import ToolError
from infc.emit.jetson.archive import unpack
from infc.emit.jetson.provenance import provenance_json
from infc.emit.jetson.sbom import models_of, sbom_json
from infc.emit.supply.provenance import PROVENANCE_NAME, Dependency, build_time
from infc.emit.supply.sbom import SBOM_NAME, BundledModel, ContainerImage, Metric
from tests.emit.jetson.releases import CONTENT, IMAGE, MODEL, bundle, files_of, release_of

SCHEMAS = Path(__file__).parents[1] / "supply" / "cyclonedx"
RELEASE = release_of(CONTENT)


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


def sbom(**changes: Any) -> dict[str, Any]:
    """The SBOM of the release."""
    settings: dict[str, Any] = {"models": models_of(RELEASE), "images": [IMAGE], **changes}
    document = json.loads(sbom_json(RELEASE, CONTENT, **settings))
    assert isinstance(document, dict)
    return document


def test_the_official_schema_takes_it(validator: Draft7Validator) -> None:
    """With and without what may be absent; and the schema does refuse what is wrong."""
    full = BundledModel(
        name="m",
        files=(MODEL, "install.sh"),
        precision="int8",
        origin="Qwen/Qwen3-8B@abc",
        source_digest="sha256:" + "1" * 64,
        license="Apache-2.0",
        task="image-classification",
        inputs=("float32 [1, 3, 224, 224]",),
        outputs=("float32 [1, 10]",),
        metrics=(Metric(name="top1", value="0.912"),),
    )
    bare = BundledModel(name="m", files=(), precision="fp16")
    image = ContainerImage(name="image", tag="1")
    for document in (
        sbom(),
        sbom(models=[full], timestamp="2026-11-22T00:00:00Z"),
        sbom(models=[bare], images=[image]),
        sbom(models=[], images=[]),
    ):
        assert list(validator.iter_errors(document)) == []
    assert list(validator.iter_errors({**sbom(), "components": [{"type": "model", "name": "m"}]}))
    assert list(validator.iter_errors({**sbom(), "serialNumber": "7"}))


def test_it_lists_models_programs_and_images() -> None:
    """Each with its digest; what the device runs of infc has infc's licence."""
    components = {component["name"]: component for component in sbom()["components"]}
    assert components["dock-camera"]["type"] == "machine-learning-model"
    assert components["dock-camera"]["hashes"][0]["content"] in RELEASE.engines[0].model_digest
    assert components["dock-camera"]["modelCard"]["modelParameters"]["inputs"] == [{"format": "image [1, 3, 8, 8]"}]
    assert components["install.sh"]["licenses"] == [{"license": {"id": "Apache-2.0"}}]
    assert components[IMAGE.name]["version"] == IMAGE.tag
    assert components[IMAGE.name]["hashes"] == [{"alg": "SHA-256", "content": "5" * 64}]
    assert "bin/edge.py" in components


def test_the_same_release_gives_the_same_bytes() -> None:
    """Another version or other content has another serial number; no time but the one that is given."""
    settings: dict[str, Any] = {"models": models_of(RELEASE), "images": [IMAGE]}
    first = sbom_json(RELEASE, CONTENT, **settings)
    assert sbom_json(RELEASE, dict(reversed(CONTENT.items())), **settings) == first
    serials = {json.loads(first)["serialNumber"]}
    for other in (replace(RELEASE, version="8"), release_of({**CONTENT, "install.sh": b"x"})):
        serials.add(json.loads(sbom_json(other, CONTENT, **settings))["serialNumber"])
    assert len(serials) == 3
    assert "timestamp" not in json.loads(first)["metadata"]
    timed = json.loads(sbom_json(RELEASE, CONTENT, timestamp="1980-01-01T00:00:00Z", **settings))
    assert timed["metadata"]["timestamp"] == "1980-01-01T00:00:00Z"


def test_the_strict_validator_of_cyclonedx_takes_it() -> None:
    """Where their library is installed."""
    validation = pytest.importorskip("cyclonedx.validation.json")
    schema = pytest.importorskip("cyclonedx.schema")
    validator = validation.JsonStrictValidator(schema.SchemaVersion.V1_6)
    assert validator.validate_str(json.dumps(sbom())) is None


def provenance(**changes: Any) -> dict[str, Any]:
    """The provenance of the release."""
    dependencies = [
        Dependency(name="specs/b.onnx", digest="sha256:" + "2" * 64),
        Dependency(name="specs/a.infc.yaml", digest="sha256:" + "1" * 64),
        Dependency(name="specs/a.infc.yaml", digest="sha256:" + "1" * 64),
    ]
    settings: dict[str, Any] = {"spec": "specs/a.infc.yaml", "target": None, "dependencies": dependencies, **changes}
    document = json.loads(provenance_json(RELEASE, **settings))
    assert isinstance(document, dict)
    return document


def test_the_statement_has_the_form_of_in_toto_and_slsa() -> None:
    """Every field that they require, and no field that they do not know."""
    statement = provenance()
    assert statement.keys() == {"_type", "subject", "predicateType", "predicate"}
    assert statement["_type"] == "https://in-toto.io/Statement/v1"
    assert statement["predicateType"] == "https://slsa.dev/provenance/v1"
    definition, details = statement["predicate"]["buildDefinition"], statement["predicate"]["runDetails"]
    assert definition.keys() == {"buildType", "externalParameters", "internalParameters", "resolvedDependencies"}
    assert definition["externalParameters"] == {"spec": "specs/a.infc.yaml", "version": "7"}
    assert [each["name"] for each in definition["resolvedDependencies"]] == ["specs/a.infc.yaml", "specs/b.onnx"]
    assert details == {"builder": {"id": "https://infc.dev/infc", "version": {"infc": "0.1.0"}}}
    for each in (*statement["subject"], *definition["resolvedDependencies"]):
        assert all(re.fullmatch(r"[0-9a-f]{64}", digest) for digest in each["digest"].values())


def test_a_time_is_stated_only_when_it_is_given() -> None:
    """As SOURCE_DATE_EPOCH says."""
    details = provenance(timestamp="1980-01-01T00:00:00Z", target="jetson")["predicate"]["runDetails"]
    assert details["metadata"] == {"startedOn": "1980-01-01T00:00:00Z", "finishedOn": "1980-01-01T00:00:00Z"}


@pytest.mark.parametrize("text", ["now", "-1", "1e9", "1.5", "９", "9" * 20])
def test_a_wrong_source_date_epoch_is_refused(text: str) -> None:
    """Never a made-up time."""
    with pytest.raises(ToolError, match="SOURCE_DATE_EPOCH"):
        build_time({"SOURCE_DATE_EPOCH": text})


def test_without_source_date_epoch_there_is_no_time() -> None:
    """Unset or empty."""
    assert build_time({}) is None
    assert build_time({"SOURCE_DATE_EPOCH": ""}) is None


@pytest.mark.skipif(shutil.which("sha256sum") is None, reason="no sha256sum command")
def test_the_content_digest_is_the_dirhash_of_in_toto(tmp_path: Path) -> None:
    """The command of their specification, run over the content, gives the subject's digest."""
    root = unpack(bundle(tmp_path), tmp_path)
    for name in ("manifest.json", SBOM_NAME, PROVENANCE_NAME, "SHA256SUMS"):
        (root / name).unlink()
    command = "find . -type f | cut -c3- | LC_ALL=C sort | xargs -r sha256sum | sha256sum | cut -f1 -d' '"
    printed = subprocess.run(["sh", "-c", command], cwd=root, capture_output=True, text=True, check=True).stdout
    statement = json.loads(bytes(files_of(RELEASE, CONTENT)[PROVENANCE_NAME]))
    assert statement["subject"][0] == {"name": "dock-camera", "digest": {"dirHash": printed.strip()}}
    assert statement["subject"][1]["name"] == MODEL
