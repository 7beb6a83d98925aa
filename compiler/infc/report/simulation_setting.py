"""A simulated setting in words: batcher, instances, queue rules, shapes."""

from collections.abc import Mapping

from infc.ir.candidate import DynamicBatching
from infc.sim.queue_policy import QueuePolicy
from infc.sim.step import Step

_SHOWN_SIZES = 8


def step_text(step: Step) -> str:
    """One model's setting in a line."""
    parts = [_batching_text(step.batching), _instances_text(step), *_rules_text(step)]
    if step.shares_host:
        parts.append("on the host's cores")
    if len(step.groups[0].service.axis_sizes) > 1:
        parts.append("shapes that differ split batches" if step.has_dynamic_shapes else "shapes share batches")
    if step.after:
        parts.append(f"after {' and '.join(step.after)}")
    return ", ".join(parts)


def batches_text(batch_sizes: Mapping[int, int]) -> str:
    """The commonest batch sizes with their shares.

    >>> batches_text({1: 3, 8: 1})
    '1: 75.0%  8: 25.0%'
    """
    total = sum(batch_sizes.values())
    shown = sorted(batch_sizes, key=lambda size: -batch_sizes[size])[:_SHOWN_SIZES]
    return "  ".join(f"{size}: {share_text(batch_sizes[size] / total)}" for size in sorted(shown))


def share_text(share: float) -> str:
    """A share in percent."""
    return f"{share:.1%}"


def plural(count: int, noun: str) -> str:
    """A count with its noun."""
    return f"{count} {noun}" + ("" if count == 1 else "s")


def _batching_text(batching: DynamicBatching | None) -> str:
    if batching is None or batching.max_batch_size == 1:
        return "no batching"
    parts = [f"max batch size {batching.max_batch_size}", f"queue delay {batching.max_queue_delay_s * 1e6:g} us"]
    if batching.preferred_batch_sizes:
        parts.append(f"preferred {', '.join(map(str, batching.preferred_batch_sizes))}")
    if not batching.has_prefetch:
        parts.append("prefetch off")
    return ", ".join(parts)


def _instances_text(step: Step) -> str:
    if len(step.groups) == 1:
        return plural(step.instances, "instance")
    counts = " + ".join(str(group.count) for group in step.groups)
    return f"{counts} instances in groups"


def _rules_text(step: Step) -> list[str]:
    rules = step.rules
    parts = [f"{rules.levels} priority levels"] if rules.levels else []
    parts += _policy_text(rules.policy, "")
    for level, policy in sorted(rules.by_level.items()):
        parts += _policy_text(policy, f"level {level}: ") or [f"level {level}: no policy"]
    return parts


def _policy_text(policy: QueuePolicy, prefix: str) -> list[str]:
    parts = []
    if policy.timeout_s:
        verb = "rejected" if policy.timeout_action == "reject" else "delayed"
        parts.append(f"{prefix}{verb} after {policy.timeout_s * 1e6:g} us")
    if policy.max_queue_size:
        parts.append(f"{prefix}at most {policy.max_queue_size} waiting")
    return parts
