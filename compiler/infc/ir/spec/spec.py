"""The root of the spec language: `*.infc.yaml`."""

from typing import Annotated, Literal

from pydantic import ConfigDict, Field

from infc.ir.spec.accuracy import AccuracySpec, QuantizationSpec
from infc.ir.spec.base import ONE_LINE, Name, SpecModel
from infc.ir.spec.build import Build
from infc.ir.spec.constraints import Constraints, Objective, Pricing
from infc.ir.spec.deploy import Deploy
from infc.ir.spec.model_source import ModelSource
from infc.ir.spec.slo import Slo
from infc.ir.spec.workload import Workload

API_VERSION: Literal["infc.dev/v1"] = "infc.dev/v1"
KIND: Literal["InferenceSpec"] = "InferenceSpec"


class Metadata(SpecModel):
    """Who the spec belongs to."""

    name: Name | None = Field(default=None, description="Name of the deployment. Default: the file's name.")
    owner: Annotated[str, Field(min_length=1, max_length=200), ONE_LINE] | None = Field(
        default=None, description="Team or person to ask.", examples=["search-team"]
    )


class Spec(SpecModel):
    """A service-level objective and a workload, to be compiled into a deployment that meets it.

    Required: a model, one SLO, a rate. Numbers are in base units (seconds, requests per second, bytes, watts,
    US dollars per hour, fractions); attribute names carry the unit where the key does not.
    """

    model_config = ConfigDict(defer_build=False)

    api_version: Literal["infc.dev/v1"] = Field(
        default=API_VERSION, alias="apiVersion", description="Version of this language."
    )
    kind: Literal["InferenceSpec"] = Field(default=KIND, description="Always InferenceSpec.")
    metadata: Metadata = Field(default=Metadata.model_construct(), description="Name and owner.")
    model: ModelSource = Field(description="The model: an ONNX file, a Hugging Face repository or a checkpoint folder.")
    slo: Slo = Field(description="What the service promises: latency by percentile, availability.")
    accuracy: AccuracySpec | None = Field(default=None, description="The accuracy that the lowered model must keep.")
    quantization: QuantizationSpec = Field(
        default=QuantizationSpec.model_construct(), description="Calibration of INT8 and FP8."
    )
    workload: Workload = Field(description="The traffic that the SLO must hold under.")
    constraints: Constraints = Field(
        default=Constraints.model_construct(), description="What a plan may use; hard limits."
    )
    objective: Objective = Field(default="cost", description="What makes one plan better than another. Default: cost.")
    pricing: Pricing = Field(default=Pricing.model_construct(), description="Whose prices, and on which terms.")
    build: Build = Field(default=Build.model_construct(), description="How engines are built.")
    deploy: Deploy = Field(default=Deploy.model_construct(), description="What is emitted.")
