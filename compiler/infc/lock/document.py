"""From TOML text to a `Lock`, with a diagnostic for everything that is not one."""

import re
import tomllib
from collections.abc import Mapping
from enum import Enum
from pathlib import Path
from typing import TypeVar, get_args

from infc.diag import Diagnostic, Span
from infc.ir.accuracy import Verdict
from infc.ir.candidate import ServerName, Speculation, SpeculationMethod
from infc.ir.engine_kind import ENGINE_KINDS
from infc.ir.interval import Basis
from infc.ir.precision import Precision
from infc.ir.spec.names import hidden_character, is_command
from infc.lock.table import Table, TableError
from infc.lock.values import (
    VERSION,
    InputDigests,
    Lock,
    LockedAccuracy,
    LockedChoice,
    LockedEngine,
    LockedKind,
    LockedPrediction,
    LockedRelease,
    LockEntry,
)

E = TypeVar("E", bound=Enum)
T = TypeVar("T")
SERVERS: Mapping[str, ServerName] = {"triton": "triton", "vllm": "vllm", "jetson": "jetson"}
KINDS: Mapping[str, LockedKind] = {**{kind: kind for kind in ENGINE_KINDS}, "checkpoint": "checkpoint"}
METHODS: Mapping[str, SpeculationMethod] = {method: method for method in get_args(SpeculationMethod)}
_AT_LINE = re.compile(r"\(at line (\d+), column (\d+)\)|\(at end of document\)")
_CONFLICT = re.compile(r"^(<{7}|={7}|>{7})( |$)")
_ARTIFACT = re.compile(r"^\s*\[\[\s*artifact\s*\]\]")
_RELEASE_VERSION = re.compile(r"(0|[1-9]\d{0,8})(\.(0|[1-9]\d{0,8})){0,3}")
_REGENERATE = "take either side of the file from git and run `infc lock`, which keeps every choice that still holds"


def lock_from_text(text: str, shown: str) -> tuple[Lock | None, tuple[Diagnostic, ...]]:
    """The lock that `text` holds, or what is wrong with it and in which line. `shown` is the path for diagnostics."""
    lines = text.splitlines()
    for number, line in enumerate(lines, start=1):
        if _CONFLICT.match(line):
            return None, (_conflict(shown, number),)
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        return None, (_corrupt(shown, str(error), len(lines)),)
    problem = _version_problem(document.get("version"), lines, shown)
    if problem is not None:
        return None, (problem,)
    return _entries(document, lines, shown)


def _entries(
    document: Mapping[str, object], lines: list[str], shown: str
) -> tuple[Lock | None, tuple[Diagnostic, ...]]:
    starts = [number for number, line in enumerate(lines, start=1) if _ARTIFACT.match(line)]
    artifacts = document.get("artifact", [])
    unknown = sorted(document.keys() - {"version", "artifact"})
    problems = [_invalid(shown, _line_of(lines, key, 1), f"unknown key `{key}`") for key in unknown]
    if not isinstance(artifacts, list):
        return None, (_invalid(shown, 1, "`artifact` is not a list of tables"),)
    entries: dict[tuple[str, str], LockEntry] = {}
    for index, row in enumerate(artifacts):
        start = starts[index] if index < len(starts) else 1
        end = starts[index + 1] - 1 if index + 1 < len(starts) else len(lines)
        try:
            entry = _entry(Table(row, "artifact"))
        except TableError as error:
            line = _line_of(lines[:end], error.key, start)
            problems.append(_invalid(shown, line, str(error)))
            continue
        if entry.address in entries:
            problems.append(_invalid(shown, start, f"a second block for {entry.label}"))
        entries[entry.address] = entry
    if problems:
        return None, tuple(problems)
    return Lock(entries=tuple(entries[address] for address in sorted(entries))), ()


def _entry(table: Table) -> LockEntry:
    inputs, choice, predicted = table.table("inputs"), table.table("choice"), table.table("predicted")
    accuracy, release = table.optional_table("accuracy"), table.optional_table("release")
    entry = LockEntry(
        name=_visible(table.text("name"), "name"),
        target=_visible(table.text("target"), "target"),
        spec=_relative(table.text("spec"), "spec"),
        profile=table.optional_text("profile"),
        inputs=_inputs(inputs),
        choice=_choice(choice),
        predicted=_predicted(predicted),
        accuracy=_accuracy(accuracy) if accuracy is not None else None,
        engine=_engine(table.table("engine")),
        files=table.texts_by_name("files"),
        release=_release(release) if release is not None else None,
    )
    table.finish()
    return entry


def _inputs(table: Table) -> InputDigests:
    inputs = InputDigests(
        spec=table.text("spec"),
        build_settings=table.text("build_settings"),
        model=table.text("model"),
        dataset=table.optional_text("dataset"),
        calibration=table.optional_text("calibration"),
        trace=table.optional_text("trace"),
        hardware=table.text("hardware"),
        price=table.optional_text("price"),
        toolchain=table.text("toolchain"),
        profiles=table.texts("profiles"),
        catalogue=table.text("catalogue"),
        tokenizer=table.optional_text("tokenizer"),
        weights=table.optional_text("weights"),
    )
    table.finish()
    return inputs


def _choice(table: Table) -> LockedChoice:
    speculation = table.optional_table("speculation")
    choice = LockedChoice(
        server=_one_of(SERVERS, table, "server"),
        hardware=table.text("hardware"),
        power_mode=table.optional_text("power_mode"),
        precision=_member(Precision, table, "precision"),
        tensor_parallel=table.count("tensor_parallel"),
        instances_per_gpu=table.count("instances_per_gpu"),
        max_batch_size=table.optional_count("max_batch_size"),
        max_queue_delay_us=table.optional_count("max_queue_delay_us", minimum=0),
        preferred_batch_sizes=table.counts("preferred_batch_sizes"),
        prefetch=table.optional_flag("prefetch"),
        max_num_seqs=table.optional_count("max_num_seqs"),
        max_num_batched_tokens=table.optional_count("max_num_batched_tokens"),
        replicas=table.count("replicas"),
        pipeline_parallel=table.optional_count("pipeline_parallel") or 1,
        max_model_len=table.optional_count("max_model_len", minimum=0),
        kv_precision=_member(Precision, table, "kv_precision") if "kv_precision" in table.keys() else None,  # noqa: SIM118
        gpu_memory_utilization=table.optional_number("gpu_memory_utilization"),
        kv_cache_memory_bytes=table.optional_count("kv_cache_memory_bytes"),
        prefix_caching=table.optional_flag("prefix_caching"),
        chunked_prefill=table.optional_flag("chunked_prefill"),
        long_prefill_tokens=table.optional_count("long_prefill_tokens", minimum=0),
        speculation=None if speculation is None else _speculation(speculation),
        model=table.optional_text("model"),
        revision=table.optional_text("revision"),
        model_name=table.optional_text("model_name"),
        dla_core=table.optional_count("dla_core", minimum=0),
    )
    table.finish()
    return choice


def _speculation(table: Table) -> Speculation:
    speculation = Speculation(
        method=_one_of(METHODS, table, "method"),
        tokens=table.count("tokens"),
        acceptance=table.number("acceptance"),
        model=table.optional_text("model"),
    )
    table.finish()
    return speculation


def _latencies(table: Table, prefix: str) -> Mapping[str, float]:
    """Percentiles by label: `<prefix>p99_ms` and so on."""
    keys = [key for key in table.keys() if key.startswith(prefix) and key.endswith("_ms")]  # noqa: SIM118 - no mapping
    return {key.removeprefix(prefix).removesuffix("_ms"): table.number(key) for key in keys}


def _predicted(table: Table) -> LockedPrediction:
    predicted = LockedPrediction(
        ttft_ms=_latencies(table, "ttft_"),
        tpot_ms=_latencies(table, "tpot_"),
        latency_ms=_latencies(table, ""),
        utilization=table.number("utilization"),
        throughput_rps=table.number("throughput_rps"),
        memory_gib=table.number("memory_gib"),
        power_w=table.optional_number("power_w"),
        usd_per_hour=table.optional_number("usd_per_hour"),
        usd_per_month=table.optional_number("usd_per_month"),
        usd_per_million_requests=table.optional_number("usd_per_million_requests"),
        output_tokens_per_s=table.optional_number("output_tokens_per_s"),
        kv_cache_tokens=table.optional_count("kv_cache_tokens", minimum=0),
        usd_per_million_tokens=table.optional_number("usd_per_million_tokens"),
        basis=_member(Basis, table, "basis"),
    )
    table.finish()
    return predicted


def _accuracy(table: Table) -> LockedAccuracy:
    accuracy = LockedAccuracy(
        metric=table.text("metric"),
        value=table.number("value"),
        drop=table.number("drop"),
        samples=table.count("samples"),
        confidence=table.number("confidence"),
        subject=table.text("subject"),
        verdict=_member(Verdict, table, "verdict"),
        worst_slice=table.optional_text("worst_slice"),
        worst_slice_drop=table.optional_number("worst_slice_drop"),
        raised=table.numbers_by_name("raised"),
    )
    table.finish()
    return accuracy


def _engine(table: Table) -> LockedEngine:
    file = table.optional_text("file")
    engine = LockedEngine(
        kind=_one_of(KINDS, table, "kind"),
        inputs=table.text("inputs"),
        key=table.optional_text("key"),
        file=None if file is None else _relative(file, "file"),
        is_pending=table.flag("pending"),
        toolchain=table.texts_by_name("toolchain"),
    )
    table.finish()
    return engine


def _release(table: Table) -> LockedRelease:
    release = LockedRelease(version=table.text("version"), content=table.text("content"), repeats=table.text("repeats"))
    if not _RELEASE_VERSION.fullmatch(release.version):
        raise TableError("version", "`version` is not a release: whole numbers with dots")
    table.finish()
    return release


def _member(kind: type[E], table: Table, key: str) -> E:
    value = table.text(key)
    try:
        return kind(value)
    except ValueError:
        raise TableError(key, f"`{key}` is not one of {', '.join(str(member.value) for member in kind)}") from None


def _one_of(choices: Mapping[str, T], table: Table, key: str) -> T:
    value = table.text(key)
    if value not in choices:
        raise TableError(key, f"`{key}` is not one of {', '.join(choices)}")
    return choices[value]


def _visible(text: str, key: str) -> str:
    """What names a deployment, and is printed wherever it is named: whoever wrote the lock, it is a line of text."""
    if hidden_character(text) is not None or is_command(text):
        raise TableError(key, f"`{key}` holds what cannot be seen, or what a CI system would run")
    return text


def _relative(path: str, key: str) -> str:
    parts = _visible(path, key).split("/")
    if not path or path.startswith("/") or "\\" in path or "\0" in path or (key == "file" and ".." in parts):
        raise TableError(key, f"`{key}` is not a relative path")
    return path


def _version_problem(version: object, lines: list[str], shown: str) -> Diagnostic | None:
    if version == VERSION and not isinstance(version, bool):
        return None
    line = _line_of(lines, "version", 1)
    if isinstance(version, int) and version > VERSION:
        return Diagnostic(
            id="lock-version",
            message=f"the lock has version {version}, this infc reads version {VERSION}",
            span=_span(shown, line),
            help="use the infc that wrote it, or a newer one",
        )
    return _invalid(shown, line, f"there is no `version = {VERSION}`")


def _line_of(lines: list[str], key: str, start: int) -> int:
    """The line of a key from line `start` on, else `start`."""
    pattern = re.compile(rf'^\s*(\[artifact\.)?"?{re.escape(key)}"?\s*[\]=]')
    found = (number for number, line in enumerate(lines[start - 1 :], start=start) if pattern.match(line))
    return next(found, start)


def _span(shown: str, line: int, column: int = 1) -> Span:
    return Span(path=shown, line=line, column=column, end_line=line, end_column=column + 1)


def _conflict(shown: str, line: int) -> Diagnostic:
    return Diagnostic(
        id="lock-conflict",
        message="the lock holds an unresolved merge conflict",
        span=_span(shown, line),
        help="run `infc lock`: it takes what both sides locked (where it cannot tell them apart, take one side)",
    )


def _corrupt(shown: str, reason: str, last_line: int) -> Diagnostic:
    where = _AT_LINE.search(reason)
    line, column = (int(where[1]), int(where[2])) if where and where[1] else (max(last_line, 1), 1)
    return Diagnostic(
        id="lock-corrupt",
        message="the lock is not TOML",
        span=_span(shown, line, column),
        notes=(_AT_LINE.sub("", reason).strip(),),
        help=_REGENERATE,
    )


def _invalid(shown: str, line: int, reason: str) -> Diagnostic:
    return Diagnostic(id="lock-invalid", message=reason, span=_span(shown, line), help=_REGENERATE)


def read_text(path: Path, shown: str) -> tuple[str | None, tuple[Diagnostic, ...]]:
    """The text of a lock file; a missing file is empty text of no lock (None and no diagnostic)."""
    try:
        return path.read_bytes().decode("utf-8"), ()
    except FileNotFoundError:
        return None, ()
    except UnicodeDecodeError as error:
        return None, (_corrupt(shown, f"byte {error.start} is not UTF-8", 1),)
