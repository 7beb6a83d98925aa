"""`infc verify`: who signed a bundle, is it whole, and is it the one that is locked."""

from pathlib import Path

import click

from infc.cli.edge import FAILURE, LOCK_STALE, OK

_FILE = click.Path(path_type=Path, exists=True, dir_okay=False)


@click.command(name="verify")
@click.argument("bundle", metavar="BUNDLE", type=click.Path(path_type=Path, exists=True))
@click.option(
    "--public-key", "--key", "public_keys", metavar="FILE", type=_FILE, multiple=True,
    help="A public key (PEM) that may have signed. Repeatable.",
)  # fmt: skip
@click.option(
    "--keys", "folder", metavar="DIR", type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="A folder of them, *.pem, such as a device has under /etc/infc/keys.",
)  # fmt: skip
@click.option("--unsigned", is_flag=True, help="Check the content only, not who signed it.")
@click.option(
    "--base", metavar="OLD.tar.zst", type=_FILE, help="For a delta: the release that the device has, to check against."
)
@click.option("--lock", metavar="FILE", type=_FILE, help="For servers: also that the bundle is what this lock holds.")
@click.option("--spec", metavar="FILE", type=_FILE, help="For servers: also that it was made from exactly this spec.")
@click.option(
    "--format", "format", type=click.Choice(["text", "json"]), default="text", show_default=True, help="Output format."
)
def command(
    bundle: Path,
    public_keys: tuple[Path, ...],
    folder: Path | None,
    unsigned: bool,
    base: Path | None,
    lock: Path | None,
    spec: Path | None,
    format: str,
) -> int:
    r"""Check a bundle: its signatures, every digest, that nothing else is in it, and where it comes from.

    BUNDLE is an output folder of `infc compile`, or a .tar.zst for edge devices. Of a bundle for servers these are:
    every file against infc-bundle.json; the signed provenance, and that it describes these very files; the signature
    over the folder; and where --lock or --spec ask for it, that it is what the lock holds and the spec says. Of an
    archive they are the checks of the device, in its order; what only the device can know (module, software, free
    space, speed) is left to it. Nothing is written, and there is no network. Needs the openssl command.

    Exits 0 when every check holds, 1 when one does not, and 4 when the bundle is whole and signed but not the one that
    is locked; for an archive, what the device would exit with is printed.

    \b
    Examples:
      infc verify dist/encoder --key release.pub.pem --lock infc.lock
      infc verify dist/dock-camera --public-key fleet.pub.pem
      infc verify dock-camera-jetson-orin-nx-16gb-7.tar.zst --keys /etc/infc/keys --format json
      infc verify dock-camera-jetson-orin-nx-16gb-7.from-6.tar.zst --public-key fleet.pub.pem --base \
        dock-camera-jetson-orin-nx-16gb-6.tar.zst
    """
    from infc.pipeline.bundle_signing import is_server_bundle
    from infc.pipeline.signing import inspect_bundle
    from infc.report.inspection import inspections_json, render_inspections_text

    keys = _keys(public_keys, folder, unsigned)
    if is_server_bundle(bundle):
        if base is not None:
            raise click.UsageError("--base is for a delta between archives for edge devices")
        return _verify_server_bundle(bundle, keys, lock, spec, format)
    if lock is not None or spec is not None:
        raise click.UsageError("--lock and --spec are for bundles for servers: an archive is locked by its release")
    inspections = inspect_bundle(bundle, keys, base)
    click.echo(inspections_json(inspections) if format == "json" else render_inspections_text(inspections))
    return FAILURE if any(each.code for each in inspections) else OK


def _verify_server_bundle(
    bundle: Path, keys: tuple[Path, ...] | None, lock: Path | None, spec: Path | None, format: str
) -> int:
    from infc.diag import DiagnosticError
    from infc.lock.file import read_lock
    from infc.pipeline.bundle_signing import inspect_server_bundle
    from infc.report.server_bundles import render_server_inspections_text, server_inspections_json

    locked = None
    if lock is not None:
        locked, problems = read_lock(lock)
        if locked is None:
            raise DiagnosticError(problems, exit_code=LOCK_STALE)
    found = inspect_server_bundle(bundle, keys, lock=locked, spec=spec)
    click.echo(server_inspections_json([found]) if format == "json" else render_server_inspections_text([found]))
    if found.holds:
        return OK
    return LOCK_STALE if found.is_only_stale else FAILURE


def _keys(public_keys: tuple[Path, ...], folder: Path | None, unsigned: bool) -> tuple[Path, ...] | None:
    """The keys to try; None: who signed it is not asked."""
    if unsigned:
        if public_keys or folder:
            raise click.UsageError("--unsigned asks for no key: leave out --public-key and --keys")
        return None
    of_folder = () if folder is None else tuple(sorted(folder.glob("*.pem")))
    if folder is not None and not of_folder:
        raise click.UsageError(f"{folder} holds no *.pem")
    if not public_keys and not of_folder:
        raise click.UsageError("name the keys that you trust: --public-key FILE or --keys DIR (or --unsigned)")
    return (*public_keys, *of_folder)
