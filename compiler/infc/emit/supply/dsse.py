"""DSSE envelopes: a payload with signatures over it and its type, signed and checked by openssl.

The type is part of what is signed, so that a payload of one kind cannot be passed off as another. Which algorithm made
a signature is nowhere in the envelope: it is ECDSA P-256 over SHA-256, or it does not count. A key id is only a hint.
Source: https://github.com/secure-systems-lab/dsse, protocol.md and envelope.md.
"""

import base64
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from infc.emit.supply.signing import private_key_id, sign, verify

ENVELOPE_NAME = "provenance.dsse.json"
IN_TOTO_TYPE = "application/vnd.in-toto+json"
MOST_BYTES = 64 << 20
"""The largest envelope that is read: a statement has about 100 bytes for each file."""


@dataclass(frozen=True, kw_only=True)
class Signature:
    """One signature of an envelope: DER, and the id of the key that claims to have made it (may be empty)."""

    key_id: str
    value: bytes


@dataclass(frozen=True, kw_only=True)
class Envelope:
    """A payload, what kind it is, and who signed it."""

    payload_type: str
    payload: bytes
    signatures: tuple[Signature, ...]


def pre_authentication_encoding(payload_type: str, payload: bytes) -> bytes:
    """What is signed: type and payload, each with its length before it.

    >>> pre_authentication_encoding("http://example.com/HelloWorld", b"hello world")
    b'DSSEv1 29 http://example.com/HelloWorld 11 hello world'
    """
    kind = payload_type.encode()
    return b"DSSEv1 %d %s %d %s" % (len(kind), kind, len(payload), payload)


def sealed(payload: bytes, key: Path, passphrase: str | None = None, *, payload_type: str = IN_TOTO_TYPE) -> Envelope:
    """The payload in an envelope that a private key signed.

    Raises:
        ToolError: the key cannot be used; or there is no openssl.
    """
    value = sign(pre_authentication_encoding(payload_type, payload), key, passphrase)
    signature = Signature(key_id=private_key_id(key, passphrase), value=value)
    return Envelope(payload_type=payload_type, payload=payload, signatures=(signature,))


def signer_of(envelope: Envelope, public_keys: Sequence[Path]) -> Path | None:
    """The first of the keys that one of the signatures is by; None when none is, or the payload is of another type.

    Raises:
        ToolError: one of the files is no public key on P-256; or there is no openssl.
    """
    if envelope.payload_type != IN_TOTO_TYPE:
        return None
    signed = pre_authentication_encoding(envelope.payload_type, envelope.payload)
    signers = (verify(signed, each.value, public_keys) for each in envelope.signatures)
    return next((signer for signer in signers if signer is not None), None)


def to_document(envelope: Envelope) -> dict[str, object]:
    """The envelope as JSON values."""
    return {
        "payload": base64.b64encode(envelope.payload).decode(),
        "payloadType": envelope.payload_type,
        "signatures": [
            {"keyid": each.key_id, "sig": base64.b64encode(each.value).decode()} for each in envelope.signatures
        ],
    }


def to_json(envelope: Envelope) -> bytes:
    """The envelope's file."""
    return (json.dumps(to_document(envelope), indent=1) + "\n").encode()


def from_document(document: object) -> Envelope | None:
    """The envelope in JSON values; None when they are not one."""
    match document:
        case {"payload": str(payload), "payloadType": str(kind), "signatures": [_, *_] as stated}:
            signatures = [_signature(each) for each in stated]
            decoded = _decoded(payload)
            found = tuple(each for each in signatures if each is not None)
            if decoded is None or len(found) != len(signatures):
                return None
            return Envelope(payload_type=kind, payload=decoded, signatures=found)
    return None


def from_json(content: bytes) -> Envelope | None:
    """The envelope in a file; None when it is cut off, or is none."""
    if len(content) > MOST_BYTES:
        return None
    try:
        return from_document(json.loads(content))
    except (ValueError, RecursionError):
        return None


def _signature(stated: object) -> Signature | None:
    match stated:
        case {"sig": str(text), "keyid": str(key_id)}:
            value = _decoded(text)
        case {"sig": str(text)}:
            key_id, value = "", _decoded(text)
        case _:
            return None
    return None if value is None else Signature(key_id=key_id, value=value)


def _decoded(text: str) -> bytes | None:
    try:
        return base64.b64decode(text, validate=True)
    except ValueError:
        return None
