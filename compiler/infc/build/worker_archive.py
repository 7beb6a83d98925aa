"""The standalone worker as one file: `far/`, packed as a Python archive that any Python 3.8 or later runs."""

import io
import zipfile
from pathlib import Path

from infc.build.job_json import LIBRARIES_NAME
from infc.build.libraries import libraries_json

WORKER_NAME = "worker.pyz"
_SOURCES = Path(__file__).parent / "far"
_MAIN = "import sys\n\nfrom far.worker import main\n\nsys.exit(main(sys.argv[1:]))\n"


def write_worker(folder: Path) -> None:
    """Put the worker and what infc knows of the libraries into a folder."""
    (folder / WORKER_NAME).write_bytes(worker_archive())
    (folder / LIBRARIES_NAME).write_bytes(libraries_json())


def worker_archive() -> bytes:
    """The bytes of `worker.pyz`; equal sources, equal bytes."""
    sources = {f"far/{path.name}": path.read_text("utf-8") for path in _SOURCES.glob("*.py")}
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for name, text in sorted({"__main__.py": _MAIN, **sources}.items()):
            archive.writestr(zipfile.ZipInfo(name), text)
    return packed.getvalue()
