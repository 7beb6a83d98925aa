"""Envelopes: the protocol's own example, real keys, and everything that must not pass for a signature."""

import base64
import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from infc.diag import ToolError
from infc.emit.supply.dsse import (
    IN_TOTO_TYPE,
    Envelope,
    from_json,
    pre_authentication_encoding,
    sealed,
    signer_of,
    to_json,
)
from infc.emit.supply.signing import new_key, read_public_key

pytestmark = pytest.mark.skipif(shutil.which("openssl") is None, reason="no openssl command")

PAYLOAD = b'{"_type": "https://in-toto.io/Statement/v1"}'


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, Path]:
    """A private key, its public half, and the public half of another."""
    folder = tmp_path_factory.mktemp("keys")
    return folder / "a.pem", new_key(folder / "a.pem"), new_key(folder / "b.pem")


@pytest.fixture(scope="module")
def envelope(keys: tuple[Path, Path, Path]) -> Envelope:
    """The payload, signed by the first key."""
    return sealed(PAYLOAD, keys[0])


def changed(envelope: Envelope, **values: Any) -> bytes:
    """The envelope's file with other values."""
    return json.dumps({**json.loads(to_json(envelope)), **values}).encode()


def test_an_envelope_comes_back_and_names_its_signer(envelope: Envelope, keys: tuple[Path, Path, Path]) -> None:
    """Whichever other keys are trusted too."""
    _, ours, other = keys
    read = from_json(to_json(envelope))
    assert read == envelope
    assert read is not None
    assert signer_of(read, [other, ours]) == ours
    assert signer_of(read, [other]) is None
    assert envelope.signatures[0].key_id == read_public_key(ours).id


def test_openssl_alone_verifies_it(envelope: Envelope, keys: tuple[Path, Path, Path], tmp_path: Path) -> None:
    """Nothing of infc is needed: the encoding of the protocol, and one command."""
    (tmp_path / "sig").write_bytes(envelope.signatures[0].value)
    (tmp_path / "pae").write_bytes(b"DSSEv1 28 application/vnd.in-toto+json %d %s" % (len(PAYLOAD), PAYLOAD))
    command = ["openssl", "dgst", "-sha256", "-verify", str(keys[1]), "-signature", "sig", "pae"]
    assert subprocess.run(command, cwd=tmp_path, check=False, capture_output=True).returncode == 0


def test_what_is_signed_is_also_its_type() -> None:
    """Lengths keep type and payload apart."""
    assert pre_authentication_encoding("a", b"b c") != pre_authentication_encoding("a 3 b", b"c")


@pytest.mark.parametrize(
    "values",
    [
        {"payloadType": "application/json"},
        {"payload": base64.b64encode(PAYLOAD + b" ").decode()},
        {"signatures": [{"sig": "AAAA"}]},
        {"signatures": [{"sig": ""}]},
        {"signatures": [{"keyid": "", "sig": base64.b64encode(bytes(72)).decode()}]},
    ],
)
def test_a_signature_over_other_bytes_is_none(
    values: dict[str, Any], envelope: Envelope, keys: tuple[Path, Path, Path]
) -> None:
    """Another payload, another type, no signature at all."""
    read = from_json(changed(envelope, **values))
    assert read is not None
    assert signer_of(read, [keys[1]]) is None


def test_a_key_id_proves_nothing(envelope: Envelope, keys: tuple[Path, Path, Path]) -> None:
    """Who claims another's id is not that other; a right signature without an id counts."""
    _, ours, other = keys
    signature = json.loads(to_json(envelope))["signatures"][0]
    claimed = from_json(changed(envelope, signatures=[{**signature, "keyid": read_public_key(other).id}]))
    nameless = from_json(changed(envelope, signatures=[{"sig": signature["sig"]}]))
    assert claimed is not None
    assert nameless is not None
    assert signer_of(claimed, [other]) is None
    assert signer_of(nameless, [ours]) == ours


def test_one_right_signature_of_several_is_enough(envelope: Envelope, keys: tuple[Path, Path, Path]) -> None:
    """Others may have signed as well."""
    signature = json.loads(to_json(envelope))["signatures"][0]
    read = from_json(changed(envelope, signatures=[{"sig": "AAAA"}, signature]))
    assert read is not None
    assert signer_of(read, [keys[1]]) == keys[1]


def test_the_algorithm_is_not_the_envelopes_to_choose(keys: tuple[Path, Path, Path], tmp_path: Path) -> None:
    """A signature by an RSA key, or with a key's PEM as a shared secret, does not count: only P-256 keys are taken."""
    rsa, public = tmp_path / "rsa.pem", tmp_path / "rsa.pub.pem"
    openssl = ["openssl", "genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048", "-out", str(rsa)]
    subprocess.run(openssl, check=True, capture_output=True)
    subprocess.run(["openssl", "pkey", "-in", str(rsa), "-pubout", "-out", str(public)], check=True)
    (tmp_path / "pae").write_bytes(pre_authentication_encoding(IN_TOTO_TYPE, PAYLOAD))
    command = ["openssl", "dgst", "-sha256", "-sign", str(rsa), str(tmp_path / "pae")]
    by_rsa = subprocess.run(command, check=True, capture_output=True).stdout
    command = ["openssl", "dgst", "-sha256", "-hmac", keys[1].read_text(), "-binary", str(tmp_path / "pae")]
    by_secret = subprocess.run(command, check=True, capture_output=True).stdout
    base = {"payloadType": IN_TOTO_TYPE, "payload": base64.b64encode(PAYLOAD).decode()}
    for value in (by_rsa, by_secret):
        stated = {"alg": "RS256", "keyid": read_public_key(keys[1]).id, "sig": base64.b64encode(value).decode()}
        read = from_json(json.dumps({**base, "signatures": [stated]}).encode())
        assert read is not None
        assert signer_of(read, [keys[1]]) is None
    with pytest.raises(ToolError, match="not a key on the curve P-256"):
        read_public_key(public)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"{}", b"\xff", b'{"payload": 1}', b"[" * 100_000])
def test_what_is_no_envelope_is_none(content: bytes) -> None:
    """Never an exception."""
    assert from_json(content) is None


def test_a_truncated_envelope_is_none(envelope: Envelope) -> None:
    """At any length."""
    whole = to_json(envelope)
    assert all(from_json(whole[:size]) is None for size in range(0, len(whole) - 1, 7))


@pytest.mark.parametrize(
    "values", [{"payload": "not base64!"}, {"signatures": []}, {"signatures": [{"sig": 1}]}, {"signatures": ["AAAA"]}]
)
def test_wrong_fields_are_no_envelope(values: dict[str, Any], envelope: Envelope) -> None:
    """Every part is checked before anything is used."""
    assert from_json(changed(envelope, **values)) is None
