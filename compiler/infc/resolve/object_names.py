"""Names of objects in a cluster that are too long, before anything is compiled."""

from collections.abc import Iterator

from infc.diag import Diagnostic
from infc.ir.object_name import LABEL_LENGTH, LLM_SUFFIX, letter_first, longest_service_name, object_name
from infc.ir.spec import Kubernetes, OnnxModel, Spec
from infc.resolve.targets import Catalogue
from infc.spec import LoadedSpec


def object_name_problems(loaded: LoadedSpec, catalogue: Catalogue | None) -> Iterator[Diagnostic]:
    """An error for every deployment whose objects a cluster, or KServe in it, would refuse because of their name.

    `catalogue` None: the spec names no target.
    """
    spec = loaded.partial
    kubernetes = spec.deploy.kubernetes if spec is not None else None
    if spec is None or kubernetes is None or spec.deploy.server == "jetson":
        return
    targets = [catalogue.find(name) for name in spec.deploy.targets] if catalogue is not None else []
    in_cluster = [None, *(found.id for found in targets if found is not None and found.kind != "jetson")]
    for target in in_cluster:
        name = _named(spec, kubernetes, object_name(loaded.name, target))
        most = _most(spec, kubernetes)
        if len(name) > most:
            yield _too_long(loaded, kubernetes, name, most)


def _named(spec: Spec, kubernetes: Kubernetes, name: str) -> str:
    """A deployment's name as its workload has it."""
    if kubernetes.flavor == "deployment":
        return name  # the Service's, which needs a letter first, is cut
    return letter_first(name, "triton" if isinstance(spec.model, OnnxModel) else "vllm")


def _most(spec: Spec, kubernetes: Kubernetes) -> int:
    if kubernetes.flavor == "deployment":
        return LABEL_LENGTH
    if isinstance(spec.model, OnnxModel):
        return longest_service_name(kubernetes.namespace)
    has_scaler = kubernetes.autoscale is not None and kubernetes.autoscale.scaler == "hpa"
    return LABEL_LENGTH - len(LLM_SUFFIX) if has_scaler else LABEL_LENGTH


def _too_long(loaded: LoadedSpec, kubernetes: Kubernetes, name: str, most: int) -> Diagnostic:
    most_own = most - (len(name) - len(loaded.name))
    is_kserve = kubernetes.flavor == "kserve"
    note = f"KServe makes other names of it, within {LABEL_LENGTH} characters: for the host it adds the namespace"
    shorter = f"give the spec a metadata.name of at most {most_own} characters"
    return Diagnostic(
        id="kubernetes-name",
        message=f"the objects in a cluster would be called {name}: {len(name)} characters, at most {max(most, 0)} fit",
        span=loaded.span("metadata.name"),
        notes=(note,) if is_kserve else (),
        help=shorter if most_own > 0 else f"choose a shorter namespace than {kubernetes.namespace}",
    )
