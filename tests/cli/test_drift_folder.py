"""`infc drift --rendered`: a bundle, its kubernetes folder, and what is made from it, against the lock."""

import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

import click
import pytest
import yaml
from jsonschema import Draft202012Validator

from infc.cli import app
from infc.diag import ToolError
from infc.pipeline.drift.bundle import find_bundle
from infc.pipeline.drift.folder import compare
from infc.pipeline.drift.locked import open_locked
from infc.report.drift_json import drift_schema
from tests.emit.monitoring.prometheus import program, promtool
from tests.pipeline.drift_workspace import EXAMPLE, MODEL, SPEC, Compiled, compiled

pytestmark = pytest.mark.skipif(not EXAMPLE.is_dir(), reason="the examples are part of a checkout, not of a wheel")
pytest.importorskip("tritonclient", reason="the extra `triton` is not installed")

Drift = Callable[..., tuple[int, str, str]]
KUBERNETES = "  kubernetes: {namespace: shop}\n"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Compiled:
    """A compiled deployment with objects, and no weights in its workspace."""
    made = compiled(tmp_path_factory.mktemp("drift") / "workspace", deploy=KUBERNETES)
    (made.root / "resnet8.onnx").unlink()
    return made


@pytest.fixture
def drift(made: Compiled, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Drift:
    """`infc drift --rendered` of a folder: exit code, stdout, stderr."""
    monkeypatch.chdir(made.root)

    def run(folder: Path, *arguments: str) -> tuple[int, str, str]:
        capsys.readouterr()
        code = app.main(["drift", SPEC, "--rendered", str(folder), *arguments], standalone_mode=False)
        printed = capsys.readouterr()
        return code, printed.out, printed.err

    return run


@pytest.fixture
def copied(made: Compiled, tmp_path: Path) -> Path:
    """The bundle as CI would commit it."""
    return Path(shutil.copytree(made.bundle, tmp_path / "rendered"))


def drifted(text: str) -> dict[str, object]:
    """What drifted in a JSON report: id -> observed."""
    document = json.loads(text)
    Draft202012Validator(drift_schema()).validate(document)
    assert document["subject"] == "folder"
    return {item["id"]: item["observed"] for item in document["items"] if item["verdict"] == "drifted"}


def test_nothing_drifted_in_what_was_compiled(drift: Drift, copied: Path) -> None:
    """The whole bundle, and its kubernetes folder alone: every file is as locked. Signatures beside it are no drift."""
    (copied / "provenance.dsse.json").write_text("{}")
    assert drift(copied)[0] == 0
    code, text, _ = drift(copied / "kubernetes", "--detailed")
    assert code == 0
    assert "the kubernetes folder of a bundle" in text
    assert "deployment.yaml: same" in text


def rewrite(file: Path, change: Callable[[dict[str, object]], object]) -> None:
    """Change the object in a YAML file."""
    document = yaml.safe_load(file.read_text())
    change(document)
    file.write_text(yaml.safe_dump(document))


def quieter(rule: dict[str, object]) -> None:
    """Another expression of the first alert."""
    spec = rule["spec"]
    assert isinstance(spec, dict)
    next(each for group in spec["groups"] for each in group["rules"] if "alert" in each)["expr"] = "vector(0)"


def other_image(deployment: dict[str, object]) -> None:
    """Another tag."""
    spec = deployment["spec"]
    assert isinstance(spec, dict)
    spec["template"]["spec"]["containers"][0]["image"] = "nvcr.io/nvidia/tritonserver:26.09-py3"


def edit(file: Path, old: str, new: str) -> None:
    """Replace a piece of a text file that must be there."""
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new))


CHANGES: Mapping[str, tuple[Callable[[Path], object], set[str]]] = {
    "image tag": (
        lambda f: rewrite(f / "kubernetes/deployment.yaml", other_image),
        {"file-kubernetes-deployment.yaml", "deployment-spec.template.spec.containers-triton-.image"},
    ),
    "replicas": (
        lambda f: rewrite(f / "kubernetes/deployment.yaml", lambda d: d["spec"].update(replicas=7)),  # type: ignore[attr-defined]
        {"file-kubernetes-deployment.yaml", "deployment-spec.replicas"},
    ),
    "arguments": (
        lambda f: edit(f / "kubernetes/deployment.yaml", "- --strict-readiness=true", "- --strict-readiness=false"),
        {"file-kubernetes-deployment.yaml", "deployment-spec.template.spec.containers-triton-.args"},
    ),
    "removed network policy": (
        lambda f: (f / "kubernetes/networkpolicy.yaml").unlink(),
        {"file-kubernetes-networkpolicy.yaml"},
    ),
    "an alert's threshold": (
        lambda f: rewrite(f / "kubernetes/prometheusrule.yaml", quieter),
        {"file-kubernetes-prometheusrule.yaml", "prometheusrule-spec.groups-"},
    ),
    "the same in other words": (
        lambda f: rewrite(f / "kubernetes/service.yaml", lambda d: None),
        {"file-kubernetes-service.yaml"},
    ),
    "model configuration": (
        lambda f: edit(f / f"model_repository/{MODEL}/config.pbtxt", "max_batch_size: 8", "max_batch_size: 4"),
        {f"file-model-repository-{MODEL}-config.pbtxt"},
    ),
    "an engine": (
        lambda f: (f / f"model_repository/{MODEL}/1/model.onnx").write_bytes(b"other"),
        {f"file-model-repository-{MODEL}-1-model.onnx"},
    ),
    "one more file": (lambda f: (f / "kubernetes/extra.yaml").write_text("a: 1\n"), {"other-files"}),
}


@pytest.mark.parametrize("change", CHANGES)
def test_each_change_by_hand_is_found(made: Compiled, copied: Path, change: str) -> None:
    """One thing changed in the folder: its file drifted, with the fields that differ, and nothing else."""
    make, ids = CHANGES[change]
    make(copied)
    opened, _ = open_locked(made.root / SPEC)
    bundle, _ = find_bundle(made.entry, made.bundle)
    assert opened is not None
    report, _ = compare(opened, made.entry, copied, bundle, stale=())
    assert report is not None
    found = [item.id for item in report.drifted]
    assert len(found) == len(ids), found
    assert all(any(own.startswith(id) for own in found) for id in ids), found


def test_without_the_bundle_digests_are_compared(drift: Drift, made: Compiled, copied: Path) -> None:
    """A checkout without `dist/`: the file that differs is found, and how to see its fields is said."""
    rewrite(copied / "kubernetes/deployment.yaml", other_image)
    hidden = made.root / "hidden"
    made.bundle.rename(hidden)
    try:
        code, text, _ = drift(copied)
        named = drift(copied, "--bundle", str(hidden), "--format", "json")[1]
    finally:
        hidden.rename(made.bundle)
    assert code == 4
    assert "which fields: name the compiled bundle with --bundle" in text
    assert "deployment-spec.template.spec.containers-triton-.image" in drifted(named)


def test_rendered_objects_are_compared_whatever_their_files_are(drift: Drift, made: Compiled, tmp_path: Path) -> None:
    """One file of all objects with more labels, as a renderer writes it; a changed field and a lost one drift."""
    documents = [
        yaml.safe_load(file.read_text())
        for file in sorted((made.bundle / "kubernetes").glob("*.yaml"))
        if file.name != "kustomization.yaml"
    ]
    for each in documents:
        each["metadata"]["labels"]["argocd.argoproj.io/instance"] = "vision"
    manifest = tmp_path / "manifest.yaml"
    manifest.write_text(yaml.safe_dump_all(documents))
    assert drift(tmp_path)[0] == 0
    kept = [each for each in documents if each["kind"] != "NetworkPolicy"]
    next(each for each in kept if each["kind"] == "Service")["spec"]["ports"][0]["port"] = 80
    manifest.write_text(yaml.safe_dump_all(kept))
    code, text, _ = drift(tmp_path, "--format", "json")
    assert code == 4
    assert drifted(text) == {"networkpolicy": "not there", "service-spec.ports-http-.port": "80"}


def test_a_folder_of_something_else_is_refused(drift: Drift, made: Compiled, tmp_path: Path) -> None:
    """A comparison of nothing is no agreement; another bundle is never taken for the locked one; text is no YAML."""
    code, _, said = drift(tmp_path)
    assert code == 4
    assert "drift-folder" in said
    other = Path(shutil.copytree(made.bundle, tmp_path / "bundle"))
    edit(other / "infc-bundle.json", f'"name": "{MODEL}"', '"name": "other"')
    code, _, said = drift(made.bundle, "--bundle", str(other))
    assert code == 4
    assert "drift-bundle" in said
    (tmp_path / "broken.yaml").write_text("a: [\n")
    with pytest.raises(ToolError, match=r"broken\.yaml is no YAML"):
        drift(tmp_path)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), "name what runs"),
        (("--cluster", "--trace", SPEC), "one thing only"),
        (("--cluster", "--metrics", "a:8002"), "of a Triton server"),
        (("--endpoint", "a:8000", "--context", "b"), "of --cluster"),
        (("--trace", SPEC, "--bundle", "."), "--bundle is of"),
        (("--cluster", "--at", "3"), "--at is of"),
    ],
)
def test_options_of_other_subjects_are_refused(
    made: Compiled, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], words: str
) -> None:
    """Before anything is read."""
    monkeypatch.chdir(made.root)
    with pytest.raises(click.UsageError) as raised:
        app.main(["drift", SPEC, *arguments], standalone_mode=False)
    assert words in raised.value.message


def test_metrics_for_a_cron_job(drift: Drift, copied: Path, tmp_path: Path) -> None:
    """The file is of Prometheus' format, the same for the same findings, and in it is what drifted."""
    (copied / "kubernetes/networkpolicy.yaml").unlink()
    out = tmp_path / "metrics" / "infc.prom"
    code, text, _ = drift(copied, "--format", "prometheus", "--out", str(out))
    assert (code, text) == (4, "")
    first = out.read_text()
    drift(copied, "--format", "prometheus", "--out", str(out))
    assert out.read_text() == first
    assert 'id="file-kubernetes-networkpolicy.yaml"} 1' in first
    assert "last_run" not in first
    assert "infc_drift_last_run_timestamp_seconds" in drift(copied, "--format", "prometheus", "--at", "1763800000")[1]
    assert [each.name for each in out.parent.iterdir()] == ["infc.prom"]


def test_promtool_takes_the_metrics(drift: Drift, copied: Path, tmp_path: Path) -> None:
    """Promtool reads them and finds nothing to complain about."""
    program("promtool")
    out = tmp_path / "infc.prom"
    drift(copied, "--format", "prometheus", "--out", str(out), "--at", "1763800000")
    code, said = promtool("check", "metrics", stdin=out.read_text())
    assert (code, said) == (0, "")
