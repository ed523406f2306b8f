"""The signals that stop a process, and how to handle them for a while."""

import _thread
import signal
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from types import FrameType

HANGUP = getattr(signal, "SIGHUP", None)  # the terminal is gone, as when ssh ends; there is none on Windows
TIME_LIMIT = getattr(signal, "SIGUSR1", None)  # how a cluster's job learns that its time ends; there is none on Windows
STOP_SIGNALS: tuple[int, ...] = (signal.SIGINT, signal.SIGTERM, *filter(None, [HANGUP]))
AGAIN = 0.02  # seconds until an interrupt that Python dropped is raised once more


@contextmanager
def handle_signals(numbers: Iterable[int], handler: Callable[[int, FrameType | None], None]) -> Iterator[None]:
    """Call `handler` for these signals inside, and restore the earlier handlers afterwards.

    A hangup that is ignored, as under nohup, stays so. Signals reach the main thread only, so in another thread this does nothing.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    handlers = {number: signal.signal(number, handler) for number in numbers if not _is_ignored(number)}
    try:
        yield
    finally:
        for number, earlier in handlers.items():
            if earlier is not None:  # it was not set by Python, so it cannot be set again
                signal.signal(number, earlier)


def _is_ignored(number: int) -> bool:
    return number == HANGUP and signal.getsignal(number) is signal.SIG_IGN


@contextmanager
def delay_signals() -> Iterator[None]:
    """Let what is done inside end before a signal that would stop this process is handled."""
    received: list[int] = []
    try:
        with handle_signals((*STOP_SIGNALS, *filter(None, [TIME_LIMIT])), lambda number, _: received.append(number)):
            yield
    finally:
        for number in dict.fromkeys(received):
            signal.raise_signal(number)


class _Stopped(KeyboardInterrupt):
    """A signal came that would end this process."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.number = number


@contextmanager
def interrupt_when_stopped() -> Iterator[None]:
    """Let signals that would end this process raise KeyboardInterrupt inside, as Ctrl-C does: what was begun is put in order first.

    Only the first of a kind counts, unless it is Ctrl-C: when a terminal is closed, several may come. Where Python drops an exception,
    as in `__del__`, the interrupt is raised once more, a moment later.
    """

    def interrupt(number: int, frame: FrameType | None) -> None:
        signal.signal(number, _ignore)
        raise _Stopped(number)

    def interrupt_again(dropped: "sys.UnraisableHookArgs") -> None:
        if not isinstance(dropped.exc_value, KeyboardInterrupt):
            earlier(dropped)
            return
        number = signal.SIGINT
        if isinstance(dropped.exc_value, _Stopped):
            number = signal.Signals(dropped.exc_value.number)
            signal.signal(number, interrupt)
        timer = threading.Timer(AGAIN, _thread.interrupt_main, (number,))
        timer.daemon = True
        timer.start()

    with handle_signals(filter(None, (signal.SIGTERM, HANGUP, TIME_LIMIT)), interrupt):
        earlier, sys.unraisablehook = sys.unraisablehook, interrupt_again
        try:
            yield
        finally:
            sys.unraisablehook = earlier


def _ignore(number: int, frame: FrameType | None) -> None:
    """Ignore a signal; unlike SIG_IGN, programs that this process starts do not inherit it."""
