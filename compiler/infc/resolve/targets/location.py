"""Where infc's data files are: inside the package of a wheel, or at the root of a checkout."""

from pathlib import Path

import infc
from infc.diag import InternalError


def data_directory(name: str) -> Path:
    """The folder `targets` or `schemas` that came with this infc.

    A wheel holds them as `infc/_data/<name>`; in a checkout they stand beside `compiler/`.
    """
    package = Path(infc.__file__).resolve().parent
    for candidate in (package / "_data" / name, package.parent.parent / name):
        if candidate.is_dir():
            return candidate
    raise InternalError(f"the data folder {name!r} is missing from this installation")
