"""A headless Chromium that is spoken to over pipes: the DevTools protocol without a port, a driver or a package.

Source: Chromium's `--remote-debugging-pipe`: it reads commands from file descriptor 3 and writes answers and events to
4, each a JSON object that ends with a zero byte.
"""

import base64
import json
import os
import select
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome-headless-shell")
_FLAGS = (
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars", "--no-first-run",
    "--disable-extensions", "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--disable-default-apps", "--mute-audio", "--remote-debugging-pipe",
)  # fmt: skip
_TIMEOUT_S = 120.0
_MOVE = """
import os, sys
ends = [os.dup(int(each)) for each in sys.argv[1:3]]
for end, place in zip(ends, (3, 4)):
    os.dup2(end, place)
    os.set_inheritable(place, True)
os.execv(sys.argv[3], sys.argv[3:])
"""
"""Puts the pipes at the descriptors that the browser uses, and becomes the browser."""


def chromium_path() -> str | None:
    """The browser: the environment variable INFC_CHROMIUM, else the first that is installed."""
    return os.environ.get("INFC_CHROMIUM") or next((found for name in NAMES if (found := shutil.which(name))), None)


def axe_path() -> Path | None:
    """The script of axe-core: the environment variable INFC_AXE names it (`npm install axe-core`: axe.min.js in it)."""
    named = os.environ.get("INFC_AXE")
    return Path(named) if named and Path(named).is_file() else None


class Browser:
    """A running browser with one page."""

    def __init__(self, reading: int, writing: int) -> None:
        self._reading = reading
        self._writing = writing
        self._number = 0
        self._buffer = b""
        self._session: str | None = None
        self.events: list[dict[str, Any]] = []
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **parameters: object) -> dict[str, Any]:
        """The result of a command. Raises AssertionError when the browser refuses it, ends or takes two minutes."""
        self._number += 1
        message: dict[str, object] = {"id": self._number, "method": method, "params": parameters}
        if self._session is not None:
            message["sessionId"] = self._session
        self._write(message)
        while True:
            answer = self._read()
            if answer.get("id") == self._number:
                assert "error" not in answer, f"{method}: {answer['error']}"
                return dict(answer.get("result", {}))
            self.events.append(answer)

    def open(self, page: Path, *, width: int, height: int = 900, is_dark: bool = False, zoom: float = 1.0) -> None:
        """Load a file at a size in CSS pixels and a color scheme. At a zoom of 2 half as many pixels fit."""
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=round(width / zoom),
            height=round(height / zoom),
            deviceScaleFactor=1,
            mobile=False,
        )
        scheme = {"name": "prefers-color-scheme", "value": "dark" if is_dark else "light"}
        self.call("Emulation.setEmulatedMedia", media="screen", features=[scheme])
        self.events.clear()
        self.call("Page.navigate", url=page.resolve().as_uri())
        while not any(event.get("method") == "Page.loadEventFired" for event in self.events):
            self.events.append(self._read())

    def evaluate(self, script: str) -> Any:
        """The value of an expression in the page; promises are waited for."""
        result = self.call("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in result, result["exceptionDetails"]
        return result["result"].get("value")

    def press(self, key: str, code: int, text: str = "") -> None:
        """Press and release a key; `text` is what it types."""
        down = {"text": text} if text else {}
        for kind, more in (("keyDown" if text else "rawKeyDown", down), ("keyUp", {})):
            self.call("Input.dispatchKeyEvent", type=kind, key=key, code=key, windowsVirtualKeyCode=code, **more)

    def screenshot(self, path: Path) -> None:
        """The whole page as a PNG."""
        size = self.call("Page.getLayoutMetrics")["cssContentSize"]
        clip: Mapping[str, float] = {"x": 0, "y": 0, "width": size["width"], "height": size["height"], "scale": 1}
        data = self.call("Page.captureScreenshot", format="png", clip=clip, captureBeyondViewport=True)["data"]
        path.write_bytes(base64.b64decode(data))

    def _write(self, message: Mapping[str, object]) -> None:
        data = json.dumps(message).encode() + b"\0"
        while data:
            data = data[os.write(self._writing, data) :]

    def _read(self) -> dict[str, Any]:
        end_s = time.monotonic() + _TIMEOUT_S
        while b"\0" not in self._buffer:
            ready, _, _ = select.select([self._reading], [], [], max(0.0, end_s - time.monotonic()))
            assert ready, "the browser does not answer"
            piece = os.read(self._reading, 1 << 20)
            assert piece, "the browser has ended"
            self._buffer += piece
        message, _, self._buffer = self._buffer.partition(b"\0")
        return dict(json.loads(message))


@contextmanager
def browser(executable: str, profile: Path) -> Iterator[Browser]:
    """A browser with a profile of its own, ended with the block.

    Args:
        executable: Chromium or a relative of it.
        profile: an empty folder for its files.
    """
    commands_out, commands_in = os.pipe()
    answers_out, answers_in = os.pipe()
    process = subprocess.Popen(
        [sys.executable, "-c", _MOVE, str(commands_out), str(answers_in), executable, *_FLAGS,
         f"--user-data-dir={profile}"],
        pass_fds=(commands_out, answers_in),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "HOME": str(profile), "XDG_CONFIG_HOME": str(profile), "XDG_CACHE_HOME": str(profile)},
        process_group=0,
    )  # fmt: skip
    os.close(commands_out)
    os.close(answers_in)
    try:
        yield Browser(answers_out, commands_in)
    finally:
        os.close(commands_in)
        os.close(answers_out)
        with suppress(ProcessLookupError):
            os.killpg(process.pid, 9)
        process.wait()
