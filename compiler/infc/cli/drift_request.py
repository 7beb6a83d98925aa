"""What `infc drift` is asked: one subject, told from the options."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from infc.lock.drift import DriftReport
    from infc.lock.drift.fleet import DeviceDrift, FleetDrift
    from infc.pipeline.drift import DriftRequest

_SUBJECTS = (
    "--endpoint http://host:8000 for a server, --cluster for Kubernetes, --rendered DIR for a folder, "
    "--trace FILE for recorded traffic, ssh://DEVICE for an edge device"
)


@dataclass(frozen=True, kw_only=True)
class Asked:
    """The options as they were given. `window_s` None: one look at everything since the start."""

    spec: Path
    target: str | None
    devices: tuple[str, ...]
    device_list: Path | None
    endpoint: str | None
    metrics: str | None
    repository: Path | None
    window_s: float | None
    is_cluster: bool
    context: str | None
    namespace: str | None
    rendered: Path | None
    trace: Path | None
    bundle: Path | None

    @property
    def addresses(self) -> tuple[str, ...]:
        """Edge devices, those of the file last."""
        listed = [] if self.device_list is None else _addresses_in(self.device_list)
        own = [self.endpoint] if self.endpoint is not None and self.endpoint.startswith("ssh:") else []
        return tuple(dict.fromkeys([*self.devices, *own, *listed]))

    @property
    def server(self) -> str | None:
        """The address of a server."""
        return None if self.endpoint is None or self.endpoint.startswith("ssh:") else self.endpoint

    def one_device(self, found: "DriftReport | FleetDrift") -> "DeviceDrift | None":
        """The device that was named by itself, not in a list or beside others: it is shown without a table."""
        from infc.lock.drift.fleet import FleetDrift

        is_one = self.device_list is None and isinstance(found, FleetDrift) and len(found.devices) == 1
        return found.devices[0] if is_one and isinstance(found, FleetDrift) else None


def request_from(asked: Asked) -> "DriftRequest":
    """The request for the one subject that was named.

    Raises:
        click.UsageError: none was, or several, or an option is of another subject.
    """
    _check_subject(asked)
    if asked.is_cluster:
        from infc.pipeline.drift import ClusterDriftRequest

        return ClusterDriftRequest(
            spec=asked.spec,
            target=asked.target,
            context=asked.context,
            namespace=asked.namespace,
            bundle=asked.bundle,
        )
    if asked.rendered is not None:
        from infc.pipeline.drift import FolderDriftRequest

        return FolderDriftRequest(spec=asked.spec, target=asked.target, folder=asked.rendered, bundle=asked.bundle)
    if asked.trace is not None:
        from infc.pipeline.drift import TraceDriftRequest

        return TraceDriftRequest(spec=asked.spec, target=asked.target, trace=asked.trace)
    if asked.server is not None:
        from infc.pipeline.drift import ServerDriftRequest

        return ServerDriftRequest(
            spec=asked.spec,
            endpoint=asked.server,
            target=asked.target,
            window_s=asked.window_s,
            metrics=asked.metrics,
            repository=asked.repository,
            bundle=asked.bundle,
        )
    return _devices(asked)


def _check_subject(asked: Asked) -> None:
    has_devices = bool(asked.addresses) or asked.device_list is not None
    named = (asked.server is not None, asked.is_cluster, asked.rendered is not None, asked.trace is not None)
    subjects = sum((*named, has_devices))
    if subjects != 1:
        what = "name what runs" if not subjects else "name one thing only"
        raise click.UsageError(f"{what}: {_SUBJECTS}")
    if has_devices and not asked.addresses:
        raise click.UsageError(f"{asked.device_list} holds no address")
    if asked.server is None and (asked.metrics is not None or asked.repository is not None):
        raise click.UsageError("--metrics and --repository are of a Triton server: name it with --endpoint")
    if not asked.is_cluster and (asked.context is not None or asked.namespace is not None):
        raise click.UsageError("--context and --namespace are of --cluster")
    if asked.bundle is not None and (has_devices or asked.trace is not None):
        raise click.UsageError("--bundle is of --endpoint, --cluster and --rendered")


def _devices(asked: Asked) -> "DriftRequest":
    from infc.build.builders.address import AddressError
    from infc.pipeline.drift import DeviceDriftRequest
    from infc.validate.edge.address import parse_device

    try:
        devices = tuple(parse_device(address) for address in asked.addresses)
    except AddressError as error:
        raise click.UsageError(str(error)) from None
    return DeviceDriftRequest(spec=asked.spec, devices=devices, target=asked.target)


def _addresses_in(path: Path) -> list[str]:
    """The addresses of a file; UsageError with the line for one that is none."""
    from infc.build.builders.address import AddressError
    from infc.validate.edge.address import parse_device

    found = []
    for number, line in enumerate(path.read_text(encoding="utf-8", errors="replace").splitlines(), start=1):
        text = line.partition("#")[0].strip()
        if not text:
            continue
        try:
            parse_device(text)
        except AddressError as error:
            raise click.UsageError(f"{path}:{number}: {error}") from None
        found.append(text)
    return found
