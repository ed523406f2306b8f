"""A pool of workers on one search: those of a study, which look for trials instead of runs."""

import time
from collections.abc import Callable
from pathlib import Path

from assay.errors import AssayError
from assay.jobs.pool import LOOK, Pool, Tell
from assay.searches.folder import SearchFolder
from assay.searches.results import Results, results


class SearchPool(Pool):
    """Workers on one search's folder."""

    command = ("search",)

    def __init__(self, search: SearchFolder, workers: int, data_dir: Path | None, show: Callable[[Results], None], tell: Tell) -> None:
        super().__init__(search.runs, workers, data_dir, lambda plan, standings: None, tell)
        self.search, self.show = search, show

    def _until_all_ended(self) -> None:
        before = None
        while not self.asked:
            found = results(self.search)
            states = [found.state(trial) for trial in found.trials]
            now = (states, [len(trial.values) for trial in found.trials])
            if now != before:
                before, self.deaths = now, 0
                self.show(found)
            self._reap()
            if found.done and not self.processes:
                return
            idle = max(0, len(self.processes) - states.count("running"))
            wanted = max(0, found.unmade + states.count("stopped") - idle)
            for number in [number for number in range(len(self.shares)) if number not in self.processes][:wanted]:
                self.processes[number] = self._start(self.shares[number])
            time.sleep(LOOK)

    def _reap(self) -> None:
        """A worker that ended with an error of its own had a reason that another would meet as well; one that was killed is replaced."""
        for process in self.processes.values():
            if (process.poll() or 0) > 0:
                raise AssayError(f"a worker gave up: {self._last_words()}")
        super()._reap()
