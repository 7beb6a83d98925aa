"""A small arm64 Debian with the stand-ins in it, run by chroot and emulation: as near to a Jetson as this gets.

The base is made once (half a minute, and needs a Debian mirror and a Python package index) and kept in the folder that
INFC_EDGE_ROOT names, or in one of the session. Every device is an overlay on it, so none sees what another did.
"""

import hashlib
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from tests.edge.loopback import Loopback
from tests.edge.root import HURRY, Device, furnish

PACKAGES = (
    "base-files,base-passwd,bash,dash,coreutils,libc-bin,python3,python3-minimal,openssl,zstd,tar,sed,grep,findutils,"
    "libstdc++6,procps,util-linux,mount"
)
WHEELS = ("onnxruntime", "numpy", "flatbuffers", "packaging", "protobuf", "pyyaml")
PLATFORM = ("manylinux_2_28_aarch64", "manylinux_2_27_aarch64", "manylinux2014_aarch64")
"""onnxruntime's wheel is of the first; with the last alone pip finds one of 2023."""
BINFMT = Path("/proc/sys/fs/binfmt_misc")
FOLDER_VARIABLE = "INFC_EDGE_ROOT"
_BASE_FORMAT = "1"


def missing() -> str | None:
    """Why no arm64 root can be had on this machine; None: it can."""
    if os.geteuid() != 0:
        return "an arm64 root needs chroot and mount: run as root"
    for tool in ("mmdebstrap", "chroot", "mount", "nsenter"):
        if shutil.which(tool) is None:
            return f"{tool} is not installed"
    if not (shutil.which("qemu-aarch64-static") or shutil.which("qemu-aarch64")):
        return "qemu-user-static is not installed"
    return Loopback.missing()


@contextmanager
def emulation() -> Iterator[str | None]:
    """Have the kernel start arm64 programs through qemu; gives why it cannot. What was switched on is switched off."""
    with ExitStack() as undo:
        if not (BINFMT / "register").exists():
            if subprocess.run(["mount", "-t", "binfmt_misc", "binfmt_misc", str(BINFMT)], check=False).returncode:
                yield "binfmt_misc cannot be mounted"
                return
            undo.callback(subprocess.run, ["umount", str(BINFMT)], check=False)
        if not (BINFMT / "qemu-aarch64").exists():
            if shutil.which("update-binfmts") is None:
                yield "update-binfmts (binfmt-support) is not installed"
                return
            subprocess.run(["update-binfmts", "--enable", "qemu-aarch64"], check=False)
            undo.callback(subprocess.run, ["update-binfmts", "--disable", "qemu-aarch64"], check=False)
        is_there = (BINFMT / "qemu-aarch64").exists() and "F" in (BINFMT / "qemu-aarch64").read_text().split("flags:")[
            1
        ]
        yield None if is_there else "arm64 programs are not registered with a fixed interpreter (flag F)"


def base(folder: Path) -> Path | str:
    """The system that devices start from, made if it is not there yet; or why it cannot be made."""
    key = hashlib.sha256(repr((PACKAGES, WHEELS, PLATFORM, _BASE_FORMAT)).encode()).hexdigest()[:12]
    place = folder / f"arm64-{key}"
    if place.is_dir():
        return place
    folder.mkdir(parents=True, exist_ok=True)
    making = folder / f"arm64-{key}.{os.getpid()}"
    wheels = folder / f"wheels-{key}"
    platform = [f"--platform={name}" for name in PLATFORM]
    abi = ["--python-version=3.11", "--implementation=cp", "--abi=cp311", "--abi=abi3", "--abi=none"]
    pip = [sys.executable, "-m", "pip", "--quiet"]
    steps = [
        [
            "mmdebstrap",
            "--quiet",
            "--arch=arm64",
            "--variant=extract",
            f"--include={PACKAGES}",
            "--format=directory",
            "bookworm",
            str(making),
        ],
        [*pip, "download", "--only-binary=:all:", *platform, *abi, "--dest", str(wheels), "--no-deps", *WHEELS],
        [
            *pip,
            "install",
            "--no-deps",
            "--no-index",
            "--find-links",
            str(wheels),
            "--only-binary=:all:",
            *platform,
            *abi,
            "--target",
            str(making / "opt" / "standins-site"),
            *WHEELS,
        ],
    ]
    if sys.version_info[:2] == (3, 11):  # the version of Debian's: under emulation it compiles slowly
        folders = [str(making / "usr" / "lib" / "python3.11"), str(making / "opt" / "standins-site")]
        steps.append([sys.executable, "-m", "compileall", "-q", "-s", str(making), *folders])
    for step in steps:
        done = subprocess.run(step, capture_output=True, text=True, check=False)
        if done.returncode != 0 and "compileall" not in step:  # some test files of packages do not compile
            shutil.rmtree(making, ignore_errors=True)
            last = (done.stderr.strip() or done.stdout.strip()).splitlines()[-1:]
            return f"{step[0]} failed: {' '.join(last)}"
    making.rename(place)
    return place


@contextmanager
def arm64_device(
    base_folder: Path, scratch: Path, network: Loopback | None, state: Path | None = None
) -> Iterator[Device]:
    """A device on top of the base, until the block ends; its processes end with it. No `network`: this machine's.

    `state` is what another device had changed (its folder `changed`), switched off: it starts with that.
    """
    upper, work, root = (scratch / name for name in ("changed", "work", "root"))
    for folder in (scratch, work, root):
        folder.mkdir(parents=True)
    if state is None:
        upper.mkdir()
    else:
        subprocess.run(["cp", "-a", str(state), str(upper)], check=True)
    options = f"lowerdir={base_folder},upperdir={upper},workdir={work}"
    subprocess.run(["mount", "-t", "overlay", "overlay", "-o", options, str(root)], check=True)
    device = Device(root=root, network=network.prefix if network else (), prefix=("chroot", str(root)))
    try:
        if state is None:
            furnish(root, python="/usr/bin/python3 -IS")
            device.set(hurry=HURRY)
            device.set_tensorrt("10.3.0")
        else:
            device.restart()
        yield device
    finally:
        device.stop()
        _unmount(root)


@contextmanager
def small_disk(device: Device, folder: str, size_bytes: int) -> Iterator[None]:
    """A file system of this size at a folder of the device while the block lasts, with what is in the folder."""
    target = device.file(folder)
    target.mkdir(parents=True, exist_ok=True)
    kept = device.root.parent / "kept"
    shutil.copytree(target, kept, symlinks=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size_bytes}", "tmpfs", str(target)], check=True)
    try:
        subprocess.run(["cp", "-a", f"{kept}/.", str(target)], check=True)
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(target)], check=True)
        shutil.rmtree(kept)


def _unmount(root: Path) -> None:
    """Take a root away as soon as the last of its processes has ended."""
    for _ in range(50):
        if subprocess.run(["umount", str(root)], capture_output=True, check=False).returncode == 0:
            return
        time.sleep(0.1)
    subprocess.run(["umount", "--lazy", str(root)], check=True)
