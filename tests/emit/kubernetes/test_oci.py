"""A model as an image: the same bytes whoever makes it, and readable by the tools that push it."""

import json
import os
import shutil
import subprocess
import tarfile
from pathlib import Path

import pytest
from click.testing import CliRunner

from infc.cli.image import command
from infc.emit.kubernetes.oci import image_layout, write_layer
from infc.emit.write import write_bundle
from infc.ir.bundle import Bundle
from infc.pipeline.model_image import write_model_image
from tests.emit.kubernetes.release_checks import release_of, workload_of
from tests.emit.kubernetes.releases import options, triton_release


def bundle_on_disk(tmp_path: Path, name: str = "lookup") -> Path:
    """A compiled bundle that takes its model from an image."""
    folder = tmp_path / name
    assert write_bundle(triton_release(tmp_path, options("oci", monitoring=False)), folder) == ()
    return folder


def test_the_same_bundle_is_the_same_image(tmp_path: Path) -> None:
    """Times, owners, modes and the place of the files do not count."""
    first, problems = write_model_image(bundle_on_disk(tmp_path, "a"), tmp_path / "a.oci")
    assert problems == ()
    second_bundle = bundle_on_disk(tmp_path, "b")
    for path in (second_bundle / "model_repository").rglob("*"):
        os.utime(path, (1, 1))
        path.chmod(0o700)
    second, _ = write_model_image(second_bundle, tmp_path / "b.oci")
    assert first is not None
    assert second is not None
    assert (first.digest, first.tag) == (second.digest, second.tag)
    index = json.loads((tmp_path / "a.oci" / "index.json").read_bytes())
    assert index["manifests"][0]["digest"] == first.digest
    release = workload_of(release_of(triton_release(tmp_path, options("oci", monitoring=False))))
    assert release["metadata"]["annotations"]["infc.dev/release"].startswith(f"sha256:{first.tag}")
    assert first.reference == f"registry.example.com:5000/models/lookup:{first.tag}"


def test_an_image_holds_the_model_and_nothing_else(tmp_path: Path) -> None:
    """Everything is under /models, readable by anybody, without a time or an owner."""
    layer = tmp_path / "layer.tar"
    file = tmp_path / "model.plan"
    file.write_bytes(b"engine")
    write_layer({"lookup/1/model.plan": file, "lookup/config.pbtxt": file}, layer)
    with tarfile.open(layer) as archive:
        entries = archive.getmembers()
    assert [entry.name for entry in entries] == [
        "models",
        "models/lookup",
        "models/lookup/1",
        "models/lookup/1/model.plan",
        "models/lookup/config.pbtxt",
    ]
    assert {(entry.mtime, entry.uid, entry.gid, entry.uname) for entry in entries} == {(0, 0, 0, "")}
    assert {entry.mode for entry in entries if entry.isfile()} == {0o444}
    layout = image_layout(layer, None)
    assert layout.tag == layout.digest.removeprefix("sha256:")[:12]
    platforms = [
        row["platform"]["architecture"] for row in json.loads(layout_index(layout.files, layout.digest))["manifests"]
    ]
    assert platforms == ["amd64", "arm64"]


def layout_index(files: object, digest: str) -> bytes:
    """The index of the platforms."""
    assert isinstance(files, dict)
    content = files[f"blobs/sha256/{digest.removeprefix('sha256:')}"]
    assert isinstance(content, bytes)
    return content


def test_skopeo_reads_it(tmp_path: Path) -> None:
    """`skopeo inspect` finds the image by its tag, with the digest that infc prints."""
    skopeo = shutil.which("skopeo")
    if skopeo is None:
        pytest.skip("skopeo is not installed")
    image, _ = write_model_image(bundle_on_disk(tmp_path), tmp_path / "lookup.oci")
    assert image is not None
    shown = subprocess.run(
        [skopeo, "inspect", f"oci:{image.folder}:{image.tag}"], capture_output=True, text=True, check=True
    )
    assert json.loads(shown.stdout)["Digest"] == image.digest


def test_the_command_says_how_to_push_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The image of the manifests is where it goes; a second run changes nothing."""
    bundle_on_disk(tmp_path)
    monkeypatch.chdir(tmp_path)
    first = CliRunner().invoke(command, ["lookup"])
    assert first.exit_code == 0
    assert "docker://registry.example.com:5000/models/lookup:" in first.output
    assert "oci:lookup.oci:" in first.output
    assert CliRunner().invoke(command, ["lookup"]).output == first.output
    shown = json.loads(CliRunner().invoke(command, ["lookup", "--format", "json"]).output)
    assert shown["digest"] in first.output


@pytest.mark.parametrize("change", ["pending", "changed", "foreign"])
def test_nothing_is_written_without_a_whole_model(tmp_path: Path, change: str) -> None:
    """No engine, files that were changed by hand, and an output folder that is not infc's are refused."""
    folder, out = bundle_on_disk(tmp_path), tmp_path / "out.oci"
    match change:
        case "pending":
            bundle = triton_release(tmp_path, options("oci", monitoring=False))
            files = {path: content for path, content in bundle.files.items() if "/1/" not in path}
            assert write_bundle(Bundle(name="lookup", target="l4", files=files), folder) == ()
            expected = "kubernetes-model-image"
        case "changed":
            (folder / "model_repository" / "lookup" / "config.pbtxt").write_text("name: 'other'")
            expected = "bundle-changed"
        case _:
            out.mkdir()
            (out / "mine.txt").write_text("keep")
            expected = "output-not-a-bundle"
    image, problems = write_model_image(folder, out)
    assert image is None
    assert [problem.id for problem in problems] == [expected]
    assert not (out / "index.json").exists()
