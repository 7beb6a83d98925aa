"""A small, whole release for edge devices, made with the functions that a compile uses."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from infc.build.edge_release_json import MANIFEST_NAME, to_json
from infc.emit.jetson.archive import pack
from infc.emit.jetson.delta import delta_of
from infc.emit.jetson.provenance import provenance_json
from infc.emit.jetson.sbom import models_of, sbom_json
from infc.emit.jetson.sums import SUMS_NAME, content_digest, digests_of, with_sums
from infc.emit.supply.provenance import PROVENANCE_NAME, Dependency
from infc.emit.supply.sbom import SBOM_NAME, ContainerImage
from infc.ir.arrival import ConstantArrival
from infc.ir.build_options import BuildOptions
from infc.ir.edge_release import (
    EdgeDelta,
    EdgeEngine,
    EdgeLoad,
    EdgePrediction,
    EdgeRelease,
    EdgeService,
    EdgeSlo,
    EdgeTarget,
    VersionRange,
)
from infc.ir.engine import ShapeRange
from infc.ir.interval import Interval
from infc.ir.precision import Precision
from infc.ir.problem import LatencyTarget

MODEL = "models/dock-camera.onnx"
CONTENT: Mapping[str, bytes] = {
    MODEL: b"onnx" * 5000,
    "bin/edge.py": b"#!/usr/bin/env python3\n",
    "bin/libraries.json": b"{}\n",
    "install.sh": b"#!/bin/sh\n",
    "triton/dock-camera/config.pbtxt": b'name: "dock-camera"\n',
    "verify/0/image.bin": bytes(range(256)) * 4,
}
IMAGE = ContainerImage(name="nvcr.io/nvidia/tritonserver", tag="24.10-py3-igpu", digest="sha256:" + "5" * 64)


def release_of(content: Mapping[str, bytes | Path], version: str = "7") -> EdgeRelease:
    """The release with this content, for one kind of module."""
    interval = Interval(value=0.004, low=0.003, high=0.006)
    digests = digests_of(content)
    target = EdgeTarget(
        hardware_id="jetson-orin-nx-16gb",
        title="Jetson Orin NX 16GB",
        modules=("p3767-0000",),
        soc="tegra234",
        compute_capability="8.7",
        l4t=VersionRange(at_least="36.4", below="37"),
        tensorrt=VersionRange(at_least="10.3", below="11"),
        power_mode="25W",
        power_cap_w=25.0,
        engine="dock-camera",
        min_memory_bytes=1,
        min_free_bytes=1,
        predicted=EdgePrediction(latency_s={"p99": interval}, power_w=None),
    )
    engine = EdgeEngine(
        name="dock-camera",
        model=MODEL,
        model_digest=f"sha256:{digests[MODEL]}",
        precision=Precision.FP16,
        shapes=(ShapeRange(input_name="image", minimum=(1, 3, 8, 8), optimum=(1, 3, 8, 8), maximum=(1, 3, 8, 8)),),
        options=BuildOptions(),
        most_gpu_fallback=0.0,
        source_digest="sha256:" + "1" * 64,
        recipe_digest="sha256:" + "2" * 64,
        timeout_s=3600.0,
    )
    return EdgeRelease(
        name="dock-camera",
        version=version,
        kind="onnx",
        content_digest=content_digest(content),
        infc_version="0.1.0",
        targets=(target,),
        engines=(engine,),
        service=EdgeService(
            kind="none", unit="infc-dock-camera.service", url="http://127.0.0.1:8000", model="m", ready_timeout_s=1.0
        ),
        verify=None,
        slo=EdgeSlo(
            latency=(LatencyTarget(percentile=99.0, limit_s=0.033),),
            confidence=0.95,
            max_power_w=None,
            max_temperature_c=None,
        ),
        load=EdgeLoad(
            arrival=ConstantArrival(streams=1), rate_rps=30.0, batch_size=1, warm_up_s=1.0, seconds_at_most=60.0
        ),
        is_rolled_back=True,
        releases_kept=3,
    )


def files_of(release: EdgeRelease, content: Mapping[str, bytes | Path]) -> dict[str, bytes | Path]:
    """Every file of the release, with manifest, SBOM, provenance and sums."""
    spec = Dependency(name="specs/dock-camera.infc.yaml", digest="sha256:" + "3" * 64)
    return with_sums(
        {
            **content,
            MANIFEST_NAME: to_json(release),
            SBOM_NAME: sbom_json(release, content, models=models_of(release), images=[IMAGE]),
            PROVENANCE_NAME: provenance_json(release, spec=spec.name, target=None, dependencies=[spec]),
        }
    )


def bundle(folder: Path, content: Mapping[str, bytes | Path] = CONTENT, version: str = "7") -> Path:
    """The full archive of a release, not signed."""
    release = release_of(content, version)
    path = folder / f"dock-camera-jetson-orin-nx-16gb-{version}.tar.zst"
    return packed(files_of(release, content), f"dock-camera-{version}", path)


def delta_bundle(folder: Path, content: Mapping[str, bytes | Path], version: str, base: EdgeRelease) -> Path:
    """The archive of what changed since `base`, whose content was `CONTENT`."""
    delta = delta_of(content, bytes(files_of(base, CONTENT)[SUMS_NAME]))
    release = replace(release_of(content, version), delta=EdgeDelta(base_version=base.version, absent=delta.absent))
    path = folder / f"dock-camera-jetson-orin-nx-16gb-{version}.from-{base.version}.tar.zst"
    return packed(delta.carried(files_of(release, content)), f"dock-camera-{version}", path)


def packed(files: Mapping[str, bytes | Path], folder: str, path: Path) -> Path:
    """The files as an archive at `path`."""
    with path.open("wb") as out:
        pack(files, folder, out)
    return path
