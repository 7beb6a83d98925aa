"""Objects as emitted against objects as they are: what a server fills in is none of the differences."""

import copy
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from infc.lock.drift.objects import FieldDifference, differences, shown

DEPLOYMENT: dict[str, Any] = {
    "apiVersion": "apps/v1",
    "kind": "Deployment",
    "metadata": {"name": "chat", "namespace": "shop", "labels": {"a": "b"}},
    "spec": {
        "replicas": 2,
        "template": {
            "spec": {
                "containers": [
                    {
                        "name": "server",
                        "image": "x:1",
                        "args": ["--a", "--b"],
                        "resources": {"limits": {"cpu": "1500m"}},
                    }
                ],
                "volumes": [{"name": "tmp", "emptyDir": {}}],
            }
        },
    },
}


def live(**fields: object) -> dict[str, Any]:
    """The Deployment as a server has it, with other values at the given paths of its first container or spec."""
    made = copy.deepcopy(DEPLOYMENT)
    pod = made["spec"]["template"]["spec"]
    pod |= {"dnsPolicy": "ClusterFirst", "restartPolicy": "Always"}
    pod["containers"][0] |= {"imagePullPolicy": "IfNotPresent", "terminationMessagePolicy": "File"}
    pod["containers"][0]["resources"] = {"limits": {"cpu": "1.5"}, "requests": {"cpu": "1.5"}}
    for name, value in fields.items():
        pod["containers"][0][name] = value
    return made


def paths(found: dict[str, Any], *, is_live: bool = True) -> list[str]:
    """Paths of what differs."""
    return [each.path for each in differences(DEPLOYMENT, found, is_live=is_live)]


def test_defaults_of_a_server_are_no_difference() -> None:
    """Quantities in other words, requests that follow from limits, policies that follow from the image."""
    assert paths(live()) == []


def test_a_value_that_is_no_default_is_a_difference() -> None:
    """The same field with another value, and a field that nobody emitted."""
    assert paths(live(imagePullPolicy="Always")) == ["spec.template.spec.containers[server].imagePullPolicy"]
    assert paths(live(securityContext={"privileged": True})) == [
        "spec.template.spec.containers[server].securityContext"
    ]
    assert paths(live(resources={"limits": {"cpu": "2"}})) == [
        "spec.template.spec.containers[server].resources.limits.cpu"
    ]


def test_a_file_has_no_defaults() -> None:
    """What a server would fill in is somebody's own in a file."""
    assert "spec.template.spec.dnsPolicy" in paths(live(), is_live=False)


def test_arguments_are_told_one_by_one() -> None:
    """What is gone and what came; the order counts where nothing else differs."""
    container = "spec.template.spec.containers[server].args"
    (changed,) = differences(DEPLOYMENT, live(args=["--a", "--c"]), is_live=True)
    assert changed == FieldDifference(path=container, expected="--b", found="--c")
    (turned,) = differences(DEPLOYMENT, live(args=["--b", "--a"]), is_live=True)
    assert (turned.expected, turned.found) == (["--a", "--b"], ["--b", "--a"])


def test_another_container_is_found_by_its_name() -> None:
    """A sidecar that was added by hand is one difference, not a shift of all."""
    found = live()
    found["spec"]["template"]["spec"]["containers"].insert(0, {"name": "spy", "image": "y"})
    assert paths(found) == ["spec.template.spec.containers[spy]"]


def test_labels_of_others_are_theirs_and_ours_are_not() -> None:
    """An added label is no drift, a changed one is."""
    found = live()
    found["metadata"]["labels"]["argocd.argoproj.io/instance"] = "x"
    assert paths(found) == []
    found["metadata"]["labels"]["a"] = "c"
    assert paths(found) == ["metadata.labels.a"]


def test_fields_that_a_controller_adds_to_kinds_of_its_own_are_its_affair() -> None:
    """A ScaledObject with a field that KEDA filled in; an emitted field that differs is drift all the same."""
    scaler: dict[str, Any] = {
        "apiVersion": "keda.sh/v1alpha1",
        "kind": "ScaledObject",
        "metadata": {"name": "x"},
        "spec": {"max": 3},
    }
    found = {**scaler, "spec": {"max": 3, "cooldownPeriod": 300}}
    assert differences(scaler, found, is_live=True) == ()
    assert [each.path for each in differences(scaler, found, is_live=False)] == ["spec.cooldownPeriod"]
    assert [each.path for each in differences(scaler, {**found, "spec": {"max": 4}}, is_live=True)] == ["spec.max"]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=12,
)


@settings(max_examples=40)
@given(st.dictionaries(st.text(max_size=5), JSON, max_size=4), st.dictionaries(st.text(max_size=5), JSON, max_size=4))
def test_whatever_is_compared_equal_is_the_same_and_nothing_crashes(one: dict[str, Any], other: dict[str, Any]) -> None:
    """Any JSON: an object does not differ from itself, and every difference can be shown in one line."""
    assert differences(one, one, is_live=True) == ()
    for each in differences(one, other, is_live=False):
        assert "\n" not in shown(each.expected) + shown(each.found)


@pytest.mark.timeout(10)
def test_a_document_that_refers_to_itself_many_times_over_is_cut() -> None:
    """A bomb of references is shown as far as a line goes, not written out."""
    bomb: Any = "x"
    for _ in range(60):
        bomb = [bomb] * 10
    assert len(shown(bomb)) <= 200
