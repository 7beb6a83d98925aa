"""`--fetch`: what the hub says of the models that specs name, stored so that every later plan works offline."""

import os
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from infc.diag import Diagnostic, Severity
from infc.ir.llm_profile import LlmProfile
from infc.ir.spec import HuggingFaceRepo
from infc.pipeline.plan import profile_store
from infc.resolve.hf_config import llm_profile
from infc.resolve.hub import HubModel, fetch_model
from infc.resolve.hub_cache import cached_config, hub_folder
from infc.resolve.llm_problem import hub_name
from infc.resolve.store import ProfileStore
from infc.spec import load_spec
from infc.spec.model_checks import hub_models, is_commit


def fetch_models(
    paths: Sequence[Path], *, environment: Mapping[str, str] = os.environ, announce: Callable[[str], None]
) -> tuple[Diagnostic, ...]:
    """Fetch config.json of every hub model that these specs name and nothing stored describes, and store its profile.

    A commit that is stored, or in the hub's cache of this machine, is never asked for; what a branch names is, each
    time. Specs that are not valid are left to the plan. Only config.json (and hf_quant_config.json) is fetched.
    """
    found: list[Diagnostic] = []
    for path in paths:
        loaded = load_spec(path)
        if loaded.spec is None:
            continue
        store = profile_store(loaded.workspace)
        for place, hub in hub_models(loaded.spec):
            name = hub_name(hub.repo, hub.revision)
            if is_commit(hub.revision) and _is_known(store, environment, hub, name):
                continue
            fetched, problem = fetch_model(hub.repo, hub.revision, environment)
            if fetched is None:
                assert problem is not None  # noqa: S101 - one of the two
                found.append(replace(problem, span=loaded.span(place)))
                continue
            profile, problems = _profile(fetched, name)
            found += [replace(d, span=loaded.span(place)) for d in problems if d.severity is Severity.ERROR]
            if profile is None:
                continue
            if not is_commit(hub.revision):
                found.append(replace(_moving(fetched), span=loaded.span(place)))
            file = store.add_llm(profile)
            announce(f"fetched config.json of {hub.repo} at {fetched.commit}: {file.name}")
    return tuple(dict.fromkeys(found))


def _is_known(store: ProfileStore, environment: Mapping[str, str], hub: HuggingFaceRepo, name: str) -> bool:
    folder = hub_folder(environment)
    is_cached = folder is not None and cached_config(folder, hub.repo, hub.revision) is not None
    return is_cached or store.llm_named(name) is not None


def _profile(fetched: HubModel, name: str) -> tuple[LlmProfile | None, tuple[Diagnostic, ...]]:
    """The profile of what was fetched, named as a later plan asks for it."""
    with tempfile.TemporaryDirectory() as folder:
        for file, data in fetched.files.items():
            (Path(folder) / file).write_bytes(data)
        return llm_profile(Path(folder), name)


def _moving(fetched: HubModel) -> Diagnostic:
    what = f"the revision {fetched.revision}" if fetched.revision else "no revision"
    return Diagnostic(
        id="plan-hub-branch",
        severity=Severity.WARNING,
        message=f"the spec names {what} of {fetched.repo}, which is commit {fetched.commit} today",
        help=f"write `revision: {fetched.commit}`",
    )
