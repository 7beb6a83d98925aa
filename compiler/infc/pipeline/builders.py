"""The builders that a run names, opened: one, or a pool of several."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from infc.build.builder import Builder, Report
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
from infc.build.builders.devices import DeviceNames, device_names
from infc.build.builders.job import JobBuilder
from infc.build.builders.local import LocalBuilder
from infc.build.builders.pool import BuilderPool
from infc.build.builders.ssh import SshBuilder
from infc.pipeline.engines import jobs_folder, pending_toolchains, timing_folder
from infc.spec import Workspace


def parse_builders(texts: Sequence[str]) -> tuple[Address, ...]:
    """The places that `--builder` options name, in order. Raises AddressError for a mistake in any of them."""
    addresses = tuple(parse_address(text) for text in texts)
    named = [address.text if isinstance(address, SshAddress | RayAddress) else repr(address) for address in addresses]
    if len(set(named)) < len(named):
        raise AddressError("a builder is named twice: give it more slots instead (?slots=2)")
    if sum(isinstance(address, RayAddress) for address in addresses) > 1:
        raise AddressError("two Ray clusters are named, and a process can use one: start infc once for each")
    if any(isinstance(address, JobAddress) for address in addresses) and len(addresses) > 1:
        raise AddressError("job writes jobs in place of building: name it alone")
    return addresses


def open_builder(
    addresses: Sequence[Address], *, workspace: Workspace, overlay: Path | None, wait_s: float, announce: Report
) -> Builder:
    """The builder of a run; whoever opens it closes it.

    Args:
        addresses: the places, at least one, in the user's order.
        workspace: whose `.infc/jobs` gets jobs, unless the address names a folder.
        overlay: the user's own `targets` folder, whose `builders/devices.yaml` counts.
        wait_s: how long to wait for a builder of a type that none has now.
        announce: hears of such waiting.

    Raises DiagnosticError when the overlay has problems. Nothing is connected yet.
    """
    devices = device_names(overlay)
    match addresses:
        case [LocalAddress()]:
            return LocalBuilder(timing_folder(workspace))
        case [JobAddress() as address]:
            return _job_builder(address, workspace)
    builders = [_opened(address, workspace, overlay, devices, wait_s) for address in addresses]
    return BuilderPool(builders, wait_s=wait_s, announce=announce)


def _opened(
    address: Address, workspace: Workspace, overlay: Path | None, devices: Mapping[str, DeviceNames], wait_s: float
) -> Builder:
    match address:
        case LocalAddress():
            return LocalBuilder(timing_folder(workspace))
        case JobAddress():
            return _job_builder(address, workspace)
        case SshAddress():
            return SshBuilder(address, overlay)
        case KubernetesAddress():
            from infc.build.builders.kubernetes import KubernetesBuilder

            return KubernetesBuilder(address, devices, wait_s=wait_s)
        case RayAddress():
            from infc.build.builders.ray import RayBuilder

            return RayBuilder(address, devices, wait_s=wait_s)


def _job_builder(address: JobAddress, workspace: Workspace) -> JobBuilder:
    return JobBuilder(address.folder or jobs_folder(workspace), pending_toolchains())
