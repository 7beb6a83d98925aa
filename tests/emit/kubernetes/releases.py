"""Releases of both servers, for tests: every combination of what a spec may say of a cluster."""

from dataclasses import replace
from functools import cache
from itertools import product
from pathlib import Path
from typing import Any

import infc.emit.triton as triton
from infc.ir.bundle import Bundle
from infc.ir.precision import Precision
from infc.ir.spec import Deploy, Kubernetes
from tests.emit import samples
from tests.emit.vllm import samples as llm

STORAGES: dict[str, dict[str, Any] | None] = {
    "none": None,
    "pvc": {"pvc": {"claim": "models", "path": "lookup/v2"}},
    "oci": {"oci": {"image": "registry.example.com:5000/models/lookup", "pull_secret": "registry"}},
    "s3": {"s3": {"uri": "s3://acme-models/lookup", "region": "eu-central-1", "secret": "bucket"}},
    "minio": {"s3": {"uri": "s3://models/lookup", "endpoint": "http://minio.storage.svc:9000", "secret": "bucket"}},
}
PROVIDED: dict[str, tuple[str, ...]] = {
    "none": ("lookup-model",),
    "pvc": ("models",),
    "oci": ("registry",),
    "s3": ("bucket",),
    "minio": ("bucket",),
}
CPU_BATCHING = {"gpu_memory_utilization": None, "kv_cache_memory_bytes": 2**30}


def options(storage: str = "none", **fields: Any) -> Kubernetes:
    """`deploy.kubernetes`."""
    return Kubernetes.model_validate({"namespace": "search", "model": STORAGES[storage], **fields})


def triton_release(
    folder: Path,
    kubernetes: Kubernetes,
    *,
    hardware: str = "l4",
    replicas: int = 3,
    redundancy: int = 1,
    kind: Any = None,
    target: str | None = None,
    **problem: Any,
) -> Bundle:
    """A bundle for Triton."""
    asked = replace(samples.problem(), **problem)
    asked = replace(asked, limits=replace(asked.limits, redundancy=redundancy))
    decided = samples.plan(name=asked.name, hardware_id=hardware)
    decided = replace(decided, candidate=replace(decided.candidate, replicas=replicas))
    file = folder / "model.onnx"
    if not file.exists():
        samples.write_onnx(file)
    engine = samples.engine(file, kind=kind or ("onnxruntime" if hardware == "cpu" else "tensorrt"))
    bundle, _ = triton.emit(asked, decided, engine, deploy=Deploy(kubernetes=kubernetes), target=target)
    assert bundle is not None
    return bundle


@cache
def _llm_problem(hardware: str) -> Any:
    return llm.problem_on(hardware)


def vllm_release(
    kubernetes: Kubernetes,
    *,
    hardware: str = "l40s",
    replicas: int = 3,
    redundancy: int = 1,
    tensor_parallel: int = 1,
    **problem: Any,
) -> Bundle:
    """A bundle for vLLM."""
    asked = replace(_llm_problem(hardware), **problem)
    asked = replace(asked, limits=replace(asked.limits, redundancy=redundancy))
    settings = llm.batching(**CPU_BATCHING) if hardware == "cpu" else llm.batching()
    decided = llm.plan(
        asked, settings=settings, replicas=replicas, tensor_parallel=tensor_parallel, precision=Precision.BF16
    )
    return llm.bundle_of(asked, decided, Deploy(kubernetes=kubernetes))


COMBINATIONS = tuple(product(("triton", "vllm"), ("deployment", "kserve"), ("gpu", "cpu"), STORAGES, (1, 3)))
"""Server, flavor, device, storage, replicas."""


def release(folder: Path, server: str, flavor: str, device: str, storage: str, replicas: int, **more: Any) -> Bundle:
    """The bundle of one combination; `more` are options of `deploy.kubernetes`."""
    kubernetes = options(storage, flavor=flavor, **more)
    redundancy = 0 if replicas == 1 else 1
    if server == "triton":
        hardware = "cpu" if device == "cpu" else "l4"
        return triton_release(folder, kubernetes, hardware=hardware, replicas=replicas, redundancy=redundancy)
    hardware = "cpu" if device == "cpu" else "l40s"
    return vllm_release(kubernetes, hardware=hardware, replicas=replicas, redundancy=redundancy)
