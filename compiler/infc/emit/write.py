"""The one writer of bundles: a reader of the output folder sees the old bundle or the new one, never a mixture.

The bundle is written to a hidden folder beside the output folder, made durable, and exchanged with the old one in a
single step (renameat2). Where that call is missing (not Linux, some network file systems) the old folder is renamed
away first: then there is a moment without an output folder, and a run that dies in it leaves the old bundle under a
hidden name, which the next run puts back before it does anything else.

File modes are fixed, whatever the umask. File times are left to the file system: a constant time would make copy tools
that compare size and time (rsync, Triton's own poll mode) miss a change.
"""

import contextlib
import errno
import fcntl
import hashlib
import os
import re
import secrets
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path

from infc.diag import Diagnostic, ToolError
from infc.emit.manifest import (
    MANIFEST_NAME,
    REPORT_NAME,
    Manifest,
    bundle_digests,
    check_path,
    chunks,
    read_manifest,
    verify_bundle,
)
from infc.emit.swap import exchange, sync_folder
from infc.ir.bundle import Bundle

_TEMPORARY = ".infc-new-"
_MOVED_AWAY = ".infc-old-"
_FOLDER_MODE = 0o755
_FILE_MODE = 0o644
_SCRIPT_MODE = 0o755
_ATTEMPTS = 8


def write_bundle(bundle: Bundle, out_dir: Path, report: bytes | None = None) -> tuple[Diagnostic, ...]:
    """Make `out_dir` hold exactly this bundle and its manifest, in one step; leave it alone when it already does.

    Left-overs of runs that were killed are removed. Two runs at once are safe: the later one wins. `report` is the page
    that lies beside the bundle's files; of a bundle that is there already, only the page is renewed.

    Returns:
        Nothing when it is written; why not when `out_dir` is something that infc did not write.

    Raises:
        ToolError: the file system refuses (full, read-only, no permission); the old bundle is still there.
    """
    for path in bundle.files:
        check_path(path)
    with _as_tool_errors(out_dir):
        out_dir.parent.mkdir(parents=True, exist_ok=True)
        out_dir = out_dir.parent.resolve() / out_dir.name
        _clean_up(out_dir)
        problems = _foreign(out_dir)
        if problems:
            return problems
        if _is_current(bundle, out_dir):
            _renew(out_dir, report)
            return ()
        with _temporary_folder(out_dir) as folder:
            _fill(folder, bundle, report)
            return _publish(folder, out_dir)


def write_report(out_dir: Path, page: bytes) -> None:
    """Put a page beside the files of a bundle, in one step, in place of the one before.

    Raises:
        ToolError: the file system refuses; the old page is still there.
    """
    with _as_tool_errors(out_dir / REPORT_NAME):
        _renew(out_dir.parent.resolve() / out_dir.name, page)


@contextlib.contextmanager
def _as_tool_errors(what: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        reason = f"{error.strerror or error} ({error.filename})" if error.filename else str(error.strerror or error)
        help = "free space there, or choose another folder with -o" if error.errno == errno.ENOSPC else None
        raise ToolError(f"cannot write {what}: {reason}; what was there is unchanged", help=help) from error


def _renew(out_dir: Path, report: bytes | None) -> None:
    path = out_dir / REPORT_NAME
    if report is None or (path.is_file() and not path.is_symlink() and path.read_bytes() == report):
        return
    with _temporary_folder(out_dir) as folder:
        _write_file(folder / REPORT_NAME, report)
        (folder / REPORT_NAME).replace(path)
        sync_folder(out_dir)


def _foreign(out_dir: Path) -> tuple[Diagnostic, ...]:
    if not os.path.lexists(out_dir):
        return ()
    if out_dir.is_dir() and not out_dir.is_symlink():
        if read_manifest(out_dir) is not None or not any(out_dir.iterdir()):
            return ()
        what = "is a folder that infc did not write"
    else:
        what = "is not a folder"
    return (
        Diagnostic(
            id="output-not-a-bundle",
            message=f"{out_dir} {what}; nothing in it was changed",
            notes=(f"infc replaces a whole folder, and only one that holds its {MANIFEST_NAME}",),
            help="choose another folder with -o, or move this one away",
        ),
    )


def _is_current(bundle: Bundle, out_dir: Path) -> bool:
    manifest = read_manifest(out_dir)
    if manifest is None or manifest.files.keys() != bundle.files.keys():
        return False
    if manifest != Manifest(name=bundle.name, target=bundle.target, files=bundle_digests(bundle)):
        return False
    if verify_bundle(out_dir):
        return False
    modes = {path: _mode_of(path) for path in (*bundle.files, MANIFEST_NAME)}
    return all(stat.S_IMODE((out_dir / path).stat().st_mode) == mode for path, mode in modes.items())


def _mode_of(path: str) -> int:
    return _SCRIPT_MODE if path.endswith(".sh") else _FILE_MODE


def _fill(folder: Path, bundle: Bundle, report: bytes | None) -> None:
    digests = {path: _write_file(folder / path, content) for path, content in sorted(bundle.files.items())}
    if report is not None:
        _write_file(folder / REPORT_NAME, report)
    _write_file(folder / MANIFEST_NAME, Manifest(name=bundle.name, target=bundle.target, files=digests).to_bytes())
    for path, _, _ in os.walk(folder, topdown=False):
        os.chmod(path, _FOLDER_MODE)
        sync_folder(Path(path))


def _write_file(path: Path, content: bytes | Path) -> str:
    """Write one file durably with its fixed mode; returns its digest."""
    path.parent.mkdir(parents=True, exist_ok=True)
    hasher = hashlib.sha256()
    with path.open("xb") as target:
        for chunk in _pieces(content):
            hasher.update(chunk)
            target.write(chunk)
        target.flush()
        os.fchmod(target.fileno(), _mode_of(path.name))
        os.fsync(target.fileno())
    return "sha256:" + hasher.hexdigest()


def _pieces(content: bytes | Path) -> Iterator[bytes]:
    if isinstance(content, bytes):
        yield content
        return
    with content.open("rb") as source:
        yield from chunks(source)


def _publish(folder: Path, out_dir: Path) -> tuple[Diagnostic, ...]:
    for _ in range(_ATTEMPTS):
        problems = _foreign(out_dir)
        if problems:
            return problems
        try:
            _put_in_place(folder, out_dir)
        except OSError as error:
            # Another run put its bundle there, or took one away, between the look and the step: look again.
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST, errno.ENOENT) or not folder.exists():
                raise
            continue
        sync_folder(out_dir.parent)
        return ()
    raise ToolError(
        f"cannot write {out_dir}: other processes keep changing it", help="let only one compile write there"
    )


def _put_in_place(folder: Path, out_dir: Path) -> None:
    if not out_dir.exists():
        folder.rename(out_dir)
    elif exchange(folder, out_dir):
        shutil.rmtree(folder, ignore_errors=True)
    else:
        moved = out_dir.with_name(f"{_MOVED_AWAY}{out_dir.name}-{secrets.token_hex(8)}")
        out_dir.rename(moved)
        folder.rename(out_dir)
        shutil.rmtree(moved, ignore_errors=True)


@contextlib.contextmanager
def _temporary_folder(out_dir: Path) -> Iterator[Path]:
    """A new hidden folder beside `out_dir`, locked while it is in use, so that nobody takes it for a left-over."""
    folder, descriptor = _make_locked_folder(out_dir)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(descriptor)


def _make_locked_folder(out_dir: Path) -> tuple[Path, int]:
    while True:
        folder = out_dir.with_name(f"{_TEMPORARY}{out_dir.name}-{secrets.token_hex(8)}")
        folder.mkdir(mode=0o700)
        try:
            descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        except FileNotFoundError:
            continue
        # Another run's clean-up may have come between the two calls; then it holds the lock or has removed the folder.
        if _lock(descriptor) and folder.exists():
            return folder, descriptor
        os.close(descriptor)


def _lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _clean_up(out_dir: Path) -> None:
    """Put back what a killed run without `renameat2` had moved away, and remove what killed runs left."""
    for folder in _left_overs(_MOVED_AWAY, out_dir):
        if not out_dir.exists():
            folder.rename(out_dir)
        else:
            shutil.rmtree(folder, ignore_errors=True)
    for folder in _left_overs(_TEMPORARY, out_dir):
        try:
            descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        except OSError:
            continue
        try:
            if _lock(descriptor):
                shutil.rmtree(folder, ignore_errors=True)
        finally:
            os.close(descriptor)


def _left_overs(prefix: str, out_dir: Path) -> list[Path]:
    pattern = re.compile(re.escape(prefix + out_dir.name) + "-[0-9a-f]{16}")
    return sorted(path for path in out_dir.parent.iterdir() if pattern.fullmatch(path.name))
