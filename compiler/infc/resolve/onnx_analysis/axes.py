"""Which dynamic axis is the batch."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from infc.ir.model_profile import TensorSpec

_OTHER_AXIS = re.compile(r"(?:.*[_.])?(?:seq\w*|time\w*|length|len|frames?|tokens?|samples|height|width|h|w|t)\Z", re.I)


@dataclass(frozen=True, kw_only=True)
class Batch:
    """The batch axis, or the number of items that every execution holds."""

    axis: str | None
    fixed: int | None


def batch_of(inputs: Sequence[TensorSpec], outputs: Sequence[TensorSpec]) -> Batch:
    """The axis that is the leading dimension of every input and output, as a server needs it to stack requests.

    Inputs of rank 0 have no say. A leading axis named like a sequence or a size is a batch only if the outputs lead
    with it too; an output that leads with anything else (a pooled or flattened batch) means no batch axis. Without
    one, a request is an execution: `fixed` is the common leading size of the inputs, or 1 where they differ.

    >>> x = TensorSpec(name="x", dtype="float32", shape=("batch", 3))
    >>> batch_of([x], [x])
    Batch(axis='batch', fixed=None)
    >>> batch_of([x, TensorSpec(name="state", dtype="float32", shape=(2, "batch"))], [x])
    Batch(axis=None, fixed=1)
    """
    leading = {spec.shape[0] for spec in inputs if spec.shape}
    if len(leading) != 1:
        return Batch(axis=None, fixed=1)
    (size,) = leading
    if isinstance(size, int):
        return Batch(axis=None, fixed=size)
    results = {spec.shape[0] if spec.shape else None for spec in outputs}
    is_batch = results == {size} or (not results and not _OTHER_AXIS.match(size))
    return Batch(axis=size, fixed=None) if is_batch else Batch(axis=None, fixed=1)
