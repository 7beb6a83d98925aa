"""A vLLM worker that computes nothing: it answers each step after the time that a given step-time model says.

Everything around it is the real vLLM: API server, scheduler, KV-cache manager, messages between the processes. Runs in
the environment of vLLM 0.32 (`--worker-cls paced_worker.PacedWorker`), which has no infc.

Environment: `PACE_MODEL`, the model as a JSON object, see `pace.PaceModel`; `PACE_LOG`, where a CSV of the steps is to
go, if any.
"""

from __future__ import annotations

import json
import os
import time

from pace import Pace, SchedulerOutput
from vllm.v1.outputs import ModelRunnerOutput
from vllm.v1.worker.cpu_worker import CPUWorker


class PacedWorker(CPUWorker):  # type: ignore[misc]  # vLLM is not installed where this is checked
    """Answers with one fixed token for each sequence whose prompt is done."""

    def __init__(self, *arguments: object, **keywords: object) -> None:
        super().__init__(*arguments, **keywords)
        self.pace = Pace(json.loads(os.environ["PACE_MODEL"]))
        path = os.environ.get("PACE_LOG")
        self.log = open(path, "w", buffering=1, encoding="utf-8") if path else None  # noqa: SIM115 - open to the end
        if self.log:
            self.log.write("prefill_tokens,prefill_seqs,decode_seqs,context_tokens,pairs,paced_s,taken_s,ended_at_s\n")

    def execute_model(self, scheduler_output: SchedulerOutput) -> ModelRunnerOutput:
        """Wait as long as the step should take, then answer."""
        began_s = time.perf_counter()
        step, answers = self.pace.read(scheduler_output)
        if answers:
            paced_s = self.pace.step_s(step)
            while (left_s := began_s + paced_s - time.perf_counter()) > 0:
                time.sleep(left_s)
            if self.log:
                shape = (step["prefill_tokens"], step["prefill_seqs"], step["decode_seqs"], step["context_tokens"])
                times = (paced_s, time.perf_counter() - began_s, time.time())
                row = [*map(str, shape), f"{step['pairs']:.0f}", *(f"{each:.6f}" for each in times)]
                self.log.write(",".join(row) + "\n")
        names = list(answers)
        return ModelRunnerOutput(
            req_ids=names,
            req_id_to_index={name: index for index, name in enumerate(names)},
            sampled_token_ids=list(answers.values()),
        )
