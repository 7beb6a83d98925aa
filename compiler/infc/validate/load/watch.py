"""Follows a running load test: warm-up, looks at the evidence, the decision to stop, what is still on its way."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from infc.diag import ToolError
from infc.ir.accuracy import Verdict
from infc.ir.problem import LatencyTarget
from infc.serve.statistics import ModelStatistics
from infc.validate.contract import ValidationContract
from infc.validate.load.generator import LoadGenerator
from infc.validate.load.saturation import is_saturated
from infc.validate.load.server import ObservedServer
from infc.validate.load.settings import LoadSettings
from infc.validate.load.warmup import is_warm
from infc.validate.sequential import SequentialResult, judge
from infc.validate.statistics import exceedance_design_effect, nearest_rank

_LOOK_S = 0.5
_SNAPSHOT_S = 1.0
_PROGRESS_S = 0.2
_CANCEL_AFTER_S = 2.0
_MOST_WARMUP_S = 15.0
_WARMUP_BUDGET_SHARE = 0.3
_UNAVAILABLE = 14
_SILENT_ANSWERS = 20
_GONE_S = 2.0
_GONE_POLL_S = 0.05
MAX_LAG_S = 0.001
MAX_LAG_SHARE = 0.05
"""Largest lag of a punctual send: 1 ms, or this share of the tightest limit if that is more."""


class Phase(StrEnum):
    """Where a load test is."""

    WARM_UP = "warm-up"
    MEASURING = "measuring"
    DRAINING = "draining"


@dataclass(frozen=True, kw_only=True)
class LoadProgress:
    """A look at a running test: `now_s` maps `p99` to its value so far, `verdicts` to what the evidence says."""

    phase: Phase
    elapsed_s: float
    budget_s: float
    answered: int
    outstanding: int
    errors: int
    now_s: Mapping[str, float]
    verdicts: Mapping[str, Verdict]


class Watch:
    """Follows one run of a generator to its end. Afterwards the public attributes tell what happened.

    `first` is the index of the first measured request; measuring began at `start_s` and sending ended at `stop_s`
    (monotonic). `results` maps a percentile's label to its sequential test, as it stood when it settled or at the
    end; `doubtful` are the labels that would fail if requests that were sent late counted.
    """

    def __init__(
        self,
        generator: LoadGenerator,
        server: ObservedServer,
        contract: ValidationContract,
        settings: LoadSettings,
        progress: Callable[[LoadProgress], None],
        check_server: Callable[[], None],
    ) -> None:
        self.generator = generator
        self._server = server
        self._contract = contract
        self._settings = settings
        self._progress = progress
        self._check_server = check_server
        self._horizon_s = max((target.limit_s for target in contract.latency), default=0.0)
        self._begin_s = 0.0
        self._next_look_s = 0.0
        self._next_snapshot_s = 0.0
        self._next_progress_s = 0.0
        self._is_cancelled = False
        self.phase = Phase.WARM_UP
        self.first = 0
        self.start_s = 0.0
        self.stop_s = 0.0
        self.stopped_by = "budget"
        self.doubtful: set[str] = set()
        self.lag_limit_s = max(MAX_LAG_S, MAX_LAG_SHARE * min((t.limit_s for t in contract.latency), default=0.0))
        self.snapshots: list[ModelStatistics] = []
        self.results: dict[str, SequentialResult] = {}

    def follow(self) -> None:
        """Run to the end: returns when the last request is answered, timed out or dropped.

        Raises:
            ToolError: the server is gone, or no request was measured.
        """
        for _ in self.generator.frames():
            self._begin_s = self._begin_s or self.generator.now_s
            match self.phase:
                case Phase.WARM_UP:
                    self._warm_up()
                case Phase.MEASURING:
                    self._measure()
                case Phase.DRAINING:
                    self._drain()
            self._tell()
        if self.phase is Phase.WARM_UP:
            raise ToolError("the budget ended before the warm-up", help="give a larger --budget")
        if self.phase is Phase.MEASURING:
            self._stop("saturated" if self._has_given_up() else "budget")
        self._check_server()
        self.snapshots.append(self._statistics())
        self._look(is_final=True)

    def latencies_s(self, first: int, last: int) -> NDArray[np.float64]:
        """Seconds from send to answer of requests [first, last); infinite where there was an error or no answer."""
        generator = self.generator
        spans = generator.done_s[first:last] - generator.sent_s[first:last]
        return np.where(generator.codes[first:last] == 0, spans, np.inf)

    def send_lag_p99_s(self) -> float:
        """How late measured requests were sent; 0 when none was."""
        lags_s = self._send_lags_s()[self.first :]
        return nearest_rank(np.sort(lags_s), 99.0) if len(lags_s) else 0.0

    def _send_lags_s(self) -> NDArray[np.float64]:
        """How late each request was sent against the schedule, taking the most punctual send as on time."""
        generator = self.generator
        late_s: NDArray[np.float64] = generator.sent_s[: generator.sent] - generator.arrivals_s[: generator.sent]
        return np.subtract(late_s, late_s.min(initial=np.inf)) if len(late_s) else late_s

    def spacing_s(self) -> float:
        """Mean time between two requests."""
        generator = self.generator
        if generator.sent == 0:
            return 1.0
        sent_s = generator.sent_s[: generator.sent]
        return max(float(sent_s[-1] - sent_s[0]), 1e-6) / max(generator.sent - 1, 1)

    def _warm_up(self) -> None:
        generator = self.generator
        now_s = generator.now_s
        self._require_answers()
        answered = np.flatnonzero(generator.codes[: generator.sent] == 0)
        most_s = max(
            self._settings.min_warmup_s,
            min(_MOST_WARMUP_S, _WARMUP_BUDGET_SHARE * self._settings.budget_s),
        )
        is_over = now_s - self._begin_s >= most_s
        if is_over or is_warm(
            generator.sent_s[answered],
            generator.done_s[answered] - generator.sent_s[answered],
            start_s=self._begin_s,
            now_s=now_s,
            least_s=self._settings.min_warmup_s,
        ):
            self._start_measuring()

    def _start_measuring(self) -> None:
        now_s = self.generator.now_s
        self.phase = Phase.MEASURING
        self.first = self.generator.sent
        self.start_s = now_s
        self.snapshots = [self._statistics()]
        self.results = {}
        self._next_look_s = now_s + _LOOK_S
        self._next_snapshot_s = now_s + _SNAPSHOT_S

    def _measure(self) -> None:
        now_s = self.generator.now_s
        if now_s < self._next_look_s:
            return
        self._next_look_s = now_s + _LOOK_S
        self._check_server()
        self._require_answers()
        if now_s >= self._next_snapshot_s:
            self._next_snapshot_s = now_s + _SNAPSHOT_S
            self.snapshots.append(self._statistics())
        self._look()
        if self._is_saturated():
            self._stop("saturated")
        elif self._is_settled() and now_s - self.start_s >= self._settings.min_measured_s:
            self._stop("settled")
        elif now_s - self._begin_s >= self._settings.budget_s:
            self._stop("budget")

    def _drain(self) -> None:
        is_hopeless = self.stopped_by == "saturated" and self.generator.now_s - self.stop_s > _CANCEL_AFTER_S
        if is_hopeless and not self._is_cancelled:
            self._is_cancelled = True
            self.generator.cancel()

    def _stop(self, reason: str) -> None:
        self.phase = Phase.DRAINING
        self.stopped_by = reason
        self.stop_s = self.generator.now_s
        self.generator.stop()

    def _look(self, *, is_final: bool = False) -> None:
        """Test every percentile that is not settled on the requests whose outcome is known.

        Only requests older than the largest limit count: of younger ones only the fast are known. What the generator
        was late counts as latency; but a failure must hold without the requests that were sent late.
        """
        generator = self.generator
        last = generator.sent
        if not is_final:
            known_until_s = generator.now_s - self._horizon_s
            last = self.first + int(np.searchsorted(generator.sent_s[self.first : generator.sent], known_until_s))
        lags_s = self._send_lags_s()[self.first : last]
        samples = self.latencies_s(self.first, last) + lags_s
        punctual = np.where(lags_s <= self.lag_limit_s, samples, 0.0)
        for target in self._contract.latency:
            known = self.results.get(target.label)
            if known is not None and known.verdict is not Verdict.INCONCLUSIVE:
                continue
            result = self._judge(samples, target)
            self.doubtful.discard(target.label)
            if result.verdict is Verdict.FAIL and self._judge(punctual, target).verdict is not Verdict.FAIL:
                self.doubtful.add(target.label)
                result = replace(result, verdict=Verdict.INCONCLUSIVE)
            self.results[target.label] = result

    def _judge(self, samples: NDArray[np.float64], target: LatencyTarget) -> SequentialResult:
        return judge(
            overs=int(np.count_nonzero(samples > target.limit_s)),
            samples=len(samples),
            percentile=target.percentile,
            confidence=self._settings.confidence,
            design_effect=exceedance_design_effect(
                samples, target.percentile, limit=target.limit_s, spacing=self.spacing_s()
            ),
        )

    def _is_settled(self) -> bool:
        verdicts = [result.verdict for result in self.results.values()]
        return Verdict.FAIL in verdicts or all(verdict is Verdict.PASS for verdict in verdicts)

    def _is_saturated(self) -> bool:
        generator, model = self.generator, self._contract.model
        return self._has_given_up() or is_saturated(
            generator.sent_s[: generator.sent],
            generator.done_s[: generator.sent],
            start_s=self.start_s,
            now_s=generator.now_s,
            busy_requests=2 * max(model.max_batch_size, 1) * model.instances,
        )

    def _has_given_up(self) -> bool:
        """Whether the generator stopped because too many requests were unanswered."""
        return self.generator.sent - self.generator.answered >= self._settings.max_outstanding

    def _require_answers(self) -> None:
        """Raise ToolError when the last answers all say that there is no server."""
        generator = self.generator
        answered = np.flatnonzero(generator.codes[: generator.sent] >= 0)[-_SILENT_ANSWERS:]
        if len(answered) == _SILENT_ANSWERS and np.all(generator.codes[answered] == _UNAVAILABLE):
            self._see_it_gone()
            raise ToolError(f"the server at {self._server.target} stopped answering during the load test")

    def _statistics(self) -> ModelStatistics:
        """The server's counters of the model.

        Raises:
            ToolError: the server is gone, or does not answer.
        """
        try:
            return self._server.statistics(self._contract.model.name)
        except ToolError:
            self._see_it_gone()
            raise

    def _see_it_gone(self) -> None:
        """Look for a moment whether a silent server has ended: it refuses requests before its end is seen.

        Raises:
            ToolError: it has.
        """
        until_s = time.monotonic() + _GONE_S
        while time.monotonic() < until_s:
            self._check_server()
            time.sleep(_GONE_POLL_S)

    def _tell(self) -> None:
        generator = self.generator
        if generator.now_s < self._next_progress_s:
            return
        self._next_progress_s = generator.now_s + _PROGRESS_S
        done = np.sort(self.latencies_s(self.first, generator.sent))
        done = done[np.isfinite(done)]
        now_s = {t.label: nearest_rank(done, t.percentile) for t in self._contract.latency if len(done)}
        self._progress(
            LoadProgress(
                phase=self.phase,
                elapsed_s=generator.now_s - self._begin_s,
                budget_s=self._settings.budget_s,
                answered=generator.answered,
                outstanding=generator.sent - generator.answered,
                errors=int(np.count_nonzero(generator.codes[: generator.sent] > 0)),
                now_s=now_s if self.phase is not Phase.WARM_UP else {},
                verdicts={label: result.verdict for label, result in self.results.items()},
            )
        )
