"""YAML text -> values: YAML 1.2 core, exact places, and nothing crashes it."""

from hypothesis import example, given
from hypothesis import strategies as st

from infc.diag.catalogue import find_kind
from infc.spec.document import parse_document
from infc.spec.yaml_core import scalar_value


def test_plain_scalars_follow_yaml_1_2_core() -> None:
    """`on`, `yes`, `12:30` and dates are text; `1e3` is a number; octal is 0o17; underscores are text."""
    text = "[on, yes, off, 12:30, 2001-01-01, 1e3, 0o17, 017, 0x1F, 1_000, .5, -.inf, TRUE, ~, Null, +3]"
    values = parse_document(text, "x").value
    assert values == [
        *("on", "yes", "off", "12:30", "2001-01-01"),
        *(1000.0, 15, 17, 31, "1_000", 0.5, float("-inf"), True, None, None, 3),
    ]


def test_quoted_and_tagged_scalars_keep_their_type() -> None:
    """Quotes and !!str make text; a tag that its text does not fit is an error."""
    assert parse_document("['1', \"true\", !!str 2, !!float 3, !!int 4]", "x").value == ["1", "true", "2", 3, 4]
    assert [d.id for d in parse_document("!!int many", "x").diagnostics] == ["spec-tag"]


def test_an_alias_is_the_value_of_its_anchor() -> None:
    """Anchors may be used; the place of an aliased value is the alias."""
    document = parse_document("a: &a {b: 1}\nc: *a\n", "x")
    assert document.value == {"a": {"b": 1}, "c": {"b": 1}}
    assert document.source.span("c").line == 2


def test_places_are_exact() -> None:
    """Lines and columns count from 1, the end is exclusive, keys and values are told apart."""
    source = parse_document("slo:\n  latency: {p50: 8ms, p99.9: 25ms}   # comment\n", "x").source
    value = source.span("slo.latency.p99.9")
    assert (value.line, value.column, value.end_column) == (2, 30, 34)
    key = source.key_span("slo.latency.p99.9")
    assert (key.line, key.column, key.end_column) == (2, 23, 28)


def test_a_block_is_shown_by_its_key_and_an_absent_key_by_its_parent() -> None:
    """A caret never spans lines."""
    source = parse_document("workload:\n  rate: 300/s\n  axes:\n    seq: {max: 8}\n", "x").source
    assert (source.span("workload").line, source.span("workload").end_column) == (1, 9)
    assert source.span("workload.peak") == source.span("workload")
    assert source.span("workload.axes.seq.p50.deep").line == 4


def test_columns_count_characters_not_bytes() -> None:
    """Text before a value may be of any script; a byte order mark does not count."""
    source = parse_document("{é漢😀: 1, b: 2}\n", "x").source
    assert source.span("b").column == 13


def test_locate_skips_what_is_not_in_the_text() -> None:
    """The locations of pydantic hold union tags and absent keys: the deepest known node is found."""
    source = parse_document("model: {onnx: a}\nconstraints: {hardware: [l4, t4]}\n", "x").source
    assert source.locate(["model", "<onnx>", "onnx"]) == "model.onnx"
    assert source.locate(["constraints", "hardware", 1, "function-after"]) == "constraints.hardware[1]"
    assert source.locate(["nowhere", "at", "all"]) == ""


def test_numbers_too_long_for_python_do_not_hurt() -> None:
    """A million digits are a float, not a crash."""
    assert scalar_value("9" * 1_000_000) == float("inf")
    assert scalar_value("0x" + "f" * 10_000) == float("inf")
    assert scalar_value("0o" + "7" * 10_000)


_YAML_LIKE = st.text(alphabet=st.sampled_from(list("abc: \n\t-[]{}&*!|>'\"#%@?,~01.e\\<é\r")), max_size=80)


@given(st.one_of(st.text(max_size=200), _YAML_LIKE))
@example("? ? ? a")
@example("&a &b c")
@example("*a : b")
@example("!<!> x")
@example("%TAG ! tag:x,2000:\n---\n!a b")
@example("\u2028")
@example("a: |\n\t")
def test_no_text_crashes_the_parser(text: str) -> None:
    """Every text gives a value or diagnostics of known ids with places inside the text."""
    document = parse_document(text, "x")
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    for diagnostic in document.diagnostics:
        assert find_kind(diagnostic.id) is not None
        assert diagnostic.span is not None
        assert 1 <= diagnostic.span.line <= len(lines) + 1
        assert diagnostic.help
