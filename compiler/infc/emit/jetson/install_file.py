"""`install.sh`: what a field engineer starts; the same in every bundle."""

from infc.resolve.targets.location import data_directory


def install_file() -> bytes:
    """The script, as it is in `targets/servers/jetson/`."""
    return (data_directory("targets") / "servers" / "jetson" / "install.sh").read_bytes()
