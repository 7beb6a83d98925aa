"""What runs against what is locked, on a Triton: server, models, versions, configuration, engine, files."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

from infc.emit.triton.settings import ENGINE_PARAMETER
from infc.lock.drift.item import deployment_item
from infc.lock.drift.slug import slug
from infc.lock.drift.triton_config import ExpectedConfig, config_from_json, config_items
from infc.lock.drift.values import DriftItem, DriftVerdict
from infc.lock.values import LockEntry
from infc.serve.triton_view import INDEX, TritonView

REPOSITORY = "model_repository"
_SHOWN = 19
"""Characters of a digest that tell it apart: `sha256:` and twelve more."""


@dataclass(frozen=True, kw_only=True)
class ExpectedServer:
    """What a replica of a deployment is to be. `server_version` None: the locked release is not known any more.

    `beside` are the configurations of other models of the repository, as far as the bundle is at hand.
    """

    entry: LockEntry
    release: str
    server_version: str | None
    config: ExpectedConfig
    beside: Mapping[str, ExpectedConfig] = field(default_factory=dict)

    @property
    def models(self) -> tuple[str, ...]:
        """The models of the emitted repository; where its files are not locked yet, the deployment's own."""
        found = {path.split("/")[1] for path in self.entry.files if path.startswith(f"{REPOSITORY}/")}
        return tuple(sorted(found | {self.entry.name}))


def server_items(expected: ExpectedServer, view: TritonView) -> tuple[DriftItem, ...]:
    """Every fact of the lock with what the server shows of it, in a fixed order."""
    return (
        _version(expected, view),
        *_models(expected, view),
        _versions(expected, view),
        *_config(expected, view),
        *_configs_beside(expected, view),
    )


def _version(expected: ExpectedServer, view: TritonView) -> DriftItem:
    name = f"Triton {expected.release}"
    if expected.server_version is None:
        return deployment_item(
            "version", name, None, view.version, None, why_silent="this infc does not know the locked release"
        )
    is_same = None if view.version is None else view.version == expected.server_version
    return deployment_item(
        "version", name, expected.server_version, view.version, is_same, source="/v2", why_silent="/v2 is silent"
    )


def _models(expected: ExpectedServer, view: TritonView) -> Iterator[DriftItem]:
    """Each emitted model is to be loaded, and no other."""
    for model in expected.models:
        is_own = model == expected.entry.name
        id = "model" if is_own else f"model-{slug(model)}"
        if view.loaded is None:
            seen = "loaded" if is_own and view.config is not None else None
            yield deployment_item(
                id, f"model {model}", "loaded", seen, None if seen is None else True, why_silent=_silent(view)
            )
            continue
        is_loaded = model in view.loaded
        state = "loaded" if is_loaded else "not loaded"
        yield deployment_item(id, f"model {model}", "loaded", state, is_loaded, source=INDEX)
    if view.loaded is None:
        yield deployment_item("other-models", "other models", "none", None, None, why_silent=_silent(view))
        return
    others = [model for model in view.loaded if model not in expected.models]
    yield deployment_item("other-models", "other models", "none", ", ".join(others) or "none", not others, source=INDEX)


def _silent(view: TritonView) -> str:
    return f"{INDEX}: {view.silent.get(INDEX, 'it says nothing')}"


def _versions(expected: ExpectedServer, view: TritonView) -> DriftItem:
    wanted = ", ".join(map(str, expected.config.config.version_policy.specific.versions)) or "1"
    versions = None if view.loaded is None else view.loaded.get(expected.entry.name)
    if versions is None:
        return deployment_item(
            "model-version", "model version", wanted, None, None, why_silent="the model is not loaded, or not listed"
        )
    seen = ", ".join(versions)
    return deployment_item("model-version", "model version", wanted, seen, seen == wanted, source=INDEX)


def _config(expected: ExpectedServer, view: TritonView) -> Iterator[DriftItem]:
    source = f"/v2/models/{expected.entry.name}/config"
    if view.config is None:
        reason = view.silent.get(source, "it says nothing")
        yield deployment_item("config", "configuration", "as emitted", None, None, why_silent=f"{source}: {reason}")
        return
    for item in config_items(expected.config, config_from_json(view.config), source):
        if item.id == "engine-key" and expected.entry.engine.key is None:
            yield deployment_item(
                "engine-key", "engine key", None, item.observed, None, why_silent="the lock waits for a build"
            )
        else:
            yield item


def _configs_beside(expected: ExpectedServer, view: TritonView) -> Iterator[DriftItem]:
    """Other models of the repository, such as a quality shadow: one item where nothing differs, else the fields."""
    for model, config in sorted(expected.beside.items()):
        document = view.beside.get(model)
        if document is None:
            continue  # that it is not loaded is an item already
        id, source = f"config-of-{slug(model)}", f"/v2/models/{model}/config"
        items = config_items(config, config_from_json(document), source)
        drifted = [item for item in items if item.verdict is DriftVerdict.DRIFTED]
        if not drifted:
            yield deployment_item(id, f"configuration of {model}", "as emitted", "as emitted", True, source=source)
        yield from (replace(item, id=f"{id}-{item.id}", name=f"{model}: {item.name}") for item in drifted)


def repository_items(expected: ExpectedServer, found: Mapping[str, str], where: str) -> Iterator[DriftItem]:
    """Files of the served repository against the locked digests. `found` maps paths below the repository to digests."""
    prefix = f"{REPOSITORY}/"
    locked = {p.removeprefix(prefix): d for p, d in expected.entry.files.items() if p.startswith(prefix)}
    for path, digest in sorted(locked.items()):
        seen = found.get(path)
        yield deployment_item(
            f"file-{slug(path)}",
            path,
            digest[:_SHOWN],
            "missing" if seen is None else seen[:_SHOWN],
            seen == digest,
            source=where,
        )
    engine = (expected.entry.engine.file or "").removeprefix(prefix)
    if engine and engine not in locked:
        seen = found.get(engine)
        why = "the bytes of an engine differ from build to build, so that the lock holds its key; --bundle has a digest"
        if seen is None:
            yield deployment_item("engine-file", engine, "present", "missing", False, source=where)
        else:
            yield deployment_item("engine-file", engine, None, seen[:_SHOWN], None, source=where, why_silent=why)
    others = sorted(path for path in found if path not in locked and path != engine)
    shown = ", ".join(others[:3]) + (f" and {len(others) - 3} more" if len(others) > 3 else "")
    yield deployment_item("other-files", "other files", "none", shown or "none", not others, source=where)


def bundled_engine_item(engine: str, bundled: str, found: str | None, where: str) -> DriftItem:
    """The served engine file against that of the compiled bundle, byte for byte."""
    seen = "missing" if found is None else found[:_SHOWN]
    return deployment_item("engine-file", engine, bundled[:_SHOWN], seen, found == bundled, source=where)


__all__ = [
    "ENGINE_PARAMETER",
    "REPOSITORY",
    "ExpectedServer",
    "bundled_engine_item",
    "repository_items",
    "server_items",
]
