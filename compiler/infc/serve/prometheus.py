"""Metrics in Prometheus' text format (and OpenMetrics'): read strictly, histograms with what their buckets can tell.

Sources: "Exposition formats" of the Prometheus documentation (text format 0.0.4); OpenMetrics 1.0.
"""

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias, get_args

from infc.diag import ToolError
from infc.serve.histogram import Histogram
from infc.serve.http_get import endpoint_from, get

MetricKind: TypeAlias = Literal[
    "counter", "gauge", "histogram", "summary", "untyped", "unknown", "info", "stateset", "gaugehistogram"
]
Labels: TypeAlias = tuple[tuple[str, str], ...]

_KINDS = frozenset(get_args(MetricKind))
_NAME = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")
_LABEL = re.compile(r"""([a-zA-Z_][a-zA-Z0-9_]*)[ \t]*=[ \t]*"((?:[^"\\\n]|\\[\\"n])*)"[ \t]*""")
_NUMBER = re.compile(r"[+-]?(?:(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?|inf|nan)", re.IGNORECASE | re.ASCII)
_ESCAPE = re.compile(r"\\(.)")
_ESCAPED = {"\\": "\\", '"': '"', "n": "\n"}
_BLANKS = re.compile(r"[ \t]*")
_SCRAPE_ACCEPT = "text/plain;version=0.0.4"


@dataclass(frozen=True, kw_only=True)
class Sample:
    """One line: labels in the order of their names, and a value."""

    labels: Labels
    value: float

    def label(self, name: str) -> str | None:
        """The value of one label, None where the line lacks it."""
        return dict(self.labels).get(name)


@dataclass(frozen=True, kw_only=True)
class Metrics:
    """What one page said. `samples` are by the full name of their lines (`x_total`, `x_bucket`), histograms by `x`.

    `label_sets` of a histogram are merged by `histogram`: a server with several engines has one series for each.
    """

    kinds: Mapping[str, MetricKind]
    samples: Mapping[str, tuple[Sample, ...]]
    histograms: Mapping[str, tuple[tuple[Labels, Histogram], ...]]

    def total(self, name: str, **labels: str) -> float | None:
        """The sum of a counter or gauge over every line with these labels; None where there is none.

        A counter is found with and without its `_total`.
        """
        lines = self.samples.get(name) or self.samples.get(f"{name}_total") or ()
        values = [sample.value for sample in lines if _has(sample.labels, labels)]
        return math.fsum(values) if values else None

    def values(self, name: str, **labels: str) -> tuple[float, ...]:
        """The value of every line of a counter or gauge with these labels."""
        lines = self.samples.get(name) or self.samples.get(f"{name}_total") or ()
        return tuple(sample.value for sample in lines if _has(sample.labels, labels))

    def info(self, name: str) -> tuple[Mapping[str, str], ...]:
        """The labels of every line of a metric that carries facts in its labels and has the value 1."""
        return tuple(dict(sample.labels) for sample in self.samples.get(name, ()) if sample.value == 1.0)

    def histogram(self, name: str, **labels: str) -> Histogram | None:
        """The sum of every series of a histogram with these labels; None where there is none.

        Raises:
            ToolError: the series have different buckets.
        """
        found = [histogram for own, histogram in self.histograms.get(name, ()) if _has(own, labels)]
        if not found:
            return None
        merged = found[0]
        for other in found[1:]:
            merged = merged.plus(other)
        return merged


def scrape(url: str, timeout_s: float = 10.0, *, headers: Mapping[str, str] | None = None) -> Metrics:
    """Read `/metrics` of the server at `url` (host:port or http://host:port).

    Raises:
        ToolError: nothing answers, or what answers are no metrics.
    """
    endpoint = endpoint_from(url)
    wanted = {"Accept": _SCRAPE_ACCEPT, **(headers or {})}
    answer = get(endpoint, "/metrics", timeout_s=timeout_s, headers=wanted)
    if answer.status != 200:
        raise ToolError(
            f"the server at {endpoint.url} has no metrics: HTTP {answer.status} to GET /metrics",
            help="give the address of the server itself, not of a gateway that hides /metrics",
        )
    try:
        return parse_metrics(answer.body.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise ToolError(f"/metrics of the server at {endpoint.url} is not text") from error


def parse_metrics(text: str) -> Metrics:
    r"""Read a page of metrics.

    Raises:
        ToolError: a line is not of the format, a series stands twice, or the buckets of a histogram contradict
            each other. The message names the line.

    >>> page = parse_metrics('# TYPE a_total counter\na_total{engine="0"} 2\na_total{engine="1"} 3\n')
    >>> page.total("a")
    5.0
    """
    page = _Page()
    for number, line in enumerate(text.split("\n"), start=1):
        page.read(number, line.removesuffix("\r"))
    return Metrics(
        kinds=page.kinds,
        samples={
            name: tuple(Sample(labels=labels, value=value) for labels, value in series.items())
            for name, series in page.series.items()
        },
        histograms=dict(_histograms(page)),
    )


@dataclass
class _Page:
    """What was read so far. `series` maps the name of a line and its labels to its value."""

    kinds: dict[str, MetricKind] = field(default_factory=dict)
    series: dict[str, dict[Labels, float]] = field(default_factory=dict)
    has_ended: bool = False

    def read(self, number: int, line: str) -> None:
        stripped = line.strip(" \t")
        if not stripped:
            return
        if self.has_ended:
            raise _malformed(number, "text after # EOF")
        if stripped.startswith("#"):
            self._read_comment(number, stripped)
        else:
            self._read_sample(number, stripped)

    def _read_comment(self, number: int, line: str) -> None:
        words = line[1:].split(None, 2)
        if line == "# EOF":
            self.has_ended = True
        if not words or words[0] != "TYPE":
            return  # HELP, UNIT and remarks say nothing that is needed
        if len(words) != 3 or words[2].strip() not in _KINDS or not _NAME.fullmatch(words[1]):
            raise _malformed(number, f"not a TYPE line: {_shown(line)}")
        name, kind = words[1], words[2].strip()
        if name in self.kinds:
            raise _malformed(number, f"a second TYPE of {name}")
        self.kinds[name] = next(known for known in get_args(MetricKind) if known == kind)

    def _read_sample(self, number: int, line: str) -> None:
        name = _NAME.match(line)
        if name is None:
            raise _malformed(number, f"not a metric: {_shown(line)}")
        place = _after_blanks(line, name.end())
        labels: Labels = ()
        if line[place : place + 1] == "{":
            labels, place = _read_labels(number, line, place + 1)
        elif place == name.end():
            raise _malformed(number, f"not a metric: {_shown(line)}")
        value = _read_value(number, line, place)
        series = self.series.setdefault(name[0], {})
        if labels in series:
            raise _malformed(number, f"a second line of {name[0]} with the same labels")
        series[labels] = value


def _read_labels(number: int, line: str, start: int) -> tuple[Labels, int]:
    labels: dict[str, str] = {}
    place = _after_blanks(line, start)
    while line[place : place + 1] != "}":
        found = _LABEL.match(line, place)
        if found is None:
            raise _malformed(number, f"not a label: {_shown(line[place:])}")
        if found[1] in labels:
            raise _malformed(number, f"label {found[1]} stands twice")
        labels[found[1]] = _ESCAPE.sub(lambda escape: _ESCAPED[escape[1]], found[2])
        place = found.end()
        if line[place : place + 1] == ",":
            place = _after_blanks(line, place + 1)
        elif line[place : place + 1] != "}":
            raise _malformed(number, f"labels without an end: {_shown(line)}")
    return tuple(sorted(labels.items())), place + 1


def _read_value(number: int, line: str, start: int) -> float:
    """The value of a line; a timestamp and an exemplar may follow it."""
    numbers = line[start:].split(" # ", 1)[0].split()
    if not 1 <= len(numbers) <= 2 or not all(_NUMBER.fullmatch(each) for each in numbers):
        raise _malformed(number, f"not a number: {_shown(line[start:])}")
    return float(numbers[0])


def _histograms(page: _Page) -> Iterator[tuple[str, tuple[tuple[Labels, Histogram], ...]]]:
    for name, kind in page.kinds.items():
        if kind != "histogram":
            continue
        buckets: dict[Labels, list[tuple[float, float]]] = {}
        for labels, count in page.series.get(f"{name}_bucket", {}).items():
            own = tuple(pair for pair in labels if pair[0] != "le")
            buckets.setdefault(own, []).append((_upper_edge(name, dict(labels).get("le")), count))
        yield name, tuple((own, _histogram(name, own, page, found)) for own, found in buckets.items())


def _histogram(name: str, labels: Labels, page: _Page, buckets: list[tuple[float, float]]) -> Histogram:
    buckets.sort()
    count = page.series.get(f"{name}_count", {}).get(labels, buckets[-1][1])
    try:
        return Histogram(
            edges=tuple(edge for edge, _ in buckets),
            counts=tuple(counted for _, counted in buckets),
            sum=page.series.get(f"{name}_sum", {}).get(labels, math.nan),
            count=count,
        )
    except ValueError as error:
        raise ToolError(f"the metrics contradict themselves: histogram {name}: {error}") from error


def _upper_edge(name: str, text: str | None) -> float:
    if text is None or not _NUMBER.fullmatch(text) or math.isnan(float(text)):
        raise ToolError(f"the metrics contradict themselves: histogram {name} has a bucket without an edge")
    return float(text)


def _has(labels: Labels, wanted: Mapping[str, str]) -> bool:
    return wanted.items() <= dict(labels).items()


def _after_blanks(line: str, place: int) -> int:
    found = _BLANKS.match(line, place)
    return found.end() if found else place


def _shown(text: str) -> str:
    return repr(text if len(text) <= 60 else text[:57] + "...")


def _malformed(number: int, what: str) -> ToolError:
    return ToolError(
        f"these are no metrics in Prometheus' text format: line {number}: {what}",
        help="give the address of a server whose /metrics Prometheus can read",
    )
