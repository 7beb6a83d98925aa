"""Deployments of one spec whose pods would read different models from one and the same place."""

from collections.abc import Iterable

from infc.diag import Diagnostic, Severity
from infc.ir.spec.model_storage import OciStorage
from infc.lock import LockEntry
from infc.spec import LoadedSpec


def shared_places(loaded: LoadedSpec, entries: Iterable[LockEntry]) -> tuple[Diagnostic, ...]:
    """A warning where a spec names one place for the models of several deployments, and these models differ.

    `entries` are what was compiled of the spec. Of an image without tag and digest the release is the tag.
    """
    kubernetes = loaded.spec.deploy.kubernetes if loaded.spec is not None else None
    storage = kubernetes.storage if kubernetes is not None else None
    if storage is None or (isinstance(storage, OciStorage) and not storage.oci.is_complete):
        return ()
    keys = {entry.target: entry.engine.key for entry in entries if entry.choice.server != "jetson"}
    if len(set(keys.values()) - {None}) < 2:
        return ()
    return (
        Diagnostic(
            id="kubernetes-model-shared",
            severity=Severity.WARNING,
            message=f"the pods for {' and '.join(keys)} read the model from one place, and each needs another one",
            span=loaded.span("deploy.kubernetes.model"),
            help="give each device a spec of its own (`extends:` of a common base) with a place of its own, "
            "or name an image without a tag",
        ),
    )
