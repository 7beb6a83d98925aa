"""Moves build jobs and their results in and out of a cluster's volume; runs inside the cluster, over `kubectl exec`.

    python3 porter.py state KEY     prints `result`, `job` or `none`
    python3 porter.py put KEY       a tar stream on standard input becomes jobs/KEY, whole or not at all
    python3 porter.py collect KEY   the first result of KEY goes to standard output as a tar stream
    python3 porter.py drop KEY      removes the job's input; its results stay

It needs Python 3.8 and nothing else; the volume is mounted at /infc.
"""

from __future__ import annotations

import re
import shutil
import sys
import tarfile
import tempfile
from pathlib import Path

ROOT = Path("/infc")
KEY = re.compile(r"[0-9a-f]{64}")
PLAIN_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}")


def main(root: Path, command: str, key: str) -> None:
    """Run one command."""
    if not KEY.fullmatch(key):
        sys.exit(f"not a key: {key!r}")
    if command == "state":
        print("result" if finished(root, key) else "job" if (root / "jobs" / key / "job.json").is_file() else "none")
    elif command == "put":
        put(root, key)
    elif command == "collect":
        collect(root, key)
    elif command == "drop":
        shutil.rmtree(str(root / "jobs" / key), ignore_errors=True)
    else:
        sys.exit(f"no such command: {command!r}")


def finished(root: Path, key: str) -> Path | None:
    """The folder of a finished result: each try has its own, and its result.json is written last."""
    found = sorted((root / "results" / key).glob("*/result.json"))
    return found[0].parent if found else None


def put(root: Path, key: str) -> None:
    """Unpack plain files into a hidden folder, then give it its name."""
    (root / "jobs").mkdir(parents=True, exist_ok=True)
    staging = Path(tempfile.mkdtemp(prefix=".put-", dir=str(root / "jobs")))
    try:
        with tarfile.open(fileobj=sys.stdin.buffer, mode="r|") as archive:
            for member in archive:
                source = archive.extractfile(member)
                if not member.isreg() or not PLAIN_NAME.fullmatch(member.name) or source is None:
                    sys.exit(f"not a plain file: {member.name!r}")
                with (staging / member.name).open("wb") as file:
                    shutil.copyfileobj(source, file)
        staging.chmod(0o755)
        try:
            staging.rename(root / "jobs" / key)
        except OSError:
            if not (root / "jobs" / key / "job.json").is_file():
                raise
    finally:
        shutil.rmtree(str(staging), ignore_errors=True)


def collect(root: Path, key: str) -> None:
    """Stream the files of a result."""
    folder = finished(root, key)
    if folder is None:
        sys.exit(f"no result of {key}")
    with tarfile.open(fileobj=sys.stdout.buffer, mode="w|") as archive:
        for path in sorted(folder.iterdir()):
            if path.is_file() and not path.is_symlink():
                archive.add(str(path), arcname=path.name)


if __name__ == "__main__":
    main(ROOT, *sys.argv[1:3])
