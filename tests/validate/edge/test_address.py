"""Addresses of devices: those of ssh, with where the system lies; everything else says what to write."""

import pytest

from infc.build.builders.address import AddressError
from infc.validate.edge.address import parse_device


def test_settings_of_ssh_and_of_the_device() -> None:
    """Everything but `root` is ssh's."""
    found = parse_device("ssh://lab@orin-3:2222?python=/usr/bin/python3.8&root=/host/system")
    assert (found.ssh.user, found.ssh.host, found.ssh.port) == ("lab", "orin-3", 2222)
    assert (found.ssh.python, found.root, found.text) == ("/usr/bin/python3.8", "/host/system", "ssh://lab@orin-3:2222")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("orin-3", "write ssh://[user@]host[:port]"),
        ("k8s://x", "write ssh://[user@]host[:port]"),
        ("ssh:orin", "lacks the slashes"),
        ("ssh://orin?slots=2", "slots is for builders"),
        ("ssh://orin?root=../x", "write a full path"),
        ("ssh://orin?root=/a/../b", "write a full path"),
        ("ssh://orin?root=/a;reboot", "write a full path"),
        ("ssh://orin?root=/a&root=/b", "is not one folder"),
        ("ssh://orin; reboot", "is not a host name"),
        ("ssh://-oProxyCommand=x", "is not a host name"),
    ],
)
def test_what_is_no_address_says_what_to_write(text: str, words: str) -> None:
    """Nothing of it reaches a shell."""
    with pytest.raises(AddressError) as raised:
        parse_device(text)
    assert words in str(raised.value)
