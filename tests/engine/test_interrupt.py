"""Ctrl-C once ends after what is at hand, twice at once; where interrupts are ignored or handled, that stays so."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator

import pytest

from audit.engine.interrupt import Interruptible
from audit.errors import IncompleteRun


@pytest.fixture(autouse=True)
def plain_handler() -> Iterator[None]:
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def test_the_first_ends_after_the_item_at_hand(capsys: pytest.CaptureFixture[str]) -> None:
    seen = []
    with Interruptible() as stop:
        for item in stop.until_asked(range(5)):
            seen.append(item)
            if item == 1:
                os.kill(os.getpid(), signal.SIGINT)
        with pytest.raises(IncompleteRun, match="--resume"):
            stop.check()
    assert seen == [0, 1]
    assert "Ctrl-C again stops at once" in capsys.readouterr().err
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_the_second_ends_at_once() -> None:
    with pytest.raises(KeyboardInterrupt), Interruptible():
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)
        pytest.fail("the second interrupt was not heard")
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_nothing_is_asked_and_nothing_happens() -> None:
    with Interruptible() as stop:
        assert list(stop.until_asked("abc")) == ["a", "b", "c"]
        stop.check()


def test_ignored_interrupts_stay_ignored() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with Interruptible():
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN


def test_other_threads_leave_the_handler_alone() -> None:
    found = []

    def look() -> None:
        with Interruptible():
            found.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=look)
    thread.start()
    thread.join()
    assert found == [signal.default_int_handler]
