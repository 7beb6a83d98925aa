"""`infc verify`: who signed a bundle for edge devices, and is it whole."""

from pathlib import Path

import click

from infc.cli.edge import FAILURE, OK

_FILE = click.Path(path_type=Path, exists=True, dir_okay=False)


@click.command(name="verify")
@click.argument("bundle", metavar="BUNDLE", type=click.Path(path_type=Path, exists=True))
@click.option(
    "--public-key", "public_keys", metavar="FILE", type=_FILE, multiple=True,
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
@click.option(
    "--format", "format", type=click.Choice(["text", "json"]), default="text", show_default=True, help="Output format."
)
def command(
    bundle: Path, public_keys: tuple[Path, ...], folder: Path | None, unsigned: bool, base: Path | None, format: str
) -> int:
    r"""Check a bundle for edge devices: its signature, every digest, that nothing else is in it, its manifest.

    BUNDLE is a .tar.zst, or an output folder of `infc compile` with one or several. These are the checks of the
    device, in its order; what only the device can know (module, software, free space, speed) is left to it. Nothing
    is written, and there is no network. Needs the openssl command.

    Exits 0 when every check holds, 1 when one does not; what the device would exit with is printed.

    \b
    Examples:
      infc verify dist/dock-camera --public-key fleet.pub.pem
      infc verify dock-camera-jetson-orin-nx-16gb-7.tar.zst --keys /etc/infc/keys --format json
      infc verify dock-camera-jetson-orin-nx-16gb-7.from-6.tar.zst --public-key fleet.pub.pem --base \
        dock-camera-jetson-orin-nx-16gb-6.tar.zst
    """
    from infc.pipeline.signing import inspect_bundle
    from infc.report.inspection import inspections_json, render_inspections_text

    inspections = inspect_bundle(bundle, _keys(public_keys, folder, unsigned), base)
    click.echo(inspections_json(inspections) if format == "json" else render_inspections_text(inspections))
    return FAILURE if any(each.code for each in inspections) else OK


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
