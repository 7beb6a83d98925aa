"""`infc sign`: keys, and signatures on bundles."""

import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from infc.cli.edge import OK

if TYPE_CHECKING:
    from infc.emit.jetson.ota import OtaSettings
    from infc.pipeline.signing import Attached, PrivateKey, Wrapping

_FILE = click.Path(path_type=Path, exists=True, dir_okay=False)
_DEVICE_TYPE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._ -]{0,63}")


def _device_type(_ctx: click.Context, _param: click.Parameter, value: str | None) -> str | None:
    if value is not None and not _DEVICE_TYPE.fullmatch(value):
        raise click.BadParameter(f"{value!r} is not letters, digits, spaces and `.-_`, at most 64")
    return value


def _device_types(_ctx: click.Context, _param: click.Parameter, values: tuple[str, ...]) -> tuple[str, ...]:
    for value in values:
        _device_type(_ctx, _param, value)
    return values


@click.command(name="sign")
@click.argument("bundle", metavar="[BUNDLE]", required=False, type=click.Path(path_type=Path, exists=True))
@click.option("--key", metavar="FILE", type=_FILE, help="Private key (PEM, ECDSA P-256) to sign with.")
@click.option("--passphrase-file", metavar="FILE", type=_FILE, help="Its first line is the private key's passphrase.")
@click.option(
    "--new-key",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="Make a key: FILE, and its public half beside it.",
)
@click.option("--print-digest", is_flag=True, help="Print the SHA-256 that another signer must sign; sign nothing.")
@click.option(
    "--payload", metavar="FILE", type=click.Path(path_type=Path, dir_okay=False, allow_dash=True),
    help="Write the bytes that another signer must sign to FILE (- for stdout); sign nothing.",
)  # fmt: skip
@click.option(
    "--signature", metavar="FILE", type=_FILE, help="Attach a signature (DER or base64) that another signer made."
)
@click.option("--public-key", metavar="FILE", type=_FILE, help="The key that --signature must fit.")
@click.option(
    "--ota", "kinds", metavar="KIND", type=click.Choice(["rauc", "mender"]), multiple=True,
    help="Wrap what is signed for an update agent: rauc, mender. Repeatable. Default: as the spec says.",
)  # fmt: skip
@click.option("--no-ota", is_flag=True, help="Do not wrap, whatever the spec says.")
@click.option("--rauc-key", metavar="FILE", type=_FILE, help="RAUC's own signing key.")
@click.option("--rauc-cert", metavar="FILE", type=_FILE, help="The certificate of --rauc-key, which devices trust.")
@click.option(
    "--rauc-compatible", metavar="NAME", callback=_device_type,
    help="What `compatible` is in the devices' system.conf. Default: the hardware id.",
)  # fmt: skip
@click.option("--mender-key", metavar="FILE", type=_FILE, help="Mender's own signing key. Default: not signed for it.")
@click.option(
    "--mender-device-type", metavar="NAME", multiple=True, callback=_device_types,
    help="What Mender calls the devices. Repeatable. Default: the hardware ids.",
)  # fmt: skip
@click.option(
    "--format", "format", type=click.Choice(["text", "json"]), default="text", show_default=True, help="Output format."
)
def command(
    bundle: Path | None,
    key: Path | None,
    passphrase_file: Path | None,
    new_key: Path | None,
    print_digest: bool,
    payload: Path | None,
    signature: Path | None,
    public_key: Path | None,
    kinds: tuple[str, ...],
    no_ota: bool,
    rauc_key: Path | None,
    rauc_cert: Path | None,
    rauc_compatible: str | None,
    mender_key: Path | None,
    mender_device_type: tuple[str, ...],
    format: str,
) -> int:
    r"""Sign a bundle, or make the key for it.

    BUNDLE is an output folder of `infc compile`, or a .tar.zst for edge devices. It is checked to be whole first.
    Signing again, with the same key or another, replaces the signature. Needs the openssl command (1.1.1 or later), and
    no network.

    A bundle for servers gets two files: provenance.dsse.json, its provenance in a DSSE envelope, and model.sig, a
    signature of OpenSSF Model Signing over the whole folder. They are no part of its content, so nothing that is locked
    changes.

    An archive for edge devices gets its signature inside: devices take only what a key that they have has signed. A key
    in an HSM or a key service signs it in two steps: --payload (or --print-digest), then --signature. What is signed
    can be wrapped for RAUC or Mender.

    Exits 0 when it is signed, 1 when it is not; then nothing was changed.

    \b
    Examples:
      infc sign --new-key fleet.pem
      infc sign dist/encoder --key release.pem
      infc sign dist/dock-camera --key fleet.pem
      infc sign dist/dock-camera --key fleet.pem --ota rauc --rauc-key rauc.key.pem --rauc-cert rauc.cert.pem
      infc sign dock-camera-jetson-orin-nx-16gb-7.tar.zst --payload sums
      infc sign dock-camera-jetson-orin-nx-16gb-7.tar.zst --signature sums.sig --public-key fleet.pub.pem
    """
    from infc.emit.jetson.ota import MenderSettings, OtaSettings, RaucSettings

    modes = {
        "--new-key": new_key is not None,
        "--key": key is not None,
        "--signature": signature is not None,
        "--payload": payload is not None,
        "--print-digest": print_digest,
    }
    _check_modes([name for name, is_on in modes.items() if is_on], bundle)
    if new_key is not None:
        return _make_key(new_key, passphrase_file, format)
    if bundle is None:
        raise click.UsageError("name the bundle to sign")
    from infc.pipeline.bundle_signing import is_server_bundle

    if is_server_bundle(bundle):
        if key is None or kinds or no_ota:
            raise click.UsageError("a bundle for servers is signed with --key; the other options are for edge devices")
        return _sign_server_bundle(bundle, _signer(key, passphrase_file, None, public_key), format)
    if payload is not None or print_digest:
        return _give_payload(bundle, payload)
    by = _signer(key, passphrase_file, signature, public_key)
    settings = OtaSettings(
        rauc=RaucSettings(key=rauc_key, certificate=rauc_cert, compatible=rauc_compatible),
        mender=MenderSettings(key=mender_key, device_types=mender_device_type),
    )
    return _sign(bundle, by, _wrapping(kinds, no_ota, settings), format)


def _check_modes(modes: list[str], bundle: Path | None) -> None:
    if not modes:
        raise click.UsageError("say what to do: --key FILE signs, --new-key FILE makes a key; see `infc sign --help`")
    if len(modes) > 1:
        raise click.UsageError(f"{modes[0]} and {modes[1]} do not go together")
    if modes == ["--new-key"] and bundle is not None:
        raise click.UsageError("--new-key makes a key and signs nothing: leave BUNDLE out")


def _make_key(path: Path, passphrase_file: Path | None, format: str) -> int:
    from infc.emit.supply.signing import new_key, read_public_key

    public = new_key(path, _first_line(passphrase_file))
    if format == "json":
        from infc.report.made_json import new_key_json

        key_id = read_public_key(public).id
        click.echo(new_key_json(private_key=str(path), public_key=str(public), key_id=key_id))
        return OK
    click.echo(f"{path}: private key, for its owner only: keep it where you sign, and nowhere else")
    click.echo(f"{public}: public key {read_public_key(public).id[:16]}: put it on the devices, under /etc/infc/keys")
    return OK


def _give_payload(bundle: Path, payload: Path | None) -> int:
    import hashlib

    from infc.pipeline.signing import payload_of

    data = payload_of(bundle)
    if payload is None:
        click.echo(hashlib.sha256(data).hexdigest())
    else:
        with click.open_file(str(payload), "wb") as out:
            out.write(data)
    return OK


def _signer(
    key: Path | None, passphrase_file: Path | None, signature: Path | None, public_key: Path | None
) -> "PrivateKey | Attached":
    from infc.emit.supply.signing import is_encrypted, is_readable_by_others
    from infc.pipeline.signing import Attached, PrivateKey

    if signature is not None:
        if public_key is None:
            raise click.UsageError("--signature needs --public-key: the key that it must fit")
        return Attached(signature=signature, public_key=public_key)
    if key is None or public_key is not None:
        raise click.UsageError("--public-key goes with --signature")
    if is_readable_by_others(key):
        click.echo(f"warning: others can read {key}: chmod 600 {key}", err=True)
    passphrase = _first_line(passphrase_file)
    if passphrase is None and is_encrypted(key) and sys.stdin.isatty():
        passphrase = click.prompt(f"Passphrase of {key}", hide_input=True, err=True)
    return PrivateKey(path=key, passphrase=passphrase)


def _first_line(passphrase_file: Path | None) -> str | None:
    if passphrase_file is None:
        return None
    with passphrase_file.open(encoding="utf-8", errors="surrogateescape") as file:
        line = file.readline(4096).rstrip("\r\n")
    if not line:
        raise click.UsageError(f"the first line of {passphrase_file} is empty")
    return line


def _wrapping(kinds: tuple[str, ...], no_ota: bool, settings: "OtaSettings") -> "Wrapping":
    from infc.emit.jetson.ota import KINDS, OtaSettings
    from infc.pipeline.signing import Wrapping

    if no_ota and (kinds or settings != OtaSettings()):
        raise click.UsageError("--no-ota wraps nothing: leave out --ota and the options of RAUC and Mender")
    chosen = tuple(kind for kind in KINDS if kind in kinds) if kinds or no_ota else None
    return Wrapping(kinds=chosen, settings=settings)


def _sign_server_bundle(bundle: Path, by: "PrivateKey | Attached", format: str) -> int:
    from infc.pipeline.bundle_signing import sign_server_bundle
    from infc.pipeline.signing import PrivateKey
    from infc.report.server_bundles import render_server_signed_text, server_signed_json

    assert isinstance(by, PrivateKey)  # noqa: S101 - there was no --signature
    signed = sign_server_bundle(bundle, by.path, by.passphrase)
    click.echo(server_signed_json(signed) if format == "json" else render_server_signed_text(signed))
    return OK


def _sign(bundle: Path, by: "PrivateKey | Attached", wrapping: "Wrapping", format: str) -> int:
    from infc.pipeline.signing import sign_bundle
    from infc.report.signed import render_signed_text, signed_json

    signed = sign_bundle(bundle, by, wrapping)
    click.echo(signed_json(signed) if format == "json" else render_signed_text(signed))
    return OK
