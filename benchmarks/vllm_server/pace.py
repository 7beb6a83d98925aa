"""Step times of a given model, for steps as vLLM's scheduler plans them. Runs where infc is not installed."""

from bisect import bisect_right

ANSWER = 7
"""The token that every sequence gets."""


class Pace:
    """A step-time model, by the same formula as `infc.ir.step_time.StepTimeModel`.

    A mapping with `knots` and `seconds` (time by number of tokens), `fixed_s`, `sequence_s`, `context_s` and `pair_s`.
    """

    def __init__(self, model):
        self.model = model
        self.known_tokens = {}

    def read(self, scheduler_output):
        """What a step holds, and the tokens to answer each of its sequences with."""
        for finished in scheduler_output.finished_req_ids:
            self.known_tokens.pop(finished, None)
        computed = {}
        for new in scheduler_output.scheduled_new_reqs:
            computed[new.req_id] = new.num_computed_tokens
            self.known_tokens.setdefault(new.req_id, [len(new.prompt_token_ids), 0])
        cached = scheduler_output.scheduled_cached_reqs
        computed.update(zip(cached.req_ids, cached.num_computed_tokens, strict=True))
        resumed = set(cached.resumed_req_ids)
        step = dict.fromkeys(("prefill_tokens", "prefill_seqs", "decode_seqs", "context_tokens", "pairs"), 0)
        answers = {}
        for name, tokens in scheduler_output.num_scheduled_tokens.items():
            prompt, made = self.known_tokens[name]
            before = computed[name]
            if made and before == prompt + made - 1 and name not in resumed:
                step["decode_seqs"] += 1
                step["context_tokens"] += before
            else:
                step["prefill_seqs"] += 1
                step["prefill_tokens"] += tokens
                step["pairs"] += tokens * (before + tokens / 2)
            is_answered = before + tokens == prompt + made
            answers[name] = [ANSWER] if is_answered else []
            self.known_tokens[name][1] += is_answered
        return step, answers

    def step_s(self, step):
        """Seconds of a step."""
        model = self.model
        tokens = step["prefill_tokens"] + step["decode_seqs"]
        knots, seconds = model["knots"], model["seconds"]
        at = min(max(bisect_right(knots, tokens), 1), len(knots) - 1)
        slope = (seconds[at] - seconds[at - 1]) / (knots[at] - knots[at - 1])
        total = model["fixed_s"] + seconds[at - 1] + slope * (tokens - knots[at - 1])
        total += model["sequence_s"] * (step["decode_seqs"] + step["prefill_seqs"])
        return total + model["context_s"] * step["context_tokens"] + model["pair_s"] * step["pairs"]
