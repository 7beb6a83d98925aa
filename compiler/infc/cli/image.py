"""`infc image`: the model of a bundle as an image that Kubernetes mounts."""

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from infc.cli.edge import FAILURE, OK

if TYPE_CHECKING:
    from infc.pipeline.model_image import WrittenImage


@click.command(name="image")
@click.argument("bundle", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.option(
    "-o", "--out", metavar="DIR", type=click.Path(path_type=Path, file_okay=True),
    help="Folder of the image layout. Default: BUNDLE with .oci behind it.",
)  # fmt: skip
@click.option("--format", "format", type=click.Choice(("text", "json")), default="text", show_default=True)
def command(bundle: Path, out: Path | None, format: str) -> int:
    r"""Write the model of a compiled BUNDLE as an OCI image layout, for deploy.kubernetes.model.oci.

    The image has the model's files under /models and nothing else: no program, no time, no owner. The same bundle gives
    the same digest. It is pushed by any tool that reads OCI layouts, such as skopeo or oras.

    Exits 0; 1 when the bundle holds no model, or was changed since it was written.

    \b
    Examples:
      infc image dist/product-encoder
      infc image dist/product-encoder -o encoder.oci --format json
    """
    from infc.cli.lock import show
    from infc.pipeline.model_image import write_model_image

    named = bundle if bundle.name not in ("", "..") else bundle.resolve()
    written, problems = write_model_image(bundle, out or named.with_name(f"{named.name}.oci"))
    if written is None:
        show(problems)
        return FAILURE
    click.echo(_json(written) if format == "json" else _text(written))
    return OK


def _text(image: "WrittenImage") -> str:
    target = image.reference or f"REGISTRY/NAME:{image.tag}"
    return "\n".join(
        (
            f"wrote   {image.folder} ({image.size_bytes / 1e6:,.1f} MB)",
            f"tag     {image.tag}",
            f"digest  {image.digest}",
            "push it:",
            f"  skopeo copy --all --preserve-digests oci:{image.folder}:{image.tag} docker://{target}",
        )
    )


def _json(image: "WrittenImage") -> str:
    document = {
        "format_version": "1.0",
        "folder": str(image.folder),
        "tag": image.tag,
        "reference": image.reference,
        "digest": image.digest,
        "size_bytes": image.size_bytes,
    }
    return json.dumps(document, indent=2)
