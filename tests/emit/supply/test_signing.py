"""Signatures by the real openssl command; keys are made here and thrown away."""

import shutil
import subprocess
from pathlib import Path

import pytest

from infc.diag import ToolError
from infc.emit.supply.signing import (
    is_encrypted,
    is_readable_by_others,
    new_key,
    private_key_id,
    public_half,
    read_public_key,
    sign,
    verify,
)

pytestmark = pytest.mark.skipif(shutil.which("openssl") is None, reason="no openssl command")


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `a.pem`, `b.pem` and their public halves."""
    folder = tmp_path_factory.mktemp("keys")
    for name in ("a.pem", "b.pem"):
        new_key(folder / name)
    return folder


def openssl(*words: str) -> bytes:
    """Run the command."""
    return subprocess.run(["openssl", *words], capture_output=True, check=True).stdout


def test_a_key_is_for_its_owner_only(keys: Path) -> None:
    """The private half; everybody may read the public one."""
    assert (keys / "a.pem").stat().st_mode & 0o777 == 0o600
    assert (keys / "a.pub.pem").stat().st_mode & 0o777 == 0o644
    assert not is_readable_by_others(keys / "a.pem")
    assert b"PRIVATE" not in (keys / "a.pub.pem").read_bytes()
    assert public_half(keys / "a.pem") == (keys / "a.pub.pem").read_bytes()
    assert private_key_id(keys / "a.pem") == read_public_key(keys / "a.pub.pem").id


def test_the_signer_is_found_among_several_keys(keys: Path) -> None:
    """So that a device can have the old key and the new one; another text or another signature is nobody's."""
    both = [keys / "a.pub.pem", keys / "b.pub.pem"]
    signature = sign(b"sums", keys / "b.pem")
    assert verify(b"sums", signature, both) == keys / "b.pub.pem"
    assert verify(b"sums", signature, both[:1]) is None
    assert verify(b"sumz", signature, both) is None
    assert verify(b"sums", signature[:-1] + bytes([signature[-1] ^ 1]), both) is None
    assert verify(b"sums", b"", both) is None
    assert verify(b"sums", b"\0" * 1000, both) is None
    assert verify(b"sums", signature, []) is None


def test_a_device_needs_nothing_but_openssl_to_verify(keys: Path, tmp_path: Path) -> None:
    """The command that docs/edge.md shows."""
    (tmp_path / "sums").write_bytes(b"sums")
    (tmp_path / "sig").write_bytes(sign(b"sums", keys / "a.pem"))
    words = ["dgst", "-sha256", "-verify", str(keys / "a.pub.pem"), "-signature", str(tmp_path / "sig")]
    assert b"Verified OK" in openssl(*words, str(tmp_path / "sums"))


def test_a_key_with_a_passphrase_signs_with_it_only(tmp_path: Path) -> None:
    """Without it, or with another, openssl is not asked to prompt: the words say what to do."""
    key = tmp_path / "k.pem"
    public = new_key(key, "correct horse")
    assert is_encrypted(key)
    assert verify(b"x", sign(b"x", key, "correct horse"), [public]) == public
    with pytest.raises(ToolError, match="has a passphrase") as error:
        sign(b"x", key)
    assert "--passphrase-file" in str(error.value.help)
    with pytest.raises(ToolError, match="wrong passphrase"):
        sign(b"x", key, "wrong")


@pytest.mark.parametrize(
    "make",
    [
        ["genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-384"],
        ["genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:secp256k1"],
        ["genpkey", "-algorithm", "ED25519"],
        ["genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:1024"],
    ],
    ids=["P-384", "secp256k1", "ed25519", "rsa"],
)
def test_other_keys_are_refused(make: list[str], tmp_path: Path) -> None:
    """To sign with and to verify with."""
    (tmp_path / "k.pem").write_bytes(openssl(*make))
    (tmp_path / "k.pub.pem").write_bytes(openssl("pkey", "-in", str(tmp_path / "k.pem"), "-pubout"))
    with pytest.raises(ToolError, match="not a key on the curve P-256"):
        sign(b"x", tmp_path / "k.pem")
    with pytest.raises(ToolError, match="not a key on the curve P-256"):
        verify(b"x", b"signature", [tmp_path / "k.pub.pem"])


def test_a_key_of_openssl_ecparam_signs_too(tmp_path: Path) -> None:
    """The older form of the file, with its parameters in front."""
    (tmp_path / "k.pem").write_bytes(openssl("ecparam", "-name", "prime256v1", "-genkey"))
    (tmp_path / "p.pem").write_bytes(public_half(tmp_path / "k.pem"))
    assert verify(b"x", sign(b"x", tmp_path / "k.pem"), [tmp_path / "p.pem"])


def test_halves_that_are_mixed_up_are_named(keys: Path, tmp_path: Path) -> None:
    """A private key never serves as a public one, nor the other way round."""
    with pytest.raises(ToolError, match="is a private key"):
        read_public_key(keys / "a.pem")
    with pytest.raises(ToolError, match="is not a private key"):
        sign(b"x", keys / "a.pub.pem")
    (tmp_path / "text").write_text("hello")
    with pytest.raises(ToolError, match="is not a public key"):
        read_public_key(tmp_path / "text")
    with pytest.raises(ToolError, match="cannot read"):
        read_public_key(tmp_path / "missing")


def test_a_key_is_never_overwritten(keys: Path, tmp_path: Path) -> None:
    """Neither half."""
    before = (keys / "a.pem").read_bytes()
    with pytest.raises(ToolError, match="is there already"):
        new_key(keys / "a.pem")
    assert (keys / "a.pem").read_bytes() == before
    (tmp_path / "n.pub.pem").write_text("")
    with pytest.raises(ToolError, match="is there already"):
        new_key(tmp_path / "n.pem")
    assert not (tmp_path / "n.pem").exists()


def test_without_openssl_the_words_say_so(keys: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And what to install."""
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(ToolError, match="needs the openssl command"):
        sign(b"x", keys / "a.pem")
