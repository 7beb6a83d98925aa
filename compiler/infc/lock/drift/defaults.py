"""What a Kubernetes API server fills into objects that leave it out; a value that it would fill in is no difference.

Source: defaults of the API reference of Kubernetes 1.37 (core/v1, apps/v1, policy/v1, networking.k8s.io/v1,
autoscaling/v2) and `pkg/apis/*/defaults.go`.
"""

from collections.abc import Mapping

_VALUES: Mapping[str, tuple[object, ...]] = {
    "restartPolicy": ("Always",),
    "dnsPolicy": ("ClusterFirst",),
    "schedulerName": ("default-scheduler",),
    "terminationGracePeriodSeconds": (30,),
    "enableServiceLinks": (True,),
    "terminationMessagePath": ("/dev/termination-log",),
    "terminationMessagePolicy": ("File",),
    "protocol": ("TCP",),
    "scheme": ("HTTP",),
    "timeoutSeconds": (1,),
    "periodSeconds": (10,),
    "successThreshold": (1,),
    "failureThreshold": (3,),
    "defaultMode": (420,),
    "progressDeadlineSeconds": (600,),
    "revisionHistoryLimit": (10,),
    "internalTrafficPolicy": ("Cluster",),
    "sessionAffinity": ("None",),
    "ipFamilyPolicy": ("SingleStack",),
    "volumeMode": ("Filesystem",),
    "pullPolicy": ("IfNotPresent", "Always"),
    "minReplicas": (1,),
    "selectPolicy": ("Max",),
}
"""Values by field, wherever the field stands."""
_PLACES: Mapping[tuple[str, str], tuple[object, ...]] = {
    ("spec", "replicas"): (1,),
    ("spec", "type"): ("ClusterIP",),
    ("spec.strategy", "type"): ("RollingUpdate",),
    ("spec.strategy.rollingUpdate", "maxSurge"): ("25%",),
    ("spec.strategy.rollingUpdate", "maxUnavailable"): ("25%",),
    ("hostPath", "type"): ("",),
    ("fieldRef", "apiVersion"): ("v1",),
    ("behavior.scaleUp", "stabilizationWindowSeconds"): (0,),
    ("behavior.scaleDown", "stabilizationWindowSeconds"): (300,),
    ("behavior", "scaleUp"): (
        {
            "stabilizationWindowSeconds": 0,
            "selectPolicy": "Max",
            "policies": [
                {"type": "Pods", "value": 4, "periodSeconds": 15},
                {"type": "Percent", "value": 100, "periodSeconds": 15},
            ],
        },
    ),
    ("behavior", "scaleDown"): (
        {"selectPolicy": "Max", "policies": [{"type": "Percent", "value": 100, "periodSeconds": 15}]},
    ),
}
"""Values by the end of the path of what holds the field, and the field."""
_ASSIGNED = frozenset(
    ("clusterIP", "clusterIPs", "ipFamilies", "nodePort", "healthCheckNodePort", "volumeName", "storageClassName")
)
"""Fields that a server or a controller assigns, whatever the value."""


def is_default(path: str, key: str, found: Mapping[str, object]) -> bool:
    """Whether the field `key` of what stands at `path` has the value that a server fills in.

    >>> is_default("spec.template.spec", "dnsPolicy", {"dnsPolicy": "ClusterFirst"})
    True
    >>> is_default("spec.template.spec", "hostNetwork", {"hostNetwork": True})
    False
    """
    value = found[key]
    if path == "spec" and key in _ASSIGNED:
        return True
    if key in _VALUES and value in _VALUES[key] and type(value) is type(_VALUES[key][0]):
        return True
    for (end, field), values in _PLACES.items():
        if field == key and path.endswith(end) and value in values:
            return True
    return _follows(path, key, found)


def _follows(path: str, key: str, found: Mapping[str, object]) -> bool:
    """Whether the value follows from another field beside it."""
    value = found[key]
    if key == "serviceAccount":
        return value == found.get("serviceAccountName")
    if key == "targetPort":
        return value == found.get("port")
    if key == "nodePort":
        return True
    if key == "imagePullPolicy":
        return value == _pull_policy(str(found.get("image", "")))
    if key == "strategy" and isinstance(value, Mapping):
        rolling = value.get("rollingUpdate")
        return value.get("type") == "RollingUpdate" and rolling in (None, {"maxSurge": "25%", "maxUnavailable": "25%"})
    if key == "requests" and path.endswith("resources") and isinstance(value, Mapping):
        limits = found.get("limits")
        return isinstance(limits, Mapping) and all(limits.get(name) == each for name, each in value.items())
    return False


def _pull_policy(image: str) -> str:
    """What a server fills in for a container's pull policy.

    >>> _pull_policy("nginx"), _pull_policy("nginx:1.27"), _pull_policy("nginx@sha256:0"), _pull_policy("h:5000/nginx")
    ('Always', 'IfNotPresent', 'IfNotPresent', 'Always')
    """
    name, _, digest = image.partition("@")
    tag = name.rpartition("/")[2].partition(":")[2]
    return "IfNotPresent" if digest or tag not in ("", "latest") else "Always"
