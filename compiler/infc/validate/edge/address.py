"""Where an edge device is: an ssh address, and where its system lies there."""

import re
from dataclasses import dataclass
from urllib.parse import parse_qsl, urlencode

from infc.build.builders.address import AddressError, SshAddress, parse_address

_ROOT = re.compile(r"(/[A-Za-z0-9_.][A-Za-z0-9_.+-]*)+")


@dataclass(frozen=True, kw_only=True)
class DeviceAddress:
    """A device behind ssh. `root` is where its system lies for a login that is in a container; None: at `/`."""

    ssh: SshAddress
    root: str | None = None

    @property
    def text(self) -> str:
        """The address without its settings."""
        return self.ssh.text


def parse_device(text: str) -> DeviceAddress:
    """The device that `ssh://[user@]host[:port]` names; `?identity=FILE`, `config`, `python` and `root` may follow.

    >>> parse_device("ssh://lab@orin-3:2222").ssh.port
    2222
    >>> parse_device("ssh://orin-3?root=/host").root
    '/host'

    Raises AddressError.
    """
    if not text.startswith("ssh:"):
        raise AddressError(f"{text!r} is no device: write ssh://[user@]host[:port]")
    place, mark, query = text.partition("?")
    settings = parse_qsl(query, keep_blank_values=True)
    roots = [value for key, value in settings if key == "root"]
    if len(roots) > 1 or any(not _ROOT.fullmatch(root) or "/.." in root for root in roots):
        raise AddressError(f"{text!r}: root is not one folder: write a full path such as /host")
    others = [(key, value) for key, value in settings if key != "root"]
    if any(key == "slots" for key, _ in others):
        raise AddressError(f"{text!r}: slots is for builders; a device installs one release at a time")
    address = parse_address(place + (mark + urlencode(others) if others else ""))
    assert isinstance(address, SshAddress)  # noqa: S101 - by its scheme
    return DeviceAddress(ssh=address, root=roots[0] if roots else None)
