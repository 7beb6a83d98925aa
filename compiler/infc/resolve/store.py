"""Stored profiles: what is known of a model, kept beside the specs so that a plan needs neither weights nor devices.

`infc-profiles/<kind>-<12 hex digits>.json` is committed; the name is the digest of the content, so branches that add
profiles merge without conflict. `.infc/` holds what can be computed again: analysed models by digest, and digests by
path, size and time.
"""

import hashlib
import json
from collections.abc import Callable, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from infc.diag import Diagnostic
from infc.ir.accuracy import AccuracyEvidence
from infc.ir.engine_evidence import EngineEvidence
from infc.ir.model_profile import ModelProfile
from infc.ir.service_time import POWER_MODE, NeighbourMeasurement, ServiceTimeProfile
from infc.resolve.accuracy_json import accuracy_from_text, text_from_accuracy
from infc.resolve.atomic_write import write_text_atomically
from infc.resolve.engine_json import engine_from_text, text_from_engine
from infc.resolve.json_reader import ProfileFormatError, object_of_text
from infc.resolve.profile_json import (
    model_from_text,
    service_times_from_text,
    text_from_model,
    text_from_service_times,
)

if TYPE_CHECKING:  # their readers are imported where they are used: a plan of an ONNX model needs none
    from infc.ir.llm_profile import LlmProfile
    from infc.ir.step_time import StepTimeProfile

PROFILES_FOLDER = "infc-profiles"
ANALYSIS_VERSION = 3
"""Counts up when the analysis of models changes its numbers; cached analyses of another version are not used."""

T = TypeVar("T")


@dataclass(kw_only=True)
class ProfileStore:
    """The profiles of one workspace: `root` holds `infc-profiles/`, `cache` is its `.infc/`.

    Files are read when they are first asked for and once; `diagnostics` tells which of them could not be read.
    `only_measurements` hides stored times and engines but those of these names (a locked compile knows no newer ones).
    """

    root: Path
    cache: Path
    only_measurements: frozenset[str] | None = None
    _texts: dict[str, tuple[tuple[Path, str], ...]] = field(default_factory=dict, repr=False)
    _problems: dict[Path, Diagnostic] = field(default_factory=dict, repr=False)

    @property
    def folder(self) -> Path:
        """Where committed profiles lie."""
        return self.root / PROFILES_FOLDER

    @property
    def diagnostics(self) -> tuple[Diagnostic, ...]:
        """An error for each file read so far that is no profile, by path."""
        return tuple(self._problems[path] for path in sorted(self._problems))

    def model(self, digest: str) -> ModelProfile | None:
        """The profile of the model with this digest: committed, else cached, else None."""
        for profile in self._read("model", _mentions(digest), model_from_text):
            if profile.digest == digest:
                return profile
        return self._cached_model(digest)

    def model_path(self, profile: ModelProfile) -> Path:
        """Where a model profile is, or would be, committed: the name follows from its content."""
        return self._path("model", text_from_model(profile))

    def add_model(self, profile: ModelProfile) -> Path:
        """Commit a model profile; earlier profiles of the same model go. Returns the file.

        A profile that differs from the committed one only in the file name it was read from is not written again.
        """
        for path, text in self._files("model"):
            if profile.digest in text and _is_same_but_for_name(text, profile):
                return path
        return self._add(
            "model", text_from_model(profile), self._stale("model", profile, model_from_text, _model_identity)
        )

    def cache_model(self, profile: ModelProfile) -> None:
        """Keep an analysis in the cache only."""
        write_text_atomically(self._cached_model_path(profile.digest), text_from_model(profile))

    def llm(self, digest: str) -> "LlmProfile | None":
        """The profile of the language model whose config has this digest, None when none is stored."""
        from infc.resolve.llm_json import llm_from_text

        found = self._read("llm", _mentions(digest), llm_from_text)
        return next((profile for profile in found if profile.digest == digest), None)

    def llm_named(self, name: str) -> "LlmProfile | None":
        """The stored profile that was added under `name`, as for a model of the hub; None when there is none."""
        from infc.resolve.llm_json import llm_from_text

        found = self._read("llm", _mentions(json.dumps(name, ensure_ascii=False)), llm_from_text)
        return next((profile for profile in found if profile.name == name), None)

    def llm_path(self, profile: "LlmProfile") -> Path:
        """Where the profile of a language model is, or would be, committed: the name follows from its content."""
        from infc.resolve.llm_json import text_from_llm

        return self._path("llm", text_from_llm(profile))

    def add_llm(self, profile: "LlmProfile") -> Path:
        """Commit the profile of a language model; earlier ones of the same config and name go. Returns the file."""
        from infc.resolve.llm_json import llm_from_text, text_from_llm

        return self._add("llm", text_from_llm(profile), self._stale("llm", profile, llm_from_text, _llm_identity))

    def step_times(self, model_digest: str) -> "tuple[StepTimeProfile, ...]":
        """Measured step times of a language model, in the order of their file names."""
        from infc.resolve.llm_json import step_times_from_text

        profiles = self._read("step-time", _mentions(model_digest), step_times_from_text)
        known = self.only_measurements
        return tuple(
            profile
            for profile in profiles
            if profile.model_digest == model_digest and (known is None or step_time_name(profile) in known)
        )

    def add_step_times(self, profile: "StepTimeProfile") -> Path:
        """Commit measured step times; earlier ones of the same model, precisions, device and parallelism go."""
        from infc.resolve.llm_json import step_times_from_text, text_from_step_times

        stale = self._stale("step-time", profile, step_times_from_text, _step_time_identity)
        return self._add("step-time", text_from_step_times(profile), stale)

    def service_times(self, model_digest: str) -> tuple[ServiceTimeProfile, ...]:
        """Measured service times of a model, in the order of their file names."""
        profiles = self._read("service-time", _mentions(model_digest), service_times_from_text)
        known = self.only_measurements
        return tuple(
            profile
            for profile in profiles
            if profile.model_digest == model_digest and (known is None or measurement_name(profile) in known)
        )

    def neighbours(self, model_digest: str, hardware_ids: AbstractSet[str]) -> tuple[NeighbourMeasurement, ...]:
        """Measured service times of other models on these devices, where the model's profile is stored too."""
        known = self.only_measurements
        found = []
        for profile in self._read("service-time", _mentions_any(hardware_ids), service_times_from_text):
            is_other = profile.model_digest != model_digest and profile.hardware_id in hardware_ids
            if is_other and (known is None or measurement_name(profile) in known):
                model = self.model(profile.model_digest)
                if model is not None:
                    found.append(NeighbourMeasurement(model=model, profile=profile))
        return tuple(found)

    def add_service_time(self, profile: ServiceTimeProfile) -> Path:
        """Commit measured service times; earlier ones of the same model and setup go.

        The setup is precision, device, power mode, engine and instances.
        """
        stale = self._stale("service-time", profile, service_times_from_text, _service_time_identity)
        return self._add("service-time", text_from_service_times(profile), stale)

    def accuracy(self, model_digest: str) -> tuple[AccuracyEvidence, ...]:
        """Accuracy evidence of a model, in the order of the file names."""
        evidence = self._read("accuracy", _mentions(model_digest), accuracy_from_text)
        return tuple(item for item in evidence if item.model_digest == model_digest)

    def add_accuracy(self, evidence: AccuracyEvidence) -> Path:
        """Commit accuracy evidence; earlier evidence of the same test goes."""
        stale = self._stale("accuracy", evidence, accuracy_from_text, _accuracy_identity)
        return self._add("accuracy", text_from_accuracy(evidence), stale)

    def engines(self, model_digest: str) -> tuple[EngineEvidence, ...]:
        """What builders reported of engines of a model, in the order of the file names."""
        known = self.only_measurements
        return tuple(
            evidence
            for evidence in self._read("engine", _mentions(model_digest), engine_from_text)
            if evidence.model_digest == model_digest and (known is None or engine_name(evidence) in known)
        )

    def add_engine(self, evidence: EngineEvidence) -> Path:
        """Commit what a builder reported; earlier evidence of the same engine goes."""
        stale = self._stale("engine", evidence, engine_from_text, engine_identity)
        return self._add("engine", text_from_engine(evidence), stale)

    def digest_of(self, path: Path) -> str | None:
        """The digest of an unchanged model file, from the cache; None when it must be computed."""
        try:
            fields = object_of_text(self._digest_path(path).read_text(encoding="utf-8"))
            files = [
                (Path(f.text("path")), f.integer("size"), f.integer("mtime_ns")) for f in fields.nested_list("files")
            ]
            if not files or files[0][0] != path.resolve():
                return None
            if any(_stamp(file) != (size, mtime_ns) for file, size, mtime_ns in files):
                return None
            return fields.text("digest")
        except (OSError, ValueError):
            return None

    def remember_digest(self, path: Path, files: Sequence[Path], digest: str) -> None:
        """Cache the digest of a model made of `files` (the model itself first)."""
        entries = []
        for file in files:
            size, mtime_ns = _stamp(file)
            entries.append({"path": str(file.resolve()), "size": size, "mtime_ns": mtime_ns})
        text = json.dumps({"digest": digest, "files": entries}, indent=1, sort_keys=True)
        write_text_atomically(self._digest_path(path), text + "\n")

    def _digest_path(self, path: Path) -> Path:
        return self.cache / "digests" / f"{hashlib.sha256(str(path.resolve()).encode()).hexdigest()[:24]}.json"

    def _cached_model_path(self, digest: str) -> Path:
        return self.cache / f"models-v{ANALYSIS_VERSION}" / f"{digest}.json"

    def _cached_model(self, digest: str) -> ModelProfile | None:
        if not digest.isalnum():
            return None
        try:
            return model_from_text(self._cached_model_path(digest).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None  # a cache entry that cannot be read is computed again

    def _read(self, kind: str, is_wanted: Callable[[str], bool], parse: Callable[[str], T]) -> list[T]:
        found = []
        for path, text in self._files(kind):
            if not is_wanted(text):
                continue
            try:
                found.append(parse(text))
            except ProfileFormatError as error:
                self._problems[path] = _corrupt(path, str(error))
        return found

    def _files(self, kind: str) -> tuple[tuple[Path, str], ...]:
        if kind not in self._texts:
            texts = []
            for path in sorted(self.folder.glob(f"{kind}-*.json")):
                try:
                    text = path.read_text(encoding="utf-8")
                except (OSError, UnicodeDecodeError) as error:
                    self._problems[path] = _corrupt(path, str(error))
                    continue
                if not text.startswith("{") or not text.endswith("}\n"):
                    self._problems[path] = _corrupt(path, "the file is cut short, or holds conflict markers")
                    continue
                texts.append((path, text))
            self._texts[kind] = tuple(texts)
        return self._texts[kind]

    def _stale(
        self, kind: str, added: T, parse: Callable[[str], T], identity: Callable[[T], object]
    ) -> tuple[Path, ...]:
        """Files whose profile says the same thing as `added` with other numbers."""
        stale = []
        for path, text in self._files(kind):
            try:
                if identity(parse(text)) == identity(added):
                    stale.append(path)
            except ProfileFormatError as error:
                self._problems[path] = _corrupt(path, str(error))
        return tuple(stale)

    def _path(self, kind: str, text: str) -> Path:
        return self.folder / f"{kind}-{hashlib.sha256(text.encode()).hexdigest()[:12]}.json"

    def _add(self, kind: str, text: str, stale: Sequence[Path]) -> Path:
        path = self._path(kind, text)
        write_text_atomically(path, text)
        for old in stale:
            if old != path:
                old.unlink(missing_ok=True)
        self._texts.pop(kind, None)
        return path


def _is_same_but_for_name(text: str, profile: ModelProfile) -> bool:
    try:
        stored = model_from_text(text)
    except ProfileFormatError:
        return False
    return replace(stored, name=profile.name, caveats=profile.caveats) == profile


def measurement_name(profile: ServiceTimeProfile) -> str:
    """The name of the file, without its ending, that stored service times have: it follows from their content."""
    return f"service-time-{hashlib.sha256(text_from_service_times(profile).encode()).hexdigest()[:12]}"


def engine_name(evidence: EngineEvidence) -> str:
    """The name of the file, without its ending, that evidence of an engine has: it follows from its content."""
    return f"engine-{hashlib.sha256(text_from_engine(evidence).encode()).hexdigest()[:12]}"


def step_time_name(profile: "StepTimeProfile") -> str:
    """The name of the file, without its ending, that stored step times have: it follows from their content."""
    from infc.resolve.llm_json import text_from_step_times

    return f"step-time-{hashlib.sha256(text_from_step_times(profile).encode()).hexdigest()[:12]}"


def _mentions(digest: str) -> Callable[[str], bool]:
    """A quick look before a file is parsed."""
    return lambda text: digest in text


def _mentions_any(names: AbstractSet[str]) -> Callable[[str], bool]:
    return lambda text: any(f'"{name}"' in text for name in names)


def _model_identity(profile: ModelProfile) -> object:
    return profile.digest


def _service_time_identity(profile: ServiceTimeProfile) -> object:
    mode = profile.environment.get(POWER_MODE)
    return (profile.model_digest, profile.precision, profile.hardware_id, mode, profile.engine_kind, profile.instances)


def _llm_identity(profile: "LlmProfile") -> object:
    return (profile.digest, profile.name)


def _step_time_identity(profile: "StepTimeProfile") -> object:
    return (
        profile.model_digest,
        profile.precision,
        profile.hardware_id,
        profile.tensor_parallel,
        profile.kv_precision,
    )


def engine_identity(evidence: EngineEvidence) -> object:
    """What makes two pieces of evidence speak of the same engine, whatever they say of it."""
    return (
        evidence.model_digest,
        evidence.precision,
        evidence.recipe_digest,
        evidence.kind,
        evidence.compute_capability,
        evidence.maximum_elements,
    )


def _accuracy_identity(evidence: AccuracyEvidence) -> object:
    return (
        evidence.model_digest,
        evidence.precision,
        evidence.recipe_digest,
        evidence.subject,
        evidence.dataset_digest,
        evidence.metric,
        evidence.floor,
        evidence.max_drop,
        evidence.max_slice_drop,
        evidence.confidence,
    )


def _stamp(path: Path) -> tuple[int, int]:
    status = path.stat()
    return status.st_size, status.st_mtime_ns


def _corrupt(path: Path, reason: str) -> Diagnostic:
    return Diagnostic(
        id="profile-corrupt",
        message=f"stored profile {path.name} cannot be read",
        notes=(reason, f"file: {path}"),
        help="restore it from git, or delete it; infc writes it again when the model is analysed or measured",
    )
