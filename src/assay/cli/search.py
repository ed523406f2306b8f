"""`assay search`: many configurations tried, the good ones found."""

from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from rich.console import Console

from assay.cli.options import AsJson, DataDir, RunsDir, Scale
from assay.errors import ConfigError, Interrupted, UserError
from assay.runs.directory import runs_folder
from assay.terminal.console import console, print_json
from assay.terminal.tables import pairs, print_table

if TYPE_CHECKING:
    from assay.searches.begin import Asked
    from assay.searches.folder import SearchFolder
    from assay.searches.results import Results

SHOWN = 10  # of the best trials


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
    from assay.searches.begin import SWEEPS, Asked, base_of, prepare, read
    from assay.searches.folder import SearchFolder, find_folder, nearest_search
    from assay.searches.journal import import_optuna
    from assay.searches.results import results
    from assay.searches.work import work

    out, runs, asked = console(as_json=as_json), runs_folder(runs_dir), Asked(scale, trials, base, data_dir)
    if launch and launcher != "slurm":
        raise UserError("--launch: is for --launcher slurm alone; add that, or leave it out")
    if as_toml:
        _print_toml(what, asked)
        return
    import_optuna()
    folder = find_folder(what, runs)
    if folder is not None and pooled:  # by a pool, which tells what happens
        end_with_input()
        work(folder, data_dir)
        return
    if folder is not None:
        _refuse_for_folder(asked, jobs)
        _tell_end(out, results(SearchFolder.read(folder)), as_json=as_json)
        return
    if not what.endswith((".toml", *SWEEPS)):
        raise UserError(f"'{what}' is neither a search file nor a search's folder in {runs}; {nearest_search(what, runs)}")
    with _waiting(out, "preparing the text"):
        config, left_out = read(Path(what), asked)
        begun = SearchFolder((runs / "-".join(filter(None, (Path(what).stem, scale)))).resolve(), config, base_of(config))
        prepare(begun, data_dir)
    begun = SearchFolder.begin(begun.path, config, begun.base)
    _tell_search(out, begun, left_out)
    if launcher == "slurm":
        _send(out, begun, launch or [], jobs, data_dir)
        return
    _make(out, begun, jobs, data_dir, what)
    _tell_end(out, results(begun), as_json=as_json)


def _make(out: Console, begun: "SearchFolder", jobs: int, data_dir: Path | None, what: str) -> None:
    """Let the trials be made. Raises Interrupted with the command that goes on."""
    from assay.searches.pool import run_pool
    from assay.searches.results import results, write_best
    from assay.searches.work import work

    def tell(text: str) -> None:
        out.print(text, markup=False, soft_wrap=True)

    try:
        if jobs == 1:
            work(begun.path, data_dir, tell)
        else:
            run_pool(begun, jobs, data_dir, _Watcher(tell), tell)
    except (Interrupted, KeyboardInterrupt):
        raise Interrupted(f"stopped, and saved: {results(begun).standing()}; go on with the same command: assay search {what}") from None
    finally:
        write_best(results(begun))


class _Watcher:
    """Tells of each trial of other processes that has ended since the last look."""

    def __init__(self, tell: Any) -> None:
        self.tell = tell
        self.told: set[int] | None = None

    def __call__(self, found: "Results") -> None:
        from assay.searches.results import line

        ended = {trial.number for trial in found.trials if trial.state not in ("running", "waiting")}
        for number in sorted(ended - (ended if self.told is None else self.told)):
            self.tell(line(found.search, found.trials[number]))
        self.told = ended


def _send(out: Console, begun: "SearchFolder", assignments: Sequence[str], jobs: int, data_dir: Path | None) -> None:
    """Send workers to the cluster; they take the trials, and nobody waits here."""
    from assay.jobs.launch import LaunchConfig
    from assay.jobs.slurm import require_slurm, submit
    from assay.searches.results import results
    from assay.searches.work import work

    launch = LaunchConfig.read(begun.config.launch.tree(), assignments)
    if launch.tasks > 1:
        raise UserError("launch.gpus: a worker of a search trains on one GPU; set it to 1, and let --jobs say how many work at once")
    found = results(begun)
    if found.done:
        out.print("nothing is left to make, so nothing is sent", soft_wrap=True)
        return
    require_slurm()
    values = (begun.path, None if data_dir is None else data_dir.resolve())
    ids = submit(work, [values] * jobs, launch, begun.path / "slurm", begun.path.name)
    out.print(f"sent {len(ids)} jobs: {', '.join(ids)}", soft_wrap=True)
    out.print(f"watch them with: squeue --me   assay search {begun.path}", markup=False, soft_wrap=True)


def _tell_search(out: Console, begun: "SearchFolder", left_out: Sequence[str]) -> None:
    """What is searched, and where it stands."""
    from assay.searches.results import results

    config = begun.config
    pruner = config.pruner
    early = (
        "none end early"
        if pruner is None
        else f"asha: from {pruner.min_tokens:,} tokens on, one in {pruner.reduction} goes on at each rung"
    )
    facts = {
        **({"question": config.question} if config.question else {}),
        "base": f"{config.base}, {begun.base.train.budget}, matched on {' and '.join(config.match) or 'nothing'}",
        "varied": ", ".join(begun.space.dimensions),
        "searched": f"{config.count} trials by {config.sampler}, {early}; seeds: {len(config.seeds)}",
        "so far": results(begun).standing(),
        "folder": str(begun.path),
    }
    out.print(f"search {begun.path.name}", style="bold", markup=False)
    out.print(pairs(facts))
    if left_out:
        out.print(f"without a meaning here, left out: {', '.join(left_out)}", markup=False, soft_wrap=True)


def _tell_end(out: Console, found: "Results", *, as_json: bool) -> None:
    """Where the search stands, the best trials, what mattered, and what to do next."""
    from assay.searches.folder import BEST
    from assay.searches.journal import JOURNAL
    from assay.searches.results import rows, write_best

    write_best(found)
    if as_json:
        print_json(found.tree())
        return
    search = found.search
    out.print()
    out.print(found.standing(), markup=False, soft_wrap=True)
    if found.best:
        head, cells = rows(found, found.best[:SHOWN])
        print_table(out, head, cells, words=len(head) - 1)
    importance = search.journal.importance()
    if importance:
        listed = ", ".join(f"{key} {share:.0%}" for key, share in importance.items())
        out.print(f"what told good trials from others: {listed}", markup=False, soft_wrap=True)
    for sentence in found.sentences():
        out.print(sentence, markup=False, soft_wrap=True)
    if found.best:
        out.print(f"best values as a recipe: {search.path / BEST}", markup=False, soft_wrap=True)
    out.print(f"see every trial: optuna-dashboard {search.path / JOURNAL}", markup=False, soft_wrap=True)


def _print_toml(what: str, asked: "Asked") -> None:
    """A W&B sweep as a search file."""
    from assay.core import recipe
    from assay.searches.begin import SWEEPS, from_sweep
    from assay.searches.file import SearchConfig

    if not what.endswith(SWEEPS):
        raise ConfigError("--toml", f"is for a W&B sweep in YAML, and '{what}' is none")
    try:
        tree, left_out = from_sweep(Path(what), asked)
        SearchConfig.of(tree, Path(), over={} if "trials" in tree or tree["sampler"] == "grid" else {"trials": 1})
    except ConfigError as wrong:
        raise ConfigError(f"{what}: {wrong.path}" if wrong.path else what, wrong.reason) from None
    if left_out:
        print(f"# without a meaning here, left out: {', '.join(left_out)}")
    print(recipe.dump(tree), end="")


def _refuse_for_folder(asked: "Asked", jobs: int) -> None:
    """A folder is shown; what changes a search goes with its file."""
    given = {"--scale": asked.scale, "--trials": asked.trials, "--base": asked.base, "--jobs": None if jobs == 1 else jobs}
    for option, value in given.items():
        if value is not None:
            raise UserError(f"{option}: goes with a search's file, and a folder is only shown; give the file, or leave it out")


def _waiting(out: Console, text: str) -> Any:
    return out.status(text) if out.is_terminal else nullcontext()
