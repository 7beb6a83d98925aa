"""The spec as the user wrote it: one pydantic model per part, in base units. `infc.spec` reads the YAML into it."""

from infc.ir.spec.accuracy import AccuracySpec, QuantizationSpec
from infc.ir.spec.autoscale import Autoscale
from infc.ir.spec.constraints import Constraints, Pricing
from infc.ir.spec.deploy import Deploy, Jetson
from infc.ir.spec.kubernetes import Kubernetes
from infc.ir.spec.model_source import (
    CheckpointCandidate,
    CheckpointModel,
    FleetModel,
    HuggingFaceCandidate,
    HuggingFaceModel,
    HuggingFaceRepo,
    ModelSource,
    OnnxModel,
)
from infc.ir.spec.slo import Slo
from infc.ir.spec.spec import Metadata, Spec
from infc.ir.spec.vllm import Speculative, Vllm
from infc.ir.spec.workload import (
    ArrivalSpec,
    BurstySpec,
    ConstantShape,
    ConstantSpec,
    DiurnalShape,
    DiurnalSpec,
    SizeDistribution,
    TraceSpec,
    Workload,
)

__all__ = [
    "AccuracySpec",
    "ArrivalSpec",
    "Autoscale",
    "BurstySpec",
    "CheckpointCandidate",
    "CheckpointModel",
    "ConstantShape",
    "ConstantSpec",
    "Constraints",
    "Deploy",
    "DiurnalShape",
    "DiurnalSpec",
    "FleetModel",
    "HuggingFaceCandidate",
    "HuggingFaceModel",
    "HuggingFaceRepo",
    "Jetson",
    "Kubernetes",
    "Metadata",
    "ModelSource",
    "OnnxModel",
    "Pricing",
    "QuantizationSpec",
    "SizeDistribution",
    "Slo",
    "Spec",
    "Speculative",
    "TraceSpec",
    "Vllm",
    "Workload",
]
