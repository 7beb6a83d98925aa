"""What a tritonserver log says about a failure: its HTTP answers leave the reason out."""

import re
from collections.abc import Iterator

_RECORD = re.compile(r'^[EF]\d{4} [\d:.]+ +\d+ [\w.]+:\d+\] "?(?P<text>.*?)"?$')
_PROTOBUF_ERROR = re.compile(r"^\[libprotobuf ERROR [^]]*\] Error parsing text-format [\w.]+: (?P<reason>.*)$")
_POLL_FAILED = re.compile(r"^Poll failed for model directory '(?P<model>[^']*)': (?P<reason>.*)$")
_LOAD_FAILED = re.compile(
    r"^failed to load '(?P<model>[^']*)'(?: version \S+)?: (?:at least one version[^:]*: )?(?P<reason>.*)$"
)

_HARMLESS = re.compile(r"CudaDriverHelper|DCGM|pinned system memory|unable to create stream|failed to load all models")


def failure_reasons(log: str) -> tuple[str, ...]:
    r"""Why models could not be loaded, as `model: reason`; other errors when no model is named. In order, each once.

    >>> failure_reasons('''E1121 10:00:00.0001 7 repository.cc:1460] "Poll failed for model directory 'm': no such file"
    ... I1121 10:00:00.0002 7 server.cc:604] "ready"''')
    ('m: no such file',)
    """
    named: list[str] = []
    others: list[str] = []
    syntax = ""
    for text in _error_records(log):
        if match := _PROTOBUF_ERROR.match(text):
            syntax = f" (line:column {match['reason']})"
        elif match := _POLL_FAILED.match(text) or _LOAD_FAILED.match(text):
            detail = syntax if "text proto" in text else ""
            named.append(f"{match['model']}: {_plain(match['reason'])}{detail}")
        elif not _HARMLESS.search(text):
            others.append(text)
    return tuple(dict.fromkeys(named or others))


def _error_records(log: str) -> Iterator[str]:
    """Error records with their continuation lines joined."""
    record: list[str] | None = None
    for line in log.splitlines():
        if line.startswith(("[libprotobuf ERROR", "error: ")):
            yield line.removeprefix("error: ")
            continue
        match = _RECORD.match(line)
        if match:
            if record:
                yield " ".join(record)
            record = [match["text"].strip()]
        elif record and line.strip() and not re.match(r"^[IWV]\d{4} |^\+", line):
            record.append(line.strip().strip('"'))
        elif record:
            yield " ".join(record)
            record = None
    if record:
        yield " ".join(record)


def _plain(reason: str) -> str:
    """The reason without its status code and without the Python stack below it."""
    reason = re.split(r"\\n\\nAt:|\n\nAt:| At: ", reason)[0].strip()
    return re.sub(
        r"^(?:(?:Internal|Invalid argument|Not found|Unsupported|Unavailable|Unknown|TritonModelException): )+",
        "",
        reason,
    )
