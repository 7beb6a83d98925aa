"""What this machine's GPU does with infc's example models: `make gpu` runs it and leaves `gpu-report/`.

It runs tests/gpu, calibrates every example spec whose files are here at every precision that the GPU has, and writes
`report.json` (everything), `report.md` (for people) and `profiles/` (measured service times, as plans read them). The
folder appears whole or not at all. To keep a report, commit `report.md` as `benchmarks/results/gpu_<gpu>.md` and the
profiles into `specs/infc-profiles/`. Only this machine's GPU is named in it, not the machine.
"""

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ET
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any, get_args

import gpu_report_text
import infc
from infc.diag import Diagnostic, ToolError
from infc.ir.engine_kind import EngineChoice
from infc.ir.hardware import Hardware
from infc.ir.precision import Precision
from infc.perf import kernel_work, unsupported_reason
from infc.pipeline.calibrate import Calibrated, CalibrationQuestion, calibrate_model, model_file
from infc.report.service_time import render_calibration_json
from infc.resolve.model import model_profile
from infc.resolve.store import ProfileStore
from infc.resolve.targets import load_catalogue
from infc.spec import find_workspace, load_spec
from infc.validate.gpu import GpuDevice, find_gpus
from infc.validate.gpu.identity import is_device
from infc.validate.gpu.nvml import driver_version
from infc.validate.session import has_gpu

ROOT = Path(__file__).resolve().parents[1]
SPECS = ("fashion-mnist", "magika", "efficientnet-lite0", "minilm")
PRECISIONS = (Precision.FP32, Precision.FP16, Precision.BF16, Precision.INT8, Precision.FP8)
BATCH_SIZES = (1, 2, 4, 8, 16, 32)
PACKAGES = ("tensorrt", "tensorrt_rtx", "cuda-bindings", "nvidia-ml-py", "onnxruntime", "onnxruntime-gpu", "torch")


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What to run. `budget_s` is per model and precision; `engine` None takes each spec's own runtime."""

    output: Path
    specs: tuple[str, ...]
    precisions: tuple[Precision, ...]
    batch_sizes: tuple[int, ...]
    budget_s: float
    with_tests: bool
    engine: EngineChoice | None


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and write the report; 1 without a GPU that infc knows, or when a test failed."""
    settings = parsed(arguments)
    found = this_machine()
    if isinstance(found, str):
        print(f"gpu_report: {found}", file=sys.stderr)
        return 1
    device, hardware = found
    with tempfile.TemporaryDirectory(prefix="infc-gpu-report-") as name:
        scratch = Path(name)
        report = measured(device, hardware, settings, scratch)
        publish(report, scratch, settings.output)
    failed = report["tests"]["counts"].get("failed", 0)
    print(f"{settings.output}/report.md: {summary(report)}")
    return 1 if failed else 0


def parsed(arguments: Sequence[str] | None) -> Settings:
    """The command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--output", type=Path, default=Path("gpu-report"))
    parser.add_argument("--specs", default=",".join(SPECS), help="folders of specs/ to calibrate")
    parser.add_argument("--precisions", default=",".join(PRECISIONS))
    parser.add_argument("--batches", default=",".join(map(str, BATCH_SIZES)))
    parser.add_argument("--budget", type=float, default=20.0, metavar="SECONDS", help="per model and precision")
    parser.add_argument("--engine", choices=get_args(EngineChoice), help="the runtime of all, such as torch")
    parser.add_argument("--no-tests", action="store_true", help="calibrate only")
    given = parser.parse_args(arguments)
    return Settings(
        output=given.output,
        specs=tuple(filter(None, given.specs.split(","))),
        precisions=tuple(Precision(name) for name in given.precisions.split(",")),
        batch_sizes=tuple(int(size) for size in given.batches.split(",")),
        budget_s=given.budget,
        with_tests=not given.no_tests,
        engine=given.engine,
    )


def this_machine() -> tuple[GpuDevice, Hardware] | str:
    """The first GPU with its row of the catalogue, or why there is nothing to report."""
    try:
        found = find_gpus() if has_gpu() else ()
    except ToolError as error:
        return f"{error} ({error.help})"
    if isinstance(found, Diagnostic):
        return f"{found.message} ({', '.join(found.notes)})"
    if not found:
        return "this machine has no NVIDIA GPU; nothing was written"
    row = next((row for row in load_catalogue(None).all() if is_device(found[0], row)), None)
    if row is None:
        return f"{found[0].label} is not in targets/hardware: add its row, then run this again"
    return found[0], row


def measured(device: GpuDevice, hardware: Hardware, settings: Settings, scratch: Path) -> dict[str, Any]:
    """The whole report as JSON values; measured profiles lie in `scratch` afterwards."""
    tests = tests_run(scratch) if settings.with_tests else {"counts": {}, "cases": []}
    models = [
        model
        for name in settings.specs
        for model in calibrated(name, device, hardware, settings, scratch / "workspaces" / name)
    ]
    return {
        "format_version": "1.0",
        "infc": infc.__version__,
        "gpu": {
            "name": device.name,
            "hardware": hardware.id,
            "compute_capability": device.compute_capability,
            "memory_gib": device.memory_bytes / 2**30,
            "sm_count": device.sm_count,
            "cuda": device.driver_cuda,
            "driver": driver_version(device),
        },
        "packages": dict(installed()),
        "tests": tests,
        "models": models,
        "skipped_specs": [name for name in settings.specs if not has_files(name)],
    }


def installed() -> Iterator[tuple[str, str]]:
    """Packages that take part, with their versions."""
    for package in PACKAGES:
        try:
            yield package, metadata.version(package)
        except metadata.PackageNotFoundError:
            continue


def has_files(name: str) -> bool:
    """Whether the spec's model is here; `make models` fetches the larger ones."""
    loaded = load_spec(ROOT / "specs" / name / f"{name}.infc.yaml")
    path = model_file(loaded)
    return loaded.spec is not None and path is not None and path.is_file()


def tests_run(scratch: Path) -> dict[str, Any]:
    """Run tests/gpu in a process of its own; every case with its outcome, reason and what it recorded."""
    results = scratch / "tests.xml"
    command = [sys.executable, "-m", "pytest", "--quiet", "tests/gpu", f"--junitxml={results}"]
    subprocess.run([*command, "-o", "junit_family=xunit1"], cwd=ROOT, stdout=sys.stderr, check=False)
    if not results.is_file():
        return {"counts": {"failed": 1}, "cases": [{"name": "tests/gpu", "outcome": "failed", "reason": "no results"}]}
    cases = [case_from(element) for element in ET.parse(results).iter("testcase")]  # noqa: S314 - pytest wrote it here
    return {"counts": dict(Counter(case["outcome"] for case in cases)), "cases": cases}


def case_from(element: ET.Element) -> dict[str, Any]:
    """One test case of pytest's XML."""
    outcome, reason = "passed", ""
    for tag, word in (("failure", "failed"), ("error", "failed"), ("skipped", "skipped")):
        found = element.find(tag)
        if found is not None:
            outcome, reason = word, (found.get("message") or "").splitlines()[0] if found.get("message") else ""
    recorded = {each.get("name", ""): each.get("value", "") for each in element.iter("property")}
    return {"name": element.get("name", ""), "outcome": outcome, "reason": reason, "recorded": recorded}


def calibrated(
    name: str, device: GpuDevice, hardware: Hardware, settings: Settings, folder: Path
) -> Iterator[dict[str, Any]]:
    """The spec's model measured at every precision, in a copy of its folder."""
    if not has_files(name):
        return
    shutil.copytree(ROOT / "specs" / name, folder, ignore=shutil.ignore_patterns(".infc", "infc-profiles"))
    spec = folder / f"{name}.infc.yaml"
    loaded = load_spec(spec)
    model_path = model_file(loaded)
    assert model_path is not None
    model, _ = model_profile(model_path, ProfileStore(root=folder, cache=folder / ".infc"), None)
    for precision in settings.precisions:
        axes = {axis: loaded.spec.workload.axes[axis].max for axis in model.axes} if model and loaded.spec else {}
        reason = None if model is None else unsupported_reason(hardware, precision, kernel_work(model, axes).classes)
        if reason is not None:
            yield {"spec": name, "precision": precision.value, "refused": reason}
            continue
        question = CalibrationQuestion(
            loaded=loaded,
            workspace=find_workspace(spec),
            model=model_path,
            hardware=hardware.id,
            batch_sizes=settings.batch_sizes,
            axes={axis: (size,) for axis, size in axes.items()},
            precisions=(precision,),
            threads=1,
            instances=1,
            budget_s=settings.budget_s,
            engine=settings.engine,
        )
        yield one_model(name, precision, question, folder)


def one_model(name: str, precision: Precision, question: CalibrationQuestion, folder: Path) -> dict[str, Any]:
    """One precision of one model: its measured profile beside the prediction, and its engine; or why there is none."""
    try:
        found = calibrate_model(question, lambda line: print(f"{name} {line}", file=sys.stderr))
    except ToolError as error:
        return {"spec": name, "precision": precision.value, "refused": str(error)}
    if not found.comparisons:
        words = found.diagnostics[-1].message if found.diagnostics else "no reason was given"
        return {"spec": name, "precision": precision.value, "refused": words}
    profile = json.loads(render_calibration_json(found.comparisons))["profiles"][0]
    return {
        "spec": name,
        "precision": precision.value,
        "profile": profile,
        "engine": engine_of(folder / ".infc" / "engines", precision),
        "warnings": warnings(found),
    }


def warnings(found: Calibrated) -> list[str]:
    """What the calibration warned of."""
    return [diagnostic.message for diagnostic in found.diagnostics]


def engine_of(cache: Path, precision: Precision) -> dict[str, Any] | None:
    """Kind, size, memory and layers by type of the newest engine in this precision, as its builder attested it."""
    newest: tuple[float, dict[str, Any]] | None = None
    for path in cache.glob("*/attestation.json"):
        job = json.loads((path.parent / "job.json").read_text())
        attested = json.loads(path.read_text())
        facts, engine = attested.get("facts"), attested.get("engine")
        if job["precision"] != precision.value or facts is None or engine is None:
            continue
        stamp = path.stat().st_mtime
        if newest is None or stamp > newest[0]:
            newest = (stamp, engine_row(job, engine, facts, attested["seconds"]))
    return None if newest is None else newest[1]


def engine_row(
    job: Mapping[str, Any], engine: Mapping[str, Any], facts: Mapping[str, Any], seconds: float
) -> dict[str, Any]:
    """What is told of an engine."""
    return {
        "kind": job["kind"],
        "size_bytes": engine["size_bytes"],
        "activation_bytes": facts["activation_bytes"],
        "weight_bytes": facts["weight_bytes"],
        "layers": len(facts["layers"]),
        "layer_types": dict(Counter(layer["dtype"] for layer in facts["layers"]).most_common()),
        "seconds": seconds,
    }


def publish(report: dict[str, Any], scratch: Path, output: Path) -> None:
    """Write the folder beside its place and move it there: what is there before is replaced whole."""
    staged = Path(tempfile.mkdtemp(prefix=f".{output.name}-", dir=output.resolve().parent))
    try:
        (staged / "report.json").write_text(json.dumps(report, indent=1, sort_keys=True) + "\n")
        (staged / "report.md").write_text(gpu_report_text.markdown(report))
        (staged / "profiles").mkdir()
        for path in sorted((scratch / "workspaces").glob("**/infc-profiles/service-time-*.json")):
            shutil.copy2(path, staged / "profiles" / path.name)
        staged.chmod(0o755)
        old = output.with_name(f".{output.name}-old")
        shutil.rmtree(old, ignore_errors=True)
        if output.exists():
            output.rename(old)
        staged.rename(output)
        shutil.rmtree(old, ignore_errors=True)
    except BaseException:
        shutil.rmtree(staged, ignore_errors=True)
        raise


def summary(report: dict[str, Any]) -> str:
    """One line about the whole."""
    points = gpu_report_text.points_of(report)
    inside = sum(bool(point["is_inside_prediction"]) for point in points)
    tests = ", ".join(f"{count} {outcome}" for outcome, count in sorted(report["tests"]["counts"].items()))
    measured_words = f"{inside} of {len(points)} measured points inside their predicted interval"
    return f"{tests or 'no tests run'}; {measured_words}"


if __name__ == "__main__":
    sys.exit(main())
