"""Which specs a change of the repository can concern: those of which git knows that nothing differs need no plan.

Every doubt counts as concerned: a spec is left out only where its text, the files that its text mentions, shared
defaults, stored profiles, catalogue, policy, toolchain and lock entries are those of the base.
"""

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path, PurePosixPath

import infc
from infc.lock.blocks import LockBlock
from infc.lock.document import SERVERS
from infc.pipeline.base import RevisionBase
from infc.pipeline.bundles import release_words
from infc.pipeline.spec_base import inside_of
from infc.spec import Workspace, load_spec
from infc.spec.defaults import default_places
from infc.spec.document import YamlValue

_TOKEN = re.compile(r"[\w.-]+")
_YAML_NAME = re.compile(r"[^\s'\"\[\]{},#]+\.ya?ml")
_SHARED_PROFILES = ("service-time-",)
"""Profiles that tell of a device too, so that plans of other models read them."""
_MENTIONS_FOLDERS = frozenset({"checkpoint", "speculative"})
"""Keys that name folders: a change inside of one is a change of a file that no text mentions."""
_POLICY = "infc-policy.yaml"
_QUOTE = '"'


@dataclass(kw_only=True)
class Touched:
    """Looks at one workspace. `overlay` is the catalogue that was given."""

    base: RevisionBase
    workspace: Workspace
    overlay: Path | None
    _texts: dict[Path, str] = field(default_factory=dict, repr=False)
    _profiles: tuple[str, ...] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self._profiles = tuple(self._profile_texts())

    @property
    def catalogue(self) -> tuple[str, ...]:
        """Files of the workspace's own `targets/` that differ, relative to the workspace."""
        prefix = self._inside(self.workspace.targets) + "/"
        root = prefix.removesuffix("targets/")
        return tuple(sorted(p.removeprefix(root) for p in self.base.differing if p.startswith(prefix)))

    @property
    def is_policy_changed(self) -> bool:
        """Whether the team's thresholds differ."""
        return self._inside(self.workspace.root / _POLICY) in self.base.differing

    @property
    def is_everything(self) -> bool:
        """Whether something differs that every plan reads."""
        if self.catalogue or self.is_policy_changed or self._is_overlay_unknown():
            return True
        prefix = self._inside(self.workspace.profiles) + "/"
        changed = [p.removeprefix(prefix) for p in self.base.differing if p.startswith(prefix)]
        if any(name.startswith(_SHARED_PROFILES) or not name for name in changed):
            return True
        return any(name.startswith("model-") and self._is_measured(prefix + name) for name in changed)

    def concerns(self, spec: Path, before: Sequence[LockBlock], now: Sequence[LockBlock]) -> bool:
        """Whether anything that enters the plan of a spec differs; `before` and `now` are its lock entries."""
        if list(before) != list(now) or not all(map(_is_of_this_toolchain, now)):
            return True
        inside = inside_of(self.base.repository.top, spec)
        if inside is None or inside in self.base.differing:
            return True
        if any(_model_digest(block) in text for text in self._profiles for block in now):
            return True
        places = default_places(spec.parent, self.workspace)
        if any(self._beside(spec, place) in self.base.differing for place in places):
            return True
        return self._may_mention(spec, places) and self._names(spec)

    def _may_mention(self, spec: Path, places: Sequence[str]) -> bool:
        """Whether the spec's text, or that of its base or defaults, has a word that a differing path has."""
        own = self._text(spec)
        beside = [spec.parent / name for name in (*places, *_YAML_NAME.findall(own))]
        texts = [own, *(self._text(path) for path in beside)]
        tokens = {token for text in texts for token in _TOKEN.findall(text)}
        words = self._path_words if tokens & _MENTIONS_FOLDERS else self._file_words
        return not tokens.isdisjoint(words) or any("\\" in text for text in texts)

    def _names(self, spec: Path) -> bool:
        """Whether a text of the spec is the path of something that differs, or of a folder around it."""
        loaded = load_spec(spec)
        named = {self._beside(spec, text) for text in (*_words_of(loaded.merged), *loaded.places)}
        for path in self.base.differing:
            around = {path, *(str(parent) for parent in PurePosixPath(path).parents)}
            if named & around or any(name.startswith(f"{path.rstrip('/')}/") for name in named):
                return True
        return False

    @cached_property
    def _file_words(self) -> frozenset[str]:
        return frozenset(_word(PurePosixPath(path).name) for path in self.base.differing)

    @cached_property
    def _path_words(self) -> frozenset[str]:
        return frozenset(_word(part) for path in self.base.differing for part in PurePosixPath(path).parts)

    def _text(self, path: Path) -> str:
        if path not in self._texts:
            try:
                self._texts[path] = path.read_text(encoding="utf-8")
            except (OSError, UnicodeDecodeError):
                self._texts[path] = ""
        return self._texts[path]

    def _profile_texts(self) -> Iterator[str]:
        """Profiles that came or went, as they are and as they were."""
        prefix = self._inside(self.workspace.profiles) + "/"
        for path in self.base.differing:
            if path.startswith(prefix):
                yield self._text(self.base.repository.top / path)
                yield (self.base.repository.read(self.base.commit, path) or b"").decode("utf-8", errors="replace")

    def _is_measured(self, path: str) -> bool:
        """Whether service times of the model of this profile are stored: other models are predicted from them."""
        texts = (self._text(self.base.repository.top / path), *self._profiles)
        digests = {found for text in texts for found in re.findall(r'"digest": "([0-9a-f]{64})"', text)}
        folder = self.workspace.profiles
        stored = [self._text(each) for each in folder.glob(f"{_SHARED_PROFILES[0]}*.json")] if folder.is_dir() else []
        return any(digest in text for digest in digests for text in stored)

    def _is_overlay_unknown(self) -> bool:
        if self.overlay is None:
            return False
        inside = inside_of(self.base.repository.top, self.overlay)
        return inside is None or any(path.startswith(f"{inside}/") for path in self.base.differing)

    def _beside(self, spec: Path, written: str) -> str:
        path = os.path.normpath(os.path.join(os.path.realpath(spec.parent), written))
        return os.path.relpath(path, self.base.repository.top) if os.path.isabs(path) else path

    def _inside(self, path: Path) -> str:
        return path.relative_to(self.base.repository.top).as_posix()


def _word(name: str) -> str:
    """The longest part of a name that is one token of a text, however the text quotes or folds it.

    >>> _word("my model+v2.onnx")
    'v2.onnx'
    """
    return max(_TOKEN.findall(name), key=len, default="")


def _words_of(value: YamlValue) -> Iterator[str]:
    match value:
        case str() if "\0" not in value:
            yield value
        case dict():
            for child in value.values():
                yield from _words_of(child)
        case list():
            for child in value:
                yield from _words_of(child)


def _model_digest(block: LockBlock) -> str:
    """The model's digest as profiles hold it."""
    return (block.value("inputs", "model") or "").strip(_QUOTE).removeprefix("sha256:")


def _is_of_this_toolchain(block: LockBlock) -> bool:
    """Whether a plan would be for the releases that the entry is for."""
    toolchain = (block.value("inputs", "toolchain") or "").strip(_QUOTE)
    server = SERVERS.get((block.value("choice", "server") or "").strip(_QUOTE))
    ours = None if server is None else f"infc {infc.__version__}, {release_words(server)}"
    return ours is not None and (toolchain == ours or toolchain.startswith(f"{ours}, "))
