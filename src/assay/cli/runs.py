"""`assay runs`: what has been trained, with its scores."""

from assay.cli.options import AsJson, RunsDir
from assay.terminal.console import console, print_json


def runs(runs_dir: RunsDir = None, as_json: AsJson = False) -> None:
    """List the runs in a folder, oldest first, with the best validation score of each; a study of many runs is one line."""
    from assay.runs.directory import runs_folder
    from assay.tools.run_list import list_entries
    from assay.views.run_list import print_runs

    folder = runs_folder(runs_dir)
    entries = list_entries(folder)
    if as_json:
        print_json(entries)
    else:
        print_runs(console(), folder, entries)
