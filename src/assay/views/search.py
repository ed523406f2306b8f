"""What a terminal shows of a search: before its trials are made, while they are, and at the end."""

from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path

from rich.console import Console

from assay.searches.folder import BEST, SearchFolder
from assay.searches.journal import JOURNAL
from assay.searches.results import Results, results, rows
from assay.terminal.console import waiting
from assay.terminal.tables import pairs, print_table
from assay.tools.search import SearchWatcher

SHOWN = 10  # of the best trials


class ConsoleSearchWatcher(SearchWatcher):
    """Shows on a console what is searched, and a line for each trial that ends."""

    def __init__(self, out: Console) -> None:
        self.out = out

    def waiting(self, text: str) -> AbstractContextManager[object]:
        """Say what is waited for, in a terminal."""
        return waiting(self.out, text)

    def begun(self, search: SearchFolder, left_out: Sequence[str]) -> None:
        """Print what is searched."""
        print_search(self.out, search, left_out)

    def tell(self, text: str) -> None:
        """Print a line."""
        self.out.print(text, markup=False, soft_wrap=True)


def print_search(out: Console, search: SearchFolder, left_out: Sequence[str]) -> None:
    """What is searched, and where it stands."""
    config, pruner = search.config, search.config.pruner
    early = "none end early"
    if pruner is not None:
        early = f"asha: from {pruner.min_tokens:,} tokens on, one in {pruner.reduction} goes on at each rung"
    facts = {
        **({"question": config.question} if config.question else {}),
        "base": f"{config.base}, {search.base.train.budget}, matched on {' and '.join(config.match) or 'nothing'}",
        "varied": ", ".join(search.space.dimensions),
        "searched": f"{config.count} trials by {config.sampler}, {early}; seeds: {len(config.seeds)}",
        "so far": results(search).standing(),
        "folder": str(search.path),
    }
    out.print(f"search {search.path.name}", style="bold", markup=False)
    out.print(pairs(facts))
    if left_out:
        out.print(f"without a meaning here, left out: {', '.join(left_out)}", markup=False, soft_wrap=True)


def print_sent_search(out: Console, ids: Sequence[str], folder: Path) -> None:
    """What was sent to the cluster, and how to watch it."""
    if not ids:
        out.print("nothing is left to make, so nothing is sent", soft_wrap=True)
        return
    out.print(f"sent {len(ids)} jobs: {', '.join(ids)}", soft_wrap=True)
    out.print(f"watch them with: squeue --me   assay search {folder}", markup=False, soft_wrap=True)


def print_search_end(out: Console, found: Results) -> None:
    """Where the search stands, the best trials, what mattered, and what to do next."""
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
