"""Runs of a built engine by NVIDIA's tool: what it computes, and how long it takes."""

from __future__ import annotations

import json
import math
import re
import subprocess
import tempfile
from pathlib import Path
from typing import Any, Sequence  # noqa: UP035 - Python 3.8

from infc.build.far.options import version_number
from infc.build.far.process import ender
from infc.build.far.trtexec import LOG_LINE, PLAIN_INPUT, find_trtexec, shapes_argument, trtexec_version

from .codes import NOT_READY, Refusal

RUN_TIMEOUT_S = 300.0
_NOT_A_NUMBER = re.compile(r"(?<=[\[\s,])[-+]?nan(?:\([^)]*\))?(?=[\s,\]])", re.IGNORECASE)
_INFINITE = re.compile(r"(?<=[\[\s,])([-+]?)inf(?:inity)?(?=[\s,\]])", re.IGNORECASE)


class EngineError(Exception):
    """The engine did not run, with the tool's own words."""


class EngineRuns:
    """An engine and how it is run: on which core, with open shapes or not.

    `is_dynamic`: a size of its inputs is open, so that each run names the shapes.
    """

    def __init__(self, plan: Path, dla_core: int | None, is_dynamic: bool) -> None:
        tool, version = find_trtexec(), trtexec_version()
        if tool is None or version is None:
            raise Refusal(NOT_READY, "trtexec, which runs the engine, is not here", "install libnvinfer-bin")
        self.tool, self.plan, self.is_dynamic = tool, plan.resolve(), is_dynamic
        self.options = [] if dla_core is None else [f"--useDLACore={dla_core}"]
        # TensorRT 11 leaves transfers out unless told otherwise; before, they are in, and the option does not exist.
        self.transfers = ["--includeDataTransfers"] if version_number(version) >= (11,) else []

    def outputs(self, inputs: Sequence[dict[str, Any]], folder: Path) -> dict[str, dict[str, Any]]:
        """What the engine computes of inputs whose files lie under `folder`: `shape` and flat `values`, by output.

        Raises EngineError. Source: exportJSONOutput in sampleReporting.cpp of TensorRT; numbers have six digits, and
        what is no number stands there as C++ writes it.
        """
        with tempfile.TemporaryDirectory(prefix="infc-outputs-") as scratch:
            out = Path(scratch) / "outputs.json"
            arguments = [f"--loadInputs={_pairs(inputs)}", f"--exportOutput={out}"]
            self._run([*arguments, "--iterations=1", "--warmUp=0", "--duration=0"], inputs, folder, RUN_TIMEOUT_S)
            try:
                text = _INFINITE.sub(r"\1Infinity", _NOT_A_NUMBER.sub("NaN", out.read_text(encoding="utf-8")))
                found = json.loads(text.replace("+Infinity", "Infinity"))
            except (OSError, ValueError) as error:
                raise EngineError(f"trtexec left no readable outputs: {error}") from error
        return {each["name"]: {"shape": _sizes(each["dimensions"]), "values": each["values"]} for each in found}

    def latencies_s(
        self, inputs: Sequence[dict[str, Any]], folder: Path, warm_up_s: float, seconds: float
    ) -> list[float]:
        """How long single executions take, one after the other, transfers included, in seconds. Raises EngineError.

        Inputs without a file are filled by the tool.
        """
        with tempfile.TemporaryDirectory(prefix="infc-times-") as scratch:
            out = Path(scratch) / "times.json"
            given = [tensor for tensor in inputs if "file" in tensor]
            arguments = [f"--loadInputs={_pairs(given)}"] if given else []
            arguments += [f"--exportTimes={out}", "--iterations=1", f"--warmUp={math.ceil(1e3 * warm_up_s)}"]
            arguments += [f"--duration={max(1, math.ceil(seconds))}", *self.transfers]
            self._run(arguments, inputs, folder, RUN_TIMEOUT_S + seconds + warm_up_s)
            try:
                return [float(query["latencyMs"]) / 1e3 for query in json.loads(out.read_text(encoding="utf-8"))]
            except (OSError, ValueError, KeyError) as error:
                raise EngineError(f"trtexec left no readable times: {error}") from error

    def _run(self, arguments: list[str], inputs: Sequence[dict[str, Any]], folder: Path, timeout_s: float) -> None:
        command = [self.tool, f"--loadEngine={self.plan}", *self.options, *arguments]
        if self.is_dynamic and inputs:
            shapes = [{"input": tensor["name"], "shape": tensor["shape"]} for tensor in inputs]
            command.append(f"--shapes={shapes_argument(shapes, 'shape')}")
        try:
            answer = subprocess.run(
                command,
                cwd=str(folder),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                errors="replace",
                timeout=timeout_s,
                check=False,
                preexec_fn=ender(),
            )
        except subprocess.TimeoutExpired as error:
            raise EngineError(f"trtexec did not end within {timeout_s:.0f} s") from error
        if answer.returncode != 0:
            lines = [LOG_LINE.match(line) for line in answer.stdout.splitlines()]
            errors = [match["text"] for match in lines if match and match["level"] == "E"]
            raise EngineError("; ".join(errors[:3]) or f"trtexec ended with exit code {answer.returncode}")


def _pairs(inputs: Sequence[dict[str, Any]]) -> str:
    """`input:verify/0/input.bin,...`; a name with other signs than those of paths is put in quotes."""
    names = [tensor["name"] if PLAIN_INPUT.fullmatch(tensor["name"]) else f"'{tensor['name']}'" for tensor in inputs]
    return ",".join(f"{name}:{tensor['file']}" for name, tensor in zip(names, inputs))  # noqa: B905 - Python 3.8


def _sizes(text: str) -> list[int]:
    """Sizes as the tool writes them.

    >>> _sizes("1x3x224"), _sizes("")
    ([1, 3, 224], [])
    """
    return [int(size) for size in re.findall(r"\d+", text)]
