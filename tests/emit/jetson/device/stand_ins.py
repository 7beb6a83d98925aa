"""A device and a release for tests that call parts of the program: stand-ins on PATH, a bundle's files in a folder."""

import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.edge.root import Device, plain_device
from tests.emit.jetson.device.bundles import Maker


@dataclass
class Bench:
    """What the parts are given: a device, a release with its manifest, and what they reported."""

    device: Device
    release: Path
    manifest: dict[str, Any]
    facts: dict[str, Any]
    said: list[str] = field(default_factory=list)

    @property
    def root(self) -> str:
        """The device's root, as the parts get it."""
        return str(self.device.root)

    @property
    def target(self) -> dict[str, Any]:
        """The one target."""
        found: dict[str, Any] = self.manifest["targets"][0]
        return found

    @property
    def entry(self) -> dict[str, Any]:
        """The one engine."""
        found: dict[str, Any] = self.manifest["engines"][0]
        return found

    @property
    def engines(self) -> Path:
        """The device's cache of engines."""
        return self.device.root / "opt" / "infc" / "engines"


def bench(folder: Path, monkeypatch: pytest.MonkeyPatch, **settings: Any) -> Bench:
    """A device with the stand-ins first on PATH, and an unpacked release of the small linear model."""
    device = plain_device(folder / "device", **settings)
    monkeypatch.setenv("PATH", f"{device.root}/usr/local/bin{os.pathsep}/usr/bin:/bin")
    release = folder / "release"
    for path, content in Maker(folder / "maker").files("7").items():
        place = release / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(content)
    facts = {"module": "p3767-0000", "l4t": "36.4.3", "tensorrt": "10.3.0", "available_bytes": 8 << 30}
    manifest = json.loads((release / "manifest.json").read_text())
    manifest["slo"]["latency"] = [{"percentile": 90.0, "limit_s": 2.0}]
    return Bench(device, release, manifest, facts)
