"""From a file to a `Spec`: defaults, names, base units, and no input that crashes it."""

import json
import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from infc.diag import Severity, has_errors
from infc.diag.catalogue import find_kind
from infc.ir.precision import Precision
from infc.ir.spec import BurstySpec, HuggingFaceModel, OnnxModel
from infc.spec import load_spec, load_spec_bytes

MINIMAL = "model: {onnx: model.onnx}\nslo: {latency: {p99: 25ms}}\nworkload: {rate: 300/s}\n"
WHOLE = """\
# yaml-language-server: $schema=spec.schema.json
apiVersion: infc.dev/v1
kind: InferenceSpec
metadata: {name: product-encoder, owner: search-team}
model: {onnx: model.onnx}
slo:
  latency: {p50: 8ms, p99: 25ms, p99.9: 60ms}
  availability: 99.9%
accuracy: {dataset: data.npz, metric: spearman, floor: 0.80, max_drop: 1%, confidence: 99%}
quantization: {calibration: data.npz, samples: 128, method: entropy}
workload:
  arrival: {bursty: {cv: 2.5}}
  rate: 300/s
  peak: 800/s
  hourly:
    [0.2, 0.2, 0.2, 0.2, 0.3, 0.5, 0.8, 1, 1.2, 1.5, 1.6, 1.6, 1.5, 1.6, 1.7, 1.6, 1.5, 1.4, 1.3, 1.2, 1, 0.8, 0.5, 0.3]
  axes: {sequence: {p50: 24, p90: 80, max: 128}, width: 224}
constraints:
  hardware: [l4, l40s, a100-sxm-80gb]
  precision: [fp16, int8]
  max_accelerators: 8
  max_cost: $3000/month
  max_power: 300W
  max_memory: 20GiB
  redundancy: 1
objective: energy
pricing: {provider: aws, commitment: mixed}
deploy: {server: triton, targets: [cpu]}
"""
LLM = """\
model: {huggingface: {repo: Qwen/Qwen3-8B, revision: 0123456789abcdef0123456789abcdef01234567}}
slo: {ttft: {p99: 500ms}, tpot: {p99: 40ms}, e2e: {p95: 12s}}
workload:
  rate: 6/s
  prompt_tokens: {p50: 512, p90: 1800, max: 4096}
  output_tokens: {p50: 128, p90: 400, max: 1024}
  shared_prefix: 30%
deploy: {server: vllm}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A repository with the files that the specs name."""
    (tmp_path / ".git").mkdir()
    for name in ("model.onnx", "data.npz"):
        (tmp_path / name).touch()
    return tmp_path


def test_a_model_one_slo_and_a_rate_are_enough(folder: Path) -> None:
    """Everything else has a default; the name comes from the file."""
    path = folder / "Product_Encoder.infc.yaml"
    path.write_text(MINIMAL)
    loaded = load_spec(path)
    assert loaded.diagnostics == ()
    assert loaded.spec is not None
    assert loaded.name == "product-encoder"
    assert loaded.spec.workload.arrival == "poisson"
    assert loaded.spec.objective == "cost"
    assert loaded.spec.deploy.server == "auto"
    assert loaded.spec.constraints.redundancy == 0
    assert loaded.spec.accuracy is None


def test_every_key_is_read_into_base_units(folder: Path) -> None:
    """Seconds, requests per second, fractions, dollars per hour, watts, bytes."""
    loaded = load_spec_bytes(WHOLE.encode(), folder / "a.infc.yaml")
    assert loaded.diagnostics == ()
    spec = loaded.spec
    assert spec is not None
    assert isinstance(spec.model, OnnxModel)
    assert spec.slo.latency == {50.0: 0.008, 99.0: 0.025, 99.9: 0.06}
    assert spec.slo.availability == 0.999
    assert spec.accuracy is not None
    assert (spec.accuracy.floor, spec.accuracy.max_drop, spec.accuracy.confidence) == (0.8, 0.01, 0.99)
    assert isinstance(spec.workload.arrival, BurstySpec)
    assert (spec.workload.rate_rps, spec.workload.peak_rps) == (300.0, 800.0)
    assert spec.workload.axes["sequence"].percentiles == {50.0: 24, 90.0: 80}
    assert spec.workload.axes["width"].max == 224
    assert spec.constraints.precision == (Precision.FP16, Precision.INT8)
    assert spec.constraints.max_usd_per_hour == pytest.approx(3000 / 730)
    assert spec.constraints.max_memory_bytes == 20 * 2**30
    assert spec.deploy.targets == ("cpu",)
    assert loaded.span("slo.latency.p99.9").line == 7


def test_an_llm_spec_is_read_without_a_warning(folder: Path) -> None:
    """Language models are planned: their targets and token counts have an effect."""
    loaded = load_spec_bytes(LLM.encode(), folder / "chat.infc.yaml")
    assert loaded.diagnostics == ()
    assert loaded.spec is not None
    assert isinstance(loaded.spec.model, HuggingFaceModel)
    assert loaded.spec.workload.shared_prefix == 0.3


def test_line_ends_and_a_byte_order_mark_change_nothing(folder: Path) -> None:
    """Windows and old Mac files are the same spec."""
    specs = [
        load_spec_bytes(data, folder / "a.infc.yaml").spec
        for text in (MINIMAL,)
        for data in (
            text.encode(),
            text.replace("\n", "\r\n").encode(),
            text.replace("\n", "\r").encode(),
            b"\xef\xbb\xbf" + text.encode(),
        )
    ]
    assert specs[0] is not None
    assert all(spec == specs[0] for spec in specs)


def test_a_missing_model_is_a_warning_where_a_lock_can_stand_in(folder: Path) -> None:
    """A plan needs no weights when the lock holds the model's profile; a trace it does need."""
    path = folder / "a.infc.yaml"
    (folder / "model.onnx").unlink()
    assert [d.severity for d in load_spec_bytes(MINIMAL.encode(), path).diagnostics] == [Severity.ERROR]
    (folder / "infc.lock").write_text('version = 1\n\n[[artifact]]\nspec = "another.infc.yaml"\n')
    assert has_errors(load_spec_bytes(MINIMAL.encode(), path).diagnostics)
    (folder / "infc.lock").write_text('version = 1\n\n[[artifact]]\nspec = "a.infc.yaml"\n')
    loaded = load_spec_bytes(MINIMAL.encode(), path)
    assert [d.severity for d in loaded.diagnostics] == [Severity.WARNING]
    assert loaded.spec is not None
    with_trace = MINIMAL.replace("300/s", "300/s, arrival: {trace: nowhere.csv}")
    assert has_errors(load_spec_bytes(with_trace.encode(), path).diagnostics)


def test_a_symbolic_link_out_of_the_repository_is_refused(tmp_path: Path) -> None:
    """What counts is where the file is, not how its path reads."""
    repository = tmp_path / "repository"
    (repository / ".git").mkdir(parents=True)
    outside = tmp_path / "outside.onnx"
    outside.touch()
    (repository / "model.onnx").symlink_to(outside)
    loaded = load_spec_bytes(MINIMAL.encode(), repository / "a.infc.yaml")
    assert [d.id for d in loaded.diagnostics] == ["spec-path"]


def test_odd_files_are_diagnostics_too(folder: Path) -> None:
    """A loop of links, a name that no file can have, a pipe."""
    (folder / "loop.onnx").symlink_to("loop.onnx")
    os.mkfifo(folder / "pipe.onnx")
    for name, id in (("loop", "spec-file-missing"), ("x" * 300, "spec-file-missing"), ("pipe", "spec-file-type")):
        text = MINIMAL.replace("model.onnx", f"{name}.onnx")
        assert [d.id for d in load_spec_bytes(text.encode(), folder / "a.infc.yaml").diagnostics] == [id]
    (folder / "self.infc.yaml").symlink_to("self.infc.yaml")
    assert [d.id for d in load_spec(folder / "self.infc.yaml").diagnostics] == ["spec-unreadable"]


def test_a_required_key_without_a_value_is_one_error(folder: Path) -> None:
    """It has no value; that it is missing, too, would be the same said twice."""
    spec = folder / "a.infc.yaml"
    spec.write_text("model: {onnx: model.onnx}\nslo: {latency: {p99: 25ms}}\nworkload: {rate: ~}\n")
    assert [d.id for d in load_spec(spec).diagnostics if d.severity is Severity.ERROR] == ["spec-empty-value"]


def test_endless_words_are_shown_short_and_endless_keys_are_no_aliases(folder: Path) -> None:
    """A value of half a megabyte does not fill the message; a page of keys is too large, whatever aliases do."""
    spec = folder / "a.infc.yaml"
    long = "9" * 300_000
    for wrong in (f"p99: 8{'x' * 300_000}", f"p{long}: 1ms", f"px{long}: 1ms"):
        spec.write_text(f"model: {{onnx: model.onnx}}\nslo: {{latency: {{{wrong}}}}}\nworkload: {{rate: 1/s}}\n")
        found = load_spec(spec).diagnostics
        assert found
        assert max(len(d.message) + len(d.help or "") for d in found) < 300
    spec.write_text("".join(f"k{number}: 1\n" for number in range(20_001)))
    assert [d.id for d in load_spec(spec).diagnostics] == ["spec-too-large"]


def test_a_path_may_climb_within_the_repository(folder: Path) -> None:
    """The boundary is the git top level, not the spec's folder."""
    (folder / "specs").mkdir()
    text = MINIMAL.replace("model.onnx", "../model.onnx")
    assert load_spec_bytes(text.encode(), folder / "specs" / "a.infc.yaml").diagnostics == ()


def test_a_trace_is_read_into_arrivals_that_start_at_zero(folder: Path) -> None:
    """Other columns are allowed; times are shifted."""
    (folder / "monday.csv").write_text("prompt_tokens,timestamp_s\n3,100.5\n4,100.5\n5,102\n\n")
    text = MINIMAL.replace("300/s", "300/s, arrival: {trace: monday.csv}")
    loaded = load_spec_bytes(text.encode(), folder / "a.infc.yaml")
    assert loaded.diagnostics == ()
    assert loaded.trace is not None
    assert loaded.trace.timestamps_s == (0.0, 0.0, 1.5)
    assert loaded.trace.path == "monday.csv"


def test_a_trace_with_many_bad_lines_is_reported_briefly(folder: Path) -> None:
    """Ten diagnostics, and the number of the others."""
    (folder / "bad.csv").write_text("timestamp_s\n" + "x\n" * 1000)
    text = MINIMAL.replace("300/s", "300/s, arrival: {trace: bad.csv}")
    loaded = load_spec_bytes(text.encode(), folder / "a.infc.yaml")
    assert len(loaded.diagnostics) == 10
    assert "990 more lines" in loaded.diagnostics[-1].notes[0]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read every file")
def test_a_file_without_permission_is_a_diagnostic(folder: Path) -> None:
    """Not an exception."""
    path = folder / "a.infc.yaml"
    path.write_text(MINIMAL)
    path.chmod(0)
    assert [d.id for d in load_spec(path).diagnostics] == ["spec-unreadable"]


def test_a_wrong_field_does_not_hide_what_is_wrong_elsewhere(folder: Path) -> None:
    """Fields, rules across fields and files are all reported in one go; a rule about a wrong field is not."""
    text = """\
model: {onnx: nowhere.onnx}
slo: {latency: {p50: 30ms, p90: fast, p99: 20ms}}
workload: {rate: 300, peak: 200/s, axes: {s: {p50: 9, max: 4}}}
objective: cheap
"""
    loaded = load_spec_bytes(text.encode(), folder / "a.infc.yaml")
    assert [d.id for d in loaded.diagnostics] == [
        "spec-file-missing",
        "spec-quantity",  # p90
        "spec-slo-order",  # p99 against p50
        "spec-quantity",  # rate; peak against rate is not judged
        "spec-sizes-order",
        "spec-unknown-value",
    ]


_JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=12)
    | st.sampled_from(["8ms", "300/s", "1%"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
_TREE = json.loads(
    '{"model": {"onnx": "model.onnx"}, "slo": {"latency": {"p50": "8ms", "p99": "25ms"}, "availability": "99.9%"},'
    '"accuracy": {"dataset": "data.npz", "metric": "top1", "max_drop": "1%"},'
    '"workload": {"rate": "300/s", "arrival": {"bursty": {"cv": 2}}, "axes": {"s": {"p50": 3, "max": 9}}},'
    '"constraints": {"hardware": ["l4"], "precision": ["fp16"], "max_cost": "$3000/month"},'
    '"deploy": {"kubernetes": {}}}'
)


_Place = tuple[str | int, ...]


def _places(tree: object, path: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    found = [path]
    items = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    for key, child in items:
        found += _places(child, (*path, key))
    return found


def _replaced(tree: object, path: tuple[str | int, ...], value: object) -> object:
    if not path:
        return value
    copy = tree.copy()  # type: ignore[attr-defined]
    copy[path[0]] = _replaced(copy[path[0]], path[1:], value)
    return copy


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow], deadline=None)
@given(st.lists(st.tuples(st.sampled_from(_places(_TREE)), _JSON), min_size=1, max_size=2))
def test_any_value_anywhere_is_a_spec_or_diagnostics(
    folder: Path, edits: list[tuple[tuple[str | int, ...], object]]
) -> None:
    """Nothing raises; an invalid spec has at least one error with a place and a fix."""
    tree: object = _TREE
    for path, value in edits:
        try:
            tree = _replaced(tree, path, value)
        except (KeyError, IndexError, TypeError, AttributeError):
            continue
    text = json.dumps(tree).replace("NaN", ".nan").replace("-Infinity", "-.inf").replace("Infinity", ".inf")
    loaded = load_spec_bytes(text.encode(), folder / "a.infc.yaml")
    assert (loaded.spec is None) == has_errors(loaded.diagnostics)
    for diagnostic in loaded.diagnostics:
        assert find_kind(diagnostic.id) is not None
        assert diagnostic.span is not None
        assert diagnostic.help
        assert diagnostic.message == diagnostic.message.strip()


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow], deadline=None)
@given(st.binary(max_size=300))
def test_no_bytes_crash_the_loader(folder: Path, data: bytes) -> None:
    """Whatever a file holds, it is diagnostics."""
    loaded = load_spec_bytes(data, folder / "a.infc.yaml")
    assert loaded.spec is None
    assert has_errors(loaded.diagnostics)
