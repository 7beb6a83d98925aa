"""Calibration and dataset files: read without pickles, every problem said with the array's name."""

from pathlib import Path

import numpy as np

from infc.ir.model_profile import TensorSpec
from infc.lower.arrays import calibration_from_dataset, calibration_from_file

IMAGE = TensorSpec(name="image", dtype="float32", shape=("n", 2, 2))
TOKENS = TensorSpec(name="tokens", dtype="int64", shape=("n", "length"))


def ids(path: Path, *specs: TensorSpec) -> list[str]:
    """The ids of what is wrong with a calibration file."""
    return [problem.id for problem in calibration_from_file(path, specs, 4)[1]]


def test_a_pickle_is_never_loaded(tmp_path: Path) -> None:
    """An object array would run code when it is read; it is refused."""
    path = tmp_path / "evil.npz"
    np.savez(path, image=np.array([{"a": 1}], dtype=object))
    _, (problem,) = calibration_from_file(path, (IMAGE,), 4)
    assert problem.id == "dataset-unreadable"
    assert "pickles" in problem.notes[0]


def test_damaged_and_absent_files_are_named(tmp_path: Path) -> None:
    """A truncated file, text and a missing file each get their diagnostic."""
    good = tmp_path / "good.npz"
    np.savez(good, image=np.zeros((4, 2, 2), np.float32))
    cut = tmp_path / "cut.npz"
    cut.write_bytes(good.read_bytes()[:-40])
    text = tmp_path / "text.npz"
    text.write_text("not an archive")
    assert ids(cut, IMAGE) == ["dataset-unreadable"]
    assert ids(text, IMAGE) == ["dataset-unreadable"]
    assert ids(tmp_path / "absent.npz", IMAGE) == ["dataset-not-found"]
    assert ids(good, IMAGE) == []


def test_every_wrong_array_is_told(tmp_path: Path) -> None:
    """Two inputs, two problems, both at once."""
    path = tmp_path / "wrong.npz"
    np.savez(path, image=np.zeros((4, 2, 3), np.float32))
    assert ids(path, IMAGE, TOKENS) == ["dataset-array-shape", "dataset-array-missing"]


def test_floats_do_not_become_token_numbers(tmp_path: Path) -> None:
    """A model that takes integers is not fed rounded floats."""
    path = tmp_path / "floats.npz"
    np.savez(path, tokens=np.zeros((4, 7), np.float32))
    assert ids(path, TOKENS) == ["dataset-array-shape"]


def test_mean_and_std_come_together(tmp_path: Path) -> None:
    """A mean without a std, and a std of zero, are errors."""
    path = tmp_path / "half.npz"
    np.savez(path, image=np.zeros((4, 2, 2), np.uint8), image__mean=1.0)
    assert ids(path, IMAGE) == ["dataset-array-shape"]
    np.savez(path, image=np.zeros((4, 2, 2), np.uint8), image__mean=1.0, image__std=0.0)
    assert ids(path, IMAGE) == ["dataset-array-shape"]


def test_stored_bytes_are_normalised(tmp_path: Path) -> None:
    """`(stored - mean) / std` in float32."""
    path = tmp_path / "bytes.npz"
    np.savez(path, image=np.full((4, 2, 2), 30, np.uint8), image__mean=10.0, image__std=np.full((2, 1), 4.0))
    data, _ = calibration_from_file(path, (IMAGE,), 2)
    assert data is not None
    assert data.inputs["image"].tolist() == np.full((2, 2, 2), 5.0).tolist()


def test_pairs_calibrate_with_both_sides(tmp_path: Path) -> None:
    """A fifth of the pairs of a dataset calibrates, both sides of each."""
    path = tmp_path / "pairs.npz"
    left, right = np.zeros((50, 3), np.int64), np.ones((50, 3), np.int64)
    np.savez(path, tokens__a=left, tokens__b=right, scores=np.zeros(50))
    data, problems = calibration_from_dataset(path, (TOKENS,))
    assert problems == ()
    assert data is not None
    assert data.inputs["tokens"].sum(axis=1).tolist() == [0] * 10 + [3] * 10
