"""What a server adds to the service times that it is given."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class ServerOverhead:
    """Seconds around an execution; all zero when service times were measured inside the server.

    `dispatch_s` passes before an instance that waits starts with what arrives or has become due: the way over the
    batcher. `execution_s` and `request_s` keep the instance busy, once for each execution and for each request in it.
    For `idle_s` after an execution the instance takes no new batch, though the answers are out. `response_s` lies
    between the answers of one batch, the last of which leaves as the execution ends: the sooner a request was in the
    batch, the earlier its answer. `transport_s` is between client and server and adds to a request's latency only.
    """

    dispatch_s: float = 0.0
    execution_s: float = 0.0
    request_s: float = 0.0
    idle_s: float = 0.0
    response_s: float = 0.0
    transport_s: float = 0.0


NO_OVERHEAD = ServerOverhead()
