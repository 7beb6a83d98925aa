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
class RaucSettings:
    """RAUC's own key and certificate, and what `compatible` is in the devices' system.conf (None: the module's id)."""

    key: Path | None = None
    certificate: Path | None = None
    compatible: str | None = None


@dataclass(frozen=True, kw_only=True)
class MenderSettings:
    """The key that artifacts are signed with (None: not signed), and the device types (none: the modules' ids)."""

    key: Path | None = None
    device_types: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class OtaSettings:
    """What the update agents need to know."""

    rauc: RaucSettings = RaucSettings()
    mender: MenderSettings = MenderSettings()


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


def check_settings(kind: OtaFormat, releases: Sequence[EdgeRelease], settings: OtaSettings) -> None:
    """Whether a wrapping can be made, before anything is written: the tool is there, and what it must be told.

    Raises:
        ToolError: what is missing.
    """
    _program(_tool_of(kind))
    if kind == "rauc":
        if settings.rauc.key is None or settings.rauc.certificate is None:
            raise ToolError(
                "a RAUC bundle is signed with a key and a certificate that the device's RAUC trusts",
                help="give both: --rauc-key KEY.pem --rauc-cert CERT.pem",
            )
        for release in releases:
            _compatible(release, settings.rauc)


def wrap(kind: OtaFormat, archive: Path, release: EdgeRelease, settings: OtaSettings) -> Path:
    """Wrap a signed archive; the file appears beside it in one step, and replaces one that was there.

    Args:
        kind: which agent it is for.
        archive: the archive, signed already.
        release: what it holds.
        settings: the agent's keys, and what it calls the devices.

    Returns:
        The path of the wrapped file.

    Raises:
        ToolError: the tool is not installed or refuses; a setting is missing.
    """
    check_settings(kind, [release], settings)
    out = wrapped_path(kind, archive)
    with tempfile.TemporaryDirectory(prefix=TEMPORARY, dir=archive.parent) as folder:
        made = Path(folder) / out.name
        match kind:
            case "rauc":
                _make_rauc(archive, release, settings.rauc, made)
            case "mender":
                _make_mender(archive, release, settings.mender, made)
        made.chmod(0o644)
        made.replace(out)
    return out


def _compatible(release: EdgeRelease, settings: RaucSettings) -> str:
    ids = [target.hardware_id for target in release.targets]
    if settings.compatible is None and len(ids) != 1:
        raise ToolError(
            f"a RAUC bundle is for one kind of system, and release {release.name} is for {', '.join(ids)}",
            help="name what the devices' system.conf calls `compatible`: --rauc-compatible NAME",
        )
    return settings.compatible or ids[0]


def _make_rauc(archive: Path, release: EdgeRelease, settings: RaucSettings, out: Path) -> None:
    content = out.parent / "content"
    content.mkdir()
    try:
        os.link(archive, content / archive.name)
    except OSError:  # a file system without hard links
        shutil.copyfile(archive, content / archive.name)
    (content / "handler.sh").write_bytes(_script("rauc-handler.sh"))
    (content / "handler.sh").chmod(0o755)
    manifest = _rauc_manifest(release, _compatible(release, settings))
    (content / "manifest.raucm").write_text(manifest, encoding="utf-8")
    # The archive is compressed already: squashfs only has to hold it.
    squashfs = "--mksquashfs-args=-noD -noF -no-xattrs"
    keys = [f"--cert={settings.certificate}", f"--key={settings.key}"]
    _run("rauc", [*keys, squashfs, "bundle", str(content), str(out)])


def _rauc_manifest(release: EdgeRelease, compatible: str) -> str:
    """A bundle without slots: the handler is all of the installation. Source: RAUC's "Full Custom Update"."""
    sections = (
        ("update", {"compatible": compatible, "version": release.version, "description": release.name}),
        ("bundle", {"format": "verity"}),
        ("handler", {"filename": "handler.sh"}),
    )
    return "\n".join(f"[{name}]\n" + "".join(f"{k}={v}\n" for k, v in values.items()) for name, values in sections)


def _make_mender(archive: Path, release: EdgeRelease, settings: MenderSettings, out: Path) -> None:
    meta_data = out.parent / "meta-data.json"
    meta_data.write_text(json.dumps({"name": release.name, "version": release.version}), encoding="utf-8")
    types = settings.device_types or tuple(target.hardware_id for target in release.targets)
    arguments = ["write", "module-image", "--type", _MENDER_MODULE]
    arguments += ["--artifact-name", archive.name.removesuffix(SUFFIX)]
    # Two specs on one device are two pieces of software, each with its version.
    arguments += ["--software-name", f"infc-{release.name}", "--software-version", release.version]
    arguments += [word for each in types for word in ("--device-type", each)]
    arguments += ["--file", str(archive), "--meta-data", str(meta_data), "--compression", "none"]
    arguments += ["--output-path", str(out)]
    if settings.key is not None:
        arguments += ["--key", str(settings.key)]
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
