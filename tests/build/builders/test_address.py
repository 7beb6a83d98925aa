"""`--builder`: every form, and a fix for every mistake."""

from pathlib import Path

import pytest

from infc.build.builders.address import (
    Address,
    AddressError,
    JobAddress,
    KubernetesAddress,
    LocalAddress,
    RayAddress,
    SshAddress,
    parse_address,
)
from infc.pipeline.builders import parse_builders

DIGEST = "nvcr.io/nvidia/tensorrt@sha256:" + "0" * 64


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("local", LocalAddress()),
        ("job", JobAddress()),
        ("job:out/jobs", JobAddress(folder=Path("out/jobs"))),
        ("ssh://orin.lab", SshAddress(host="orin.lab")),
        ("ssh://ci@orin.lab:2222?slots=2", SshAddress(host="orin.lab", user="ci", port=2222, slots=2)),
        ("ssh://ci@[fe80::1]:22", SshAddress(host="[fe80::1]", user="ci", port=22)),
        (f"k8s://builds?image={DIGEST}&pvc=c", KubernetesAddress(namespace="builds", image=DIGEST, volume_claim="c")),
        (
            "k8s://arn:aws:eks:eu-1:42:cluster/lab/ns?image=r:5000/trt:25.10-py3&pvc=a.b&slots=3&pull_secret=reg",
            KubernetesAddress(
                context="arn:aws:eks:eu-1:42:cluster/lab",
                namespace="ns",
                image="r:5000/trt:25.10-py3",
                volume_claim="a.b",
                slots=3,
                pull_secret="reg",  # noqa: S106 - the name of a Secret
            ),
        ),
        ("ray://auto", RayAddress(cluster="auto")),
        ("ray://farm:10001?slots=4", RayAddress(cluster="farm:10001", slots=4)),
    ],
)
def test_addresses(text: str, address: Address) -> None:
    """What each form means."""
    assert parse_address(text) == address


@pytest.mark.parametrize(
    ("text", "fix"),
    [
        ("loca", "did you mean `local`?"),
        ("", "write one of local, job[:DIR]"),
        ("kubernetes://x", "write one of local"),
        ("job:", "write job:DIR"),
        ("ssh:host", "write ssh://host"),
        ("ssh://", "names no place"),
        ("ssh://-oProxyCommand=touch", "is not a host name"),
        ("ssh://a b@host", "is not a user name"),
        ("ssh://host:0", "is not a port"),
        ("ssh://host:22:22", "is not a host name"),
        ("ssh://host?slot=2", "did you mean `slots`?"),
        ("ssh://host?slots=0", "write 1 to 256"),
        ("ssh://host?slots=1&slots=2", "give slots one value"),
        ("k8s://builds", "names no image"),
        (f"k8s://builds?image={DIGEST}", "names no pvc"),
        ("k8s://builds?image=trt&pvc=c", "name a version or, better, a digest"),
        ("k8s://builds?image=r:5000/trt:latest&pvc=c", "name a version or, better, a digest"),
        (f"k8s://Builds?image={DIGEST}&pvc=c", "is not a namespace"),
        (f"k8s://builds?image={DIGEST}&pvc=A_b", "is not the name of a PersistentVolumeClaim"),
        (f"k8s://--kubeconfig=x/builds?image={DIGEST}&pvc=c", "is not a context"),
        ("k8s://builds?image=a b:1&pvc=c", "is not an image"),
        ("ray://farm", "write ray://farm:10001"),
    ],
)
def test_mistakes_say_what_to_write(text: str, fix: str) -> None:
    """Nothing that could pass for an option of ssh or kubectl gets through."""
    with pytest.raises(AddressError) as caught:
        parse_address(text)
    assert fix in str(caught.value)


@pytest.mark.parametrize(
    ("texts", "fix"),
    [
        (("local", "local"), "more slots"),
        (("ssh://a", "ssh://a?slots=2"), "more slots"),
        (("ray://a:1", "ray://b:1"), "two Ray clusters"),
        (("job", "local"), "name it alone"),
    ],
)
def test_builders_that_do_not_go_together(texts: tuple[str, ...], fix: str) -> None:
    """They are refused before anything is connected."""
    with pytest.raises(AddressError, match=fix):
        parse_builders(texts)
