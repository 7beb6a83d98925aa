"""Follows a running load test: warm-up, looks at the evidence, the decision to stop, and what is still on its way."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from infc.diag import ToolError
from infc.ir.accuracy import Verdict
from infc.ir.llm_measurement import TokenMetric
from infc.ir.problem import LatencyTarget
from infc.validate.llm.load.client import Outcome
from infc.validate.llm.load.generator import UNANSWERED, LlmLoadGenerator
from infc.validate.llm.load.latencies import Sample, known_sample, seconds_of
from infc.validate.llm.load.metrics import ServerMetrics
from infc.validate.llm.load.settings import LlmLoadSettings
from infc.validate.llm.load.subject import LlmSubject, label_of
from infc.validate.load.saturation import is_saturated
from infc.validate.load.warmup import is_warm
from infc.validate.load.watch import MAX_LAG_S, MAX_LAG_SHARE, LoadProgress, Phase
from infc.validate.sequential import SequentialResult, judge
from infc.validate.statistics import exceedance_design_effect, nearest_rank

_LOOK_S = 0.5
_SCRAPE_S = 5.0
"""How often the server's metrics are read: writing a page keeps its API process busy for some milliseconds."""
_PROGRESS_S = 0.2
_CANCEL_AFTER_S = 2.0
_MOST_WARMUP_S = 60.0
_WARMUP_BUDGET_SHARE = 0.3
_WARMUP_REQUESTS = 10
_WARMUP_E2E = 1.5
"""Warm-up lasts at least so many times the p90 of the end-to-end time: then as many requests run as later."""
_MIN_JUDGED = 60
"""Samples below which dependence between them cannot be estimated, so that nothing is judged."""
_STEADY_BACKLOG = 4
_SILENT_ANSWERS = 20


class LlmWatch:
    """Follows one run of a generator to its end. Afterwards the public attributes tell what happened.

    Requests `first` to `last` were measured; measuring began at `start_s` and ended at `stop_s` (monotonic). The load
    goes on after that until each of them is answered, so that none of them runs on an emptying server. `results` maps
    a target's label to its sequential test, as it stood when it settled or at the end; `doubtful` are the labels that
    would fail only with requests that were sent late.
    """

    def __init__(
        self,
        generator: LlmLoadGenerator,
        metrics: ServerMetrics,
        subject: LlmSubject,
        settings: LlmLoadSettings,
        progress: Callable[[LoadProgress], None],
        check_server: Callable[[], None],
    ) -> None:
        self.generator = generator
        self.metrics = metrics
        self._subject = subject
        self._settings = settings
        self._progress = progress
        self._check_server = check_server
        self._begin_s = 0.0
        self._next_look_s = 0.0
        self._next_scrape_s = 0.0
        self._next_progress_s = 0.0
        self._is_cancelled = False
        self.phase = Phase.WARM_UP
        self.first = 0
        self.last = 0
        self.start_s = 0.0
        self.stop_s = 0.0
        self.stopped_by = "budget"
        self.doubtful: set[str] = set()
        self.results: dict[str, SequentialResult] = {}
        limits = [target.limit_s for metric, target in subject.labelled_targets if metric != "tpot"]
        self.lag_limit_s = max(MAX_LAG_S, MAX_LAG_SHARE * min(limits, default=0.0))

    def follow(self) -> None:
        """Run to the end: returns when the last measured request is answered, timed out or dropped.

        Raises:
            ToolError: the server is gone, or the budget ended before anything was measured.
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
            raise ToolError("the load ended before the warm-up", help="give a larger --budget")
        if self.phase is Phase.MEASURING:
            self._stop("saturated" if self._has_given_up() else "budget")
        self._check_server()
        self._look(is_final=True)

    def sample(self, metric: TokenMetric, limit_s: float, *, is_final: bool) -> Sample:
        """The measured requests whose outcome against a limit is known."""
        last = self.last or self.generator.sent
        return known_sample(self.generator, metric, limit_s, self.first, last, is_final=is_final)

    def send_lag_p99_s(self) -> float:
        """How late measured requests were sent; 0 when none was."""
        lags_s = self.generator.sent_s[self.first : self.last] - self.generator.due_s[self.first : self.last]
        return nearest_rank(np.sort(lags_s), 99.0) if len(lags_s) else 0.0

    def spacing_s(self) -> float:
        """Mean time between two requests."""
        sent = self.generator.sent
        if sent < 2:
            return 1.0
        return max(float(self.generator.due_s[sent - 1] - self.generator.due_s[0]), 1e-6) / (sent - 1)

    def _warm_up(self) -> None:
        generator, now_s = self.generator, self.generator.now_s
        self._require_answers()
        most_s = max(self._settings.min_warmup_s, min(_MOST_WARMUP_S, _WARMUP_BUDGET_SHARE * self._settings.budget_s))
        answered = np.flatnonzero(generator.outcomes[: generator.sent] == Outcome.OK)
        is_over = now_s - self._begin_s >= most_s
        if not is_over and len(answered) >= _WARMUP_REQUESTS:
            e2e_s = np.sort(generator.last_s[answered] - generator.due_s[answered])
            is_over = is_warm(
                generator.due_s[answered],
                generator.first_s[answered] - generator.due_s[answered],
                start_s=self._begin_s,
                now_s=now_s,
                least_s=max(self._settings.min_warmup_s, _WARMUP_E2E * nearest_rank(e2e_s, 90.0)),
                least_requests=_WARMUP_REQUESTS,
            )
        if is_over:
            self.phase = Phase.MEASURING
            self.first, self.start_s = generator.sent, now_s
            self.metrics.begin(now_s)
            self._next_look_s, self._next_scrape_s = now_s + _LOOK_S, now_s + _SCRAPE_S

    def _measure(self) -> None:
        now_s = self.generator.now_s
        if now_s < self._next_look_s:
            return
        self._next_look_s = now_s + _LOOK_S
        self._check_server()
        self._require_answers()
        if now_s >= self._next_scrape_s:
            self._next_scrape_s = now_s + _SCRAPE_S
            self.metrics.look()
        self._look(is_final=False)
        if self._is_saturated():
            self._stop("saturated")
        elif self._is_settled() and now_s - self.start_s >= self._settings.min_measured_s:
            self._stop("settled")
        elif now_s - self._begin_s >= self._settings.budget_s:
            self._stop("budget")

    def _drain(self) -> None:
        """Keep the load up until every measured request is answered; a saturated server is not waited for."""
        generator = self.generator
        is_hopeless = self.stopped_by == "saturated" and generator.now_s - self.stop_s > _CANCEL_AFTER_S
        is_done = not np.any(generator.outcomes[self.first : self.last] == UNANSWERED)
        if (is_hopeless or is_done) and not self._is_cancelled:
            self._is_cancelled = True
            generator.cancel()

    def _stop(self, reason: str) -> None:
        self.phase = Phase.DRAINING
        self.stopped_by = reason
        self.stop_s = self.generator.now_s
        self.last = self.generator.sent
        self.metrics.end(self.stop_s)
        if reason == "saturated":
            self.generator.stop()

    def _look(self, *, is_final: bool) -> None:
        """Test every target that is not settled; a failure must hold without the requests that were sent late."""
        for metric, target in self._subject.labelled_targets:
            label = label_of(metric, target)
            known = self.results.get(label)
            if known is not None and known.verdict is not Verdict.INCONCLUSIVE:
                continue
            sample = self.sample(metric, target.limit_s, is_final=is_final)
            result = self._judge(sample.seconds, target)
            self.doubtful.discard(label)
            if result.verdict is Verdict.FAIL and metric != "tpot":
                punctual = np.where(sample.lags_s <= self.lag_limit_s, sample.seconds, 0.0)
                if self._judge(punctual, target).verdict is not Verdict.FAIL:
                    self.doubtful.add(label)
                    result = replace(result, verdict=Verdict.INCONCLUSIVE)
            self.results[label] = result

    def _judge(self, samples: np.ndarray[tuple[int], np.dtype[np.float64]], target: LatencyTarget) -> SequentialResult:
        result = judge(
            overs=int(np.count_nonzero(samples > target.limit_s)),
            samples=len(samples),
            percentile=target.percentile,
            confidence=self._settings.confidence,
            design_effect=exceedance_design_effect(
                samples, target.percentile, limit=target.limit_s, spacing=self.spacing_s()
            ),
        )
        return result if len(samples) >= _MIN_JUDGED else replace(result, verdict=Verdict.INCONCLUSIVE)

    def _is_settled(self) -> bool:
        verdicts = [result.verdict for result in self.results.values()]
        if not verdicts:
            return False
        return Verdict.FAIL in verdicts or all(verdict is Verdict.PASS for verdict in verdicts)

    def _is_saturated(self) -> bool:
        """Whether more and more requests wait for their first token."""
        generator = self.generator
        begun_s = np.where(generator.outcomes > 0, generator.due_s, generator.first_s)  # failed ones do not wait
        return self._has_given_up() or is_saturated(
            generator.due_s[: generator.sent],
            begun_s[: generator.sent],
            start_s=self.start_s,
            now_s=generator.now_s,
            busy_requests=_STEADY_BACKLOG,
        )

    def _has_given_up(self) -> bool:
        """Whether the generator stopped because too many requests were unanswered."""
        return self.generator.sent - self.generator.answered >= self._settings.max_outstanding

    def _require_answers(self) -> None:
        """Raise ToolError when the last answers all say that there is no server."""
        generator = self.generator
        answered = np.flatnonzero(generator.outcomes[: generator.sent] != UNANSWERED)[-_SILENT_ANSWERS:]
        if len(answered) == _SILENT_ANSWERS and np.all(generator.outcomes[answered] == Outcome.NO_CONNECTION):
            self._check_server()
            raise ToolError(f"the server at {self._subject.url} stopped answering during the load test")

    def _tell(self) -> None:
        generator = self.generator
        if generator.now_s < self._next_progress_s:
            return
        self._next_progress_s = generator.now_s + _PROGRESS_S
        now_s: dict[str, float] = {}
        for metric, target in self._subject.labelled_targets if self.phase is not Phase.WARM_UP else ():
            values, _ = seconds_of(generator, metric, self.first, self.last or generator.sent)
            done = np.sort(values[~np.isnan(values)])
            if len(done):
                now_s[label_of(metric, target)] = nearest_rank(done, target.percentile)
        self._progress(
            LoadProgress(
                phase=self.phase,
                elapsed_s=generator.now_s - self._begin_s,
                budget_s=self._settings.budget_s,
                answered=generator.answered,
                outstanding=generator.sent - generator.answered,
                errors=int(np.count_nonzero(generator.outcomes[: generator.sent] > 0)),
                now_s=now_s,
                verdicts={label: result.verdict for label, result in self.results.items()},
            )
        )
