"""Objects in a cluster against the emitted ones: fields, replicas, what pods run, what should not be there."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from infc.emit.kubernetes.digests import BUNDLE_ANNOTATION, bundle_digest
from infc.lock.drift.manifests import ExpectedObject, object_item, object_items
from infc.lock.drift.objects import Key, ObjectValue
from infc.lock.drift.slug import with_own_ids
from infc.lock.drift.values import DriftItem
from infc.lock.values import LockEntry

_SCALERS = ("ScaledObject", "HorizontalPodAutoscaler")
_WORKLOADS = ("Deployment", "InferenceService", "LLMInferenceService")
_REPLICAS = "spec.replicas"
_DIGEST = "sha256:"


@dataclass(frozen=True, kw_only=True)
class ClusterState:
    """What a cluster shows of a deployment. `where` is the context and namespace in words.

    `silent` maps kinds that could not be read to why. `others` are objects with the deployment's labels that nothing
    owns; None where they could not be listed.
    """

    where: str
    objects: Mapping[Key, Mapping[str, ObjectValue]]
    pods: tuple[Mapping[str, ObjectValue], ...] | None
    others: tuple[Key, ...] | None
    silent: Mapping[str, str]


def cluster_items(
    entry: LockEntry, expected: Sequence[ExpectedObject], state: ClusterState, *, has_bundle: bool
) -> tuple[DriftItem, ...]:
    """Every comparison, in a fixed order. `has_bundle`: `expected` are whole objects; else only what names them."""
    return tuple(with_own_ids(_items(entry, expected, state, has_bundle=has_bundle)))


def _items(
    entry: LockEntry, expected: Sequence[ExpectedObject], state: ClusterState, *, has_bundle: bool
) -> Iterator[DriftItem]:
    workload = next((each for each in expected if each.key[1] in _WORKLOADS), None)
    found = None if workload is None else state.objects.get(workload.key)
    yield _bundle(entry, workload, found, state)
    scaler = next((each for each in expected if each.key[1] in _SCALERS), None)
    if workload is not None and workload.key[1] == "Deployment" and found is not None:
        yield _replicas(entry, workload, found, scaler, state)
        yield _ready(found, state)
    if has_bundle:
        yield from _images(workload, state)
    for each in expected:
        kind = each.key[1]
        if kind in state.silent:
            yield object_item(
                each.id, each.label, "there", None, is_same=None, source=state.where, note=state.silent[kind]
            )
        elif has_bundle:
            skip = frozenset((_REPLICAS, f"metadata.annotations.{BUNDLE_ANNOTATION}") if each is workload else ())
            yield from object_items(each, state.objects.get(each.key), state.where, is_live=True, skip=skip)
        else:
            is_there = each.key in state.objects
            seen = "there" if is_there else "not there"
            yield object_item(each.id, each.label, "there", seen, is_same=is_there, source=state.where)
    if has_bundle:
        yield _others(expected, state)


def _bundle(
    entry: LockEntry, workload: ExpectedObject | None, found: Mapping[str, ObjectValue] | None, state: ClusterState
) -> DriftItem:
    """The digest of the whole bundle, which the workload carries and which follows from the lock."""
    id, name = "bundle", "bundle of infc.lock"
    if not entry.files:
        return object_item(id, name, None, None, is_same=None, source="infc.lock", note="nothing is compiled yet")
    digest = bundle_digest(entry.files, entry.engine.file)[:19]
    if workload is None or found is None:
        note = "the workload is not there, or cannot be read"
        return object_item(id, name, digest, None, is_same=None, source=state.where, note=note)
    seen = _at(found, "metadata", "annotations", BUNDLE_ANNOTATION)
    text = seen[:19] if isinstance(seen, str) else "no annotation"
    note = "" if text == digest else "another bundle was applied: apply the one that infc.lock holds"
    return object_item(id, name, digest, text, is_same=text == digest, source=state.where, note=note)


def _replicas(
    entry: LockEntry,
    workload: ExpectedObject,
    found: Mapping[str, ObjectValue],
    scaler: ExpectedObject | None,
    state: ClusterState,
) -> DriftItem:
    """The number that was planned, or any within the autoscaler's bounds, as these are in the cluster."""
    wanted = _at(workload.manifest, "spec", "replicas")
    seen = _at(found, "spec", "replicas")
    count = seen if isinstance(seen, int) else 1
    if scaler is None:
        planned = wanted if isinstance(wanted, int) else entry.choice.replicas
        return object_item("replicas", "replicas", planned, count, is_same=count == planned, source=state.where)
    live = state.objects.get(scaler.key, scaler.manifest)
    low = _number(live, "minReplicaCount", "minReplicas") or 1
    high = _number(live, "maxReplicaCount", "maxReplicas") or count
    is_within = low <= count <= high
    return object_item(
        "replicas", "replicas", f"{low} to {high}", count, is_same=is_within, source=state.where,
        note="" if is_within else "outside the autoscaler's bounds",
    )  # fmt: skip


def _ready(found: Mapping[str, ObjectValue], state: ClusterState) -> DriftItem:
    wanted, ready = _at(found, "spec", "replicas"), _at(found, "status", "readyReplicas")
    count, of = ready if isinstance(ready, int) else 0, wanted if isinstance(wanted, int) else 1
    note = "" if count >= of else "pods are starting, or do not start: kubectl describe pods"
    return object_item("ready", "ready replicas", of, count, is_same=count >= of, source=state.where, note=note)


def _images(workload: ExpectedObject | None, state: ClusterState) -> Iterator[DriftItem]:
    """What the pods run, by digest: the manifest's where it has one, and one and the same in all of them."""
    id, name = "running-image", "image that runs"
    if state.pods is None or workload is None:
        note = state.silent.get("Pod", "pods were not listed")
        yield object_item(id, name, None, None, is_same=None, source=state.where, note=note)
        return
    wanted = {image.rpartition("@")[2] for image in _images_of(workload.manifest) if "@" in image}
    running = sorted({digest for pod in state.pods for digest in _running(pod)})
    if not running:
        yield object_item(id, name, None, None, is_same=None, source=state.where, note="no pod runs")
        return
    shown_digests = ", ".join(digest[:19] for digest in running[:3])
    if wanted:
        expected = ", ".join(sorted(digest[:19] for digest in wanted))
        yield object_item(id, name, expected, shown_digests, is_same=set(running) <= wanted, source=state.where)
    else:
        note = "the manifest names a tag, which a registry may move: pin it by digest"
        is_one = len(running) <= len(_images_of(workload.manifest))
        yield object_item(
            id, name, "one image", shown_digests, is_same=is_one, source=state.where,
            note=note if not is_one else "",
        )  # fmt: skip


def _images_of(manifest: Mapping[str, ObjectValue]) -> list[str]:
    """The images of the containers, wherever a kind of workload has its pod."""
    spec = manifest.get("spec")
    places: list[ObjectValue] = [
        _at(manifest, "spec", "template", "spec", "containers"),
        _at(manifest, "spec", "template", "containers"),
        _at(manifest, "spec", "predictor", "containers"),
    ]
    found = [
        each.get("image") for place in places if isinstance(place, list) for each in place if isinstance(each, Mapping)
    ]
    return [image for image in found if isinstance(image, str)] if spec is not None else []


def _running(pod: Mapping[str, ObjectValue]) -> Iterator[str]:
    """Digests of the images that a pod's containers run, as its node resolved them."""
    statuses = _at(pod, "status", "containerStatuses")
    for status in statuses if isinstance(statuses, list) else []:
        image = status.get("imageID") if isinstance(status, Mapping) else None
        if isinstance(image, str) and _DIGEST in image:
            yield image[image.rindex(_DIGEST) :]


def _others(expected: Sequence[ExpectedObject], state: ClusterState) -> DriftItem:
    """Objects of the deployment that nobody emitted; ConfigMaps of earlier releases stay behind, and do nothing."""
    id, name = "other-objects", "other objects"
    if state.others is None:
        note = state.silent.get("*", "they could not be listed")
        return object_item(id, name, "none", None, is_same=None, source=state.where, note=note)
    known = {each.key for each in expected}
    extra = [key for key in state.others if key not in known and key[1] != "ConfigMap"]
    words = ", ".join(f"{kind}/{label}" for _, kind, label in extra[:5]) or "none"
    return object_item(id, name, "none", words, is_same=not extra, source=state.where)


def _number(manifest: Mapping[str, ObjectValue], *names: str) -> int | None:
    spec = manifest.get("spec")
    values = [spec.get(name) for name in names] if isinstance(spec, Mapping) else []
    return next((value for value in values if isinstance(value, int)), None)


def _at(manifest: Mapping[str, ObjectValue], *path: str) -> ObjectValue:
    """The value at a path, None where it is not there."""
    value: ObjectValue = manifest
    for key in path:
        if not isinstance(value, Mapping):
            return None
        value = value.get(key)
    return value
