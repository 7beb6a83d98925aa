"""The scheduler and the KV-cache manager of vLLM themselves, on a clock that only the step times move.

Runs in the environment of vLLM 0.32, which has no infc: `python virtual_scheduler.py CASES ANSWERS`, both JSON.
Nothing is computed and nothing waits, so that a run is exact and takes seconds. Steps are read and timed as by the
paced worker.
"""

import json
import sys
from collections import deque
from pathlib import Path

import torch
from pace import Pace
from vllm import SamplingParams
from vllm.engine.arg_utils import EngineArgs
from vllm.utils.hashing import sha256
from vllm.v1.core.kv_cache_utils import get_request_block_hasher, init_none_hash
from vllm.v1.core.sched.async_scheduler import AsyncScheduler
from vllm.v1.core.sched.scheduler import Scheduler
from vllm.v1.kv_cache_interface import FullAttentionSpec, KVCacheConfig, KVCacheGroupSpec
from vllm.v1.outputs import ModelRunnerOutput
from vllm.v1.request import Request
from vllm.v1.structured_output import StructuredOutputManager

COMMON_TOKEN = 5


def main() -> int:
    """Serve every case."""
    cases = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    init_none_hash(sha256)
    Path(sys.argv[2]).write_text(json.dumps([Replica(case).serve() for case in cases]), encoding="utf-8")
    return 0


class Replica:
    """One scheduler with the requests of one case."""

    def __init__(self, case):
        self.case, self.pace = case, Pace(case["pace"])
        self.scheduler = scheduler_of(case)
        hasher = get_request_block_hasher(case["block_tokens"], sha256) if case["has_prefix_caching"] else None
        self.arrivals = deque(
            (at, self.request(number, prompt, output, prefix, hasher))
            for number, (at, prompt, output, prefix) in enumerate(case["requests"])
        )
        count = len(self.arrivals)
        self.first_s, self.last_s, self.preemptions = [-1.0] * count, [-1.0] * count, 0

    def request(self, number, prompt, output, prefix, hasher):
        """A request whose first `prefix` tokens are those of all others."""
        tokens = [COMMON_TOKEN] * prefix + [10 + number] * (prompt - prefix)
        parameters = SamplingParams(max_tokens=output, ignore_eos=True, detokenize=False)
        return Request(
            request_id=str(number),
            prompt_token_ids=tokens,
            sampling_params=parameters,
            pooling_params=None,
            block_hasher=hasher,
        )

    def serve(self):
        """Until all are done. Returns: when each got its first and its last token, and the preemptions."""
        depth = 2 if self.case["is_async"] else 1
        now_s = free_s = 0.0
        in_flight = deque()
        while self.arrivals or in_flight or self.scheduler.has_requests():
            if not in_flight and not self.scheduler.has_requests():
                now_s = max(now_s, self.arrivals[0][0])
            while self.arrivals and self.arrivals[0][0] <= now_s + 1e-9:
                self.scheduler.add_request(self.arrivals.popleft()[1])
            if self.scheduler.has_requests() and len(in_flight) < depth:
                scheduled = self.scheduler.schedule()
                if scheduled.total_num_scheduled_tokens:
                    step, answers = self.pace.read(scheduled)
                    free_s = max(free_s, now_s) + self.pace.step_s(step)
                    in_flight.append((scheduled, answers, free_s))
                    if len(in_flight) < depth:
                        continue
                elif not in_flight:
                    self.update(scheduled, {}, now_s)
                    continue
            scheduled, answers, ended_s = in_flight.popleft()
            now_s = max(now_s, ended_s)
            self.update(scheduled, answers, now_s)
        return {"first_s": self.first_s, "last_s": self.last_s, "preemptions": self.preemptions}

    def update(self, scheduled, answers, now_s):
        """Hand a step's answers to the scheduler."""
        names = list(answers)
        before = {name: self.scheduler.requests[name] for name in names if name in self.scheduler.requests}
        output = ModelRunnerOutput(
            req_ids=names,
            req_id_to_index={name: index for index, name in enumerate(names)},
            sampled_token_ids=list(answers.values()),
        )
        self.scheduler.update_from_output(scheduled, output)
        for name, request in before.items():
            number = int(name)
            if answers[name]:
                self.last_s[number] = now_s
                if self.first_s[number] < 0:
                    self.first_s[number] = now_s
            if request.is_finished():
                self.preemptions += request.num_preemptions


def scheduler_of(case):
    """A scheduler with the settings of a case, as the engine makes it."""
    config = EngineArgs(
        model=case["model"],
        load_format="dummy",
        skip_tokenizer_init=True,
        max_model_len=case["max_model_len"],
        max_num_seqs=case["max_num_seqs"],
        max_num_batched_tokens=case["max_num_batched_tokens"],
        long_prefill_token_threshold=case["long_prefill_tokens"],
        enable_chunked_prefill=case["has_chunked_prefill"],
        enable_prefix_caching=case["has_prefix_caching"],
        block_size=case["block_tokens"],
    ).create_engine_config()
    config.cache_config.num_gpu_blocks = blocks = case["kv_cache_tokens"] // case["block_tokens"] + 1
    config.scheduler_config.async_scheduling = case["is_async"]
    spec = FullAttentionSpec(block_size=case["block_tokens"], num_kv_heads=1, head_size=64, dtype=torch.bfloat16)
    kind = AsyncScheduler if case["is_async"] else Scheduler
    return kind(
        vllm_config=config,
        kv_cache_config=KVCacheConfig(
            num_blocks=blocks, kv_cache_tensors=[], kv_cache_groups=[KVCacheGroupSpec(["layer"], spec)]
        ),
        structured_output_manager=StructuredOutputManager(config),
        block_size=case["block_tokens"],
        hash_block_size=case["block_tokens"],
        log_stats=False,
    )


if __name__ == "__main__":
    sys.exit(main())
