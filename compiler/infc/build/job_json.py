"""`job.json` and `attestation.json` <-> `BuildJob` and `Attestation`: canonical bytes out, strict reading in.

Reading collects every problem as a diagnostic. Only names and numbers are judged here; `job_folder` compares them with
the files.
"""

import re
from collections.abc import Sequence
from dataclasses import asdict
from typing import get_args

from infc.build.facts_json import facts_from_json, json_from_facts
from infc.build.strict_json import FieldProblem, Fields, canonical_bytes, object_from_bytes
from infc.diag import Diagnostic
from infc.ir.build_options import BuildOptions, HardwareCompatibility
from infc.ir.engine import ShapeRange
from infc.ir.engine_kind import ENGINE_KINDS
from infc.ir.job import Attestation, BuildEnvironment, BuildJob, BuildStatus, ContentFile
from infc.ir.precision import Precision

FORMAT_VERSION = "1.0"
JOB_NAME, ATTESTATION_NAME = "job.json", "attestation.json"
LIBRARIES_NAME, RESULT_NAME = "libraries.json", "result.json"
RESERVED = (JOB_NAME, ATTESTATION_NAME, LIBRARIES_NAME, RESULT_NAME)
"""Names of infc's own files in the folder of a job or a result: no model or engine may have them."""

DIGEST = re.compile(r"[0-9a-f]{64}")
PLAIN_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
CAPABILITY = re.compile(r"\d{1,2}\.\d")
HARDWARE = re.compile(r"[a-z0-9][a-z0-9-]{0,63}")
_VERSION = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+!-]{0,63}")
_TEXT = re.compile(r"[^\x00-\x1f\x7f]{1,200}")
MAJOR = FORMAT_VERSION.split(".")[0]
COMPATIBILITIES: tuple[HardwareCompatibility, ...] = get_args(HardwareCompatibility)
STATUSES: tuple[BuildStatus, ...] = get_args(BuildStatus)


def bytes_from_job(job: BuildJob) -> bytes:
    """The content of `job.json`; equal jobs, equal bytes."""
    return canonical_bytes(
        {
            "format_version": FORMAT_VERSION,
            "key": job.key,
            "kind": job.kind,
            "model": asdict(job.model),
            "source_digest": job.source_digest,
            "recipe_digest": job.recipe_digest,
            "precision": job.precision.value,
            "shapes": [json_from_shape(shape) for shape in job.shapes],
            "hardware_id": job.hardware_id,
            "compute_capability": job.compute_capability,
            "options": asdict(job.options),
            "toolchain": dict(job.toolchain),
            "timeout_s": job.timeout_s,
        }
    )


def job_from_bytes(content: bytes) -> tuple[BuildJob | None, tuple[Diagnostic, ...]]:
    """The job that a `job.json` describes, or every problem of it.

    Whether the key follows from the fields is not looked at: see `job_folder.open_job`.
    """
    fields = object_from_bytes(content, MAJOR)
    if _is_no_object(fields):
        return None, _diagnostics(JOB_NAME, "job-format", fields.problems)
    model = _content_file(fields.nested("model"))
    options = options_from_json(fields.nested("options"))
    job = BuildJob(
        key=_digest(fields, "key"),
        kind=fields.choice("kind", ENGINE_KINDS),
        model=model,
        source_digest=_digest(fields, "source_digest"),
        recipe_digest=_digest(fields, "recipe_digest"),
        precision=fields.member("precision", Precision),
        shapes=tuple(shape_from_json(row) for row in fields.objects("shapes")),
        hardware_id=fields.text("hardware_id", HARDWARE, "an id of the hardware catalogue"),
        compute_capability=fields.nullable("compute_capability", lambda key: _capability(fields, key)),
        options=options,
        toolchain=fields.texts_by_name("toolchain", _VERSION, "a package name and its exact version"),
        timeout_s=fields.seconds("timeout_s", is_zero_allowed=False),
    )
    _unique_inputs(fields, job)
    fields.finish()
    return (None if fields.problems else job), _diagnostics(JOB_NAME, "job-format", fields.problems)


def bytes_from_attestation(attestation: Attestation) -> bytes:
    """The content of `attestation.json`."""
    return canonical_bytes(
        {
            "format_version": FORMAT_VERSION,
            "key": attestation.key,
            "job_digest": attestation.job_digest,
            "status": attestation.status,
            "engine": asdict(attestation.engine) if attestation.engine else None,
            "facts": json_from_facts(attestation.facts) if attestation.facts else None,
            "environment": json_from_environment(attestation.environment),
            "errors": list(attestation.errors),
            "parse_errors": list(attestation.parse_errors),
            "seconds": attestation.seconds,
        }
    )


def attestation_from_bytes(content: bytes) -> tuple[Attestation | None, tuple[Diagnostic, ...]]:
    """What an `attestation.json` says, or every problem of it."""
    fields = object_from_bytes(content, MAJOR)
    job_digest = "" if _is_no_object(fields) else _digest(fields, "job_digest")
    return _attestation(fields, job_digest, ATTESTATION_NAME)


def attestation_from_result(content: bytes, job_digest: str) -> tuple[Attestation | None, tuple[Diagnostic, ...]]:
    """The attestation that a worker's `result.json` comes to, for the job whose bytes have this digest."""
    return _attestation(object_from_bytes(content, MAJOR), job_digest, RESULT_NAME)


def json_from_environment(environment: BuildEnvironment) -> dict[str, object]:
    """A machine as JSON types."""
    return {**asdict(environment), "versions": dict(environment.versions)}


def environment_from_json(fields: Fields) -> BuildEnvironment:
    """A machine from a JSON object; problems go to `fields.problems`."""
    environment = BuildEnvironment(
        gpu=fields.nullable("gpu", lambda key: fields.text(key, _TEXT, "a name")),
        compute_capability=fields.nullable("compute_capability", lambda key: _capability(fields, key)),
        driver=fields.nullable("driver", lambda key: fields.text(key, _TEXT, "a version")),
        cuda=fields.nullable("cuda", lambda key: fields.text(key, _VERSION, "a version")),
        machine=fields.text("machine", _VERSION, "a processor architecture such as x86_64"),
        system=fields.text("system", _TEXT, "the name of an operating system"),
        python=fields.text("python", _VERSION, "a version"),
        versions=fields.texts_by_name("versions", _VERSION, "a package name and its exact version"),
    )
    fields.finish()
    return environment


def _attestation(fields: Fields, job_digest: str, name: str) -> tuple[Attestation | None, tuple[Diagnostic, ...]]:
    if _is_no_object(fields):
        return None, _diagnostics(name, "build-result-damaged", fields.problems)
    attestation = Attestation(
        key=_digest(fields, "key"),
        job_digest=job_digest,
        status=fields.choice("status", STATUSES),
        engine=fields.nullable("engine", lambda key: _content_file(fields.nested(key))),
        facts=fields.nullable("facts", lambda key: facts_from_json(fields.nested(key))),
        environment=environment_from_json(fields.nested("environment")),
        errors=fields.texts("errors"),
        parse_errors=fields.texts("parse_errors"),
        seconds=fields.seconds("seconds", is_zero_allowed=True),
    )
    is_built = attestation.status == "built"
    if is_built != (attestation.engine is not None) or is_built != (attestation.facts is not None):
        fields.note("engine", "does not go with the status", "engine and facts are there when it was built, only then")
    fields.finish()
    return (None if fields.problems else attestation), _diagnostics(name, "build-result-damaged", fields.problems)


def _content_file(fields: Fields) -> ContentFile:
    name = fields.text("name", PLAIN_NAME, "a plain file name (letters, digits, . _ -)")
    if name in RESERVED:
        fields.note("name", f"is {name}, which is infc's own file", "give the file another name, such as model.onnx")
    file = ContentFile(name=name, digest=_digest(fields, "digest"), size_bytes=fields.integer("size_bytes", 0))
    fields.finish()
    return file


def options_from_json(fields: Fields) -> BuildOptions:
    """How to build; problems go to `fields.problems`."""
    options = BuildOptions(
        optimization_level=fields.nullable("optimization_level", lambda key: fields.integer(key, 0, 5)),
        workspace_bytes=fields.nullable("workspace_bytes", lambda key: fields.integer(key, 1)),
        is_version_compatible=fields.flag("is_version_compatible"),
        hardware_compatibility=fields.choice("hardware_compatibility", COMPATIBILITIES),
        is_weight_streaming=fields.flag("is_weight_streaming"),
        is_refittable=fields.flag("is_refittable"),
        dla_core=fields.nullable("dla_core", lambda key: fields.integer(key, 0, 15)),
    )
    fields.finish()
    return options


def json_from_shape(shape: ShapeRange) -> dict[str, object]:
    """The shapes of one input as a JSON object."""
    return {
        "input": shape.input_name,
        "minimum": list(shape.minimum),
        "optimum": list(shape.optimum),
        "maximum": list(shape.maximum),
    }


def shape_from_json(fields: Fields) -> ShapeRange:
    """The shapes of one input; problems go to `fields.problems`."""
    shape = ShapeRange(
        input_name=fields.text("input", _TEXT, "the name of an input"),
        minimum=fields.integers("minimum", 1),
        optimum=fields.integers("optimum", 1),
        maximum=fields.integers("maximum", 1),
    )
    ranks = {len(shape.minimum), len(shape.optimum), len(shape.maximum)}
    sizes = zip(shape.minimum, shape.optimum, shape.maximum, strict=False)
    if len(ranks) != 1 or any(not low <= middle <= high for low, middle, high in sizes):
        fields.note(
            "minimum", "does not go with optimum and maximum", "minimum <= optimum <= maximum in each dimension"
        )
    fields.finish()
    return shape


def _unique_inputs(fields: Fields, job: BuildJob) -> None:
    names = [shape.input_name for shape in job.shapes]
    if len(set(names)) != len(names):
        fields.note("shapes", "names an input twice", "one entry for each input of the model")


def _digest(fields: Fields, key: str) -> str:
    return fields.text(key, DIGEST, "a sha256 (64 hexadecimal digits)")


def _capability(fields: Fields, key: str) -> str:
    return fields.text(key, CAPABILITY, "a compute capability such as 8.9")


def _is_no_object(fields: Fields) -> bool:
    return any(problem.path == "$" for problem in fields.problems)


def _diagnostics(name: str, id: str, problems: Sequence[FieldProblem]) -> tuple[Diagnostic, ...]:
    return tuple(
        Diagnostic(
            id="job-path" if id == "job-format" and problem.path == "$.model.name" else id,
            message=f"{name}: {problem.path} {problem.message}",
            help=problem.fix,
        )
        for problem in problems
    )
