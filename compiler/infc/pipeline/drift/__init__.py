"""Drift, end to end: a spec, its lock and what runs (or is recorded) in; what agrees and what does not out.

One file a subject: running servers (vLLM, Triton), edge devices, a cluster, a rendered folder, recorded traffic.
"""

from collections.abc import Callable
from typing import TypeAlias, assert_never

from infc.diag import Diagnostic
from infc.lock.drift import DriftReport
from infc.lock.drift.fleet import FleetDrift
from infc.pipeline.drift.cluster import ClusterDriftRequest, cluster_drift
from infc.pipeline.drift.devices import DeviceDriftRequest, find_device_drift
from infc.pipeline.drift.folder import FolderDriftRequest, folder_drift
from infc.pipeline.drift.server import ServerDriftRequest, server_drift
from infc.pipeline.drift.traffic import TraceDriftRequest, traffic_drift

DriftRequest: TypeAlias = (
    ServerDriftRequest | DeviceDriftRequest | ClusterDriftRequest | FolderDriftRequest | TraceDriftRequest
)
Found: TypeAlias = tuple[DriftReport | FleetDrift | None, tuple[Diagnostic, ...]]


def find_drift(request: DriftRequest, *, announce: Callable[[str], None]) -> Found:
    """Compare what is asked for with the lock and the spec: a report, or the diagnostics that stand in the way.

    Nothing is written, and nothing that runs is changed.

    Raises:
        ToolError: something that must answer does not, or a tool is missing.
    """
    match request:
        case ServerDriftRequest():
            return server_drift(request, announce=announce)
        case DeviceDriftRequest():
            return find_device_drift(request, announce=announce)
        case ClusterDriftRequest():
            return cluster_drift(request, announce=announce)
        case FolderDriftRequest():
            return folder_drift(request, announce=announce)
        case TraceDriftRequest():
            return traffic_drift(request, announce=announce)
        case _:
            assert_never(request)


__all__ = [
    "ClusterDriftRequest",
    "DeviceDriftRequest",
    "DriftRequest",
    "FolderDriftRequest",
    "Found",
    "ServerDriftRequest",
    "TraceDriftRequest",
    "find_drift",
]
