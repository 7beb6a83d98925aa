"""The scheduler's queue: order, timeouts, limits."""

import math

import pytest

from infc.sim.queue_policy import QueuedRequest, QueuePolicy, QueueRules, RequestQueue


def request(index: int, priority: int = 0, own_timeout_s: float = 0.0) -> QueuedRequest:
    """A request of one row."""
    return QueuedRequest(index, 1, 1, priority, own_timeout_s)


def filled(rules: QueueRules, *requests: QueuedRequest) -> RequestQueue:
    """A queue that took these one second apart."""
    queue = RequestQueue(rules)
    for second, each in enumerate(requests):
        assert queue.enqueue(each, float(second))
    return queue


def order(queue: RequestQueue, now_s: float) -> list[int]:
    """The numbers of the requests in the order of service."""
    return [each.index for each in queue.candidates(now_s)]


def test_levels_go_first_to_last_and_first_come_within_one() -> None:
    """Level 1 before level 2; no priority, or one beyond the levels, is the default level."""
    rules = QueueRules(levels=2, default_level=2)
    queue = filled(rules, request(0), request(1, 1), request(2, 2), request(3, 1), request(4, 9))
    assert order(queue, 5.0) == [1, 3, 0, 2, 4]


def test_without_levels_priorities_are_ignored() -> None:
    """Triton takes requests with a priority for a model that has none in order of arrival."""
    assert order(filled(QueueRules(), request(0, 5), request(1, 1)), 2.0) == [0, 1]


def test_requests_over_their_time_are_rejected_when_looked_at() -> None:
    """A timeout does nothing by itself; the next look at the queue finds it."""
    queue = filled(QueueRules(policy=QueuePolicy(timeout_s=2.5)), request(0), request(1), request(2))
    assert queue.size == 3
    assert order(queue, 3.0) == [1, 2]
    assert [each.index for each in queue.rejected] == [0]
    assert queue.size == queue.rows == 2


def test_delayed_requests_are_served_last_of_their_level() -> None:
    """They wait for every other request of their level, not for those of lower levels, and have no timeout any more."""
    late = QueuePolicy(timeout_s=0.5, timeout_action="delay")
    rules = QueueRules(levels=2, default_level=1, by_level={1: late})
    queue = filled(rules, request(0, 1), request(1, 2), request(2, 1))
    assert order(queue, 2.0) == [2, 0, 1]
    assert order(queue, 100.0) == [0, 2, 1]
    assert not queue.rejected


def test_an_own_timeout_counts_only_below_the_default() -> None:
    """allow_timeout_override shortens; without a default timeout it does nothing."""
    policy = QueuePolicy(timeout_s=10.0, allows_own_timeout=True)
    assert policy.expires_s(1.0, 2.0) == 3.0
    assert policy.expires_s(1.0, 20.0) == 11.0
    assert QueuePolicy(allows_own_timeout=True).expires_s(1.0, 2.0) == math.inf
    assert QueuePolicy(timeout_s=10.0).expires_s(1.0, 2.0) == 11.0


def test_a_full_level_refuses_and_another_does_not() -> None:
    """max_queue_size counts the requests of one level, the delayed ones among them."""
    rules = QueueRules(policy=QueuePolicy(max_queue_size=1), levels=2, default_level=2)
    queue = filled(rules, request(0, 1))
    assert not queue.enqueue(request(1, 1), 1.0)
    assert queue.enqueue(request(2, 2), 1.0)
    assert queue.size == 2


def test_what_is_taken_out_is_what_came_first() -> None:
    """Taking two removes the first two candidates."""
    queue = filled(QueueRules(levels=2, default_level=2), request(0, 2), request(1, 1), request(2, 2))
    queue.remove(2)
    assert order(queue, 3.0) == [2]


def test_expired_requests_can_be_rejected_without_forming_a_batch() -> None:
    """As the batcher does every half second while no instance is free; delayed ones stay."""
    rules = QueueRules(
        policy=QueuePolicy(timeout_s=1.0),
        levels=2,
        default_level=2,
        by_level={1: QueuePolicy(timeout_s=1.0, timeout_action="delay")},
    )
    queue = filled(rules, request(0, 1), request(1, 2), request(2, 2))
    queue.reject_expired(2.5)
    assert [each.index for each in queue.rejected] == [1]
    assert queue.size == 2


@pytest.mark.parametrize(
    "fields",
    [
        {"levels": 2},
        {"levels": 0, "default_level": 1},
        {"levels": 1, "default_level": 2},
        {"levels": 1, "default_level": 1, "by_level": {2: QueuePolicy()}},
    ],
)
def test_rules_that_no_configuration_has_are_refused(fields: dict[str, object]) -> None:
    """The default level is one of the levels, and so are those that have policies."""
    with pytest.raises(ValueError, match="level"):
        QueueRules(**fields)  # type: ignore[arg-type]


def test_only_plain_rules_allow_prefetch() -> None:
    """Levels, timeouts, limits and overrides each turn it off, even where they can never fire."""
    assert QueueRules().allows_prefetch
    assert not QueueRules(levels=1, default_level=1).allows_prefetch
    for policy in (QueuePolicy(timeout_s=1e9), QueuePolicy(max_queue_size=9), QueuePolicy(allows_own_timeout=True)):
        assert not QueueRules(policy=policy).allows_prefetch
