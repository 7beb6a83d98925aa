"""Signatures of bundles for servers: output folders of `infc compile` with a model repository or a vLLM deployment.

Two signatures lie beside the files. `provenance.dsse.json` is the provenance statement in an envelope, as policy
engines and admission controllers read it. `model.sig` covers every byte of the folder, that envelope too, in the format
of OpenSSF Model Signing. Neither is listed in infc-bundle.json or in the lock.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

from infc.diag import DiagnosticError, ToolError
from infc.emit.manifest import (
    MANIFEST_NAME,
    REPORT_NAME,
    SIGNATURES,
    Manifest,
    content_digest,
    digests_on_disk,
    read_manifest,
    verify_bundle,
)
from infc.emit.supply.bundle import ABOUT_THE_BUNDLE, whole_digest
from infc.emit.supply.dsse import ENVELOPE_NAME, from_json, sealed, signer_of, to_json
from infc.emit.supply.model_signature import MODEL_SIGNATURE_NAME, covered, envelope_of, folder_of, signed_folder
from infc.emit.supply.provenance import PROVENANCE_NAME, StatementText, hex_of, statement_from
from infc.emit.supply.sbom import SBOM_NAME
from infc.emit.supply.signing import private_key_id, read_public_key
from infc.lock.values import Lock, LockEntry
from infc.pipeline.supply import inputs_digest, lock_dependency_name
from infc.report.server_bundles import Check, CheckName, ServerInspection, ServerSigned
from infc.resolve.atomic_write import write_bytes_atomically

_UNDESCRIBED = ABOUT_THE_BUNDLE - {SBOM_NAME}
"""Files that a bundle's provenance does not describe."""


def is_server_bundle(path: Path) -> bool:
    """Whether a path is a bundle for servers: a folder of `infc compile` that holds no archive for devices."""
    manifest = read_manifest(path) if path.is_dir() else None
    return manifest is not None and not any(name.endswith(".tar.zst") for name in manifest.files)


def sign_server_bundle(bundle: Path, key: Path, passphrase: str | None = None) -> ServerSigned:
    """Put both signatures into a bundle. Signing again replaces them.

    A run that is killed leaves the old signatures, or a bundle that is not signed to the end; the same command again
    finishes it.

    Raises:
        DiagnosticError: the bundle is not what `infc compile` wrote.
        ToolError: it has no provenance, the key cannot be used, or the folder cannot be written.
    """
    problems = verify_bundle(bundle)
    manifest = read_manifest(bundle)
    if problems or manifest is None:
        raise DiagnosticError(problems, exit_code=1)
    if PROVENANCE_NAME not in manifest.files:
        raise ToolError(f"{bundle} has no {PROVENANCE_NAME}: an older infc wrote it", help="compile the spec again")
    envelope = to_json(sealed((bundle / PROVENANCE_NAME).read_bytes(), key, passphrase))
    digests = {path: hex_of(digest) for path, digest in manifest.files.items()}
    listed = hex_of(content_digest(bundle / MANIFEST_NAME))
    signed = {**digests, MANIFEST_NAME: listed, ENVELOPE_NAME: hex_of(content_digest(envelope))}
    signature = signed_folder(f"{manifest.name}@{manifest.target}", signed, key, passphrase)
    try:
        (bundle / MODEL_SIGNATURE_NAME).unlink(missing_ok=True)
        write_bytes_atomically(bundle / ENVELOPE_NAME, envelope)
        write_bytes_atomically(bundle / MODEL_SIGNATURE_NAME, signature)
    except OSError as error:
        raise ToolError(f"cannot write into {bundle}: {error.strerror or error}") from error
    return ServerSigned(
        bundle=bundle,
        manifest=manifest,
        content_digest=f"sha256:{whole_digest(digests)}",
        key_id=private_key_id(key, passphrase),
        files=(ENVELOPE_NAME, MODEL_SIGNATURE_NAME),
    )


def inspect_server_bundle(
    bundle: Path, public_keys: Sequence[Path] | None, *, lock: Lock | None = None, spec: Path | None = None
) -> ServerInspection:
    """Everything that can be checked of a bundle without a network.

    Args:
        bundle: the output folder.
        public_keys: keys of whom one must have made both signatures; None: who signed is not asked.
        lock: also check that the bundle is what this lock holds.
        spec: also check that the bundle was made from this spec file.

    Raises:
        ToolError: a key or a file cannot be read; or there is no openssl.
    """
    manifest = read_manifest(bundle)
    found = digests_on_disk(bundle)
    checks = [_content(bundle, manifest, found)]
    digests = {path: hex_of(digest) for path, digest in found.items()}
    statement = _statement(bundle / PROVENANCE_NAME)
    signer: Path | None = None
    if public_keys is not None:
        check, signer, signed = _provenance(bundle, public_keys)
        checks.append(check)
        statement = signed if check.holds else statement
    checks.append(_subjects(manifest, statement, digests))
    if public_keys is not None:
        checks.append(_model_signature(bundle, public_keys, digests))
    if lock is not None:
        checks.append(_locked(manifest, statement, digests, lock))
    if spec is not None:
        checks.append(_made_from(statement, spec))
    listed = {path: hex_of(digest) for path, digest in manifest.files.items()} if manifest is not None else {}
    return ServerInspection(
        bundle=bundle,
        manifest=manifest,
        content_digest=f"sha256:{whole_digest(listed)}" if manifest is not None else None,
        signer=None if signer is None else read_public_key(signer),
        is_signed=all((bundle / name).is_file() for name in SIGNATURES),
        checks=tuple(checks),
    )


def _content(bundle: Path, manifest: Manifest | None, found: Mapping[str, str]) -> Check:
    problems = verify_bundle(bundle, found)
    if problems:
        first, others = problems[0].message, len(problems) - 1
        more = f", and {others} more" if others else ""
        return Check(name="content", holds=False, words=f"{first}{more}", help=problems[0].help or "")
    count = 0 if manifest is None else len(manifest.files)
    words = f"{count} files as {MANIFEST_NAME} lists them, and no other"
    if (bundle / REPORT_NAME).is_file():
        words += f" but {REPORT_NAME}, which nobody signs"
    return Check(name="content", holds=True, words=words)


def _provenance(bundle: Path, public_keys: Sequence[Path]) -> tuple[Check, Path | None, StatementText | None]:
    """The check of the envelope, who signed it, and what it says."""
    content = _read(bundle / ENVELOPE_NAME)
    if content is None:
        return _unsigned("provenance", ENVELOPE_NAME), None, None
    envelope = from_json(content)
    if envelope is None:
        return _failed("provenance", f"{ENVELOPE_NAME} is cut off, or is no envelope"), None, None
    signer = signer_of(envelope, public_keys)
    if signer is None:
        return _failed("provenance", f"{ENVELOPE_NAME} is signed by none of the keys"), None, None
    if envelope.payload != _read(bundle / PROVENANCE_NAME):
        words = f"the signed statement is not the bundle's {PROVENANCE_NAME}: it is of another bundle"
        return _failed("provenance", words), None, None
    statement = statement_from(envelope.payload)
    if statement is None:
        return _failed("provenance", "the signed statement is no SLSA provenance"), None, None
    words = f"signed by key {read_public_key(signer).id[:16]} ({signer})"
    return Check(name="provenance", holds=True, words=words), signer, statement


def _subjects(manifest: Manifest | None, statement: StatementText | None, digests: Mapping[str, str]) -> Check:
    if statement is None or manifest is None:
        return _failed("subjects", f"there is no readable {PROVENANCE_NAME}")
    described = {path: digest for path, digest in digests.items() if path not in _UNDESCRIBED}
    label = f"{manifest.name}@{manifest.target}"
    expected = {(label, "dirHash"): whole_digest(digests)} | {(p, "sha256"): d for p, d in described.items()}
    both = sorted(statement.subjects.keys() | expected.keys(), key=lambda key: (key[1] == "dirHash", key))
    differing = [name for name, how in both if statement.subjects.get((name, how)) != expected.get((name, how))]
    if differing:
        return _failed("subjects", f"the provenance and the folder differ in {differing[0]}")
    return Check(name="subjects", holds=True, words=f"the provenance is of {label} and of each of these files")


def _model_signature(bundle: Path, public_keys: Sequence[Path], digests: Mapping[str, str]) -> Check:
    content = _read(bundle / MODEL_SIGNATURE_NAME)
    if content is None:
        return _unsigned("model-signature", MODEL_SIGNATURE_NAME)
    envelope = envelope_of(content)
    if envelope is None:
        return _failed("model-signature", f"{MODEL_SIGNATURE_NAME} is cut off, or is no signature by a key")
    signer = signer_of(envelope, public_keys)
    if signer is None:
        return _failed("model-signature", f"{MODEL_SIGNATURE_NAME} is signed by none of the keys")
    folder = folder_of(envelope.payload)
    if folder is None:
        return _failed("model-signature", f"{MODEL_SIGNATURE_NAME} signs something else than a folder")
    found = covered(digests)
    for path in sorted(folder.files.keys() | found.keys()):
        if folder.files.get(path) != found.get(path):
            return _failed("model-signature", f"it is not over {path} as it is here")
    words = f"signed by key {read_public_key(signer).id[:16]}, over {len(found)} files"
    return Check(name="model-signature", holds=True, words=words)


def _locked(
    manifest: Manifest | None, statement: StatementText | None, digests: Mapping[str, str], lock: Lock
) -> Check:
    if manifest is None or statement is None:
        return _failed("lock", "there is nothing to compare with it")
    entry = lock.find(manifest.name, manifest.target)
    if entry is None:
        return _failed("lock", f"it holds no {manifest.name} @ {manifest.target}", help="compile, and commit infc.lock")
    differs = _differs_from(entry, digests)
    if differs is not None:
        return _failed("lock", differs, help="deploy what is locked, or compile and commit infc.lock")
    inputs = statement.dependencies.get(lock_dependency_name(manifest.name, manifest.target))
    if inputs != hex_of(inputs_digest(entry.inputs)):
        words = "the bundle was made from other inputs than the locked ones"
        return _failed("lock", words, help="deploy what is locked, or compile and commit infc.lock")
    words = f"{len(entry.files)} files, the inputs and the engine's key are those of {entry.label}"
    return Check(name="lock", holds=True, words=words)


def _differs_from(entry: LockEntry, digests: Mapping[str, str]) -> str | None:
    """How the files differ from what is locked; None where they do not.

    An engine whose bytes do not repeat is known by its key, which is in its locked configuration.
    """
    for path, digest in sorted(entry.files.items()):
        if digests.get(path) != hex_of(digest):
            return f"{path} is not the locked one"
    return None


def _made_from(statement: StatementText | None, spec: Path) -> Check:
    if statement is None:
        return _failed("spec", "there is nothing to compare with it")
    digest = hex_of(content_digest(spec))
    known = statement.dependencies.get(statement.spec)
    if known != digest:
        words = f"the bundle was made from {statement.spec} with other content"
        return _failed("spec", words, help="compile the spec again, or name the commit's own file")
    return Check(name="spec", holds=True, words=f"the bundle was made from exactly this {statement.spec}")


def _statement(path: Path) -> StatementText | None:
    content = _read(path)
    return None if content is None else statement_from(content)


def _read(path: Path) -> bytes | None:
    if path.is_symlink() or not path.is_file():
        return None
    try:
        return path.read_bytes()
    except OSError as error:
        raise ToolError(f"cannot read {path}: {error.strerror or error}") from error


def _failed(name: CheckName, words: str, help: str = "") -> Check:
    return Check(name=name, holds=False, words=words, help=help)


def _unsigned(name: CheckName, file: str) -> Check:
    words = f"there is no {file}: nobody has signed this bundle"
    return _failed(name, words, help="sign it: infc sign BUNDLE --key FILE (--unsigned looks at the content alone)")
