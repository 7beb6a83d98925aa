"""Triton model of a quality shadow: compares answers that were given with those of the unquantised model.

It takes no requests. Triton captures one request in every N (its trace, see the launch command); a thread here collects
the captures, another runs the reference model on them, one by one, and counts what agrees in Triton's own metrics. An
answer has left before its capture is read: nothing here can slow it, change it or fail it. Whatever comes too fast is
dropped and counted. This process gives way to every other, and the reference rests most of the time.

Needs numpy, which Triton's image has, and nothing else.
"""

import json
import os
import queue
import threading
import time

import triton_python_backend_utils as pb_utils
from agreement import compare
from captures import UnreadableError, read_captures

POLL_S = 0.1
"""How often captures are looked for."""
GIVE_UP_S = 5.0
"""A capture that is not complete by then never will be: the folder was full."""
NICENESS = 15


class Counters:
    """The metrics of one shadow."""

    def __init__(self, model, outputs):
        def family(name, description):
            return pb_utils.MetricFamily(name=name, description=description, kind=pb_utils.MetricFamily.COUNTER)

        of_output = {
            "requests": family("infc_shadow_requests_total", "Answers compared with the reference model's"),
            "agreements": family("infc_shadow_agreements_total", "Compared answers that agree with the reference's"),
            "distance": family("infc_shadow_distance_total", "Sum of the distances of answers from the reference's"),
        }
        sampled = family("infc_shadow_sampled_total", "Requests captured for a comparison")
        dropped = family("infc_shadow_dropped_total", "Captured requests that were not compared")
        errors = family("infc_shadow_errors_total", "Comparisons that failed because the reference model did")
        self.families = [*of_output.values(), sampled, dropped, errors]
        self.outputs = {
            output: {kind: each.Metric(labels={"model": model, "output": output}) for kind, each in of_output.items()}
            for output in outputs
        }
        self.sampled = sampled.Metric(labels={"model": model})
        reasons = ("queue_full", "unreadable")
        self.dropped = {reason: dropped.Metric(labels={"model": model, "reason": reason}) for reason in reasons}
        self.errors = errors.Metric(labels={"model": model})


class TritonPythonModel:
    """The only instance: two threads beside a server that knows nothing of them."""

    @staticmethod
    def auto_complete_config(auto_complete_model_config):
        """Leave the configuration as it is written."""
        return auto_complete_model_config

    def initialize(self, args):
        """Read the settings, forget captures of an earlier start, start both threads."""
        here = os.path.join(args["model_repository"], args["model_version"])
        with open(os.path.join(here, "shadow.json"), encoding="utf-8") as file:
            self.settings = json.load(file)
        self.folder = os.environ.get("INFC_SHADOW_FOLDER", self.settings["folder"])
        self.outputs = {output["name"]: output for output in self.settings["outputs"]}
        self.counters = Counters(self.settings["model"], self.outputs)
        self.waiting = queue.Queue(maxsize=self.settings["queue"])
        self.is_stopping = threading.Event()
        self.incomplete = {}
        os.nice(NICENESS)
        for path in self._captured():
            self._remove(path)
        if not os.path.isdir(self.folder):
            self._log(f"{self.folder} does not exist: nothing is compared")
        self.threads = [threading.Thread(target=run, daemon=True) for run in (self._collect, self._compare_all)]
        for thread in self.threads:
            thread.start()

    def execute(self, requests):
        """Refuse: what is compared comes from the requests that the served model answers."""
        error = pb_utils.TritonError(f"{self.settings['model']} is the model to ask: this one compares its answers")
        return [pb_utils.InferenceResponse(error=error) for _ in requests]

    def finalize(self):
        """Stop both threads; one that waits for the reference is left behind."""
        self.is_stopping.set()
        for thread in self.threads:
            thread.join(1.0)

    def _collect(self):
        while not self.is_stopping.wait(POLL_S):
            for path in self._captured():
                self._take(path)

    def _captured(self):
        """Files of captures, in the order in which they were written."""
        prefix = self.settings["model"] + "."
        try:
            names = os.listdir(self.folder)
        except OSError:
            return []
        numbers = [name[len(prefix) :] for name in names if name.startswith(prefix)]
        ordered = sorted(int(number) for number in numbers if number.isascii() and number.isdigit())
        return [os.path.join(self.folder, f"{prefix}{number}") for number in ordered]

    def _take(self, path):
        """Put what a file holds into the queue, and remove the file."""
        if self.waiting.full():
            self._remove(path)
            self._drop("queue_full")
            return
        try:
            with open(path, "rb") as file:
                captures = read_captures(file.read())
        except (OSError, UnreadableError) as error:
            # The server may be writing it: it is looked at again, for some time.
            if time.monotonic() - self.incomplete.setdefault(path, time.monotonic()) > GIVE_UP_S:
                self._remove(path)
                self._drop("unreadable")
                self._log(f"a capture cannot be read: {error}")
            return
        self._remove(path)
        for capture in captures:
            if capture.model != self.settings["model"] or not capture.outputs:
                continue
            try:
                self.waiting.put_nowait(capture)
                self.counters.sampled.increment(1)
            except queue.Full:
                self._drop("queue_full")

    def _drop(self, reason):
        self.counters.sampled.increment(1)
        self.counters.dropped[reason].increment(1)

    def _remove(self, path):
        self.incomplete.pop(path, None)
        try:
            os.remove(path)
        except OSError:
            return

    def _compare_all(self):
        while not self.is_stopping.is_set():
            try:
                capture = self.waiting.get(timeout=POLL_S)
            except queue.Empty:
                continue
            started = time.monotonic()
            self._compare(capture)
            busy_s = time.monotonic() - started
            # It rests in proportion to what it took, so that the reference never takes more than its share of a core.
            self.is_stopping.wait(busy_s * (1.0 / self.settings["busy_share"] - 1.0))

    def _compare(self, capture):
        names = [name for name in capture.outputs if name in self.outputs]
        try:
            request = pb_utils.InferenceRequest(
                model_name=self.settings["reference"],
                requested_output_names=names,
                inputs=[pb_utils.Tensor(name, value) for name, value in capture.inputs.items()],
            )
            response = request.exec()
            if response.has_error():
                raise pb_utils.TritonModelException(response.error().message())
            expected = {tensor.name(): tensor.as_numpy() for tensor in response.output_tensors()}
        except (pb_utils.TritonModelException, RuntimeError) as error:
            self.counters.errors.increment(1)
            self._log(f"the reference model failed: {error}")
            return
        for name in names:
            output, counters = self.outputs[name], self.counters.outputs[name]
            agrees, distance = compare(
                output["compare"],
                output["tolerance"],
                capture.outputs[name],
                expected[name],
                self.settings["is_batched"],
            )
            counters["requests"].increment(1)
            counters["agreements"].increment(1 if agrees else 0)
            counters["distance"].increment(distance)

    def _log(self, message):
        pb_utils.Logger.log_warn(f"{self.settings['model']}: quality shadow: {message}")
