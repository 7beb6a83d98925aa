"""What a bundle must be before the device believes anything of it."""

import io
import json
import os
import subprocess
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from infc.emit.jetson.device.codes import Refusal
from infc.emit.jetson.device.unpacking import bundle_members, said_name, unpack_members
from infc.emit.jetson.device.verification import verify_bundle, verify_staged
from tests.emit.jetson.device.bundles import NAME, Maker, make_key


@pytest.fixture(scope="module")
def maker(tmp_path_factory: pytest.TempPathFactory) -> Maker:
    """Makes bundles, and signs them."""
    return Maker(tmp_path_factory.mktemp("maker"))


@pytest.fixture
def keys(tmp_path: Path, maker: Maker) -> Path:
    """The folder of keys of a device that trusts the maker."""
    folder = tmp_path / "keys"
    folder.mkdir()
    (folder / "release.pem").write_bytes(maker.public.read_bytes())
    return folder


def refused(action: Callable[[], object]) -> Refusal:
    """The refusal that an action ends with."""
    with pytest.raises(Refusal) as caught:
        action()
    return caught.value


def test_signed_bundle_is_accepted_as_archive_and_as_folder(maker: Maker, keys: Path) -> None:
    """Both forms hold the same files; the name of the key that signed is told."""
    files = maker.signed(maker.files("7"))
    for bundle in (maker.archive("7", files), maker.unpacked("7", files)):
        verified = verify_bundle(bundle, keys)
        assert (verified.manifest["name"], verified.manifest["version"]) == (NAME, "7")
        assert (verified.key, verified.files) == ("release.pem", len(files))


def test_archive_unpacks_to_what_was_packed(maker: Maker, tmp_path: Path) -> None:
    """Content and modes; scripts and the program are executable, nothing else is."""
    files = maker.signed(maker.files("7"))
    total = unpack_members(bundle_members(maker.archive("7", files)), tmp_path / "to")
    found = {str(path.relative_to(tmp_path / "to")): path for path in (tmp_path / "to").rglob("*") if path.is_file()}
    assert {path: file.read_bytes() for path, file in found.items()} == files
    assert total == sum(map(len, files.values()))
    executable = {path for path, file in found.items() if file.stat().st_mode & 0o111}
    assert executable == {"install.sh", "bin/edge.py"}


def test_changed_file_is_code_11(maker: Maker, keys: Path) -> None:
    """One byte is enough; the file is named."""
    files = maker.signed(maker.files("7"))
    files["verify/0/image.bin"] = b"\x01" + files["verify/0/image.bin"][1:]
    refusal = refused(lambda: verify_bundle(maker.archive("7", files), keys))
    assert (refusal.code, "verify/0/image.bin" in refusal.message) == (11, True)


def test_missing_file_is_code_11(maker: Maker, keys: Path) -> None:
    """A file that was signed must be there, unless a delta leaves it out."""
    files = maker.signed(maker.files("7"))
    del files["install.sh"]
    refusal = refused(lambda: verify_bundle(maker.archive("7", files), keys))
    assert (refusal.code, refusal.message) == (11, "missing: install.sh")


def test_extra_file_is_code_12(maker: Maker, keys: Path) -> None:
    """Nothing comes along that nobody signed for, not even beside the rest."""
    files = {**maker.signed(maker.files("7")), "models/more.onnx": b"more"}
    for bundle in (maker.archive("7", files), maker.unpacked("7", files)):
        refusal = refused(lambda bundle=bundle: verify_bundle(bundle, keys))
        assert (refusal.code, refusal.message) == (12, "nobody signed for models/more.onnx")


def test_other_key_is_code_10(maker: Maker, keys: Path, tmp_path: Path) -> None:
    """A signature of a key that is not on the device counts for nothing; a key inside the bundle neither."""
    make_key(tmp_path / "other.key", tmp_path / "other.pem")
    files = {**maker.files("7"), "keys/other.pem": (tmp_path / "other.pem").read_bytes()}
    signed = maker.signed(files, key=tmp_path / "other.key")
    refusal = refused(lambda: verify_bundle(maker.archive("7", signed), keys))
    assert (refusal.code, "release.pem" in refusal.message) == (10, True)


def test_one_of_several_keys_is_enough(maker: Maker, keys: Path, tmp_path: Path) -> None:
    """While keys are being replaced a device has the old and the new one."""
    make_key(tmp_path / "new.key", keys / "a-new.pem")
    assert verify_bundle(maker.archive("7"), keys).key == "release.pem"
    signed = maker.signed(maker.files("8"), key=tmp_path / "new.key")
    assert verify_bundle(maker.archive("8", signed), keys).key == "a-new.pem"


def test_unsigned_bundle_and_device_without_keys_are_code_10(maker: Maker, keys: Path, tmp_path: Path) -> None:
    """No signature, no key: nobody is trusted."""
    files = maker.signed(maker.files("7"))
    del files["SHA256SUMS.sig"]
    assert refused(lambda: verify_bundle(maker.archive("7", files), keys)).code == 10
    refusal = refused(lambda: verify_bundle(maker.archive("7"), tmp_path / "none"))
    assert (refusal.code, "holds no key" in refusal.message) == (10, True)


def test_key_that_anybody_can_change_is_code_10(maker: Maker, keys: Path) -> None:
    """Whoever can write a key decides who may sign."""
    (keys / "release.pem").chmod(0o666)
    refusal = refused(lambda: verify_bundle(maker.archive("7"), keys))
    assert (refusal.code, refusal.help) == (10, f"chmod o-w {keys / 'release.pem'}")


def test_sums_that_were_changed_are_code_10(maker: Maker, keys: Path) -> None:
    """The signature is over SHA256SUMS: a digest that is adjusted to a changed file breaks it."""
    files = maker.files("7")
    honest = maker.signed(files)
    files["install.sh"] += b"\n# more\n"
    forged = {**maker.signed(files), "SHA256SUMS.sig": honest["SHA256SUMS.sig"]}
    assert refused(lambda: verify_bundle(maker.archive("7", forged), keys)).code == 10


def test_manifest_of_another_content_is_code_11(maker: Maker, keys: Path) -> None:
    """The content digest names the release's folder, so it must be that of the files."""
    files = maker.files("7")
    files["manifest.json"] = maker.files("7", seed=2)["manifest.json"]
    refusal = refused(lambda: verify_bundle(maker.archive("7", maker.signed(files)), keys))
    assert (refusal.code, "another content" in refusal.message) == (11, True)


def test_delta_that_leaves_out_what_nobody_signed_for_is_code_11(maker: Maker, keys: Path) -> None:
    """Files are completed where the manifest says, so it may only name those of the signed list."""
    files = maker.files("8")
    stated = json.loads(files["manifest.json"])
    absent = {"path": "models/other.onnx", "sha256": "0" * 64, "size_bytes": 1}
    stated["delta"] = {"base_version": "7", "absent": [absent]}
    signed = maker.signed({**files, "manifest.json": json.dumps(stated).encode()})
    refusal = refused(lambda: verify_bundle(maker.archive("8", signed), keys))
    assert (refusal.code, "models/other.onnx" in refusal.message) == (11, True)


def test_folder_that_is_called_otherwise_is_code_11(maker: Maker, keys: Path) -> None:
    """The archive's folder decides where it is unpacked; the signed manifest must agree."""
    refusal = refused(lambda: verify_bundle(maker.archive("9", maker.signed(maker.files("7"))), keys))
    assert (refusal.code, "dock-camera 9" in refusal.message) == (11, True)


def test_link_in_a_folder_is_code_12(maker: Maker, keys: Path) -> None:
    """A link could lead anywhere when the files are copied or served."""
    folder = maker.unpacked("7")
    (folder / "models" / "link.onnx").symlink_to("/etc/passwd")
    assert refused(lambda: verify_bundle(folder, keys)).code == 12
    (folder / "models" / "link.onnx").unlink()
    os.mkfifo(folder / "models" / "pipe")
    assert refused(lambda: verify_staged(folder, keys)).code == 12


def _archive_of(path: Path, *members: tarfile.TarInfo, format: int = tarfile.PAX_FORMAT) -> Path:
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w", format=format) as archive:
        for member in members:
            archive.addfile(member, io.BytesIO(b"x" * member.size))
    path.write_bytes(subprocess.run(["zstd", "-qc"], input=content.getvalue(), capture_output=True, check=True).stdout)
    return path


def _member(
    name: str, kind: bytes = tarfile.REGTYPE, target: str = "", size: int = 1, stated: str = ""
) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.pax_headers = {"size": stated} if stated else {}
    member.type, member.linkname = kind, target
    member.size = size if kind == tarfile.REGTYPE else 0
    return member


HOSTILE = {
    "symbolic-link": [_member("b-1/models", tarfile.SYMTYPE, "/etc")],
    "hard-link": [_member("b-1/a"), _member("b-1/b", tarfile.LNKTYPE, "b-1/a")],
    "device": [_member("b-1/null", tarfile.CHRTYPE)],
    "pipe": [_member("b-1/pipe", tarfile.FIFOTYPE)],
    "absolute": [_member("/etc/passwd")],
    "parent": [_member("b-1/../../etc/passwd")],
    "hidden": [_member("b-1/.ssh/authorized_keys")],
    "odd-sign": [_member("b-1/a b")],
    "line-break": [_member("b-1/a\nb")],
    "long": [_member("b-1/" + "a" * 300)],
    "twice": [_member("b-1/a"), _member("b-1/a")],
    "two-folders": [_member("b-1/a"), _member("c-1/a")],
    "no-folder": [_member("a")],
    "size-of-400-digits": [_member("b-1/a", stated="9" * 400)],
    "size-of-5000-digits": [_member("b-1/a", stated="9" * 5000)],
}


@pytest.mark.parametrize("case", HOSTILE)
def test_archive_with_what_no_bundle_has_is_code_12(case: str, tmp_path: Path) -> None:
    """Nothing is written for such a member, and nothing outside of the folder that was given."""
    bundle = _archive_of(tmp_path / "bundle.tar.zst", *HOSTILE[case])
    refusal = refused(lambda: unpack_members(bundle_members(bundle), tmp_path / "in" / "to"))
    assert refusal.code == 12
    assert {path.name for path in tmp_path.iterdir()} == {"bundle.tar.zst", "in"}
    assert all(path.is_dir() or path.name == "a" for path in (tmp_path / "in").rglob("*"))


def test_file_under_another_file_writes_nothing_through_it(tmp_path: Path) -> None:
    """`a` as a file and `a/b` below it cannot both be."""
    bundle = _archive_of(tmp_path / "bundle.tar.zst", _member("b-1/a"), _member("b-1/a/b"))
    assert refused(lambda: unpack_members(bundle_members(bundle), tmp_path / "to")).code == 12


def test_old_tar_dialects_are_code_12(tmp_path: Path) -> None:
    """Long names of GNU tar are a second way to say a path; bundles do not use it."""
    bundle = _archive_of(tmp_path / "b.tar.zst", _member("b-1/" + "a/" * 60 + "a"), format=tarfile.GNU_FORMAT)
    assert refused(lambda: list(bundle_members(bundle))).code == 12


def test_truncated_archive_is_code_11(maker: Maker, tmp_path: Path) -> None:
    """A copy that was cut off is damaged, wherever it ends."""
    whole = maker.archive("7").read_bytes()
    for size in (0, 10, len(whole) // 2, len(whole) - 1):
        (tmp_path / "cut.tar.zst").write_bytes(whole[:size])
        assert refused(lambda: list(_drained(tmp_path / "cut.tar.zst"))).code == 11


def _drained(bundle: Path) -> list[int]:
    return [sum(map(len, member.chunks)) for member in bundle_members(bundle)]


def test_file_that_is_no_archive_is_code_11(tmp_path: Path) -> None:
    """Such as a page that a proxy sent in its place."""
    (tmp_path / "b.tar.zst").write_text("<html>not found</html>")
    assert refused(lambda: _drained(tmp_path / "b.tar.zst")).code == 11


def test_bundle_that_does_not_fit_is_code_30_before_it_is_written(tmp_path: Path) -> None:
    """The size in the header is held against the free space first: a terabyte of zeros is small in the archive."""
    header = _member("b-1/zeros", size=1 << 45).tobuf(tarfile.PAX_FORMAT)
    packed = subprocess.run(["zstd", "-qc"], input=header + bytes(4096), capture_output=True, check=True).stdout
    (tmp_path / "b.tar.zst").write_bytes(packed)
    refusal = refused(lambda: unpack_members(bundle_members(tmp_path / "b.tar.zst"), tmp_path / "to"))
    assert (refusal.code, list((tmp_path / "to").iterdir())) == (30, [])


def test_bundle_that_is_not_there_is_code_1(tmp_path: Path) -> None:
    """A slip in the path is told as such."""
    assert refused(lambda: list(bundle_members(tmp_path / "none.tar.zst"))).code == 1


def test_name_is_read_before_anything_is_verified(maker: Maker) -> None:
    """It only decides where the bundle is staged; the signed manifest must say the same later."""
    for bundle in (maker.archive("1.4.0"), maker.unpacked("1.4.0")):
        assert said_name(next(bundle_members(bundle)), bundle) == (NAME, "1.4.0")
