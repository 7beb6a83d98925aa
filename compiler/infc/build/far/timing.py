"""The timing cache: kernel times that builds for one device and one version share."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from .files import write_atomically
from .gpu import gpu_facts


def timing_cache_path(folder: Path, kind: str, version: str) -> Path:
    """Where the measured kernel times of one version of a library on this machine's GPU are kept."""
    device = gpu_facts()
    words = [kind, version, device.get("name", "cpu"), device.get("compute_capability", "")]
    return folder / (re.sub(r"[^A-Za-z0-9.]+", "-", " ".join(words)).strip("-").lower() + ".cache")


class TimingCache:
    """Measured kernel times that builds for one device and one version share; a foreign or damaged file is ignored."""

    def __init__(self, trt: Any, library: dict[str, Any], config: Any, folder: Path | None) -> None:
        self.config, self.path = config, None
        if folder is None or not library["has_timing_cache"]:
            return
        folder.mkdir(parents=True, exist_ok=True)
        self.path = timing_cache_path(folder, library["kind"], trt.__version__)
        self.cache = self._read()
        config.set_timing_cache(self.cache, ignore_mismatch=False)

    def _read(self) -> Any:
        try:
            content = self.path.read_bytes() if self.path is not None else b""
        except OSError:
            content = b""
        return self.config.create_timing_cache(content) or self.config.create_timing_cache(b"")

    def save(self) -> None:
        """Add what another build stored meanwhile, then replace the file."""
        if self.path is None:
            return
        self.cache.combine(self._read(), ignore_mismatch=False)
        write_atomically(self.path, bytes(self.cache.serialize()))
