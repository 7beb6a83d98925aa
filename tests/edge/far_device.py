"""A device behind ssh: a plain root with the stand-ins, reached through this machine's own sshd on loopback."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from infc.validate.edge.address import DeviceAddress, parse_device
from tests.build.far_machine import FarMachine, far_machine
from tests.edge.releases import Releases
from tests.edge.root import Device, plain_device


@dataclass(frozen=True)
class FarDevice:
    """The device and the machine that ssh logs in to."""

    device: Device
    machine: FarMachine

    @property
    def text(self) -> str:
        """What a user writes."""
        return f"{self.machine.address}&root={self.device.root}"

    @property
    def address(self) -> DeviceAddress:
        """The same, parsed."""
        return parse_device(self.text)

    @property
    def sent(self) -> list[str]:
        """Files that infc left in the user's cache there."""
        folder = self.machine.home / ".cache" / "infc" / "edge"
        return sorted(path.name for path in folder.rglob("*") if path.is_file())

    def trust(self, key: Path, name: str = "release") -> None:
        """Put a public key where the device looks for those that may sign."""
        keys = self.device.file("/etc/infc/keys")
        keys.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(key, keys / f"{name}.pem")


@contextmanager
def far_device(folder: Path, releases: Releases | None = None) -> Iterator[FarDevice]:
    """A device for the block that trusts the key of the releases; skips the test where there is no sshd."""
    device = plain_device(folder / "device")
    try:
        with far_machine(folder / "far", None, device.root / "usr" / "local" / "bin") as machine:
            found = FarDevice(device=device, machine=machine)
            if releases is not None:
                found.trust(releases.public)
            yield found
    finally:
        device.stop()
