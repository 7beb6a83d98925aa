"""What a review sees: which inputs changed, and old -> new of everything that matters."""

from dataclasses import replace

import pytest
from syrupy.assertion import SnapshotAssertion

from infc.ir.precision import Precision
from infc.lock import CurrentArtifact, Lock, check, diff_locks, holds, merge
from infc.lock.values import LockedEngine
from infc.report.diff_text import render_diff_text

from .entries import choice, digest, entry, inputs, llm_entry, prediction

OLD = merge(Lock(), [entry("a"), entry("b"), entry("c"), entry("d")])


def test_every_kind_of_change_is_told_apart() -> None:
    """Added, removed, rebuilt, changed in place, unchanged."""
    engine = LockedEngine(
        kind="tensorrt_rtx", inputs=digest("f"), key="cd" * 32, file="x", is_pending=True, toolchain={}
    )
    rebuilt = entry("b", engine=engine)
    changed = entry("c", choice=choice(replicas=2))
    new = merge(Lock(), [entry("a"), rebuilt, changed, entry("e")])
    assert [(d.name, d.kind) for d in diff_locks(OLD, new)] == [
        ("a", "unchanged"),
        ("b", "rebuilt"),
        ("c", "changed"),
        ("d", "removed"),
        ("e", "added"),
    ]


def test_change_names_inputs_fields_and_files() -> None:
    """The inputs that changed, and old -> new of precision, batching, replicas, latency, accuracy and cost."""
    new = entry(
        "a",
        inputs=inputs(spec=digest("9"), price=None),
        choice=choice(precision=Precision.INT8, max_batch_size=8, preferred_batch_sizes=(8,)),
        predicted=prediction(latency_ms={"p99": 6.4}, usd_per_month=1022.0),
        accuracy=None,
        files={"launch.sh": digest("3"), "plan.json": digest("4")},
    )
    (diff,) = diff_locks(merge(Lock(), [entry("a")]), merge(Lock(), [new]))
    assert [(i.name, i.new) for i in diff.inputs] == [("spec", digest("9")), ("price", None)]
    fields = {f.path: (f.old, f.new) for f in diff.fields}
    assert fields["choice.precision"] == ("fp16", "int8")
    assert fields["choice.max_batch_size"] == (16, 8)
    assert fields["choice.preferred_batch_sizes"] == ((8, 16), (8,))
    assert fields["predicted.p99_ms"] == (9.8, 6.4)
    assert fields["predicted.p50_ms"] == (4.8, None)
    assert fields["predicted.usd_per_month"] == (1533.0, 1022.0)
    assert fields["accuracy.value"] == (0.9192, None)
    assert "choice.replicas" not in fields
    assert [(f.path, f.action) for f in diff.files] == [
        ("launch.sh", "changed"),
        ("model_repository/a/config.pbtxt", "removed"),
        ("plan.json", "added"),
    ]


def artifact(name: str, **changes: object) -> CurrentArtifact:
    """A deployment as it is now."""
    return CurrentArtifact(name=name, target="l4", spec=f"specs/{name}.infc.yaml", inputs=inputs(**changes))


@pytest.mark.parametrize(
    ("changes", "status", "named"),
    [
        ({}, "ok", ()),
        ({"spec": digest("9")}, "stale", ("spec",)),
        ({"model": digest("9"), "dataset": None}, "stale", ("model", "dataset")),
        ({"toolchain": "infc 0.2.0, triton 24.10"}, "stale", ("toolchain",)),
        ({"price": None, "profiles": ()}, "stale", ("price",)),
        ({"profiles": ()}, "outdated", ("profiles",)),
        ({"catalogue": digest("9")}, "outdated", ("catalogue",)),
    ],
)
def test_check_names_the_inputs_that_changed(changes: dict[str, object], status: str, named: tuple[str, ...]) -> None:
    """A changed input makes an entry stale; other measurements or devices only make it outdated."""
    (found,) = check(merge(Lock(), [entry("a")]), [artifact("a", **changes)], is_complete=True)
    assert (found.status, found.inputs) == (status, named)


def test_check_finds_missing_and_orphaned_entries() -> None:
    """A spec that is not locked is missing; a block whose spec is gone is an orphan, if all specs were looked at."""
    current = [artifact("a"), CurrentArtifact(name="z", target=None, spec="specs/z.infc.yaml", inputs=None)]
    lock = merge(Lock(), [entry("a"), entry("b")])
    assert [(s.name, s.status) for s in check(lock, current, is_complete=True)] == [
        ("a", "ok"),
        ("b", "orphan"),
        ("z", "missing"),
    ]
    assert [s.status for s in check(lock, current, is_complete=False)] == ["ok", "missing"]


def test_locked_compile_holds_what_the_lock_says_and_fills_what_it_leaves_open() -> None:
    """Any difference counts, but not what was pending, not emitted or not measured, nor advisory inputs."""
    compiled = entry()
    assert holds(entry(), compiled)
    assert holds(entry(inputs=inputs(profiles=(), catalogue=digest("9"))), compiled)
    open_engine = LockedEngine(
        kind="tensorrt_rtx",
        inputs=compiled.engine.inputs,
        key=None,
        file=compiled.engine.file,
        is_pending=True,
        toolchain={},
    )
    assert holds(entry(engine=open_engine, files={}, accuracy=None), compiled)
    for other in (
        entry(inputs=inputs(model=digest("9"))),
        entry(choice=choice(replicas=2)),
        entry(predicted=prediction(utilization=0.5)),
        entry(files={"launch.sh": digest("9")}),
        entry(engine=replace(compiled.engine, key="cd" * 32)),
        entry(engine=replace(open_engine, inputs=digest("9"))),
        entry("another"),
    ):
        assert not holds(other, compiled)


def test_a_language_model_is_compared_by_its_limits(snapshot: SnapshotAssertion) -> None:
    """Sequences, tokens, cache, drafting and token latencies, in the words of a review; then one that is new."""
    old = llm_entry()
    choice_now = replace(old.choice, max_num_seqs=64, kv_precision=None, speculation=None, revision="8" * 40)
    predicted = prediction(ttft_ms={"p99": 410.0}, tpot_ms={"p99": 18.0}, kv_cache_tokens=205760)
    new = llm_entry(choice=choice_now, predicted=predicted, engine=replace(old.engine, key="ef" * 32))
    diffs = diff_locks(Lock(entries=(old,)), merge(Lock(), [new, llm_entry("search")]))
    assert [diff.kind for diff in diffs] == ["rebuilt", "added"]
    assert render_diff_text(diffs) == snapshot
