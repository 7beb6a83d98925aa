"""PromQL and Prometheus' templates as text: whatever stands in a name, it stays a name."""

import math
from collections.abc import Mapping

_PLAIN = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789 _-.,:;/@+=~!?%&*()<>|^#")


def string(text: str) -> str:
    r"""A string literal that stands for `text`, made of characters that mean nothing to whoever carries it on.

    Quotes, backslashes, line ends, and what Grafana, Prometheus' templates and shells replace ($, brackets, braces,
    backticks) are written as escapes.

    Source: Prometheus documentation, "Querying basics", string literals: Go's escapes.

    >>> string('a"b$c{{x}}')
    '"a\\u0022b\\u0024c\\u007b\\u007bx\\u007d\\u007d"'
    """
    return '"' + "".join(c if c in _PLAIN else _escaped(c) for c in text) + '"'


def _escaped(character: str) -> str:
    point = ord(character)
    if 0xD800 <= point <= 0xDFFF:
        return r"\ufffd"  # half a character, which no label holds
    return f"\\u{point:04x}" if point < 0x10000 else f"\\U{point:08x}"


def selector(metric: str, labels: Mapping[str, str], *matchers: str) -> str:
    """The series of a metric with these labels; `matchers` are more, written out.

    >>> selector("up", {"job": "lookup"}, 'code!="200"')
    'up{job="lookup",code!="200"}'
    """
    own = [f"{name}={string(value)}" for name, value in labels.items()]
    return f"{metric}{{{','.join((*own, *matchers))}}}"


def number(value: float) -> str:
    """A number as PromQL reads it: nine significant digits, never an exponent that differs between writers.

    >>> number(0.144), number(25_000.0), number(1e-7)
    ('0.144', '25000', '1e-07')
    """
    return f"{value:.9g}"


def duration(seconds: float) -> str:
    """Whole seconds as a range or an offset.

    >>> duration(300), duration(259_200), duration(90)
    ('5m', '3d', '90s')
    """
    whole = math.ceil(seconds - 1e-9)
    for unit, size in (("d", 86_400), ("h", 3_600), ("m", 60)):
        if whole % size == 0:
            return f"{whole // size}{unit}"
    return f"{whole}s"


def bucket_edge(seconds: float) -> str:
    """The `le` label of a bucket as Python's Prometheus client writes it.

    Source: prometheus_client, `floatToGoString`: the shortest text that reads back as the number, with a point.

    >>> bucket_edge(2.0), bucket_edge(0.04)
    ('2.0', '0.04')
    """
    return repr(float(seconds))


def template_text(text: str) -> str:
    """Text in an annotation or a label of an alert, which Prometheus takes for a Go template.

    >>> template_text("p99 of {{model}}")
    'p99 of {{"{"}}{{"{"}}model}}'
    """
    return text.replace("{", '{{"{"}}')
