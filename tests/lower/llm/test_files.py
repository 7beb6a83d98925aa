"""Which files belong to a checkpoint, and what is refused before any of them is loaded."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from infc.lower.llm.files import CheckpointFiles, checkpoint_files
from tests.lower.llm.samples import copy_of_model


def read(folder: Path) -> CheckpointFiles:
    """The files, which must be sound."""
    files = checkpoint_files(folder)
    assert isinstance(files, CheckpointFiles), files
    return files


def test_weights_config_tokeniser_and_chat_template_belong_to_a_checkpoint(tmp_path: Path) -> None:
    """Notes, code and pickles beside them do not, and change nothing of the digest."""
    folder = copy_of_model(tmp_path / "model")
    before = read(folder)
    assert sorted(before.digests) == [
        "chat_template.jinja",
        "config.json",
        "generation_config.json",
        "model.safetensors",
        "tokenizer.json",
        "tokenizer_config.json",
    ]
    assert before.has_weights
    for name in ("README.md", "modeling_tiny.py", "pytorch_model.bin", "consolidated.safetensors"):
        (folder / name).write_bytes(b"x")
    shutil.copy(folder / "model.safetensors", folder / "consolidated.safetensors")
    assert read(folder) == before


def test_a_folder_without_weights_is_a_checkpoint_too(tmp_path: Path) -> None:
    """config.json is enough to plan, and to emit a bundle that waits for the weights."""
    folder = copy_of_model(tmp_path / "model")
    (folder / "model.safetensors").unlink()
    assert not read(folder).has_weights


def test_any_changed_byte_changes_the_digest(tmp_path: Path) -> None:
    """The chat template is part of what is served."""
    folder = copy_of_model(tmp_path / "model")
    before = read(folder).digest
    with (folder / "chat_template.jinja").open("a") as template:
        template.write(" ")
    assert read(folder).digest != before


def _pickle(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")


def _link_out(folder: Path) -> None:
    outside = folder.parent / "secret.json"
    outside.write_text("{}")
    (folder / "generation_config.json").unlink()
    (folder / "generation_config.json").symlink_to(outside)


def _lfs_pointer(folder: Path) -> None:
    (folder / "model.safetensors").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n")


def _cut_short(folder: Path) -> None:
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])


def _missing_shard(folder: Path) -> None:
    index = {"weight_map": {"a": "model.safetensors", "b": "model-00002-of-00002.safetensors"}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))


def _strange_shard(folder: Path) -> None:
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": {"a": "../../x.safetensors"}}))


def _broken_index(folder: Path) -> None:
    (folder / "model.safetensors.index.json").write_text("[]")


def _no_tokeniser(folder: Path) -> None:
    (folder / "tokenizer.json").unlink()


def _folder_for_a_file(folder: Path) -> None:
    (folder / "config.json").unlink()
    (folder / "config.json").mkdir()


@pytest.mark.parametrize(
    ("damage", "id", "words"),
    [
        (_pickle, "checkpoint-pickle", "pytorch_model.bin"),
        (_link_out, "checkpoint-file", "leaves the checkpoint's folder"),
        (_lfs_pointer, "checkpoint-file", "no safetensors file"),
        (_cut_short, "checkpoint-file", "its header speaks of"),
        (_missing_shard, "checkpoint-file", "model-00002-of-00002.safetensors is missing"),
        (_strange_shard, "checkpoint-file", "no file of the folder"),
        (_broken_index, "checkpoint-file", "no index of weights"),
        (_no_tokeniser, "checkpoint-tokenizer", "no tokeniser"),
        (_folder_for_a_file, "checkpoint-file", "no regular file"),
    ],
)
def test_what_could_not_be_served_is_refused_by_name(
    damage: Callable[[Path], None], id: str, words: str, tmp_path: Path
) -> None:
    """One diagnostic says which file and what is wrong with it, with a fix."""
    folder = copy_of_model(tmp_path / "model")
    damage(folder)
    problems = checkpoint_files(folder)
    assert isinstance(problems, tuple)
    assert [problem.id for problem in problems] == [id]
    assert words in problems[0].message
    assert problems[0].help


def test_links_inside_the_boundary_are_followed(tmp_path: Path) -> None:
    """The hub's cache links every file of a snapshot to a blob beside it, whose name is its content's sha256."""
    blobs, snapshot = tmp_path / "blobs", tmp_path / "snapshots" / "0123"
    blobs.mkdir()
    snapshot.mkdir(parents=True)
    whole = read(copy_of_model(tmp_path / "model"))
    for name, digest in whole.digests.items():
        shutil.copy(tmp_path / "model" / name, blobs / digest.removeprefix("sha256:"))
        (snapshot / name).symlink_to(blobs / digest.removeprefix("sha256:"))
    assert checkpoint_files(snapshot, boundary=tmp_path) == whole
