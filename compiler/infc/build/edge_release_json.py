"""`manifest.json` and `verify/samples.json` of an edge release <-> their values: canonical bytes, strict reading.

Reading collects every problem as a diagnostic. Whether the files that are named are there, and are what their digests
say, is looked at by whoever has the files.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import get_args

from infc.build.job_json import CAPABILITY, HARDWARE, json_from_shape, options_from_json, shape_from_json
from infc.build.strict_json import FieldProblem, Fields, canonical_bytes, object_from_bytes
from infc.diag import Diagnostic
from infc.ir.arrival import BurstyArrival, ConstantArrival, PoissonArrival
from infc.ir.edge_release import (
    AbsentFile,
    EdgeArrival,
    EdgeDelta,
    EdgeEngine,
    EdgeKind,
    EdgeLoad,
    EdgePrediction,
    EdgeRelease,
    EdgeSample,
    EdgeSamples,
    EdgeService,
    EdgeSlo,
    EdgeTarget,
    EdgeTokens,
    OutputTolerance,
    SampleTensor,
    ServiceKind,
    VersionRange,
)
from infc.ir.interval import Interval
from infc.ir.precision import Precision
from infc.ir.problem import LatencyTarget

FORMAT_VERSION = "1.0"
MAJOR = FORMAT_VERSION.split(".")[0]
MANIFEST_NAME, SAMPLES_NAME = "manifest.json", "verify/samples.json"

DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
HEXADECIMAL = re.compile(r"[0-9a-f]{64}")
NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
RELEASE_VERSION = re.compile(r"(0|[1-9]\d{0,8})(\.(0|[1-9]\d{0,8})){0,3}")
VERSION = re.compile(r"\d{1,6}(\.\d{1,6}){0,3}")
TEXT = re.compile(r"[^\x00-\x1f\x7f]{1,200}")
MODULE = re.compile(r"p\d{4}-\d{4}")
PLAIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,63}")
POWER_MODE = re.compile(r"[A-Za-z0-9_+-]{1,32}")
UNIT = re.compile(r"infc-[a-z0-9-]{1,63}\.service")
URL = re.compile(r"http://127\.0\.0\.1:\d{1,5}")
FILE = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*(/[A-Za-z0-9_][A-Za-z0-9._-]*)*")
PERCENTILE = re.compile(r"p\d{1,2}(\.\d+)?")
ENVIRONMENT = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:/@-]{0,254}")
DTYPE = re.compile(r"bool|bfloat16|float(16|32|64)|u?int(8|16|32|64)")

KINDS: tuple[EdgeKind, ...] = get_args(EdgeKind)
SERVICE_KINDS: tuple[ServiceKind, ...] = get_args(ServiceKind)
ARRIVALS = ("constant", "poisson", "bursty")


def to_json(release: EdgeRelease) -> bytes:
    """The content of `manifest.json`; equal releases, equal bytes."""
    return canonical_bytes(
        {
            "format_version": FORMAT_VERSION,
            "name": release.name,
            "version": release.version,
            "kind": release.kind,
            "content_digest": release.content_digest,
            "infc_version": release.infc_version,
            "targets": [_json_from_target(target) for target in release.targets],
            "engines": [_json_from_engine(engine) for engine in release.engines],
            "service": asdict(release.service),
            "verify": release.verify,
            "slo": _json_from_slo(release),
            "load": _json_from_load(release.load),
            "is_rolled_back": release.is_rolled_back,
            "releases_kept": release.releases_kept,
            "delta": None if release.delta is None else asdict(release.delta),
        }
    )


def from_json(content: bytes) -> tuple[EdgeRelease | None, tuple[Diagnostic, ...]]:
    """The release that a `manifest.json` describes, or every problem of it."""
    fields = object_from_bytes(content, MAJOR)
    if any(problem.path == "$" for problem in fields.problems):
        return None, diagnostics_of(MANIFEST_NAME, fields.problems)
    release = EdgeRelease(
        name=fields.text("name", NAME, "the name of a spec"),
        version=fields.text("version", RELEASE_VERSION, "whole numbers with dots"),
        kind=fields.choice("kind", KINDS),
        content_digest=_digest(fields, "content_digest"),
        infc_version=fields.text("infc_version", PLAIN, "a version"),
        targets=tuple(_target(row) for row in fields.objects("targets")),
        engines=tuple(_engine(row) for row in fields.objects("engines")),
        service=_service(fields.nested("service")),
        verify=fields.nullable("verify", lambda key: file_name(fields, key)),
        slo=_slo(fields.nested("slo")),
        load=_load(fields.nested("load")),
        is_rolled_back=fields.flag("is_rolled_back"),
        releases_kept=fields.integer("releases_kept", 1, 100),
        delta=fields.nullable("delta", lambda key: _delta(fields.nested(key))),
    )
    _consistent(fields, release)
    fields.finish()
    return (None if fields.problems else release), diagnostics_of(MANIFEST_NAME, fields.problems)


def samples_to_json(samples: EdgeSamples) -> bytes:
    """The content of `verify/samples.json`."""
    return canonical_bytes(
        {
            "format_version": FORMAT_VERSION,
            "samples": [asdict(sample) for sample in samples.samples],
            "tolerances": {name: asdict(tolerance) for name, tolerance in samples.tolerances.items()},
        }
    )


def samples_from_json(content: bytes) -> tuple[EdgeSamples | None, tuple[Diagnostic, ...]]:
    """The samples that a `verify/samples.json` lists, or every problem of it."""
    fields = object_from_bytes(content, MAJOR)
    if any(problem.path == "$" for problem in fields.problems):
        return None, diagnostics_of(SAMPLES_NAME, fields.problems)
    tolerances = fields.nested("tolerances")
    samples = EdgeSamples(
        samples=tuple(_sample(row) for row in fields.objects("samples")),
        tolerances={name: _tolerance(tolerances.nested(name)) for name in tolerances.keys()},  # noqa: SIM118
    )
    fields.finish()
    return (None if fields.problems else samples), diagnostics_of(SAMPLES_NAME, fields.problems)


def diagnostics_of(name: str, problems: Sequence[FieldProblem]) -> tuple[Diagnostic, ...]:
    """The problems of a file of an edge release, or of what a device wrote, in the words of a diagnostic."""
    return tuple(
        Diagnostic(id="edge-file-damaged", message=f"{name}: {problem.path} {problem.message}", help=problem.fix)
        for problem in problems
    )


def interval_from_json(fields: Fields) -> Interval:
    """A value with its bounds; problems go to `fields.problems`."""
    interval = Interval(value=fields.number("value"), low=fields.number("low"), high=fields.number("high"))
    fields.finish()
    return interval


def percentiles_of(fields: Fields) -> tuple[str, ...]:
    """The names of an object whose names are percentiles; problems go to `fields.problems`."""
    names = fields.keys()
    for name in names:
        if not PERCENTILE.fullmatch(name):
            fields.note(name, "is not a percentile", "write p50, p99 and so on")
    return names


def file_name(fields: Fields, key: str) -> str:
    """A file of the bundle, by its path inside; problems go to `fields.problems`."""
    return fields.text(key, FILE, "a path inside the bundle (letters, digits, . _ - /)")


def _json_from_target(target: EdgeTarget) -> dict[str, object]:
    predicted: dict[str, object] = {f"{label}_s": asdict(each) for label, each in target.predicted.latency_s.items()}
    power = target.predicted.power_w
    predicted["power_w"] = None if power is None else asdict(power)
    document = {**asdict(target), "predicted": predicted}
    if not target.environment:
        del document["environment"]
    return document


def _json_from_engine(engine: EdgeEngine) -> dict[str, object]:
    return {
        **asdict(engine),
        "kind": "tensorrt",
        "precision": engine.precision.value,
        "shapes": [json_from_shape(shape) for shape in engine.shapes],
    }


def _json_from_slo(release: EdgeRelease) -> dict[str, object]:
    slo = release.slo
    document: dict[str, object] = {
        "latency": _json_from_limits(slo.latency),
        "confidence": slo.confidence,
        "max_power_w": slo.max_power_w,
        "max_temperature_c": slo.max_temperature_c,
    }
    if release.kind == "llm":
        document |= {"ttft": _json_from_limits(slo.ttft), "tpot": _json_from_limits(slo.tpot)}
    return document


def _json_from_limits(limits: Sequence[LatencyTarget]) -> list[dict[str, object]]:
    return [{"percentile": float(limit.percentile), "limit_s": float(limit.limit_s)} for limit in limits]


def _json_from_load(load: EdgeLoad) -> dict[str, object]:
    document = asdict(load)
    document["arrival"] = _json_from_arrival(load.arrival)
    if load.tokens is None:
        del document["tokens"]
    elif not load.tokens.prompt_lengths:
        document["tokens"] = {"prompt_tokens": load.tokens.prompt_tokens, "output_tokens": load.tokens.output_tokens}
    return document


def _json_from_arrival(arrival: EdgeArrival) -> dict[str, object]:
    match arrival:
        case ConstantArrival(streams=streams):
            return {"kind": "constant", "streams": streams}
        case PoissonArrival():
            return {"kind": "poisson"}
        case BurstyArrival(cv=cv):
            return {"kind": "bursty", "cv": float(cv)}


def _target(fields: Fields) -> EdgeTarget:
    target = EdgeTarget(
        hardware_id=fields.text("hardware_id", HARDWARE, "an id of the hardware catalogue"),
        title=fields.text("title", TEXT, "a name"),
        modules=fields.texts("modules"),
        soc=fields.text("soc", PLAIN, "a chip such as tegra234"),
        compute_capability=fields.text("compute_capability", CAPABILITY, "a compute capability such as 8.7"),
        l4t=_range(fields.nested("l4t")),
        tensorrt=_range(fields.nested("tensorrt")),
        power_mode=fields.nullable("power_mode", lambda key: fields.text(key, POWER_MODE, "an nvpmodel mode")),
        power_cap_w=fields.nullable("power_cap_w", lambda key: fields.number(key, 0.0)),
        engine=fields.nullable("engine", lambda key: fields.text(key, PLAIN, "the name of an engine")),
        min_memory_bytes=fields.integer("min_memory_bytes", 0),
        min_free_bytes=fields.integer("min_free_bytes", 0),
        predicted=_predicted(fields.nested("predicted")),
        environment=_environment(fields) if fields.has("environment") else {},
    )
    if not target.modules or not all(MODULE.fullmatch(module) for module in target.modules):
        fields.note("modules", "is not a list of module ids", "write ids such as p3767-0000")
    fields.finish()
    return target


def _environment(fields: Fields) -> Mapping[str, str]:
    return fields.texts_by_name("environment", ENVIRONMENT, "a name such as INFC_TARGET with a plain value")


def _predicted(fields: Fields) -> EdgePrediction:
    labels = [name for name in fields.keys() if name != "power_w"]  # noqa: SIM118 - no mapping
    for name in labels:
        if not (name.endswith("_s") and PERCENTILE.fullmatch(name.removesuffix("_s"))):
            fields.note(name, "is not a percentile in seconds", "write p50_s, p99_s and so on")
    return EdgePrediction(
        latency_s={name.removesuffix("_s"): interval_from_json(fields.nested(name)) for name in labels},
        power_w=fields.nullable("power_w", lambda key: interval_from_json(fields.nested(key))),
    )


def _range(fields: Fields) -> VersionRange:
    rule = "a version such as 36.4"
    versions = VersionRange(at_least=fields.text("at_least", VERSION, rule), below=fields.text("below", VERSION, rule))
    fields.finish()
    return versions


def _engine(fields: Fields) -> EdgeEngine:
    fields.choice("kind", ("tensorrt",))
    engine = EdgeEngine(
        name=fields.text("name", PLAIN, "a plain name"),
        model=file_name(fields, "model"),
        model_digest=_digest(fields, "model_digest"),
        precision=fields.member("precision", Precision),
        shapes=tuple(shape_from_json(row) for row in fields.objects("shapes")),
        options=options_from_json(fields.nested("options")),
        most_gpu_fallback=fields.number("most_gpu_fallback", 0.0, 1.0),
        source_digest=_digest(fields, "source_digest"),
        recipe_digest=_digest(fields, "recipe_digest"),
        timeout_s=fields.seconds("timeout_s", is_zero_allowed=False),
    )
    fields.finish()
    return engine


def _service(fields: Fields) -> EdgeService:
    service = EdgeService(
        kind=fields.choice("kind", SERVICE_KINDS),
        unit=fields.text("unit", UNIT, "a unit such as infc-camera.service"),
        url=fields.text("url", URL, "an address on loopback such as http://127.0.0.1:8000"),
        model=fields.text("model", TEXT, "the name of a model"),
        ready_timeout_s=fields.seconds("ready_timeout_s", is_zero_allowed=False),
    )
    fields.finish()
    return service


def _slo(fields: Fields) -> EdgeSlo:
    slo = EdgeSlo(
        latency=_limits(fields, "latency"),
        confidence=fields.number("confidence", 0.0, 1.0),
        max_power_w=fields.nullable("max_power_w", lambda key: fields.number(key, 0.0)),
        max_temperature_c=fields.nullable("max_temperature_c", fields.number),
        ttft=_limits(fields, "ttft") if fields.has("ttft") else (),
        tpot=_limits(fields, "tpot") if fields.has("tpot") else (),
    )
    fields.finish()
    return slo


def _limits(fields: Fields, key: str) -> tuple[LatencyTarget, ...]:
    found = []
    for row in fields.objects(key):
        limit_s = row.seconds("limit_s", is_zero_allowed=False)
        found.append(LatencyTarget(percentile=row.number("percentile", 0.0, 100.0), limit_s=limit_s))
        row.finish()
    return tuple(found)


def _load(fields: Fields) -> EdgeLoad:
    load = EdgeLoad(
        arrival=_arrival(fields.nested("arrival")),
        rate_rps=fields.number("rate_rps", 0.0),
        batch_size=fields.integer("batch_size", 1),
        warm_up_s=fields.seconds("warm_up_s", is_zero_allowed=True),
        seconds_at_most=fields.seconds("seconds_at_most", is_zero_allowed=False),
        tokens=_tokens(fields.nested("tokens")) if fields.has("tokens") else None,
    )
    fields.finish()
    return load


def _tokens(fields: Fields) -> EdgeTokens:
    tokens = EdgeTokens(
        prompt_tokens=fields.integer("prompt_tokens", 1),
        output_tokens=fields.integer("output_tokens", 1),
        prompt_lengths=fields.integers("prompt_lengths", 1) if fields.has("prompt_lengths") else (),
        output_lengths=fields.integers("output_lengths", 1) if fields.has("output_lengths") else (),
    )
    if len(tokens.prompt_lengths) != len(tokens.output_lengths):
        fields.note("output_lengths", "are not as many as prompt_lengths", "give each prompt its output")
    fields.finish()
    return tokens


def _arrival(fields: Fields) -> EdgeArrival:
    arrival: EdgeArrival
    match fields.choice("kind", ARRIVALS):
        case "constant":
            arrival = ConstantArrival(streams=fields.integer("streams", 1))
        case "bursty":
            arrival = BurstyArrival(cv=fields.number("cv", 0.0))
        case _:
            arrival = PoissonArrival()
    fields.finish()
    return arrival


def _delta(fields: Fields) -> EdgeDelta:
    absent = []
    for row in fields.objects("absent"):
        file = AbsentFile(
            path=file_name(row, "path"),
            sha256=row.text("sha256", HEXADECIMAL, "a sha256 (64 hexadecimal digits)"),
            size_bytes=row.integer("size_bytes", 0),
        )
        row.finish()
        absent.append(file)
    base = fields.text("base_version", RELEASE_VERSION, "whole numbers with dots")
    fields.finish()
    return EdgeDelta(base_version=base, absent=tuple(absent))


def _sample(fields: Fields) -> EdgeSample:
    sample = EdgeSample(
        inputs=tuple(_tensor(row) for row in fields.objects("inputs")),
        outputs=tuple(_tensor(row) for row in fields.objects("outputs")),
    )
    fields.finish()
    return sample


def _tensor(fields: Fields) -> SampleTensor:
    tensor = SampleTensor(
        name=fields.text("name", TEXT, "the name of a tensor"),
        file=file_name(fields, "file"),
        dtype=fields.text("dtype", DTYPE, "a type such as float32"),
        shape=fields.integers("shape", 0),
    )
    fields.finish()
    return tensor


def _tolerance(fields: Fields) -> OutputTolerance:
    tolerance = OutputTolerance(
        max_absolute=fields.number("max_absolute", 0.0),
        mean_absolute=fields.number("mean_absolute", 0.0),
        min_argmax_agreement=fields.nullable("min_argmax_agreement", lambda key: fields.number(key, 0.0, 1.0)),
    )
    fields.finish()
    return tolerance


def _digest(fields: Fields, key: str) -> str:
    return fields.text(key, DIGEST, "sha256: and 64 hexadecimal digits")


def _consistent(fields: Fields, release: EdgeRelease) -> None:
    engines = [engine.name for engine in release.engines]
    for target in release.targets:
        if (target.engine is None) != (release.kind == "llm") or (target.engine and target.engine not in engines):
            fields.note("engines", f"has none for {target.hardware_id}", "one engine for each target of an ONNX model")
    if not release.targets or len(set(engines)) != len(engines):
        fields.note("targets", "is empty, or two engines have one name", "one target at least, engines by their names")
