"""The prompts of a load test."""

import json

from infc.validate.llm.load.prompts import PromptSource

SOURCE = PromptSource(model='a "model"\n', vocabulary=2048, run=7, longest_prefix=40)


def test_prompts_have_the_asked_length_and_share_only_the_prefix() -> None:
    """Two prompts are equal as far as they should be, and not one token further."""
    one, two, short = SOURCE.tokens(0, 100, 40), SOURCE.tokens(1, 100, 40), SOURCE.tokens(2, 20, 20)
    assert (len(one), len(two), len(short)) == (100, 100, 20)
    assert one[:40] == two[:40]
    assert short == one[:20]
    assert sum(a == b for a, b in zip(one[40:], two[40:], strict=True)) < 5
    assert all(0 < token < 2048 for token in one)


def test_another_run_sends_other_prompts() -> None:
    """Else a server's prefix cache would know them from before."""
    other = PromptSource(model="m", vocabulary=2048, run=8, longest_prefix=40)
    assert other.tokens(0, 100, 0) != SOURCE.tokens(0, 100, 0)
    assert other.tokens(0, 100, 40)[:40] != SOURCE.tokens(0, 100, 40)[:40]
    assert SOURCE.tokens(0, 100, 40) == SOURCE.tokens(0, 100, 40)


def test_a_request_is_json_whatever_the_model_is_called() -> None:
    """Names from a contract are data."""
    body = json.loads(SOURCE.body(3, 10, 0, 5))
    assert body["model"] == 'a "model"\n'
    assert (len(body["prompt"]), body["max_tokens"], body["ignore_eos"], body["stream"]) == (10, 5, True, True)
    bare = PromptSource(model="m", vocabulary=10, run=1, longest_prefix=0, is_detokenized=False)
    assert json.loads(bare.body(0, 1, 0, 1))["detokenize"] is False
