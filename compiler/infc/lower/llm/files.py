"""The files of a checkpoint folder: which belong to the model, whether they are whole, and their digests."""

import hashlib
import json
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from infc.diag import Diagnostic

CONFIG = "config.json"
INDEX = "model.safetensors.index.json"
NAMED = frozenset(
    {
        CONFIG,
        "generation_config.json",
        "tokenizer.json",
        "tokenizer_config.json",
        "special_tokens_map.json",
        "added_tokens.json",
        "chat_template.jinja",
        "chat_template.json",
        "vocab.json",
        "vocab.txt",
        "merges.txt",
        "tokenizer.model",
        "tekken.json",
        "preprocessor_config.json",
        "processor_config.json",
        "video_preprocessor_config.json",
        INDEX,
    }
)
"""Files besides the weights that a server reads."""
TOKENIZERS = frozenset({"tokenizer.json", "tokenizer.model", "tekken.json", "vocab.json", "vocab.txt"})
PICKLES = (".bin", ".pt", ".pth", ".pkl", ".pickle", ".ckpt")
"""Weights that are Python pickles: reading them runs what is in them."""
WEIGHTS = ".safetensors"
SINGLE = "model.safetensors"
MOST_FILES = 4096
LARGEST_TEXT_BYTES = 64 * 1024 * 1024
LARGEST_HEADER_BYTES = 100 * 1024 * 1024
"""What the safetensors library itself accepts."""
_SHARD = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,200}\.safetensors")
_BLOB = re.compile(r"[0-9a-f]{64}")
_CHUNK_BYTES = 1 << 22


@dataclass(frozen=True, kw_only=True)
class CheckpointFiles:
    """Files of a model by name with `sha256:<hex>`, and whether weights are among them."""

    digests: Mapping[str, str]
    has_weights: bool

    @property
    def digest(self) -> str:
        """sha256 over names and digests."""
        return digest_of_files(self.digests)


def digest_of_files(digests: Mapping[str, str]) -> str:
    """sha256 (hex) over names and digests, whatever their order.

    >>> digest_of_files({"a": "sha256:1", "b": "sha256:2"}) == digest_of_files({"b": "sha256:2", "a": "sha256:1"})
    True
    """
    text = "".join(f"{name}\0{digest}\n" for name, digest in sorted(digests.items()))
    return hashlib.sha256(text.encode()).hexdigest()


def checkpoint_files(folder: Path, *, boundary: Path | None = None) -> CheckpointFiles | tuple[Diagnostic, ...]:
    """The files of `folder` that belong to the model, or everything that is wrong with them.

    A link may lead anywhere inside `boundary` (default: the folder). Nothing is unpickled and nothing is executed:
    pickled weights are no part of a model, and Python files neither.
    """
    inside = Path(os.path.realpath(boundary or folder))
    try:
        names = sorted(entry.name for entry in os.scandir(folder))[: MOST_FILES + 1]
    except OSError as error:
        return (_broken(folder.name, f"the folder cannot be read: {error.strerror}", "check the path and its rights"),)
    if len(names) > MOST_FILES:
        return (_broken(folder.name, f"it has more than {MOST_FILES} files", "name the folder of one checkpoint"),)
    wanted = [name for name in names if name in NAMED or name.endswith(WEIGHTS)]
    problems = [problem for name in wanted for problem in _file_problems(folder, name, inside)]
    weights = [name for name in wanted if name.endswith(WEIGHTS)]
    pickles = [name for name in names if name.endswith(PICKLES)]
    if pickles and not weights:
        problems.append(_pickled(pickles))
    if not problems and weights:
        problems += [*_index_problems(folder, weights), *_tokenizer_problems(wanted)]
    if problems:
        return tuple(problems)
    served = _shards(folder) or (frozenset({SINGLE}) if SINGLE in weights else frozenset(weights))
    kept = [name for name in wanted if not name.endswith(WEIGHTS) or name in served]
    digests = {name: f"sha256:{_digest(folder / name)}" for name in kept}
    return CheckpointFiles(digests=digests, has_weights=bool(weights))


def _file_problems(folder: Path, name: str, inside: Path) -> Iterator[Diagnostic]:
    path = folder / name
    target = Path(os.path.realpath(path))
    if not target.is_relative_to(inside):
        yield _broken(name, "it is a link that leaves the checkpoint's folder", "put the file itself into the folder")
    elif not target.is_file():
        yield _broken(name, "it is no regular file", "put the file itself into the folder")
    elif name.endswith(WEIGHTS):
        reason = _unsound(target)
        if reason is not None:
            yield _broken(name, reason, "fetch the file again (`git lfs pull`, or `hf download`)")
    elif target.stat().st_size > LARGEST_TEXT_BYTES:
        yield _broken(name, f"it is larger than {LARGEST_TEXT_BYTES >> 20} MiB", "check that it is what it is called")


def _unsound(path: Path) -> str | None:
    """What is wrong with a safetensors file as its header and its size tell; None where nothing is.

    Source: the format's own description: 8 bytes with the length of a JSON header, which says where each tensor ends.
    """
    size = path.stat().st_size
    with path.open("rb") as stream:
        length = int.from_bytes(stream.read(8), "little")
        if size < 8 or not 2 <= length <= min(size - 8, LARGEST_HEADER_BYTES):
            return "it is no safetensors file (a pointer of Git LFS, or cut short)"
        try:
            header = json.loads(stream.read(length))
            ends = [entry["data_offsets"][1] for name, entry in header.items() if name != "__metadata__"]
        except (ValueError, KeyError, TypeError, AttributeError, IndexError):
            return "its header is damaged"
    expected = 8 + length + max(ends, default=0)
    return None if size == expected else f"it has {size} bytes, its header speaks of {expected}"


def _index_problems(folder: Path, weights: list[str]) -> Iterator[Diagnostic]:
    """An index names the files that hold the weights: all of them are there."""
    try:
        shards = _shards(folder)
    except ValueError:
        yield _broken(INDEX, "it is no index of weights", "fetch the file again")
        return
    strange = sorted(name for name in shards or () if not _SHARD.fullmatch(name))
    if strange:
        yield _broken(INDEX, f"it names {strange[0][:80]!r}, which is no file of the folder", "fetch the file again")
        return
    missing = sorted(set(shards or ()) - set(weights))
    if missing:
        some = ", ".join(missing[:3]) + (f" and {len(missing) - 3} more" if len(missing) > 3 else "")
        yield _broken(INDEX, f"{some} is missing", "fetch the whole checkpoint, or none of its weights")


def _shards(folder: Path) -> frozenset[str] | None:
    """The files that the index names, None without an index. Raises ValueError where it is none."""
    path = folder / INDEX
    if not path.is_file():
        return None
    index = json.loads(path.read_bytes())
    places = index.get("weight_map") if isinstance(index, dict) else None
    if not isinstance(places, dict) or not all(isinstance(name, str) for name in places.values()):
        raise ValueError("no weight_map")
    return frozenset(places.values())


def _tokenizer_problems(names: list[str]) -> Iterator[Diagnostic]:
    if not TOKENIZERS & set(names):
        listed = ", ".join(sorted(TOKENIZERS))
        yield Diagnostic(
            id="checkpoint-tokenizer",
            message="the checkpoint has weights but no tokeniser",
            notes=(f"any of these would do: {listed}",),
            help="put the tokeniser's files beside config.json: a server cannot read text without",
        )


def _digest(path: Path) -> str:
    """sha256 of a file; where the hub's cache names a file's content by its sha256, that name."""
    target = Path(os.path.realpath(path))
    if path.is_symlink() and target.parent.name == "blobs" and _BLOB.fullmatch(target.name):
        return target.name
    digest = hashlib.sha256()
    with target.open("rb") as stream:
        while chunk := stream.read(_CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()


def _broken(name: str, reason: str, help: str) -> Diagnostic:
    return Diagnostic(id="checkpoint-file", message=f"checkpoint file {name}: {reason}", help=help)


def _pickled(names: list[str]) -> Diagnostic:
    return Diagnostic(
        id="checkpoint-pickle",
        message=f"the checkpoint's weights are Python pickles ({names[0]})",
        notes=("reading a pickle runs the code in it",),
        help="convert them to safetensors, or fetch the repository's safetensors files",
    )
