"""infc.lock as a file: exact text, strict reading with lines, whole writes, and merges by git."""

import os
import subprocess
import sys
import tomllib
from dataclasses import replace
from pathlib import Path

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st
from syrupy.assertion import SnapshotAssertion

from infc.ir.precision import Precision
from infc.lock import Lock, merge, read_lock, update_lock, write_lock
from infc.lock.document import lock_from_text
from infc.lock.schema import lock_schema
from infc.lock.text import quoted, text_from_lock

from .entries import choice, digest, entry, inputs, llm_entry, prediction


def lock_of(*names: str) -> Lock:
    """A lock with an entry for each name."""
    return merge(Lock(), [entry(name) for name in names])


def test_text_is_the_reviewed_one(snapshot: SnapshotAssertion) -> None:
    """The exact file, for the reader of a diff: two targets of a spec, sorted."""
    cpu = replace(entry(target="cpu"), accuracy=None, inputs=inputs(dataset=None, price=None, profiles=()))
    assert text_from_lock(merge(Lock(), [entry(), cpu])) == snapshot


def test_reading_gives_back_what_was_written(tmp_path: Path) -> None:
    """Every field survives, and writing again gives the same bytes."""
    lock = merge(Lock(), [entry("b"), entry("a"), entry("a", "cpu")])
    write_lock(tmp_path / "infc.lock", lock)
    again, problems = read_lock(tmp_path / "infc.lock")
    assert problems == ()
    assert again == lock
    assert [e.label for e in lock.entries] == ["a @ cpu", "a @ l4", "b @ l4"]
    assert text_from_lock(lock) == (tmp_path / "infc.lock").read_text()
    assert [path.name for path in tmp_path.iterdir()] == ["infc.lock"]


def test_missing_lock_is_empty(tmp_path: Path) -> None:
    """A workspace starts without a lock."""
    assert read_lock(tmp_path / "infc.lock") == (Lock(), ())


def test_locked_choice_is_a_candidate_again() -> None:
    """`compile --locked` builds what was decided."""
    candidate = choice().candidate()
    assert candidate.label == "fp16/l4/b16/i2/np"
    assert candidate.replicas == 3
    served = choice(
        max_batch_size=None, max_queue_delay_us=None, prefetch=None, max_num_seqs=8, max_num_batched_tokens=99
    )
    assert served.candidate().label == "fp16/l4/tp1/s8/t99"


def test_a_language_model_survives_and_is_a_candidate_again(snapshot: SnapshotAssertion) -> None:
    """Parallelism, limits, speculation, token latencies; the label is the one that `infc plan --why` takes."""
    locked = llm_entry()
    text = text_from_lock(Lock(entries=(locked,)))
    again, problems = lock_from_text(text, "infc.lock")
    assert problems == ()
    assert again == Lock(entries=(locked,))
    assert locked.choice.candidate().label == "qwen3-8b:fp8/h100-sxm/tp2/pp2/kv-fp8/s128/t8192/eagle3-3"
    assert text == snapshot
    jsonschema.validate(tomllib.loads(text), lock_schema())


def test_a_fetched_model_has_no_place_in_the_bundle() -> None:
    """The server fetches it: neither weights nor tokeniser are inputs, and there is no file."""
    hub = llm_entry(inputs=inputs(), engine=replace(llm_entry().engine, file=None, toolchain={}))
    again, _ = lock_from_text(text_from_lock(Lock(entries=(hub,))), "infc.lock")
    assert again == Lock(entries=(hub,))


TEXT = text_from_lock(lock_of("encoder", "detector"))


def line_of(text: str, part: str, occurrence: int = 1) -> int:
    """The line that holds `part`."""
    return [number for number, line in enumerate(text.splitlines(), start=1) if part in line][occurrence - 1]


@pytest.mark.parametrize(
    ("old", "new", "id", "marker"),
    [
        ("version = 1", "version = 2", "lock-version", "version = 2"),
        ("version = 1\n", "", "lock-invalid", "# What infc"),
        ("version = 1", 'version = "1"', "lock-invalid", "version"),
        ("version = 1", "version = 1\nowner = 3", "lock-invalid", "owner"),
        ('precision = "fp16"', 'precision = "fp17"', "lock-invalid", "fp17"),
        ('precision = "fp16"', "precision = 16", "lock-invalid", "precision = 16"),
        ("replicas = 3", "replicas = 0", "lock-invalid", "replicas = 0"),
        ("replicas = 3", "replicas = true", "lock-invalid", "replicas = true"),
        ("replicas = 3", "replica = 3", "lock-invalid", "[artifact.choice]"),
        ("utilization = 0.6100", "utilization = nan", "lock-invalid", "utilization"),
        ("pending = false", 'pending = "no"', "lock-invalid", "pending"),
        ("[artifact.files]", "[artifact.folders]", "lock-invalid", "artifact.folders"),
        ("replicas = 3", "replicas = ", "lock-corrupt", "replicas = "),
        ("replicas = 3", "replicas = 3\nreplicas = 3", "lock-corrupt", "replicas"),
        ("replicas = 3", "<<<<<<< ours\nreplicas = 3", "lock-conflict", "<<<<<<<"),
        ('file = "model_repository', 'file = "/model_repository', "lock-invalid", 'file = "/'),
        ('file = "model_repository', 'file = "../model_repository', "lock-invalid", 'file = "../'),
        ('name = "encoder"', 'name = "detector"', "lock-invalid", "[[artifact]]"),
        ('server = "triton"', 'server = "apache"', "lock-invalid", "apache"),
    ],
)
def test_damage_is_named_with_its_line(old: str, new: str, id: str, marker: str) -> None:
    """What is wrong, in which line, and how to get a good lock again; never a traceback."""
    assert old in TEXT
    text = TEXT.replace(old, new, 1)
    lock, problems = lock_from_text(text, "infc.lock")
    assert lock is None
    assert [problem.id for problem in problems] == [id]
    span = problems[0].span
    assert span is not None
    assert span.line in {line_of(text, marker, n) for n in (1, 2, 3) if text.count(marker) >= n} | (
        {line_of(text, marker) + 1} if id == "lock-corrupt" else set()
    )
    assert problems[0].help


@given(st.text(max_size=200))
def test_no_text_crashes_the_reader(text: str) -> None:
    """Any text is a lock or a diagnostic."""
    for candidate in (text, TEXT[: len(text) * 20] + text):
        lock, problems = lock_from_text(candidate, "infc.lock")
        assert (lock is None) == bool(problems)


@given(st.text())
def test_quoted_text_is_read_back(text: str) -> None:
    """Every text survives TOML, whatever it holds."""
    import tomllib

    try:
        text.encode()
    except UnicodeEncodeError:
        return
    assert tomllib.loads(f"a = {quoted(text)}") == {"a": text}


def test_not_utf8_is_a_diagnostic(tmp_path: Path) -> None:
    """A binary file is refused."""
    (tmp_path / "infc.lock").write_bytes(b"\xff\xfe version")
    lock, problems = read_lock(tmp_path / "infc.lock")
    assert lock is None
    assert [problem.id for problem in problems] == ["lock-corrupt"]


def test_update_refuses_a_damaged_lock_and_leaves_it(tmp_path: Path) -> None:
    """A conflict is for a person to see: nothing is overwritten."""
    path = tmp_path / "infc.lock"
    path.write_text("<<<<<<< ours\n")
    assert [problem.id for problem in update_lock(path, [entry()])] == ["lock-conflict"]
    assert path.read_text() == "<<<<<<< ours\n"
    assert [p.name for p in tmp_path.iterdir()] == ["infc.lock"]


def git(folder: Path, *arguments: str) -> None:
    """Run git without the user's settings."""
    environment = {**os.environ, "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull}
    identity = ["-c", "user.name=t", "-c", "user.email=t@example.com", "-c", "commit.gpgsign=false"]
    subprocess.run(["git", *identity, *arguments], cwd=folder, env=environment, check=True, capture_output=True)


@pytest.mark.parametrize("changed", [("b", "c"), ("c", "b"), ("a", "d")])
def test_branches_that_change_different_specs_merge(tmp_path: Path, changed: tuple[str, str]) -> None:
    """Two branches each recompile another spec, neighbours too: git merges, and the result is the regenerated lock."""
    names = ("a", "b", "c", "d")
    path = tmp_path / "infc.lock"
    git(tmp_path, "init", "-q", "-b", "main")
    write_lock(path, lock_of(*names))
    git(tmp_path, "add", "infc.lock")
    git(tmp_path, "commit", "-qm", "start")
    new = [
        entry(
            name,
            inputs=inputs(spec=digest(letter), profiles=(f"accuracy-{letter * 12}",)),
            choice=choice(precision=Precision.INT8, replicas=2),
            predicted=prediction(latency_ms={"mean": 3.0, "p50": 2.8, "p99": 6.4, "p99.9": 9.0}, usd_per_month=1022.0),
            files={f"model_repository/{name}/config.pbtxt": digest(letter), "launch.sh": digest(letter)},
        )
        for name, letter in zip(changed, "78", strict=True)
    ]
    for branch, change in zip(("left", "right"), new, strict=True):
        git(tmp_path, "checkout", "-q", "-b", branch, "main")
        assert update_lock(path, [change]) == ()
        git(tmp_path, "commit", "-qam", branch)
    git(tmp_path, "merge", "-q", "left")
    assert path.read_text() == text_from_lock(merge(lock_of(*names), new))


def test_branches_that_add_and_remove_different_specs_merge(tmp_path: Path) -> None:
    """An addition on one branch and a removal on the other meet without a conflict."""
    path = tmp_path / "infc.lock"
    git(tmp_path, "init", "-q", "-b", "main")
    write_lock(path, lock_of("a", "c", "d", "e"))
    git(tmp_path, "add", "infc.lock")
    git(tmp_path, "commit", "-qm", "start")
    git(tmp_path, "checkout", "-q", "-b", "left")
    update_lock(path, [entry("b")])
    git(tmp_path, "commit", "-qam", "left")
    git(tmp_path, "checkout", "-q", "-b", "right", "main")
    update_lock(path, [], removed=[("d", "l4")])
    git(tmp_path, "commit", "-qam", "right")
    git(tmp_path, "merge", "-q", "left")
    assert path.read_text() == text_from_lock(lock_of("a", "b", "c", "e"))


KILLED = """
import os, random, signal, sys, time
sys.path.insert(0, sys.argv[2])
from pathlib import Path
from lock.entries import entry
from infc.lock import read_lock, update_lock
path = Path(sys.argv[1])
entries = [entry(f"x{number}") for number in range(200)]
chance = random.Random(3)
for _ in range(12):
    began, begins = os.pipe()
    writer = os.fork()
    if writer == 0:
        for one in entries * 50:
            update_lock(path, [one], removed=[entries[0].address])
            os.write(begins, b".")
        os._exit(9)
    os.read(began, 1)
    time.sleep(chance.uniform(0.0, 0.08))
    os.kill(writer, signal.SIGKILL)
    assert os.waitstatus_to_exitcode(os.waitpid(writer, 0)[1]) == -signal.SIGKILL
    os.close(began)
    os.close(begins)
    lock, problems = read_lock(path)
    assert lock is not None and not problems, problems
assert len(lock.entries) > 1
assert update_lock(path, [entry("last")]) == ()
"""
AT_ONCE = """
import os, sys
sys.path.insert(0, sys.argv[2])
from pathlib import Path
from lock.entries import entry
from infc.lock import update_lock
writers = []
for name in "abc":
    writers.append(os.fork())
    if writers[-1] == 0:
        for number in range(10):
            assert update_lock(Path(sys.argv[1]), [entry(f"{name}{number}")]) == ()
        os._exit(0)
assert [os.waitpid(writer, 0)[1] for writer in writers] == [0, 0, 0]
"""
TESTS = str(Path(__file__).parent.parent)


def test_kill_at_any_moment_leaves_a_whole_lock(tmp_path: Path) -> None:
    """SIGKILL at random moments: the file is a lock, and the next write leaves nothing else behind."""
    path = tmp_path / "infc.lock"
    subprocess.run([sys.executable, "-c", KILLED, str(path), TESTS], check=True, timeout=240)
    lock, _ = read_lock(path)
    assert lock is not None
    assert lock.find("last", "l4") is not None
    assert [p.name for p in tmp_path.iterdir()] == ["infc.lock"]


def test_compiles_at_once_lose_nothing(tmp_path: Path) -> None:
    """Three processes that each add entries end with all of them."""
    path = tmp_path / "infc.lock"
    subprocess.run([sys.executable, "-c", AT_ONCE, str(path), TESTS], check=True, timeout=240)
    lock, _ = read_lock(path)
    assert lock is not None
    assert len(lock.entries) == 30
    assert path.stat().st_mode & 0o777 == 0o644
