"""Signals stop a process as Ctrl-C does; a hangup that is ignored, as under nohup, stays ignored."""

import os
import signal
import sys
import time

import pytest

from assay.core.signals import STOP_SIGNALS, delay_signals, handle_signals, interrupt_when_stopped
from assay.training.hooks import StopHook


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1])
def test_a_signal_interrupts_once_and_the_earlier_handler_comes_back(number: signal.Signals) -> None:
    before = signal.getsignal(number)
    with interrupt_when_stopped():
        with pytest.raises(KeyboardInterrupt, match=number.name):
            os.kill(os.getpid(), number)
        os.kill(os.getpid(), number)  # a second one, as a terminal that is closed may send
    assert signal.getsignal(number) is before


def test_a_hangup_that_is_ignored_stays_ignored() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    received: list[int] = []
    try:
        with handle_signals(STOP_SIGNALS, lambda number, _: received.append(number)):
            os.kill(os.getpid(), signal.SIGHUP)
            os.kill(os.getpid(), signal.SIGTERM)
    finally:
        signal.signal(signal.SIGHUP, before)
    assert received == [signal.SIGTERM]


def test_a_run_saves_itself_on_a_hangup() -> None:
    assert signal.SIGHUP in StopHook.signals


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1])
def test_a_signal_that_is_delayed_arrives_once_afterwards(number: signal.Signals) -> None:
    done: list[int] = []

    @delay_signals()
    def work() -> None:
        os.kill(os.getpid(), number)
        os.kill(os.getpid(), number)
        done.append(number)

    with interrupt_when_stopped(), pytest.raises(KeyboardInterrupt):
        work()
    assert done == [number]


class Closing:
    """Sends this process a signal when it is deleted, where Python drops every exception."""

    def __init__(self, number: int) -> None:
        self.number = number

    def __del__(self) -> None:
        signal.raise_signal(self.number)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1])
def test_an_interrupt_that_python_drops_comes_again_and_nothing_is_printed(
    number: signal.Signals, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "unraisablehook", sys.__unraisablehook__)
    before, handler = sys.unraisablehook, signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with interrupt_when_stopped():
            Closing(number)
            with pytest.raises(KeyboardInterrupt):
                time.sleep(10)
    finally:
        signal.signal(signal.SIGINT, handler)
    assert sys.unraisablehook is before
    assert capsys.readouterr().err == ""


class Failing:
    """Raises when it is deleted."""

    def __del__(self) -> None:
        raise ValueError("closed twice")


def test_another_exception_that_python_drops_is_told_as_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[object] = []
    monkeypatch.setattr(sys, "unraisablehook", lambda dropped: told.append(str(dropped.exc_value)))
    with interrupt_when_stopped():
        Failing()
    assert told == ["closed twice"]
