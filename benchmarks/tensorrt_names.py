"""Writes the names that TensorRT's real Python bindings have, one file a version, for the tests of `build.libraries`.

    python benchmarks/tensorrt_names.py WHEEL... --out tests/build/data

A wheel is one of the binding packages (`tensorrt_cu12_bindings`, `tensorrt_rtx_cu13_bindings`) for the running Python,
as `pip download --no-deps` fetches it. The binding loads only beside the library, which is gigabytes and wants a GPU;
but its names are its own, and it takes ten functions from the library. So it is loaded beside a library with just those
ten, which return nothing: enough to list classes, enumerations and attributes. Needs gcc and nm.
"""

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

ENUMERATIONS = (
    "BuilderFlag",
    "ComputeCapability",
    "DataType",
    "DeviceType",
    "HardwareCompatibilityLevel",
    "LayerInformationFormat",
    "MemoryPoolType",
    "NetworkDefinitionCreationFlag",
    "OnnxParserFlag",
    "PreviewFeature",
    "ProfilingVerbosity",
    "TilingOptimizationLevel",
)
CLASSES = (
    "Builder",
    "EngineInspector",
    "IBuilderConfig",
    "ICudaEngine",
    "INetworkDefinition",
    "IOptimizationProfile",
    "IProgressMonitor",
    "ITimingCache",
    "OnnxParser",
    "Runtime",
)
LIST_NAMES = """
import importlib, json, sys
module = importlib.import_module(sys.argv[1])
enumerations, classes = json.loads(sys.argv[2]), json.loads(sys.argv[3])
print(json.dumps({
    "version": module.__version__,
    "enumerations": {n: list(getattr(module, n).__members__) for n in enumerations if hasattr(module, n)},
    "classes": {n: [a for a in dir(getattr(module, n)) if a[0] != "_"] for n in classes if hasattr(module, n)},
}))
"""


def main() -> None:
    """Extract every wheel named on the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("wheels", nargs="+", type=Path)
    parser.add_argument("--out", required=True, type=Path)
    arguments = parser.parse_args()
    for wheel in arguments.wheels:
        with tempfile.TemporaryDirectory() as folder:
            names = names_of(wheel, Path(folder))
        kind = "tensorrt_rtx" if "rtx" in wheel.name else "tensorrt"
        version = ".".join(names["version"].split(".")[:2])
        path = arguments.out / f"{kind}_names_{version}.json"
        names = {"package": "-".join(wheel.name.split("-")[:2]), **names}
        path.write_text(json.dumps(names, indent=1, sort_keys=True) + "\n")
        print(f"{path}: {names['version']}")


def names_of(wheel: Path, folder: Path) -> dict[str, str]:
    """Version, enumerations and class attributes of the binding in a wheel, unpacked into `folder`."""
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder)
    (binding,) = (path for path in folder.glob("tensorrt*_bindings/tensorrt*.so"))
    dynamic = subprocess.run(["readelf", "-d", binding], check=True, capture_output=True, text=True).stdout
    undefined = subprocess.run(["nm", "-D", "--undefined-only", binding], check=True, capture_output=True, text=True)
    functions = re.findall(
        r"U (\w*(?:_INTERNAL|PluginRegistry|NvOnnxParserVersion|NvInferPlugins|getInfer\w+|getLogger))",
        undefined.stdout,
    )
    source = folder / "library.c"
    source.write_text("".join(f"void *{name}(void) {{ return 0; }}\n" for name in sorted(set(functions))))
    for library in re.findall(r"Shared library: \[(lib(?:nv|tensorrt)[\w.]+)\]", dynamic):
        subprocess.run(
            ["gcc", "-shared", "-fPIC", f"-Wl,-soname,{library}", "-o", folder / library, source], check=True
        )
    answer = subprocess.run(
        [sys.executable, "-c", LIST_NAMES, binding.parent.name, json.dumps(ENUMERATIONS), json.dumps(CLASSES)],
        check=True,
        capture_output=True,
        text=True,
        env={**os.environ, "LD_LIBRARY_PATH": str(folder), "PYTHONPATH": str(folder)},
    )
    names: dict[str, str] = json.loads(answer.stdout)
    return names


if __name__ == "__main__":
    main()
