"""`acceptance.json`, which a device writes of a release that it judged, <-> `EdgeAcceptance`.

Fields that the agent of a later infc adds are not looked at.
"""

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import TypeVar, get_args

from infc.build.edge_release_json import (
    DIGEST,
    FORMAT_VERSION,
    MAJOR,
    MODULE,
    NAME,
    PLAIN,
    POWER_MODE,
    RELEASE_VERSION,
    TEXT,
    VERSION,
    diagnostics_of,
    percentiles_of,
)
from infc.build.job_json import DIGEST as HEXADECIMAL
from infc.build.job_json import HARDWARE
from infc.build.strict_json import Fields, canonical_bytes, object_from_bytes
from infc.diag import Diagnostic
from infc.ir.edge_acceptance import (
    DeviceBuild,
    EdgeAcceptance,
    EdgeDevice,
    EdgeVerdictWord,
    LoadSubject,
    MeanAndMost,
    MetricVerdict,
    OfferedLoad,
    OutputCheck,
    OutputError,
)
from infc.ir.interval import Interval

T = TypeVar("T")
ACCEPTANCE_NAME = "acceptance.json"
METRIC = re.compile(r"[a-z][a-z0-9_.]{0,39}")
VERDICTS: tuple[EdgeVerdictWord, ...] = get_args(EdgeVerdictWord)
SUBJECTS: tuple[LoadSubject, ...] = get_args(LoadSubject)


def to_json(acceptance: EdgeAcceptance) -> bytes:
    """The file's content; equal values, equal bytes."""
    document: dict[str, object] = {"format_version": FORMAT_VERSION, **asdict(acceptance)}
    for name in ("latency_s", "engine_latency_s", "ttft_s", "tpot_s"):
        latencies: Mapping[str, Interval] | None = getattr(acceptance, name)
        document[name] = None if latencies is None else {label: _bounds(each) for label, each in latencies.items()}
    return canonical_bytes(document)


def from_json(content: bytes) -> tuple[EdgeAcceptance | None, tuple[Diagnostic, ...]]:
    """What a device says, or every problem of the file."""
    fields = object_from_bytes(content, MAJOR)
    if any(problem.path == "$" for problem in fields.problems):
        return None, diagnostics_of(ACCEPTANCE_NAME, fields.problems)
    acceptance = acceptance_from_fields(fields)
    return (None if fields.problems else acceptance), diagnostics_of(ACCEPTANCE_NAME, fields.problems)


def acceptance_from_fields(fields: Fields) -> EdgeAcceptance:
    """The acceptance that an object holds; problems go to `fields.problems`."""
    return EdgeAcceptance(
        name=fields.text("name", NAME, "the name of a spec"),
        version=fields.text("version", RELEASE_VERSION, "whole numbers with dots"),
        content_digest=fields.text("content_digest", DIGEST, "sha256: and 64 hexadecimal digits"),
        hardware_id=fields.text("hardware_id", HARDWARE, "an id of the hardware catalogue"),
        device=device_from_fields(fields.nested("device")),
        engine=fields.nullable("engine", lambda key: _engine(fields.nested(key))),
        power_mode=fields.nullable("power_mode", lambda key: fields.text(key, POWER_MODE, "an nvpmodel mode")),
        verdict=fields.choice("verdict", VERDICTS),
        outputs=fields.nullable("outputs", lambda key: _outputs(fields.nested(key))),
        load=_load(fields.nested("load")),
        latency_s=_latencies(fields.nested("latency_s")),
        engine_latency_s=fields.nullable("engine_latency_s", lambda key: _latencies(fields.nested(key))),
        verdicts=tuple(_verdict(row) for row in fields.objects("verdicts")),
        power_w=fields.nullable("power_w", lambda key: _sensor(fields.nested(key))),
        temperature_c=fields.nullable("temperature_c", lambda key: _sensor(fields.nested(key))),
        is_throttled=fields.nullable("is_throttled", fields.flag),
        engine_executions=fields.integer("engine_executions", 0) if fields.has("engine_executions") else 0,
        accepted_at=_told(fields, "accepted_at", lambda key: fields.text(key, TEXT, "a time")),
        ttft_s=_told(fields, "ttft_s", lambda key: _latencies(fields.nested(key))),
        tpot_s=_told(fields, "tpot_s", lambda key: _latencies(fields.nested(key))),
    )


def device_from_fields(fields: Fields) -> EdgeDevice:
    """The device that an object describes; problems go to `fields.problems`."""
    return EdgeDevice(
        machine=fields.text("machine", PLAIN, "a processor architecture such as aarch64"),
        module=fields.nullable("module", lambda key: fields.text(key, MODULE, "a module such as p3767-0000")),
        soc=fields.nullable("soc", lambda key: fields.text(key, PLAIN, "a chip such as tegra234")),
        model=fields.nullable("model", lambda key: fields.text(key, TEXT, "a name")),
        l4t=fields.nullable("l4t", lambda key: fields.text(key, VERSION, "a version such as 36.4.3")),
        tensorrt=fields.nullable("tensorrt", lambda key: fields.text(key, VERSION, "a version such as 10.3.0")),
        memory_bytes=fields.nullable("memory_bytes", lambda key: fields.integer(key, 0)),
    )


def _told(fields: Fields, key: str, read: Callable[[str], T]) -> T | None:
    """`read(key)`; None where an older agent, or one of another kind of model, does not say it."""
    return fields.nullable(key, read) if fields.has(key) else None


def _latencies(fields: Fields) -> Mapping[str, Interval]:
    return {label: _interval(fields.nested(label)) for label in percentiles_of(fields)}


def _interval(fields: Fields) -> Interval:
    """Seconds; null is a side that the samples do not bound."""
    low = fields.nullable("low", lambda key: fields.number(key, 0.0))
    high = fields.nullable("high", lambda key: fields.number(key, 0.0))
    return Interval(
        value=fields.number("value", 0.0), low=0.0 if low is None else low, high=math.inf if high is None else high
    )


def _bounds(interval: Interval) -> dict[str, float | None]:
    high = None if math.isinf(interval.high) else interval.high
    return {"value": interval.value, "low": interval.low, "high": high}


def _engine(fields: Fields) -> DeviceBuild:
    rule = "a sha256 (64 hexadecimal digits)"
    return DeviceBuild(
        key=fields.text("key", HEXADECIMAL, rule),
        digest=fields.text("digest", re.compile(rf"(sha256:)?{HEXADECIMAL.pattern}"), rule),
        size_bytes=fields.integer("size_bytes", 0),
        is_reused=fields.flag("is_reused"),
        seconds=fields.seconds("seconds", is_zero_allowed=True),
    )


def _outputs(fields: Fields) -> OutputCheck:
    worst = fields.nested("worst")
    return OutputCheck(
        samples=fields.integer("samples", 0),
        verdict=fields.choice("verdict", VERDICTS),
        worst={name: _error(worst.nested(name)) for name in worst.keys()},  # noqa: SIM118 - no mapping
    )


def _error(fields: Fields) -> OutputError:
    return OutputError(
        max_absolute=fields.number("max_absolute", 0.0),
        mean_absolute=fields.number("mean_absolute", 0.0),
        argmax_agreement=fields.nullable("argmax_agreement", lambda key: fields.number(key, 0.0, 1.0)),
    )


def _load(fields: Fields) -> OfferedLoad:
    return OfferedLoad(
        what=fields.choice("what", SUBJECTS),
        rate_rps=fields.number("rate_rps", 0.0),
        requests=fields.integer("requests", 0),
        failed=fields.integer("failed", 0),
        seconds=fields.seconds("seconds", is_zero_allowed=True),
    )


def _verdict(fields: Fields) -> MetricVerdict:
    return MetricVerdict(
        metric=fields.text("metric", METRIC, "a metric such as p99"),
        limit=fields.number("limit"),
        value=fields.nullable("value", fields.number),
        low=fields.nullable("low", fields.number),
        high=fields.nullable("high", fields.number),
        verdict=fields.choice("verdict", VERDICTS),
    )


def _sensor(fields: Fields) -> MeanAndMost:
    return MeanAndMost(mean=fields.number("mean"), max=fields.number("max"))
