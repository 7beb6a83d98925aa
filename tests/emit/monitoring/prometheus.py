"""The real Prometheus and promtool, on PATH or in the folder that INFC_PROMETHEUS names.

`apt-get download prometheus` and `dpkg -x` make such a folder. A test that needs them is skipped where they are not.
"""

import http.client
import json
import os
import shutil
import socket
import subprocess
import time
import urllib.parse
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pytest
import yaml

VARIABLE = "INFC_PROMETHEUS"
_READY_S = 60.0


def program(name: str) -> str:
    """Where `prometheus` or `promtool` is; skips the test where it is nowhere."""
    folder = os.environ.get(VARIABLE)
    found = shutil.which(name, path=folder) if folder else shutil.which(name)
    if found is None:
        where = f"in {folder}" if folder else f"on PATH, and {VARIABLE} names no folder"
        pytest.skip(f"there is no {name} {where}")
    return found


def promtool(*arguments: str, cwd: Path | None = None, stdin: str | None = None) -> tuple[int, str]:
    """Exit code and output of promtool."""
    done = subprocess.run(
        [program("promtool"), *arguments],
        input=stdin,
        capture_output=True,
        text=True,
        check=False,
        timeout=1800,
        cwd=cwd,
    )
    return done.returncode, done.stdout + done.stderr


class Prometheus:
    """A real Prometheus on loopback while a `with` block runs: targets by job, rule files, an answer to each query."""

    def __init__(self, folder: Path, jobs: Mapping[str, str], rules: Sequence[Path], labels: Mapping[str, str]) -> None:
        self._folder = folder
        self._config = {
            "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
            "rule_files": [str(path) for path in rules],
            "scrape_configs": [
                {"job_name": job, "static_configs": [{"targets": [target], "labels": dict(labels)}]}
                for job, target in jobs.items()
            ],
        }
        self._process: subprocess.Popen[bytes] | None = None
        self._port = 0

    def __enter__(self) -> Self:
        """Start it and wait until it answers."""
        executable = program("prometheus")
        self._folder.mkdir(parents=True, exist_ok=True)
        config = self._folder / "prometheus.yaml"
        config.write_text(yaml.safe_dump(self._config), encoding="utf-8")
        with socket.socket() as holder:
            holder.bind(("127.0.0.1", 0))
            self._port = holder.getsockname()[1]
        with (self._folder / "prometheus.log").open("wb") as log:
            self._process = subprocess.Popen(
                [
                    executable,
                    f"--config.file={config}",
                    f"--storage.tsdb.path={self._folder / 'data'}",
                    f"--web.listen-address=127.0.0.1:{self._port}",
                    "--log.level=warn",
                ],
                stdout=log,
                stderr=log,
            )
        self.wait_for(lambda: self._get("/-/ready")[0] == http.HTTPStatus.OK, lambda: "Prometheus did not start")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """End it."""
        if self._process is not None:
            self._process.terminate()
            try:
                self._process.wait(timeout=20)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()

    def wait_for(self, condition: Callable[[], bool], what: Callable[[], str]) -> None:
        """Wait until something holds."""
        deadline = time.monotonic() + _READY_S
        while time.monotonic() < deadline:
            assert self._process is not None
            assert self._process.poll() is None, (self._folder / "prometheus.log").read_text()
            if condition():
                return
            time.sleep(0.1)
        raise AssertionError(f"{what()}: {(self._folder / 'prometheus.log').read_text()[-2000:]}")

    def query(self, expr: str) -> list[tuple[dict[str, str], float]]:
        """The labels and value of each series that an expression gives now."""
        status, body = self._get("/api/v1/query?" + urllib.parse.urlencode({"query": expr}))
        answer = json.loads(body)
        assert status == http.HTTPStatus.OK, (expr, answer)
        data = answer["data"]
        if data["resultType"] == "scalar":
            return [({}, float(data["result"][1]))]
        return [(row["metric"], float(row["value"][1])) for row in data["result"]]

    def rules(self) -> list[dict[str, Any]]:
        """Every loaded rule with its health and, of alerts, what is firing."""
        _, body = self._get("/api/v1/rules")
        return [rule for group in json.loads(body)["data"]["groups"] for rule in group["rules"]]

    def _get(self, path: str) -> tuple[int, bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=30)
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            return answer.status, answer.read()
        except OSError:
            return 0, b""
        finally:
            connection.close()
