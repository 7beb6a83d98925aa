"""Magika: the model as its package ships it, and real files of other packages to judge and calibrate it on.

Run by `fetch_models.py`: `magika.py OUT DOWNLOADS WORK`. A file's label is its extension; extensions that say little
are left out (.pl is Perl or Prolog, .html full of template tags is not HTML yet, .j2 may become anything). The files
are those inside the downloaded archives, which are pinned: the data is the same everywhere.
"""

import json
import random
import sys
import tarfile
import zipfile
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import numpy as np

MODEL = "magika/models/standard_v3_3/"
FILES_PER_TYPE, CALIBRATION_PER_TYPE, CALIBRATION_SAMPLES = 24, 16, 256
TEMPLATE_TAGS = (b"{%", b"{{")
SMALLEST_BYTES, FEWEST_FILES = 64, 4
TYPES = {
    "batch": ".bat",
    "bmp": ".bmp",
    "c": ".c .h",
    "cpp": ".cpp .hpp .cc",
    "cs": ".cs",
    "css": ".css",
    "csv": ".csv",
    "elf": ".so",
    "gif": ".gif",
    "gzip": ".gz",
    "html": ".html",
    "icns": ".icns",
    "ico": ".ico",
    "ini": ".ini",
    "javascript": ".js",
    "jp2": ".jp2",
    "jpeg": ".jpg .jpeg",
    "json": ".json",
    "latex": ".tex .sty",
    "lua": ".lua",
    "markdown": ".md",
    "npy": ".npy",
    "npz": ".npz",
    "pdf": ".pdf",
    "perl": ".pm",
    "po": ".po",
    "postscript": ".eps .ps",
    "powershell": ".ps1 .psm1",
    "png": ".png",
    "psd": ".psd",
    "python": ".py",
    "rst": ".rst",
    "ruby": ".rb",
    "scala": ".scala",
    "shell": ".sh",
    "sql": ".sql",
    "svg": ".svg",
    "tga": ".tga",
    "tiff": ".tif .tiff",
    "toml": ".toml",
    "ttf": ".ttf",
    "typescript": ".ts",
    "wav": ".wav",
    "webp": ".webp",
    "woff": ".woff",
    "woff2": ".woff2",
    "xml": ".xml",
    "yaml": ".yml .yaml",
    "zip": ".whl .zip",
}


def main(out: Path, downloads: Path) -> None:
    """Write magika-v3-3.onnx, files.npz and calibration-256.npz into `out`."""
    (wheel,) = downloads.glob("magika-1.0.3-*.whl")
    with zipfile.ZipFile(wheel) as archive:
        (out / "magika-v3-3.onnx").write_bytes(archive.read(MODEL + "model.onnx"))
        settings = json.loads(archive.read(MODEL + "config.min.json"))
    classes: list[str] = settings["target_labels_space"]
    chooser = random.Random(0)  # noqa: S311 - a fixed shuffle, not a secret
    test: list[tuple[str, np.ndarray]] = []
    rest: list[np.ndarray] = []
    for label, rows in sorted(features_by_type(downloads, settings).items()):
        if len(rows) >= FEWEST_FILES:
            chooser.shuffle(rows)
            test += [(label, row) for row in rows[:FILES_PER_TYPE]]
            rest += rows[FILES_PER_TYPE : FILES_PER_TYPE + CALIBRATION_PER_TYPE]
    chooser.shuffle(test)  # the test may stop early or be split: no type comes first
    chooser.shuffle(rest)
    np.savez_compressed(
        out / "files.npz",
        bytes=np.stack([row for _, row in test]),
        labels=np.array([classes.index(label) for label, _ in test], np.int64),
        slices=np.array([label for label, _ in test]),
    )
    np.savez_compressed(out / "calibration-256.npz", bytes=np.stack(rest[:CALIBRATION_SAMPLES]))


def features_by_type(downloads: Path, settings: dict[str, int]) -> dict[str, list[np.ndarray]]:
    """The features of every file of the archives whose extension names a type that the model knows.

    Files that look the same to the model count once, so that none of them is both in the test and in the calibration.
    """
    labels = {ending: label for label, endings in TYPES.items() for ending in endings.split()}
    found: defaultdict[str, list[np.ndarray]] = defaultdict(list)
    seen: set[bytes] = set()
    for archive in sorted(downloads.iterdir()):
        if archive.name.startswith("magika-"):
            continue
        for name, content in members(archive):
            label = labels.get(Path(name).suffix.lower())
            is_template = label == "html" and any(tag in content for tag in TEMPLATE_TAGS)
            if label is None or is_template or len(content) < SMALLEST_BYTES:
                continue
            row = model_input(content, settings)
            if row.tobytes() not in seen:
                seen.add(row.tobytes())
                found[label].append(row)
    return found


def members(archive: Path) -> Iterator[tuple[str, bytes]]:
    """Names and contents of the regular files in a wheel or source distribution."""
    if archive.suffix == ".whl":
        with zipfile.ZipFile(archive) as wheel:
            yield from ((info.filename, wheel.read(info)) for info in wheel.infolist() if not info.is_dir())
    elif archive.name.endswith(".tar.gz"):
        with tarfile.open(archive) as source:
            for member in source:
                content = source.extractfile(member) if member.isfile() else None
                if content is not None:
                    yield member.name, content.read()


def model_input(content: bytes, settings: dict[str, int]) -> np.ndarray:
    """The model's features, int32[2048]: a kilobyte from the start and one from the end, outer white space cut off.

    Source: magika 1.0.3, `config.min.json` (sizes, padding token) and its documentation of feature extraction.
    """
    block, padding = settings["block_size"], settings["padding_token"]
    first, last = settings["beg_size"], settings["end_size"]
    start = list(content[:block].lstrip()[:first])
    end = list(content[-block:].rstrip()[-last:])
    row = [*start, *[padding] * (first - len(start)), *[padding] * (last - len(end)), *end]
    return np.array(row, np.int32)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
