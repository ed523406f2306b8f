"""`assay doctor`: is this machine ready?"""

from functools import partial

import typer

from assay.cli.options import AsJson, DataDir, RunsDir
from assay.terminal.console import console, doing, print_json


def doctor(data_dir: DataDir = None, runs_dir: RunsDir = None, as_json: AsJson = False) -> None:
    """Tell what is there, what is missing, and what to do about it; exit 1 if there is a problem."""
    from assay.tools.doctor import examine_machine
    from assay.views.doctor import print_examination

    out = console(as_json=as_json)
    found = examine_machine(data_dir, runs_dir, partial(doing, out))
    if as_json:
        print_json(found.tree())
    else:
        print_examination(out, found)
    if found.problems:
        raise typer.Exit(1)
