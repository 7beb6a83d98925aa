"""Jobs and attestations as files: the same bytes for the same value, and nothing odd gets in."""

import json
from collections.abc import Iterator
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from infc.build.job_folder import WORKER_KINDS, job_from_request, open_job, request_from_job, write_job
from infc.build.job_json import (
    attestation_from_bytes,
    bytes_from_attestation,
    bytes_from_job,
    job_from_bytes,
)
from infc.build.job_schema import attestation_schema, job_schema
from infc.ir.build_options import BuildOptions
from infc.ir.engine import EngineFacts, EngineLayer
from infc.ir.job import Attestation, BuildEnvironment, BuildJob, ContentFile
from infc.ir.precision import Precision
from tests.build.build_requests import request

pytest.importorskip("onnx", reason="lowers with the extra onnx")
TOOLS = {"tensorrt_rtx": "1.7.1.116"}
OPTIONS = BuildOptions(
    optimization_level=4,
    workspace_bytes=2**30,
    is_version_compatible=True,
    hardware_compatibility="ampere_plus",
    is_weight_streaming=True,
    is_refittable=True,
    dla_core=1,
)


def job() -> BuildJob:
    """A real job of the Fashion-MNIST network."""
    return job_from_request(request("l4", Precision.FP16), TOOLS)


def written(folder: Path) -> Path:
    """The folder of that job."""
    asked = request("l4", Precision.FP16)
    return write_job(folder / "job", job(), asked.model.path).folder


def edited(folder: Path, change: dict[str, Any]) -> tuple[str, ...]:
    """The ids of the problems once top-level fields of job.json were edited by hand."""
    document = json.loads((folder / "job.json").read_text()) | change
    (folder / "job.json").write_text(json.dumps(document))
    opened, problems = open_job(folder)
    assert opened is None
    return tuple(problem.id for problem in problems)


def attestation() -> Attestation:
    """An attestation with every field set."""
    return Attestation(
        key="a" * 64,
        job_digest="b" * 64,
        status="built",
        engine=ContentFile(name="model.plan", digest="c" * 64, size_bytes=7),
        facts=EngineFacts(
            activation_bytes=5,
            weight_bytes=None,
            layers=(EngineLayer(name="conv", kind="Convolution", dtype="Half"),),
            toolchain=TOOLS,
            settings={"level": "2"},
        ),
        environment=BuildEnvironment(
            gpu="NVIDIA L4",
            compute_capability="8.9",
            driver="R36 (release), REVISION: 4.3",
            cuda="12.6",
            machine="x86_64",
            system="Linux 6.1",
            python="3.11.7",
            versions=TOOLS,
        ),
        errors=("a line\nand another",),
        parse_errors=("node: unknown",),
        seconds=1.5,
    )


def test_a_job_is_itself_when_read_back() -> None:
    """Every field survives, in canonical bytes that the published schema accepts."""
    full = replace(job(), options=OPTIONS, timeout_s=12.5)
    content = bytes_from_job(full)
    assert job_from_bytes(content) == (full, ())
    assert bytes_from_job(replace(full, toolchain=dict(reversed(full.toolchain.items())))) == content
    jsonschema.validate(json.loads(content), job_schema())
    stored = json.loads(content)
    assert set(stored) == {field.name for field in fields(BuildJob)} | {"format_version"}
    assert set(stored["options"]) == {field.name for field in fields(BuildOptions)}


def test_an_attestation_is_itself_when_read_back() -> None:
    """Built and refused alike."""
    full = attestation()
    refused = replace(full, status="refused", engine=None, facts=None)
    for each in (full, refused):
        content = bytes_from_attestation(each)
        assert attestation_from_bytes(content) == (each, ())
        jsonschema.validate(json.loads(content), attestation_schema())
    half, problems = attestation_from_bytes(bytes_from_attestation(replace(full, engine=None)))
    assert half is None
    assert "does not go with the status" in problems[0].message


def test_every_problem_is_told_at_once_with_its_path() -> None:
    """Missing, unknown, mistyped and contradicting fields: each has a JSON path and a fix."""
    document = json.loads(bytes_from_job(job()))
    del document["precision"]
    document["presicion"] = "fp16"
    document["timeout_s"] = True
    document["options"]["dla_core"] = "gpu"
    document["shapes"][0]["minimum"] = [9, 1, 28, 28]
    document["shapes"][0]["maximum"][1] = 0
    document["model"]["digest"] = "X" * 64
    read, problems = job_from_bytes(json.dumps(document).encode())
    assert read is None
    messages = [problem.message for problem in problems]
    for path in (
        "precision is",
        "presicion is",
        "timeout_s is",
        "options.dla_core is",
        "minimum does",
        "maximum[1] is",
    ):
        assert any(path in message for message in messages), path
    assert any("model.digest is" in message for message in messages)
    assert all(problem.help for problem in problems)
    near = next(problem for problem in problems if "presicion" in problem.message)
    assert near.help == "did you mean `precision`?"


@pytest.mark.parametrize(
    "content",
    [b"", b"[]", b"null", b"\xff\xfe", b"{" * 5000, b'{"format_version": "2.0"}', b'{"timeout_s": NaN}', b"{}"],
)
def test_what_is_no_job_is_refused(content: bytes) -> None:
    """No text, no other JSON and no other format version makes a job, or a traceback."""
    read, problems = job_from_bytes(content)
    assert read is None
    assert {problem.id for problem in problems} <= {"job-format", "job-path"}
    assert problems


def test_repeated_fields_are_refused() -> None:
    """Two readers could take different ones."""
    text = bytes_from_job(job()).decode().replace('"kind"', '"kind": "onnxruntime",\n "kind"')
    read, problems = job_from_bytes(text.encode())
    assert read is None
    assert "is there twice" in problems[0].message


@pytest.mark.parametrize(
    "name",
    [
        "../model.onnx",
        "/etc/passwd",
        "a/b",
        "..",
        ".",
        "",
        "a\\b/..",
        "model\n.onnx",
        "mo\x00del",
        ".hidden",
        "job.json",
    ],
)
def test_names_that_leave_the_folder_are_refused(name: str, tmp_path: Path) -> None:
    """A job names plain files beside itself and nothing else."""
    folder = written(tmp_path)
    model = json.loads((folder / "job.json").read_text())["model"] | {"name": name}
    assert edited(folder, {"model": model}) == ("job-path",)


def test_links_out_of_the_folder_are_refused(tmp_path: Path) -> None:
    """Neither the model nor job.json may be a link, even to the very same bytes."""
    folder = written(tmp_path)
    (folder / "model.onnx").rename(tmp_path / "elsewhere.onnx")
    (folder / "model.onnx").symlink_to(tmp_path / "elsewhere.onnx")
    assert [problem.id for problem in open_job(folder)[1]] == ["job-path"]
    folder = written(tmp_path / "other")
    (folder / "job.json").rename(tmp_path / "job.json")
    (folder / "job.json").symlink_to(tmp_path / "job.json")
    assert [problem.id for problem in open_job(folder)[1]] == ["job-format"]


@pytest.mark.parametrize(
    "change",
    [
        {"precision": "int8"},
        {"compute_capability": "8.6"},
        {"recipe_digest": "0" * 64},
        {"source_digest": "0" * 64},
        {"kind": "tensorrt"},
        {"toolchain": {"tensorrt_rtx": "1.8.0.1"}},
        {"key": "0" * 64},
    ],
)
def test_a_job_edited_by_hand_is_refused(change: dict[str, Any], tmp_path: Path) -> None:
    """The key is that of the fields: any other combination was not written by infc."""
    assert edited(written(tmp_path), change) == ("job-edited",)


def test_another_model_is_refused(tmp_path: Path) -> None:
    """A copy that was cut off, replaced or lost is told from the model that the key names."""
    folder = written(tmp_path)
    whole = (folder / "model.onnx").read_bytes()
    for content in (whole[:-1], whole[:-1] + bytes([whole[-1] ^ 1])):
        (folder / "model.onnx").write_bytes(content)
        assert [problem.id for problem in open_job(folder)[1]] == ["job-model-differs"]
    (folder / "model.onnx").unlink()
    assert [problem.id for problem in open_job(folder)[1]] == ["job-model-differs"]


def test_a_job_folder_is_whole_and_written_once(tmp_path: Path) -> None:
    """It opens again as the request that it came from; a second write leaves it, and never replaces other content."""
    folder = written(tmp_path)
    opened, problems = open_job(folder)
    assert problems == ()
    assert opened is not None
    asked = request("l4", Precision.FP16)
    again = request_from_job(opened)
    assert (again.shapes, again.options, again.model.digest) == (asked.shapes, asked.options, asked.model.digest)
    assert {path.name for path in folder.iterdir()} == {"job.json", "model.onnx", "libraries.json", "worker.pyz"}
    assert job().kind in WORKER_KINDS
    before = (folder / "job.json").stat().st_mtime_ns
    write_job(folder, replace(job(), timeout_s=5), asked.model.path)
    assert (folder / "job.json").stat().st_mtime_ns == before
    (folder / "job.json").write_text("{}")
    with pytest.raises(OSError, match="not empty"):
        write_job(folder, job(), asked.model.path)
    assert [path.name for path in tmp_path.iterdir()] == ["job"]


def leaves(value: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """The path of every value in a JSON document that holds no other."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        yield from leaves(item, (*path, key))
    if not isinstance(value, dict | list):
        yield path


def test_no_value_of_a_job_can_be_edited(tmp_path: Path) -> None:
    """Whatever is changed by hand is noticed, but for how long the build may take and a minor format version.

    The device of a TensorRT-RTX engine may be another of its compute capability: it is the same engine.
    """
    harmless = {("timeout_s",), ("format_version",), ("hardware_id",)}
    folder = written(tmp_path)
    text = (folder / "job.json").read_text()
    paths = list(leaves(json.loads(text)))
    assert len(paths) > 25
    for path in paths:
        document = json.loads(text)
        holder = document
        for step in path[:-1]:
            holder = holder[step]
        value = holder[path[-1]]
        is_flag = isinstance(value, bool)
        holder[path[-1]] = (not value) if is_flag else value + 1 if isinstance(value, int | float) else f"{value or 1}0"
        (folder / "job.json").write_text(json.dumps(document))
        opened, problems = open_job(folder)
        assert (opened is not None) is (path in harmless), (path, problems)
