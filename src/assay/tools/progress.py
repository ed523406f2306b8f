"""How a tool tells its caller what it is doing, without knowing where that is shown."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext

Progress = Callable[[str], AbstractContextManager[object]]  # entered while the tool does what the words say


def silent(text: str) -> AbstractContextManager[object]:
    """Show nothing."""
    return nullcontext()


def ignore(result: object) -> None:
    """Do nothing with a partial result."""
