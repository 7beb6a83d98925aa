"""`--builder` as the user writes it: text in, one address value out; every mistake with its fix.

local                                                   this machine
job  job:DIR                                            nowhere: the job is written to a folder
ssh://[user@]host[:port]                                a machine behind ssh
k8s://[context/]namespace?image=IMAGE&pvc=CLAIM         a Kubernetes cluster
ray://host:port  ray://auto                             a Ray cluster
"""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias
from urllib.parse import parse_qsl, unquote

from infc.diag.nearest import did_you_mean

FORMS = ("local", "job[:DIR]", "ssh://[user@]host[:port]", "k8s://[context/]namespace?image=..&pvc=..", "ray://..")

_HOST = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,251}[A-Za-z0-9])?|\[[0-9A-Fa-f:.%a-z]+\]")
_USER = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,63}")
_PROGRAM = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*|(/[A-Za-z0-9_.][A-Za-z0-9_.+-]*)+")
_LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
_SUBDOMAIN = re.compile(r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?")
_CONTEXT = re.compile(r"[A-Za-z0-9_][^\x00-\x20\x7f]{0,252}")
_IMAGE = re.compile(
    r"[a-z0-9][A-Za-z0-9._/:-]*(:(?P<tag>[A-Za-z0-9_][A-Za-z0-9._-]{0,127}))?(?P<digest>@sha256:[0-9a-f]{64})?"
)
_MOST_SLOTS = 256


class AddressError(ValueError):
    """The text is not an address: what is wrong, and the fix."""


@dataclass(frozen=True, kw_only=True)
class LocalAddress:
    """This machine."""


@dataclass(frozen=True, kw_only=True)
class JobAddress:
    """A folder that gets the job instead of an engine (None: the workspace's own)."""

    folder: Path | None = None


@dataclass(frozen=True, kw_only=True)
class SshAddress:
    """A machine behind ssh, as `~/.ssh/config` knows it; `slots` builds run there at once.

    `identity` is a private key and `config` an ssh configuration to use in place of the user's own, both files here;
    `python` is the interpreter there that has the library.
    """

    host: str
    user: str | None = None
    port: int | None = None
    slots: int = 1
    identity: Path | None = None
    config: Path | None = None
    python: str = "python3"

    @property
    def text(self) -> str:
        """The address without its settings."""
        user = f"{self.user}@" if self.user else ""
        return f"ssh://{user}{self.host}" + (f":{self.port}" if self.port else "")


@dataclass(frozen=True, kw_only=True)
class KubernetesAddress:
    """A namespace of a cluster (`context` None: kubectl's current one).

    `image` has Python and the engine library, pinned; `volume_claim` is a PersistentVolumeClaim of the namespace that
    jobs and results pass through. `slots` builds run at once. `pull_secret` names a Secret for the image's registry.
    """

    namespace: str
    image: str
    volume_claim: str
    context: str | None = None
    slots: int = 8
    pull_secret: str | None = None

    @property
    def text(self) -> str:
        """The address without its settings."""
        return f"k8s://{self.context}/{self.namespace}" if self.context else f"k8s://{self.namespace}"


@dataclass(frozen=True, kw_only=True)
class RayAddress:
    """A Ray cluster: `host:port` of its client server, or `auto` for the one that runs on this machine."""

    cluster: str
    slots: int = 32

    @property
    def text(self) -> str:
        """The address without its settings."""
        return f"ray://{self.cluster}"


Address: TypeAlias = LocalAddress | JobAddress | SshAddress | KubernetesAddress | RayAddress


def parse_address(text: str) -> Address:
    """The place that a `--builder` names.

    >>> parse_address("ssh://ci@orin.lab:2222").port
    2222
    >>> parse_address("k8s://lab/builds?image=nvcr.io/nvidia/tensorrt:25.10-py3&pvc=infc").namespace
    'builds'

    Raises AddressError.
    """
    if text == "local":
        return LocalAddress()
    if text == "job":
        return JobAddress()
    scheme, mark, rest = text.partition(":")
    match scheme if mark else "":
        case "job":
            return _job(rest)
        case "ssh" | "k8s" | "ray" if not rest.startswith("//"):
            raise AddressError(f"{text!r} lacks the slashes: write {scheme}://{rest.lstrip('/')}")
        case "ssh":
            return _ssh(text, rest[2:])
        case "k8s":
            return _kubernetes(text, rest[2:])
        case "ray":
            return _ray(text, rest[2:])
    near = did_you_mean(scheme, ("local", "job", "ssh", "k8s", "ray"))
    raise AddressError(f"{text!r} is no builder{f' ({near})' if near else ''}: write one of {', '.join(FORMS)}")


def _job(rest: str) -> JobAddress:
    if not rest:
        raise AddressError("job: names no folder: write job:DIR, or job alone for .infc/jobs")
    return JobAddress(folder=Path(rest))


def _ssh(text: str, rest: str) -> SshAddress:
    place, settings = _settings(text, rest, ("slots", "identity", "config", "python"))
    user, at, machine = place.rpartition("@")
    if at and not _USER.fullmatch(user):
        raise AddressError(f"{text!r}: {user!r} is not a user name: write ssh://user@host")
    host, port = _host_and_port(text, machine)
    python = settings.get("python", "python3")
    if not _PROGRAM.fullmatch(python):
        raise AddressError(f"{text!r}: {python!r} is not a program: write a name, or a full path without blanks")
    identity, config = (Path(settings[key]).expanduser() if key in settings else None for key in ("identity", "config"))
    for file in (identity, config):
        if file is not None and not file.is_file():
            raise AddressError(f"{text!r}: there is no file {file}")
    return SshAddress(
        host=host,
        user=user or None,
        port=port,
        slots=_slots(text, settings, 1),
        identity=identity,
        config=config,
        python=python,
    )


def _kubernetes(text: str, rest: str) -> KubernetesAddress:
    place, settings = _settings(text, rest, ("image", "pvc", "slots", "pull_secret"))
    context, _, namespace = place.rstrip("/").rpartition("/")
    if not _LABEL.fullmatch(namespace):
        raise AddressError(
            f"{text!r}: {namespace!r} is not a namespace: write k8s://[context/]namespace, lower-case letters, digits "
            "and hyphens"
        )
    context = unquote(context)
    if context and not _CONTEXT.fullmatch(context):
        raise AddressError(f"{text!r}: {context!r} is not a context: see kubectl config get-contexts")
    for key, what in (("image", "a container image with TensorRT and Python"), ("pvc", "a PersistentVolumeClaim")):
        if key not in settings:
            raise AddressError(f"{text!r} names no {key} ({what}): add ?image=REGISTRY/NAME@sha256:..&pvc=CLAIM")
    for key, what in (("pvc", "a PersistentVolumeClaim"), ("pull_secret", "a Secret")):
        if key in settings and not _SUBDOMAIN.fullmatch(settings[key]):
            raise AddressError(f"{text!r}: {settings[key]!r} is not the name of {what}")
    return KubernetesAddress(
        context=context or None,
        namespace=namespace,
        image=_pinned(text, settings["image"]),
        volume_claim=settings["pvc"],
        slots=_slots(text, settings, 8),
        pull_secret=settings.get("pull_secret"),
    )


def _pinned(text: str, image: str) -> str:
    match = _IMAGE.fullmatch(image)
    if match is None:
        raise AddressError(
            f"{text!r}: {image!r} is not an image: write REGISTRY/NAME@sha256:.. or REGISTRY/NAME:VERSION"
        )
    tag = image.partition("@")[0].rpartition("/")[2].partition(":")[2]
    if not match["digest"] and tag in ("", "latest"):
        raise AddressError(
            f"{text!r}: the image {image} may be another one tomorrow, and engine keys with it: name a version or, "
            "better, a digest (@sha256:..)"
        )
    return image


def _ray(text: str, rest: str) -> RayAddress:
    place, settings = _settings(text, rest, ("slots",))
    slots = _slots(text, settings, 32)
    if place == "auto":
        return RayAddress(cluster=place, slots=slots)
    host, port = _host_and_port(text, place)
    if port is None:
        raise AddressError(f"{text!r} names no port: write ray://{host}:10001, the port of Ray's client server")
    return RayAddress(cluster=f"{host}:{port}", slots=slots)


def _settings(text: str, rest: str, known: tuple[str, ...]) -> tuple[str, dict[str, str]]:
    place, _, query = rest.partition("?")
    if not place:
        raise AddressError(f"{text!r} names no place: write one of {', '.join(FORMS)}")
    settings: dict[str, str] = {}
    for key, value in parse_qsl(query, keep_blank_values=True):
        if key not in known:
            near = did_you_mean(key, known)
            raise AddressError(f"{text!r}: there is no setting {key!r}; {near or 'known are ' + ', '.join(known)}")
        if key in settings or not value:
            raise AddressError(f"{text!r}: give {key} one value")
        settings[key] = value
    return place, settings


def _slots(text: str, settings: dict[str, str], default: int) -> int:
    written = settings.get("slots", str(default))
    if not re.fullmatch(r"\d{1,3}", written) or not 1 <= int(written) <= _MOST_SLOTS:
        raise AddressError(f"{text!r}: slots={written} is not a number of builds: write 1 to {_MOST_SLOTS}")
    return int(written)


def _host_and_port(text: str, machine: str) -> tuple[str, int | None]:
    is_bare_ipv6 = machine.endswith("]") or ":" not in machine
    host, _, written = (machine, "", "") if is_bare_ipv6 else machine.rpartition(":")
    if not _HOST.fullmatch(host):
        raise AddressError(f"{text!r}: {host!r} is not a host name: letters, digits, dots and hyphens, or [IPv6]")
    if is_bare_ipv6:
        return host, None
    if not re.fullmatch(r"\d{1,5}", written) or not 1 <= int(written) <= 65535:
        raise AddressError(f"{text!r}: {written!r} is not a port: write 1 to 65535")
    return host, int(written)
