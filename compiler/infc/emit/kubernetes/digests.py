"""The two digests that objects carry, so that what runs can be told from what was compiled.

`infc.dev/release`, on the workload and its pods, names what is served: engine or checkpoint, settings, backends;
comments do not count, so pods are replaced when a server would behave differently and not before.
`infc.dev/bundle`, on the workload alone, names the whole bundle as the lock holds it: `bundle_digest` of a lock entry's
`files` is the same.
"""

import hashlib
import json
from collections.abc import Mapping

RELEASE_ANNOTATION = "infc.dev/release"
BUNDLE_ANNOTATION = "infc.dev/bundle"
_AFTERWARDS = ("kubernetes/", "monitoring/")


def release_digest(served: Mapping[str, bytes | str]) -> str:
    """`sha256:<hex>` over what is served, by name: contents, or words such as an engine's key."""
    parts = {name: value if isinstance(value, bytes) else value.encode() for name, value in served.items()}
    return _digest({name: hashlib.sha256(value).hexdigest() for name, value in parts.items()})


def bundle_digest(files: Mapping[str, str], engine_file: str | None) -> str:
    """`sha256:<hex>` over a bundle's files.

    Args:
        files: path -> `sha256:<hex>`. What is emitted for Kubernetes does not count: it carries this digest.
        engine_file: the file or folder whose bytes may not repeat; its key is in the settings beside it.

    >>> bundle_digest({"a": "sha256:1", "m/x": "sha256:2", "kubernetes/b": "sha256:3"}, "m") == bundle_digest(
    ...     {"a": "sha256:1"}, None)
    True
    """
    kept = {
        path: digest
        for path, digest in files.items()
        if not path.startswith(_AFTERWARDS)
        and (engine_file is None or (path != engine_file and not path.startswith(f"{engine_file}/")))
    }
    return _digest(kept)


def _digest(parts: Mapping[str, str]) -> str:
    text = json.dumps(dict(sorted(parts.items())), separators=(",", ":"))
    return "sha256:" + hashlib.sha256(text.encode()).hexdigest()
