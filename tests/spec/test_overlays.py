"""Specs over a base and shared defaults: what wins, where paths lead, and which file a value is from."""

from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from infc.ir.spec import CheckpointModel, OnnxModel, TraceSpec
from infc.report.merged_spec import merged_specs_text
from infc.spec import LoadedSpec, load_spec, load_spec_bytes
from infc.spec.document import Document, YamlValue, parse_document
from infc.spec.merge import laid_over

BASE = """\
metadata: {name: encoder, owner: search-team}
model: {onnx: models/encoder.onnx}
slo: {latency: {p50: 8ms, p99: 25ms}, availability: 99.9%}
workload: {rate: 300/s, arrival: {bursty: {cv: 2.5}}}
constraints: {hardware: [l4, t4], max_cost: $3000/month}
accuracy: {dataset: data/pairs.npz, metric: top1, max_drop: 1%}
"""


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository with a base in a folder of its own and two environments beside it."""
    for folder in (".git", "base/models", "base/data", "envs/prod", "envs/dev", "traces"):
        (tmp_path / folder).mkdir(parents=True)
    for file in ("base/models/encoder.onnx", "base/data/pairs.npz", "traces/monday.csv"):
        (tmp_path / file).touch()
    (tmp_path / "traces/monday.csv").write_text("timestamp_s\n0.0\n0.5\n1.0\n")
    (tmp_path / "base/encoder.yaml").write_text(BASE)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def overlay(text: str, name: str = "envs/prod/encoder.infc.yaml") -> LoadedSpec:
    """The spec of that text over the base."""
    Path(name).write_text("extends: ../../base/encoder.yaml\n" + text)
    return load_spec(Path(name))


def test_mappings_merge_and_everything_else_replaces(repository: Path) -> None:
    """One target of the SLO changes and the other stays; a list is replaced as a whole."""
    loaded = overlay("slo: {latency: {p99: 20ms}}\nconstraints: {hardware: [l40s]}\n")
    assert loaded.diagnostics == ()
    assert loaded.spec is not None
    assert loaded.spec.slo.latency == {50: 0.008, 99: 0.020}
    assert loaded.spec.slo.availability == 0.999
    assert loaded.spec.constraints.hardware == ("l40s",)
    assert loaded.spec.constraints.max_usd_per_hour is not None
    assert loaded.spec.metadata.owner == "search-team"


def test_null_takes_an_inherited_key_away(repository: Path) -> None:
    """A limit of the base does not hold here; a null that takes nothing away is a mistake."""
    loaded = overlay("constraints: {max_cost: null}\nslo: {latency: {p50: null}}\n")
    assert loaded.spec is not None
    assert loaded.spec.constraints.max_usd_per_hour is None
    assert loaded.spec.slo.latency == {99: 0.025}
    pointless = overlay("constraints: {max_power: null}\n")
    assert [(d.id, d.span and d.span.path) for d in pointless.diagnostics] == [
        ("spec-empty-value", "envs/prod/encoder.infc.yaml")
    ]


def test_null_that_takes_a_default_away_does_so_over_a_base_too(repository: Path) -> None:
    """The key is gone, whichever of the files below wrote it."""
    Path("infc-defaults.yaml").write_text("constraints: {max_cost: $9000/month, max_accelerators: 4}\n")
    loaded = overlay("constraints: {max_cost: null}\n")
    assert loaded.spec is not None
    assert loaded.spec.constraints.max_usd_per_hour is None
    assert loaded.spec.constraints.max_accelerators == 4


def test_a_choice_takes_the_place_of_another(repository: Path) -> None:
    """A model source or an arrival that the spec names is not joined with another one of the base."""
    Path("base/checkpoint").mkdir()
    loaded = overlay(
        "workload: {arrival: {trace: ../../traces/monday.csv}}\nmodel: {checkpoint: ../../base/checkpoint}"
    )
    assert not [d for d in loaded.diagnostics if d.id in ("spec-arrival", "spec-model-source")]
    assert loaded.partial is not None
    assert isinstance(loaded.partial.model, CheckpointModel)
    assert isinstance(loaded.partial.workload.arrival, TraceSpec)


def test_paths_of_a_base_lead_to_its_own_folder(repository: Path) -> None:
    """In the merged spec they are relative to the spec; every file that it names can be opened."""
    loaded = overlay("quantization: {calibration: ../../base/data/pairs.npz}\n")
    assert loaded.spec is not None
    assert isinstance(loaded.spec.model, OnnxModel)
    assert loaded.spec.model.onnx == "../../base/models/encoder.onnx"
    assert loaded.spec.accuracy is not None
    assert loaded.file(loaded.spec.accuracy.dataset).resolve() == repository / "base/data/pairs.npz"
    assert loaded.writer("model.onnx") == Path("base/encoder.yaml")


def test_a_drafter_is_a_folder_of_the_base_or_a_repository(repository: Path) -> None:
    """A folder beside the base is found from the spec; what is none is a repository of the hub; none leaves git's."""
    Path("base/drafter").mkdir()
    options = "deploy: {vllm: {speculative: {method: eagle3, model: %s, acceptance: 70%%}}}\n"
    for model, expected in (("drafter", "../../base/drafter"), ("owner/drafter", "owner/drafter")):
        Path("base/encoder.yaml").write_text(BASE + options % model)
        loaded = overlay("")
        assert loaded.merged is not None
        assert not [d for d in loaded.diagnostics if d.id in ("spec-format", "spec-path")]
        assert f"model: {expected}" in merged_specs_text([loaded])
    outside = overlay(options % "../../../..")
    assert "spec-format" in [d.id for d in outside.diagnostics]
    climbing = overlay(options % "../../../../elsewhere")
    assert [d.id for d in climbing.diagnostics if d.id == "spec-path"] == ["spec-path"]
    missing = overlay(options % "../../base/draftr")
    assert [d.id for d in missing.diagnostics if d.id == "spec-file-missing"] == ["spec-file-missing"]


def test_the_name_is_the_specs_own(repository: Path) -> None:
    """Two environments over one base are two deployments."""
    assert overlay("", "envs/prod/encoder-prod.infc.yaml").name == "encoder-prod"
    assert overlay("metadata: {name: tested}", "envs/dev/encoder.infc.yaml").name == "tested"


def test_a_base_may_be_a_spec_itself(repository: Path) -> None:
    """A full spec beside its overlays is a deployment of its own as well."""
    Path("base/encoder.infc.yaml").write_text(BASE)
    Path("envs/prod/a.infc.yaml").write_text("extends: ../../base/encoder.infc.yaml\n")
    loaded = load_spec(Path("envs/prod/a.infc.yaml"))
    assert loaded.diagnostics == ()
    assert loaded.name == "a"


def test_defaults_are_below_the_base_and_nearer_ones_above_others(repository: Path) -> None:
    """Repository, team, base, spec: the later one wins; each value is from the file that wrote it."""
    Path("infc-defaults.yaml").write_text(
        "metadata: {owner: platform}\npricing: {provider: aws, commitment: 1y}\nobjective: cost\n"
    )
    Path("envs/infc-defaults.yaml").write_text(
        "pricing: {commitment: 3y}\nobjective: energy\nmetadata: {owner: envs}\n"
    )
    loaded = overlay("objective: latency\n")
    assert loaded.spec is not None
    assert loaded.spec.pricing.provider == "aws"
    assert loaded.spec.pricing.commitment == "3y"
    assert loaded.spec.objective == "latency"
    assert loaded.spec.metadata.owner == "search-team"
    assert [path.as_posix() for path in loaded.files] == [
        "infc-defaults.yaml",
        "envs/infc-defaults.yaml",
        "base/encoder.yaml",
        "envs/prod/encoder.infc.yaml",
    ]
    assert loaded.span("pricing.provider").path == "infc-defaults.yaml"
    assert loaded.span("pricing.commitment").path == "envs/infc-defaults.yaml"
    assert loaded.span("slo.latency.p99").path == "base/encoder.yaml"


def test_defaults_are_no_spec(repository: Path) -> None:
    """Whoever names the file is told so, and nothing else of it."""
    Path("infc-defaults.yaml").write_text("objective: energy\n")
    assert [d.id for d in load_spec(Path("infc-defaults.yaml")).diagnostics] == ["spec-defaults"]


def test_defaults_above_the_repository_are_not_read(repository: Path) -> None:
    """Another project's defaults, or a home folder's, change nothing here."""
    inner = repository / "envs/prod"
    (inner / ".git").mkdir()
    (repository / "infc-defaults.yaml").write_text("objective: energy\n")
    (inner / "m.onnx").touch()
    (inner / "a.infc.yaml").write_text("model: {onnx: m.onnx}\nslo: {latency: {p99: 25ms}}\nworkload: {rate: 3/s}\n")
    loaded = load_spec(inner / "a.infc.yaml")
    assert loaded.spec is not None
    assert loaded.spec.objective == "cost"
    assert loaded.files == (inner / "a.infc.yaml",)


def test_defaults_that_are_a_link_out_of_the_repository_are_refused(
    repository: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """The boundary holds for every file that a spec's text comes from."""
    outside = tmp_path_factory.mktemp("outside") / "defaults.yaml"
    outside.write_text("objective: energy\n")
    Path("infc-defaults.yaml").symlink_to(outside)
    loaded = overlay("")
    assert [d.id for d in loaded.diagnostics] == ["spec-path"]
    assert loaded.spec is None


def test_a_revision_brings_its_own_base(repository: Path) -> None:
    """A spec of a git revision is laid over the base as it was then."""
    then = {"base/encoder.yaml": BASE.replace("25ms", "40ms").encode()}

    def read(path: Path) -> bytes | None:
        return then.get(path.resolve().relative_to(repository).as_posix())

    loaded = load_spec_bytes(b"extends: ../../base/encoder.yaml\n", Path("envs/prod/old.infc.yaml"), read)
    assert loaded.spec is not None
    assert loaded.spec.slo.latency == {50: 0.008, 99: 0.040}
    gone = load_spec_bytes(b"extends: ../../base/encoder.yaml\n", Path("envs/prod/old.infc.yaml"), lambda _: None)
    assert [d.id for d in gone.diagnostics] == ["spec-file-missing"]


def test_the_merged_text_is_the_spec(repository: Path) -> None:
    """What `infc check --show-merged` prints is a whole spec, the same one."""
    Path("infc-defaults.yaml").write_text("pricing: {provider: aws}\n")
    loaded = overlay("constraints: {max_cost: null}\nworkload: {peak: 900/s}\n")
    text = merged_specs_text([loaded])
    assert "  p99: 25ms" in text
    assert "# base/encoder.yaml:3" in text
    Path("infc-defaults.yaml").unlink()
    again = load_spec_bytes(text.encode(), loaded.path)
    assert again.diagnostics == ()
    assert again.spec == loaded.spec


_SCALARS = st.sampled_from(["x", "25ms", 1, 2.5, True])
_VALUES: st.SearchStrategy[YamlValue] = st.recursive(
    _SCALARS,
    lambda inner: (
        st.dictionaries(st.sampled_from("abcd"), inner, max_size=3)
        | st.lists(inner, max_size=2).map(lambda each: list[YamlValue](each))
    ),
    max_leaves=8,
)
_DOCUMENTS = st.dictionaries(st.sampled_from("abcd"), _VALUES, max_size=4)


def _document(value: YamlValue, name: str) -> Document:
    return parse_document(yaml.safe_dump(value), name)


@settings(max_examples=150, deadline=None)
@given(_DOCUMENTS, _DOCUMENTS)
def test_what_is_laid_over_wins_and_every_value_has_its_place(
    low: dict[str, YamlValue], high: dict[str, YamlValue]
) -> None:
    """Keys of both are there, those of the upper one with its values; each is placed in the file that wrote it."""
    merged = laid_over(_document(low, "low"), _document(high, "high"))
    assert isinstance(merged.value, dict)
    assert merged.value.keys() == low.keys() | high.keys()
    for key, value in merged.value.items():
        if key not in high:
            assert value == low[key]
            assert merged.source.entries[key].value.path == "low"
        elif not isinstance(high[key], dict) or not isinstance(low.get(key), dict):
            assert value == high[key]
            assert merged.source.entries[key].value.path == "high"
    assert set(merged.source.entries) == set(_document(merged.value, "merged").source.entries)
    assert laid_over(merged, _document({}, "empty")).value == merged.value
    assert laid_over(merged, _document(high, "high")).value == merged.value
