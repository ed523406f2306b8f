"""A signal is heeded inside, and whoever had it before has it again afterwards, whatever happened."""

import signal

import pytest

from assay.core.signals import handle_signals


def test_handlers_are_called_inside_and_given_back_also_after_an_error() -> None:
    before = signal.getsignal(signal.SIGUSR1)
    heard: list[int] = []

    def fail(number: int, frame: object) -> None:
        heard.append(number)
        raise RuntimeError

    with pytest.raises(RuntimeError), handle_signals([signal.SIGUSR1], fail):
        signal.raise_signal(signal.SIGUSR1)
    assert heard == [signal.SIGUSR1]
    assert signal.getsignal(signal.SIGUSR1) == before
