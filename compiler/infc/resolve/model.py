"""The profile of a spec's model: from the store when it is there, from the file when it is not.

What only a new or changed file needs is imported where it is needed: a plan from a stored profile starts quickly.
"""

import contextlib
from pathlib import Path

from infc.diag import Diagnostic, Severity, ToolError
from infc.ir.model_profile import ModelProfile
from infc.resolve.store import ProfileStore


def model_profile(
    path: Path, store: ProfileStore, locked_digest: str | None
) -> tuple[ModelProfile | None, tuple[Diagnostic, ...]]:
    """The profile of the ONNX file at `path`.

    An unchanged file costs one stat, a changed one a hash; only a model that nobody analysed before is analysed (and
    cached). Where the file is absent, as in a checkout without weights, the stored profile of `locked_digest`
    answers.

    Raises:
        ToolError: the model must be analysed and the extra `onnx` is not installed.
    """
    digest = store.digest_of(path)
    if digest is None and not path.is_file() and locked_digest is not None:
        return _locked(path, store, locked_digest)
    if digest is None:
        from infc.resolve.model_file import model_digest, open_model

        file, problems = open_model(path)
        if file is None:
            return None, problems
        digest = model_digest(file)
        _remember(store, path, file.files, digest)
    profile = store.model(digest)
    if profile is not None:
        return profile, (*store.diagnostics, *caveats(profile))
    return _analysed(path, store)


def caveats(profile: ModelProfile) -> tuple[Diagnostic, ...]:
    """What the analysis of the model could not know, as it said when the model was analysed."""
    return tuple(
        Diagnostic(id=caveat.id, severity=Severity.WARNING, message=caveat.message, help=caveat.help)
        for caveat in profile.caveats
    )


def _locked(path: Path, store: ProfileStore, locked_digest: str) -> tuple[ModelProfile | None, tuple[Diagnostic, ...]]:
    profile = store.model(locked_digest)
    if profile is not None:
        return profile, (*store.diagnostics, *caveats(profile))
    from infc.resolve.model_file import missing_model

    missing = missing_model(path, "no such file, and no stored profile of the locked model")
    return None, (*store.diagnostics, missing)


def _analysed(path: Path, store: ProfileStore) -> tuple[ModelProfile | None, tuple[Diagnostic, ...]]:
    try:
        from infc.resolve.onnx_analysis import analyse
    except ImportError as error:
        raise ToolError(
            f"reading {path.name} needs the package {error.name}", help="pip install 'infc[onnx]'"
        ) from error
    result = analyse(path, path.stem)
    if result.profile is not None:
        with contextlib.suppress(OSError):  # a read-only checkout: the next run analyses again
            store.cache_model(result.profile)
    return result.profile, (*store.diagnostics, *result.diagnostics)


def _remember(store: ProfileStore, path: Path, files: tuple[Path, ...], digest: str) -> None:
    with contextlib.suppress(OSError):  # a read-only checkout: the next run hashes again
        store.remember_digest(path, files, digest)
