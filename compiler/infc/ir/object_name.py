"""What the objects of a deployment in a cluster are called, and how long such a name may be."""

from typing import Literal

LABEL_LENGTH = 63
"""Of a label's value and of a DNS label, which the name of a Service is."""
LLM_SUFFIX = "-kserve"
"""What KServe adds to the name of an LLMInferenceService for its Deployment; a longer name is hashed.

Source: KServe, pkg/controller/v1alpha2/llmisvc/workload_single_node.go: kmeta.ChildName.
"""
PREDICTOR_SUFFIX = "-predictor"
"""What KServe adds to the name of an InferenceService for its Deployment and Service.

Source: KServe, pkg/constants/constants.go: PredictorServiceName.
"""


def object_name(name: str, target: str | None) -> str:
    """The name of a spec's objects: its own for the free choice, with the device for a target that it names besides.

    So both can be in one namespace, and what clients call stays as it is when the free choice moves to another device.

    >>> object_name("product-encoder", None), object_name("product-encoder", "l4")
    ('product-encoder', 'product-encoder-l4')
    """
    return name if target is None else f"{name}-{target}"


def letter_first(name: str, component: Literal["triton", "vllm"]) -> str:
    """A name that begins with a letter, as those of Services and of KServe's objects must.

    >>> letter_first("8b-chat", "vllm")
    'vllm-8b-chat'
    """
    return name if name[0].isalpha() else f"{component}-{name}"


def longest_service_name(namespace: str) -> int:
    """The longest name of an InferenceService in a namespace.

    Its host is `<name>-predictor-<namespace>`, of which the first part is one DNS label; a longer one is refused when
    KServe reconciles it, also where it makes no ingress. Source: KServe, issues 1377 and 4807.

    >>> longest_service_name("default")
    45
    """
    return LABEL_LENGTH - len(f"{PREDICTOR_SUFFIX}-{namespace}")
