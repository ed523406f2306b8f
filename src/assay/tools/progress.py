"""Show what a tool is doing, without knowing where that is shown, and keep what it measured when it is stopped."""

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, nullcontext
from typing import TypeVar

Result = TypeVar("Result")
Report = TypeVar("Report")
ShowProgress = Callable[[str], AbstractContextManager[object]]  # entered while the tool does what the words say


def show_nothing(text: str) -> AbstractContextManager[object]:
    """Show nothing."""
    return nullcontext()


def ignore_result(result: object) -> None:
    """Do nothing with a partial result."""


def collect_results(
    results: Iterable[Result], make_report: Callable[[Iterable[Result]], Report], on_abort: Callable[[Report], object]
) -> Report:
    """Make a report of results that are measured one after another.

    When an error or Ctrl-C ends it early, `on_abort` gets a report of those that there are, if any.
    """
    collected: list[Result] = []
    try:
        for result in results:
            collected.append(result)
    except BaseException:
        if collected:
            on_abort(make_report(collected))
        raise
    return make_report(collected)


class Watcher:
    """Follows many runs being made, and shows nothing; views override what they show."""

    def __init__(self, show_waiting: ShowProgress = show_nothing) -> None:
        self.show_waiting = show_waiting
