"""A process that plans specs for another: `python -m infc.pipeline.plan_worker`, options on the first line.

Reads the path of a spec and what it is compared with, writes its record, each as one line of JSON, until its input
ends. Only text passes between the processes.
"""

import gc
import json
import os
import sys
from pathlib import Path
from typing import TextIO

from infc.diag import ToolError
from infc.pipeline.plan_inputs import PlanInputs, PlanOptions, state_to_json
from infc.pipeline.plan_many import COLLECTED_AFTER
from infc.pipeline.plan_record import SpecPlanner, record_to_json
from infc.pipeline.spec_base import base_from_text
from infc.spec import load_spec


def main() -> None:
    """Serve the process that started this one."""
    gc.freeze()
    gc.set_threshold(COLLECTED_AFTER)
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # whatever else prints must not be taken for an answer
    head = sys.stdin.readline()
    if not head.endswith("\n"):
        return  # the other process was interrupted before it had asked anything
    overlay, has_ladder = json.loads(head)
    options = PlanOptions(overlay=None if overlay is None else Path(overlay), has_ladder=has_ladder)
    with SpecPlanner(overlay=options.overlay, has_ladder=options.has_ladder) as planner:
        serve(planner, PlanInputs(options), answers)


def serve(planner: SpecPlanner, inputs: PlanInputs, answers: TextIO) -> None:
    """One answer for each line of standard input."""
    for line in sys.stdin:
        if not line.endswith("\n"):
            return
        path, base = json.loads(line)
        loaded = load_spec(Path(path))
        states = [state_to_json(state) for state in inputs.files(loaded)]
        answer: dict[str, object]
        try:
            answer = {"record": record_to_json(planner.record(loaded, base_from_text(base))), "files": states}
        except ToolError as error:
            answer = {"error": str(error), "help": error.help}
        answers.write(json.dumps(answer, ensure_ascii=False, separators=(",", ":")) + "\n")
        answers.flush()


if __name__ == "__main__":
    main()
