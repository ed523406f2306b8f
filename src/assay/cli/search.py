"""`assay search`: many configurations tried, the good ones found."""

from typing import Annotated, Literal

import typer

from assay.cli.options import AsJson, DataDir, RunsDir, Scale
from assay.errors import UserError
from assay.terminal.console import console, print_json


def search(
    what: Annotated[str, typer.Argument(help="A search file (TOML), a W&B sweep (YAML), or a search's folder.", metavar="FILE|FOLDER")],
    jobs: Annotated[int, typer.Option("--jobs", min=1, help="Trials at a time; with slurm, workers that are sent.")] = 1,
    trials: Annotated[int | None, typer.Option("--trials", min=1, help="How many, instead of what the file says.")] = None,
    scale: Scale = None,
    base: Annotated[str | None, typer.Option("--base", help="The recipe that a W&B sweep varies.")] = None,
    as_toml: Annotated[bool, typer.Option("--toml", help="Print a W&B sweep as a search file, and search nothing.")] = False,
    launcher: Annotated[
        Literal["local", "slurm"], typer.Option(help="Make the trials here, or send workers to a Slurm cluster.")
    ] = "local",
    launch: Annotated[
        list[str] | None, typer.Option(help="With slurm: a change of the table [launch]: hours=2", metavar="KEY=VALUE")
    ] = None,
    runs_dir: RunsDir = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
    pooled: Annotated[bool, typer.Option("--pooled", hidden=True)] = False,
) -> None:
    """Try many configurations and say which are best; a search that was stopped goes on."""
    from assay.jobs.worker import end_with_input
    from assay.searches.begin import Asked
    from assay.searches.work import work
    from assay.tools.search import SearchRequest, find_search, run_search, send_search, translate_sweep
    from assay.views.search import ConsoleSearchWatcher, print_search_end, print_sent_search

    out, asked = console(as_json=as_json), Asked(scale, trials, base, data_dir)
    if launch and launcher != "slurm":
        raise UserError("--launch: is for --launcher slurm alone; add that, or leave it out")
    if as_toml:
        text, left_out = translate_sweep(what, asked)
        print(f"# without a meaning here, left out: {', '.join(left_out)}\n{text}" if left_out else text, end="")
        return
    request = SearchRequest(what, jobs, asked, runs_dir, f"the same command: assay search {what}")
    watcher = ConsoleSearchWatcher(out)
    found = find_search(what, request)
    if found is not None and pooled:  # a worker of a pool, which tells what happens
        end_with_input()
        work(found.path, data_dir)
        return
    if found is None and launcher == "slurm":
        print_sent_search(out, *send_search(request, launch or [], watcher))
        return
    found = found or run_search(request, watcher)
    if as_json:
        print_json(found.tree())
    else:
        print_search_end(out, found.results)
