"""Building with NVIDIA's command-line tool, where TensorRT is installed without its Python package (JetPack, tar)."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any, Callable  # noqa: UP035 - Python 3.8

from .facts import facts_from_log, layers_from_inspector
from .files import write_atomically
from .onnx_file import has_dynamic_inputs
from .options import unsupported_options
from .precision import unread_precision
from .process import followed
from .progress import REPORT_EVERY_S, say
from .timing import timing_cache_path

PLACES = ("/usr/src/tensorrt/bin", "/opt/tensorrt/bin", "/usr/local/tensorrt/bin")
"""Where TensorRT's packages put the tool without adding it to PATH: Debian and JetPack, NVIDIA's containers, tar."""

BANNER = re.compile(r"\[TensorRT v(\d\d)(\d\d)(\d\d)\]")
LOG_LINE = re.compile(r"^\[[^\]]+\] \[(?P<level>[IWEV])\] (?:\[TRT\] )?(?P<text>.*)$")
LEVELS = {"ampere_plus": "ampere+", "same_compute_capability": "sameComputeCapability"}
SWITCHES = {
    "is_version_compatible": "--versionCompatible",
    "is_weight_streaming": "--allowWeightStreaming",
    "is_refittable": "--refit",
}
TIMING_NAME = "timing.cache"
CACHE_ERROR = re.compile(r"\[E\].*timing ?cache", re.IGNORECASE)
STEP = re.compile(
    r"(Start|Finish(ed)?) (parsing|building|build)|Engine built|Created engine|Detected \d+ inputs|Compiler"
)
"""Lines of the tool's log that say how far it is."""

FALLBACK = re.compile(
    r"Layer '(?P<name>.+?)' \((?P<kind>\w+)\): Unsupported on DLA"
    r"|subgraphs per DLA core\. Switching to GPU for layer (?P<other>.+)$"
    r"|[Ll]ayer (?P<old>.+?) is not supported on DLA, falling back to GPU"
)
"""Warnings of a layer that leaves the DLA. Source: logs of TensorRT 8 and 10 that users published; 7 wrote the last."""

PLAIN_INPUT = re.compile(r"[A-Za-z0-9_./-]+")


def find_trtexec() -> str | None:
    """Path of the tool; None when it is not here."""
    return shutil.which("trtexec", path=os.pathsep.join([os.environ.get("PATH", ""), *PLACES]))


def trtexec_version() -> str | None:
    """The version of TensorRT that the tool belongs to, as it says itself (`10.3.0`); None without the tool."""
    tool = find_trtexec()
    if tool is None:
        return None
    try:
        answer = subprocess.run([tool, "--help"], capture_output=True, text=True, timeout=60, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    match = BANNER.search(answer.stdout)
    return ".".join(str(int(part)) for part in match.groups()) if match else None


def trtexec_arguments(
    job: dict[str, Any],
    library: dict[str, Any],
    model: str,
    engine: str,
    layers: str,
    timing_cache: str | None,
    *,
    is_static: bool = False,
) -> list[str]:
    """The arguments that build a job's engine.

    The caller has made sure that the library refuses none of the job's options. A model without a dynamic input gets
    no shapes: the tool refuses them ("Static model does not take explicit shapes"). Source: sampleOptions.cpp and
    sampleEngines.cpp among the samples of TensorRT 10.15 and 11.2; for TensorRT-RTX's tool its documentation.
    """
    options = job["options"]
    arguments = [f"--onnx={model}", f"--saveEngine={engine}", "--skipInference"]
    if not is_static:
        arguments += [f"--{name}Shapes={shapes_argument(job['shapes'], key)}" for name, key in _PROFILE]
    if library["capabilities"]:
        capability = job["compute_capability"].replace(".", "")
        return [*arguments, f"--computeCapabilities={capability}", "--profilingVerbosity=detailed"]
    if "STRONGLY_TYPED" in library["network_flags"]:
        arguments.append("--stronglyTyped")
    if job["precision"] == "fp32":
        arguments.append("--noTF32")
    if options["workspace_bytes"] is not None:
        # In MiB and without a suffix: TensorRT 10.0 reads a number with any suffix as bytes times MiB.
        arguments.append(f"--memPoolSize=workspace:{mebibytes_text(options['workspace_bytes'])}")
    if options["optimization_level"] is not None:
        arguments.append(f"--builderOptimizationLevel={options['optimization_level']}")
    arguments += [flag for option, flag in sorted(SWITCHES.items()) if options[option]]
    level = library["hardware_levels"].get(options["hardware_compatibility"], "NONE")
    if level != "NONE":
        arguments.append("--hardwareCompatibilityLevel=" + LEVELS[options["hardware_compatibility"]])
    if options["dla_core"] is not None:
        arguments += [f"--useDLACore={options['dla_core']}", "--allowGPUFallback"]
    if timing_cache is not None and library["has_timing_cache"]:
        arguments.append(f"--timingCacheFile={timing_cache}")
    return [*arguments, "--profilingVerbosity=detailed", f"--exportLayerInfo={layers}"]


_PROFILE = (("min", "minimum"), ("opt", "optimum"), ("max", "maximum"))


def shapes_argument(shapes: list[dict[str, Any]], which: str) -> str:
    """`input:1x3x224x224,other:1x4`; a name with other signs than those of paths is put in quotes."""
    parts = []
    for shape in shapes:
        name = shape["input"] if PLAIN_INPUT.fullmatch(shape["input"]) else "'{}'".format(shape["input"])
        parts.append(f"{name}:" + ("x".join(str(size) for size in shape[which]) or "scalar"))
    return ",".join(parts)


def mebibytes_text(size_bytes: int) -> str:
    """A size in MiB, rounded down where it does not come out even.

    >>> mebibytes_text(2**30), mebibytes_text(3 * 2**18)
    ('1024', '0.75')
    """
    return f"{size_bytes // 1024 / 1024:.10f}".rstrip("0").rstrip(".")


def build_with_trtexec(
    tool: str, job: dict[str, Any], library: dict[str, Any], version: str, timing_cache: Path | None
) -> dict[str, Any]:
    """Build in the current folder: the answer's facts and errors, and `model.plan` beside it when it was built."""
    refused = unsupported_options(job["options"], job["hardware_id"], version, library)
    if refused:
        return {"facts": None, "errors": ["\n".join(refused)], "parse_errors": []}
    try:
        is_static = not has_dynamic_inputs(Path("model.onnx"))
    except ValueError as error:
        return {"facts": None, "errors": [str(error)], "parse_errors": []}
    cache = None if timing_cache is None else timing_cache_path(timing_cache, library["kind"], version)
    kept = None if cache is None else TIMING_NAME
    arguments = trtexec_arguments(job, library, "model.onnx", "model.plan", "layers.json", kept, is_static=is_static)
    if cache is not None and cache.is_file():
        shutil.copyfile(str(cache), TIMING_NAME)
    say(f"{library['title']} {version}: trtexec builds the model")
    code, printed = followed([tool, *arguments], _reporter())
    if code != 0 and cache is not None and any(CACHE_ERROR.search(line) for line in printed):
        # A cache of another device or version, or a damaged one, ends the whole build: do without it.
        say("the timing cache does not fit; building without it")
        Path(TIMING_NAME).unlink()
        code, printed = followed([tool, *arguments], _reporter())
    lines = [LOG_LINE.match(line) for line in printed]
    messages = [(match["level"], match["text"]) for match in lines if match]
    errors = [text for level, text in messages if level == "E"]
    plan = Path("model.plan")
    if code != 0 or not plan.is_file():
        reason = errors or [f"trtexec ended with exit code {code}"]
        return {"facts": None, "errors": reason, "parse_errors": []}
    facts = facts_from_log([text for _, text in messages], job["shapes"])
    facts.update(toolchain=job["toolchain"], settings={}, fallbacks=_fallbacks(messages))
    try:
        facts["layers"] = layers_from_inspector(Path("layers.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        return {"facts": None, "errors": [f"trtexec left no readable layers: {error}"], "parse_errors": []}
    unread = unread_precision(job["precision"], facts["layers"])
    if unread is not None:
        return {"facts": None, "errors": [unread, *errors], "parse_errors": []}
    if cache is not None and Path(TIMING_NAME).is_file():
        cache.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(cache, Path(TIMING_NAME).read_bytes())
    return {"facts": facts, "errors": errors, "parse_errors": []}


def _reporter() -> Callable[[str], None]:
    """Says what the tool tells of its steps, not too often; its log has thousands of lines."""
    told_at_s = [0.0]

    def report(line: str) -> None:
        match = LOG_LINE.match(line)
        if match and STEP.match(match["text"]) and time.monotonic() - told_at_s[0] >= REPORT_EVERY_S:
            told_at_s[0] = time.monotonic()
            say("trtexec: " + match["text"])

    return report


def _fallbacks(messages: list[tuple[str, str]]) -> list[str]:
    """Layers that the DLA could not take, which TensorRT only warns of; constants compute nothing."""
    found = [
        match for _, text in messages for match in [FALLBACK.search(text)] if match and match["kind"] != "CONSTANT"
    ]
    names = [match["name"] or match["other"] or match["old"] for match in found]
    return [f"{name}: GPU instead of DLA" for name in dict.fromkeys(names)]
