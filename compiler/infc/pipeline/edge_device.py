"""A release on a lab device: sent over ssh, installed by the device's own agent, its measurement brought back."""

import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

from infc.build.content import file_digest
from infc.diag import Diagnostic, DiagnosticError
from infc.emit.supply.signing import verify
from infc.ir.accuracy import Verdict
from infc.ir.edge_acceptance import EdgeAcceptance
from infc.ir.edge_release import EdgeTarget
from infc.ir.edge_status import DeviceStatus
from infc.ir.edge_validation import EdgeOutcome, EdgeValidation
from infc.ir.service_time import ServiceTimeProfile
from infc.pipeline.edge_bundle import EdgeBundle, first_sample, read_edge_bundle
from infc.pipeline.plan import profile_store
from infc.resolve.atomic_write import write_bytes_atomically
from infc.spec import Workspace
from infc.validate.edge.address import DeviceAddress
from infc.validate.edge.machine import AgentRun, EdgeMachine, Probe
from infc.validate.edge.outcome import outcome_of
from infc.validate.edge.profile import service_times_of
from infc.validate.profile import merged_profile

T = TypeVar("T")
OLDEST_PYTHON = (3, 8)
_LOST = ("edge-device-lost", "builder-unreachable")
_ARCHIVE = "bundle.tar.zst"
_BUSY, _LOOK_EVERY_S = 50, 5.0


@dataclass(frozen=True, kw_only=True)
class DeviceRequest:
    """What to install where. Of several `bundles` the newest that is made for the device's module is taken.

    `is_dry_run` copies, verifies and matches only; `allows_downgrade` lets an older release replace a newer one;
    `wants_timing` brings the kernel times of the build back.
    """

    bundles: tuple[Path, ...]
    address: DeviceAddress
    is_dry_run: bool = False
    allows_downgrade: bool = False
    wants_timing: bool = False


def validate_on_device(
    request: DeviceRequest, *, progress: Callable[[str], None], announce: Callable[[str], None]
) -> EdgeValidation:
    """Install a release on a device and bring back what it measured.

    Whatever comes of it, the device is left as its agent leaves it: with the release in service, or with the one
    before. Ctrl-C has the agent take back what it did so far; when the connection is lost it goes on by itself.

    Args:
        request: what to install where.
        progress: called with each line that the agent prints.
        announce: called with one line about each step here.

    Raises:
        DiagnosticError: the bundle or the device cannot be used; nothing was changed there.
        ToolError: an archive cannot be read, or ssh or openssl is not installed here.
    """
    bundles = [read_edge_bundle(path) for path in request.bundles]
    signed = [bundle for bundle in bundles if bundle.signature is not None]
    if not signed:
        raise _refused(_unsigned(bundles))
    machine = EdgeMachine(request.address)
    try:
        validation = _Run(request, machine, progress, announce).validated(signed)
        machine.forget()
    except DiagnosticError as error:
        if all(each.id not in _LOST for each in error.diagnostics):
            machine.forget()
        raise
    finally:
        machine.close()
    return validation


def store_device_times(profile: ServiceTimeProfile, workspace: Workspace) -> Path:
    """Keep what a device measured in the workspace's profiles, for the next plan."""
    store = profile_store(workspace)
    return store.add_service_time(merged_profile(profile, store.service_times(profile.model_digest)))


def store_timing_cache(validation: EdgeValidation, workspace: Workspace) -> Path | None:
    """Keep the kernel times of a device's build for the next bundle; None when there are none."""
    acceptance, content = validation.acceptance, validation.timing_cache
    if acceptance is None or content is None:
        return None
    path = workspace.profiles / f"timing-{acceptance.device.tensorrt}-{acceptance.hardware_id}.cache"
    write_bytes_atomically(path, content)
    return path


def with_service_time(validation: EdgeValidation, workspace: Workspace) -> EdgeValidation:
    """The validation with the service time that it tells, where it tells one: dynamic axes are the model profile's."""
    acceptance, release = validation.acceptance, validation.release
    if acceptance is None:
        return validation
    store = profile_store(workspace)
    models = (store.model(engine.source_digest.removeprefix("sha256:")) for engine in release.engines)
    model = next((each for each in models if each is not None), None)
    timed = first_sample(validation.bundle) if model is not None and model.axes else None
    return replace(validation, service_time=service_times_of(acceptance, release, model, timed))


class _Run:
    """One release on one device, step by step. A step that cannot be done raises DiagnosticError."""

    def __init__(
        self,
        request: DeviceRequest,
        machine: EdgeMachine,
        progress: Callable[[str], None],
        announce: Callable[[str], None],
    ) -> None:
        self._request = request
        self._machine = machine
        self._progress = progress
        self._announce = announce

    def validated(self, bundles: Sequence[EdgeBundle]) -> EdgeValidation:
        """What came of it."""
        probe = _known(self._machine.probe())
        for problem in (_not_usable(self._machine.name, probe), _not_trusted(self._machine.name, probe, bundles)):
            if problem is not None:
                raise _refused(problem)
        bundle, target = self._chosen(bundles, probe)
        run = self._run(bundle, probe)
        outcome, verdict = outcome_of(run.code)
        if self._request.is_dry_run:
            outcome, verdict = (EdgeOutcome.CAN_BE_INSTALLED if run.code == 0 else EdgeOutcome.REFUSED), None
        validation = EdgeValidation(
            device=self._machine.name,
            bundle=bundle.path,
            release=bundle.release,
            target=target,
            outcome=outcome,
            code=run.code,
            verdict=verdict,
            words=run.last_words,
        )
        if verdict is None:
            return validation
        is_agent_there = probe.has_agent or run.code == 0
        after = _known(self._machine.status(is_agent_there=is_agent_there))
        acceptance = _acceptance(after, bundle)
        version = None if acceptance is None else acceptance.device.tensorrt
        return replace(
            validation,
            timing_cache=self._machine.timing_cache(version) if version and self._request.wants_timing else None,
            verdict=verdict if acceptance is None else Verdict(acceptance.verdict),
            acceptance=acceptance,
            was_in_service=run.is_nothing_to_do,
        )

    def _chosen(self, bundles: Sequence[EdgeBundle], probe: Probe) -> tuple[EdgeBundle, EdgeTarget]:
        """The newest bundle that is made for the device's module, and what it holds for it."""
        newest = max(bundles, key=_version)
        if not probe.has_agent:
            self._send(newest, (("edge.py", newest.agent), ("libraries.json", newest.libraries)))
        status = _known(self._machine.status(is_agent_there=probe.has_agent))
        module = status.device.module
        fitting = [bundle for bundle in bundles if bundle.target_of(module) is not None]
        if not fitting:
            raise _refused(_other_module(self._machine.name, status, bundles))
        bundle = max(fitting, key=_version)
        target = bundle.target_of(module)
        assert target is not None  # noqa: S101 - it fits
        return bundle, target

    def _run(self, bundle: EdgeBundle, probe: Probe) -> AgentRun:
        """Install the bundle; while another run of the agent is under way there, wait for it."""
        size_mb = bundle.path.stat().st_size / 1e6
        self._announce(f"sending {bundle.path.name} ({size_mb:.1f} MB) to {self._machine.name}")
        agent = () if probe.has_agent else (("edge.py", bundle.agent), ("libraries.json", bundle.libraries))
        self._send(bundle, (*agent, (_ARCHIVE, bundle.path)))
        release = bundle.release
        doing = "verifying" if self._request.is_dry_run else "installing"
        self._announce(f"{doing} {release.name} {release.version} there")
        while True:
            run = self._installed(probe)
            if run.code != _BUSY:
                return run
            self._announce("waiting for the other run to end")
            while self._is_busy(probe):
                time.sleep(_LOOK_EVERY_S)

    def _installed(self, probe: Probe) -> AgentRun:
        options = ["--dry-run"] if self._request.is_dry_run else []
        if self._request.allows_downgrade:
            options.append("--allow-downgrade")
        try:
            run = self._machine.install(_ARCHIVE, options, self._progress, is_agent_there=probe.has_agent)
        except KeyboardInterrupt:
            self._announce("interrupted: the device puts back what it had in service")
            self._machine.stop()
            raise
        return _known(run)

    def _is_busy(self, probe: Probe) -> bool:
        status = _known(self._machine.status(is_agent_there=probe.has_agent))
        journals = (deployment.journal for deployment in status.deployments)
        return any(journal is not None and journal.is_under_way for journal in journals)

    def _send(self, bundle: EdgeBundle, files: Sequence[tuple[str, bytes | Path]]) -> None:
        folder = file_digest(bundle.path)[:32]
        if problem := self._machine.send(folder, files):
            raise _refused(problem)


def _acceptance(status: DeviceStatus, bundle: EdgeBundle) -> EdgeAcceptance | None:
    """What the device measured of this very release: of the one in service, or of the one that was rolled back."""
    deployment = status.deployment(bundle.release.name)
    found = () if deployment is None else (deployment.acceptance, deployment.rejected)
    return next((each for each in found if each is not None and _is_of(each, bundle)), None)


def _is_of(acceptance: EdgeAcceptance, bundle: EdgeBundle) -> bool:
    release = bundle.release
    return (acceptance.version, acceptance.content_digest) == (release.version, release.content_digest)


def _version(bundle: EdgeBundle) -> tuple[int, ...]:
    return tuple(int(part) for part in bundle.release.version.split("."))


def _not_usable(name: str, probe: Probe) -> Diagnostic | None:
    if probe.python is None or probe.python < OLDEST_PYTHON:
        found = "no Python" if probe.python is None else "a Python older than 3.8"
        return Diagnostic(
            id="edge-device-cannot",
            message=f"{name} has {found}",
            help=f"install Python 3.8 or later there, or name it: {name}?python=/usr/bin/python3.8",
        )
    if not probe.is_root_possible:
        return Diagnostic(
            id="edge-device-cannot",
            message=f"the login at {name} may not install: it is not root, and sudo asks for a password",
            help="log in as root, or allow this user `sudo` without a password there (NOPASSWD)",
        )
    return None


def _not_trusted(name: str, probe: Probe, bundles: Sequence[EdgeBundle]) -> Diagnostic | None:
    """Why the device would refuse who signed; None where one of its keys did. The device checks it again itself."""
    where = "/etc/infc/keys"
    if not probe.keys:
        return Diagnostic(
            id="edge-not-trusted",
            message=f"{name} trusts nobody: {where} holds no public key",
            help=f"copy the public key of who signs (*.pem) into {where} there, by a way that you trust",
        )
    with tempfile.TemporaryDirectory(prefix="infc-keys-") as folder:
        keys = [Path(folder) / f"{number}.pem" for number in range(len(probe.keys))]
        for path, content in zip(keys, probe.keys, strict=True):
            path.write_bytes(content)
        for bundle in bundles:
            if bundle.signature is None or verify(bundle.sums, bundle.signature, keys) is None:
                return Diagnostic(
                    id="edge-not-trusted",
                    message=f"no key of {name} made the signature of {bundle.path.name}",
                    notes=(f"it has {len(keys)} key{'' if len(keys) == 1 else 's'} in {where}",),
                    help="sign it with the key that the device knows, or put the new public key there first",
                )
    return None


def _unsigned(bundles: Sequence[EdgeBundle]) -> Diagnostic:
    path = bundles[0].path
    return Diagnostic(
        id="edge-unsigned",
        message=f"{path} is not signed, and a device installs nothing that is not",
        help=f"run `infc sign {path} --key KEY.pem` with the key whose public half the device has",
    )


def _other_module(name: str, status: DeviceStatus, bundles: Sequence[EdgeBundle]) -> Diagnostic:
    device = status.device
    made_for = sorted(
        {f"{target.title} ({', '.join(target.modules)})" for b in bundles for target in b.release.targets}
    )
    return Diagnostic(
        id="edge-other-module",
        message=f"{name} is {device.model or 'a device'} ({device.module or 'no module that it names'}), "
        f"and {bundles[0].release.name} is not made for it",
        notes=(f"it is made for {'; '.join(made_for)}",),
        help="name a device with one of these modules, or add its module to constraints.hardware and compile again",
    )


def _known(answer: T | Diagnostic) -> T:
    """What a device answered. Raises DiagnosticError when it did not."""
    if isinstance(answer, Diagnostic):
        raise _refused(answer)
    return answer


def _refused(problem: Diagnostic) -> DiagnosticError:
    return DiagnosticError((problem,), exit_code=1)
