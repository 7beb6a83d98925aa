"""Wrappings of a signed bundle for update agents: RAUC and Mender.

A wrapped bundle holds the archive *with* its signature, so wrapping comes after signing: `infc sign` does both. What
`infc compile` puts beside the archive, under `ota/<kind>/`, says which wrappings the spec asks for, and holds what the
device needs once (`companions`); it names no key, and its bytes are the same every time.

The agent only carries the archive and starts infc's own program, which verifies it again with its own keys.
"""

import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from infc.diag import ToolError
from infc.emit.jetson.archive import SUFFIX
from infc.ir.edge_release import EdgeRelease
from infc.ir.spec.deploy import OtaFormat
from infc.resolve.targets.location import data_directory

FOLDER = "ota"
TEMPORARY = ".infc-ota-"
"""How the names of folders begin in which a wrapping is made; a run that is killed leaves one."""
KINDS: tuple[OtaFormat, ...] = ("rauc", "mender")
_SUFFIXES: Mapping[OtaFormat, str] = {"rauc": ".raucb", "mender": ".mender"}
_MENDER_MODULE = "infc-bundle"
_TIMEOUT_S = 3600.0
# mender-artifact 3.9: "failed to parse private key (use ParsePKCS8PrivateKey instead for this key format)".
_OLD_KEY_FORM = "this mender-artifact reads the older form of keys only: openssl ec -in KEY.pem -out KEY.mender.pem"
_INSTALL: Mapping[str, str] = {
    "rauc": "install rauc and squashfs-tools (Debian and Ubuntu have both)",
    "mender-artifact": "install mender-artifact (Debian and Ubuntu have it)",
}


@dataclass(frozen=True, kw_only=True)
class OtaKeys:
    """The update agent's own keys: RAUC needs a key and its certificate; Mender signs with a key where there is one."""

    key: Path | None = None
    certificate: Path | None = None


def companions(kinds: Sequence[OtaFormat]) -> dict[str, bytes]:
    """Files for the output folder beside the archive (never in it): path -> content, one folder for each kind.

    `ota/rauc/handler.sh` is what the RAUC bundle will run; `ota/mender/infc-bundle` is the update module that a device
    needs once. `infc sign` takes from these folders which wrappings to make.
    """
    files: dict[str, bytes] = {}
    for kind in kinds:
        match kind:
            case "rauc":
                files[f"{FOLDER}/rauc/handler.sh"] = _script("rauc-handler.sh")
            case "mender":
                files[f"{FOLDER}/mender/{_MENDER_MODULE}"] = _script("mender-module.sh")
    return files


def asked_for(output_folder: Path) -> tuple[OtaFormat, ...]:
    """The wrappings that the spec of a compiled output folder asks for."""
    return tuple(kind for kind in KINDS if (output_folder / FOLDER / kind).is_dir())


def wrapped_path(kind: OtaFormat, archive: Path) -> Path:
    """Where `wrap` puts its file.

    >>> wrapped_path("rauc", Path("dist/dock-camera-jetson-7.tar.zst")).as_posix()
    'dist/dock-camera-jetson-7.raucb'
    """
    return archive.with_name(archive.name.removesuffix(SUFFIX) + _SUFFIXES[kind])


def check_keys(kind: OtaFormat, keys: OtaKeys) -> None:
    """Whether the keys suffice and the tool is there, before anything is written.

    Raises:
        ToolError: what is missing.
    """
    _program(_tool_of(kind))
    if kind == "rauc" and (keys.key is None or keys.certificate is None):
        raise ToolError(
            "a RAUC bundle is signed with a key and a certificate that the device's RAUC trusts",
            help="give both: --ota-key KEY.pem --ota-cert CERT.pem",
        )


def wrap(kind: OtaFormat, archive: Path, release: EdgeRelease, keys: OtaKeys, device_types: Sequence[str] = ()) -> Path:
    """Wrap a signed archive; the file appears beside it in one step, and replaces one that was there.

    Args:
        kind: which agent it is for.
        archive: the archive, signed already.
        release: what it holds.
        keys: the agent's keys.
        device_types: what the agents of the devices call them (RAUC: one `compatible`; Mender: device types). Empty:
            the hardware ids of the release's targets.

    Returns:
        The path of the wrapped file.

    Raises:
        ToolError: the tool is not installed, or refuses; more device types than the agent can take.
    """
    check_keys(kind, keys)
    types = tuple(device_types) or tuple(target.hardware_id for target in release.targets)
    out = wrapped_path(kind, archive)
    with tempfile.TemporaryDirectory(prefix=TEMPORARY, dir=archive.parent) as folder:
        made = Path(folder) / out.name
        match kind:
            case "rauc":
                _make_rauc(archive, release, keys, types, made)
            case "mender":
                _make_mender(archive, release, keys, types, made)
        made.chmod(0o644)
        made.replace(out)
    return out


def _make_rauc(archive: Path, release: EdgeRelease, keys: OtaKeys, types: Sequence[str], out: Path) -> None:
    if len(types) != 1:
        raise ToolError(
            f"a RAUC bundle is for one kind of system, and this release is for {', '.join(types)}",
            help="name what your devices' system.conf calls `compatible`: --device-type NAME",
        )
    content = out.parent / "content"
    content.mkdir()
    try:
        os.link(archive, content / archive.name)
    except OSError:  # a file system without hard links
        shutil.copyfile(archive, content / archive.name)
    (content / "handler.sh").write_bytes(_script("rauc-handler.sh"))
    (content / "handler.sh").chmod(0o755)
    (content / "manifest.raucm").write_text(_rauc_manifest(release, types[0]), encoding="utf-8")
    # The archive is compressed already: squashfs only has to hold it.
    squashfs = "--mksquashfs-args=-noD -noF -no-xattrs"
    _run("rauc", [f"--cert={keys.certificate}", f"--key={keys.key}", squashfs, "bundle", str(content), str(out)])


def _rauc_manifest(release: EdgeRelease, compatible: str) -> str:
    """A bundle without slots: the handler is all of the installation. Source: RAUC's "Full Custom Update"."""
    sections = (
        ("update", {"compatible": compatible, "version": release.version, "description": release.name}),
        ("bundle", {"format": "verity"}),
        ("handler", {"filename": "handler.sh"}),
    )
    return "\n".join(f"[{name}]\n" + "".join(f"{k}={v}\n" for k, v in values.items()) for name, values in sections)


def _make_mender(archive: Path, release: EdgeRelease, keys: OtaKeys, types: Sequence[str], out: Path) -> None:
    meta_data = out.parent / "meta-data.json"
    meta_data.write_text(json.dumps({"name": release.name, "version": release.version}), encoding="utf-8")
    arguments = ["write", "module-image", "--type", _MENDER_MODULE]
    arguments += ["--artifact-name", archive.name.removesuffix(SUFFIX)]
    # Two specs on one device are two pieces of software, each with its version.
    arguments += ["--software-name", f"infc-{release.name}", "--software-version", release.version]
    arguments += [word for each in types for word in ("--device-type", each)]
    arguments += ["--file", str(archive), "--meta-data", str(meta_data), "--compression", "none"]
    arguments += ["--output-path", str(out)]
    if keys.key is not None:
        arguments += ["--key", str(keys.key)]
    _run("mender-artifact", arguments)


def _tool_of(kind: OtaFormat) -> str:
    return "rauc" if kind == "rauc" else "mender-artifact"


def _program(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        raise ToolError(f"this wrapping is made by the command {name}, which is not installed", help=_INSTALL[name])
    return found


def _run(name: str, arguments: Sequence[str]) -> None:
    command = [_program(name), *arguments]
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=_TIMEOUT_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ToolError(f"{name} could not be run: {error}") from error
    if done.returncode != 0:
        words = (done.stderr.strip() or done.stdout.strip()).splitlines()
        last = words[-1] if words else f"exit code {done.returncode}"
        raise ToolError(f"{name} refused: {last}", help=_OLD_KEY_FORM if "PKCS8" in last else None)


def _script(name: str) -> bytes:
    return (data_directory("targets") / "servers" / "jetson" / "ota" / name).read_bytes()
