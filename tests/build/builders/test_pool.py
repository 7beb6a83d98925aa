"""Several builders as one. They run here: real builds of a tiny model, with stand-ins for places that fail."""

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import onnx
import pytest

from infc.build import build
from infc.build.builder import BuildTarget, Report
from infc.build.builders.local import LocalBuilder
from infc.build.builders.pool import ATTEMPTS, BuilderPool
from infc.build.content import file_digest
from infc.diag import Diagnostic, ToolError
from infc.ir.engine import BuildRequest, Engine, LoweredModel, ShapeRange
from infc.ir.job import Attestation, BuildJob
from infc.ir.precision import Precision

pytest.importorskip("onnxruntime", reason="builds with the extra onnx")

BROKE = Diagnostic(id="builder-broke", message="the machine burns", notes=("smoke",))


@dataclass
class Place:
    """A builder that stands somewhere else: what it does before it builds here may fail or wait."""

    name: str
    slots: int = 1
    refuses: Callable[[BuildTarget], Diagnostic | None] = lambda _target: None
    before: Callable[[], Diagnostic | None] = lambda: None
    version: str | None = None
    built: list[str] = field(default_factory=list)
    inside: LocalBuilder = field(default_factory=LocalBuilder)
    is_closed: bool = False

    def refusal(self, target: BuildTarget) -> Diagnostic | None:
        """What the test says, or what this machine says."""
        return self.refuses(target) or self.inside.refusal(target)

    def toolchain(self, target: BuildTarget) -> Mapping[str, str]:
        """That of this machine, unless the test says another version."""
        own = self.inside.toolchain(target)
        return own if self.version is None else {**own, "onnxruntime": self.version}

    def build(self, job: BuildJob, folder: Path, out: Path, report: Report) -> Attestation | Diagnostic:
        """Build here, after what the test does."""
        problem = self.before()
        if problem is not None:
            (out / "half").write_text("left behind")
            return problem
        self.built.append(job.key)
        return self.inside.build(job, folder, out, report)

    def close(self) -> None:
        """Remember it."""
        self.is_closed = True


def asked(folder: Path, size: int = 4) -> BuildRequest:
    """A request for the CPU; another size is another engine."""
    path = folder / f"model-{size}.onnx"
    onnx.save(
        onnx.parser.parse_model(
            f"""
            <ir_version: 10, opset_import: ["" : 19]>
            g (float[n, {size}] x) => (float[n, {size}] y) {{ y = Relu (x) }}
            """
        ),
        path,
    )
    digest = file_digest(path)
    model = LoweredModel(
        path=path, digest=digest, source_digest=digest, precision=Precision.FP32, recipe_digest=digest, passes=()
    )
    shape = ShapeRange(input_name="x", minimum=(1, size), optimum=(2, size), maximum=(4, size))
    return BuildRequest(kind="onnxruntime", model=model, shapes=(shape,), hardware_id="cpu", compute_capability=None)


def built(request: BuildRequest, cache: Path, pool: BuilderPool, lines: list[str]) -> Engine:
    """The engine, which must be built."""
    engine, problems = build(request, cache, lines.append, pool)
    assert engine is not None, problems
    return engine


def test_a_job_goes_to_another_builder_when_one_fails(tmp_path: Path) -> None:
    """What the failed one left behind is gone."""
    lines: list[str] = []
    bad, good = Place("bad", before=lambda: BROKE), Place("good")
    pool = BuilderPool([bad, good], backoff_s=0.01)
    engine = built(asked(tmp_path), tmp_path / "cache", pool, lines)
    assert good.built == [engine.key]
    assert sorted(path.name for path in engine.path.parent.iterdir()) == ["attestation.json", "job.json", "model.onnx"]
    assert "bad failed (the machine burns); trying again in 0.01 s" in lines


def test_a_job_that_fails_everywhere_says_where_it_was_tried(tmp_path: Path) -> None:
    """After a few attempts on all of them together; a builder that cannot be reached counts like one that breaks."""

    def gone() -> Diagnostic | None:
        raise ToolError("no route to host", help="switch it on")

    pool = BuilderPool([Place("a", before=lambda: BROKE), Place("b", before=gone)], backoff_s=0.01)
    engine, (problem,) = build(asked(tmp_path), tmp_path / "cache", None, pool)
    assert engine is None
    assert (problem.id, problem.notes) == ("builder-broke", ("smoke", f"tried {ATTEMPTS} times: on a, b, a"))


def test_a_builder_that_is_gone_for_a_moment_is_asked_again(tmp_path: Path) -> None:
    """It was there when the key was made, is away when the job is placed, and back after the pause."""
    away = Diagnostic(id="builder-unreachable", message="no route to host")
    answers: list[Diagnostic | None] = [None, None, away]
    flaky = Place("flaky", refuses=lambda _target: answers.pop(0) if answers else None)
    failures = [BROKE]
    flaky.before = lambda: failures.pop() if failures else None
    engine = built(asked(tmp_path), tmp_path / "cache", BuilderPool([flaky], backoff_s=0.01), [])
    assert flaky.built == [engine.key]


def test_a_refusal_of_the_library_is_final(tmp_path: Path) -> None:
    """It would be the same anywhere: one attempt, no other builder."""
    pytest.importorskip("tensorrt_rtx", reason="extra rtx is not installed")
    from tests.build.build_requests import request

    first, second = Place("first"), Place("second")
    _, (problem,) = build(request("t4", Precision.FP32), tmp_path, None, BuilderPool([first, second]))
    assert problem.id == "build-precision-unsupported"
    assert (len(first.built), second.built) == (1, [])


def test_work_spreads_over_free_slots(tmp_path: Path) -> None:
    """Two at once on two places; the third waits for a slot and takes the first that is free."""
    meet = threading.Barrier(2, timeout=60)
    waits = {"first": 2}

    def together() -> Diagnostic | None:
        if waits["first"] > 0:
            waits["first"] -= 1
            meet.wait()
        return None

    left, right = Place("left", before=together), Place("right", before=together)
    pool = BuilderPool([left, right])
    engines: list[Engine] = []
    threads = [
        threading.Thread(
            target=lambda size=size: engines.append(built(asked(tmp_path, size), tmp_path / "cache", pool, []))
        )
        for size in (3, 5, 7)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({engine.key for engine in engines}) == 3
    assert sorted([len(left.built), len(right.built)]) == [1, 2]


def test_one_key_is_built_once_however_many_ask(tmp_path: Path) -> None:
    """The others wait for it."""
    place = Place("place", slots=4)
    pool = BuilderPool([place])
    found: list[Engine] = []
    request = asked(tmp_path)
    threads = [
        threading.Thread(target=lambda: found.append(built(request, tmp_path / "cache", pool, []))) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 4
    assert place.built == [found[0].key]


def test_the_versions_of_the_first_builder_decide_the_key(tmp_path: Path) -> None:
    """A builder with others takes no part, whatever the load."""
    old, new = Place("old", version="1.0.0"), Place("new")
    engine = built(asked(tmp_path), tmp_path / "cache", BuilderPool([new, old]), [])
    assert (new.built, old.built) == ([engine.key], [])


def test_what_no_builder_makes_is_named_with_each_ones_reason(tmp_path: Path) -> None:
    """After the time to wait, and once for each target."""
    announced: list[str] = []
    no = Diagnostic(id="builder-none", message="no such node", help="start one")
    pool = BuilderPool(
        [Place("a", refuses=lambda _target: no), Place("b", refuses=lambda _target: no)],
        wait_s=0.2,
        announce=announced.append,
    )
    for _ in range(2):
        engine, (problem,) = build(asked(tmp_path), tmp_path / "cache", None, pool)
        assert engine is None
        assert problem.message == "no builder for cpu: none of a, b makes onnxruntime engines for it"
        assert problem.notes == ("a: no such node", "b: no such node")
    assert announced == ["waiting up to 0 s for a builder for cpu: no such node; no such node"]


def test_a_builder_that_comes_while_one_waits_is_used(tmp_path: Path) -> None:
    """A node that joins the cluster, for one."""
    no = Diagnostic(id="builder-none", message="no such node")
    left = [no]
    late = Place("late", refuses=lambda _target: left.pop() if left else None)
    assert built(asked(tmp_path), tmp_path / "cache", BuilderPool([late], wait_s=60), []).kind == "onnxruntime"


def test_a_closed_pool_lets_those_who_wait_go(tmp_path: Path) -> None:
    """With a diagnostic; every builder is closed."""
    is_in, may_go = threading.Event(), threading.Event()

    def hold() -> Diagnostic | None:
        is_in.set()
        may_go.wait(60)
        return BROKE

    place = Place("place", before=hold)
    pool = BuilderPool([place])
    problems: list[Diagnostic] = []

    def run(size: int) -> None:
        problems.extend(build(asked(tmp_path, size), tmp_path / "cache", None, pool)[1])

    holder, waiter = threading.Thread(target=run, args=(3,)), threading.Thread(target=run, args=(5,))
    holder.start()
    assert is_in.wait(60)
    waiter.start()
    pool.close()
    waiter.join(60)
    assert [problem.id for problem in problems] == ["builder-interrupted"]
    may_go.set()
    holder.join(60)
    assert [problem.id for problem in problems] == ["builder-interrupted", "builder-broke"], "not tried again"
    assert place.is_closed
