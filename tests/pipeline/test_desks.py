"""Who works on this machine at once."""

import threading
from pathlib import Path

import pytest

from infc.pipeline.desks import Desks

A, B = Path("a.onnx"), Path("b.onnx")


def seated(desks: Desks, model: Path | None) -> tuple[threading.Thread, threading.Event]:
    """A thread that sits down, and what says that it did."""
    sits = threading.Event()

    def run() -> None:
        desks.sit(model)
        sits.set()

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    return thread, sits


def test_newcomers_wait_for_a_desk() -> None:
    """Until one gets up."""
    desks = Desks(1)
    desks.sit(A)
    thread, sits = seated(desks, B)
    assert not sits.wait(0.1)
    desks.get_up(A)
    thread.join(60)
    assert sits.is_set()


def test_one_model_has_one_desk() -> None:
    """However many are free; another model, or none, sits down at once."""
    desks = Desks(4)
    desks.sit(A)
    desks.sit(B)
    desks.sit(None)
    thread, sits = seated(desks, A)
    assert not sits.wait(0.1)
    desks.get_up(A)
    thread.join(60)
    assert sits.is_set()


def test_who_comes_back_never_waits() -> None:
    """Newcomers wait until there are fewer again."""
    desks = Desks(1)
    desks.sit(A)
    desks.get_up(A)
    desks.sit(B)
    desks.come_back()
    thread, sits = seated(desks, None)
    desks.get_up(B)
    assert not sits.wait(0.1)
    desks.get_up(None)
    thread.join(60)
    assert sits.is_set()


def test_closed_desks_send_everyone_home() -> None:
    """Those who wait as well."""
    desks = Desks(1)
    desks.sit(A)
    interrupted: list[bool] = []

    def run() -> None:
        with pytest.raises(KeyboardInterrupt):
            desks.sit(B)
        interrupted.append(True)

    thread = threading.Thread(target=run)
    thread.start()
    desks.close()
    thread.join(60)
    assert interrupted == [True]
    assert desks.is_closed
