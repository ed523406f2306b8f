"""A pool of workers on one search: each makes trials."""

from collections.abc import Callable
from pathlib import Path

from assay.jobs.pool import Pool, Tell, Workload
from assay.searches.folder import SearchFolder
from assay.searches.results import Results, results

Show = Callable[[Results], None]  # is told where the search stands, again and again


def run_pool(search: SearchFolder, workers: int, data_dir: Path | None, show: Show, tell: Tell) -> None:
    """Make the trials of a search, several at a time, until there are enough, made here or elsewhere.

    A worker that ends with an error of its own had a reason that another would meet as well, so it is not replaced. Raises Interrupted
    when a signal asked to stop, after the runs were saved, and AssayError where a worker gave up or workers die for no run's fault.
    """

    def look() -> Workload:
        found = results(search)
        show(found)
        states = [found.state(trial) for trial in found.trials]
        progress = states, [len(trial.values) for trial in found.trials]
        return Workload(found.unmade + states.count("stopped"), states.count("running"), progress, found.done)

    Pool(("search",), search.path, workers, data_dir, look, tell, stop_on_error=True).run()
