"""What the jobs of the tests do. A job is another process, which imports this."""

import signal
from pathlib import Path

from assay.errors import ConfigError, Interrupted


def stopped_once(folder: Path, number: int) -> int:
    """How often this was called, if it was not stopped by a signal, as it is the first time."""
    calls = folder / "calls"
    with calls.open("a") as file:
        file.write("x")
    if calls.stat().st_size == 1:
        raise Interrupted("stopped after step 3 and saved", number)
    return calls.stat().st_size


def out_of_time(folder: Path) -> int:
    """Stopped as by a cluster, the first time."""
    return stopped_once(folder, signal.SIGUSR1)


def cancelled(folder: Path) -> int:
    """Stopped as by a person, the first time."""
    return stopped_once(folder, signal.SIGTERM)


def refused() -> None:
    """Fails as where the user is wrong."""
    raise ConfigError("model.width", "is odd; make it even")


def broken() -> None:
    """Fails as where the program is wrong."""
    raise KeyError("nobody thought of this")


def counted_together() -> tuple[int, float]:
    """The rank of this process, and the sum of all ranks plus one."""
    import torch  # noqa: PLC0415 (seconds that the other jobs can do without)

    from assay.core import parallel as processes  # noqa: PLC0415

    with processes.process_group() as parallel:
        return parallel.rank, float(parallel.all_reduce(torch.tensor(1.0 + parallel.rank)))
