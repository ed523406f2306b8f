"""Show a search in the terminal: before its trials are made, while they are, and at the end."""

from collections.abc import Sequence
from functools import partial

from rich.console import Console

from assay.core.words import format_count
from assay.searches.folder import BEST, SearchFolder
from assay.searches.journal import JOURNAL
from assay.searches.results import read_results, table_rows
from assay.terminal.console import print_sentences, show_spinner
from assay.terminal.tables import make_pair_table, print_table
from assay.tools.search import Search, SearchWatcher

SHOWN = 10  # of the best trials


class ConsoleSearchWatcher(SearchWatcher):
    """Shows on a console what is searched, and a line for each trial that ends."""

    def __init__(self, out: Console) -> None:
        super().__init__(partial(show_spinner, out))
        self.out = out

    def on_start(self, search: SearchFolder, ignored: Sequence[str]) -> None:
        """Print what is searched."""
        print_search(self.out, search, ignored)

    def on_message(self, text: str) -> None:
        """Print a line."""
        print_sentences(self.out, text)


def print_search(out: Console, search: SearchFolder, ignored: Sequence[str]) -> None:
    """Print what is searched, and how many trials there are."""
    config, pruner = search.config, search.config.pruner
    early = "none end early"
    if pruner is not None:
        early = f"asha: from {format_count(pruner.min_tokens, 'token')} on, one in {pruner.reduction} goes on at each rung"
    facts = {
        **({"question": config.question} if config.question else {}),
        "base": f"{config.base}, {search.base.train.budget}, matched on {' and '.join(config.match) or 'nothing'}",
        "varied": ", ".join(search.space.dimensions),
        "searched": f"{format_count(config.trial_count, 'trial')} by {config.sampler}, {early}; seeds: {len(config.seeds)}",
        "so far": read_results(search).summary(),
        "folder": str(search.path),
    }
    out.print(f"search {search.path.name}", style="bold", markup=False)
    out.print(make_pair_table(facts))
    if ignored:
        print_sentences(out, f"ignored keys, which have no meaning here: {', '.join(ignored)}")


def print_search_results(out: Console, search: Search) -> None:
    """Print the best trials, the most important settings, and what to do next."""
    results = search.results
    out.print()
    print_sentences(out, results.summary())
    if results.ranked_trials:
        columns, cells = table_rows(results, results.ranked_trials[:SHOWN])
        print_table(out, columns, cells, text_columns=len(columns) - 1)
    importance = results.search.journal.importance()
    if importance:
        print_sentences(out, f"most important settings: {', '.join(f'{key} {share:.0%}' for key, share in importance.items())}")
    print_sentences(out, *results.sentences())
    if results.ranked_trials:
        print_sentences(out, f"best values as a recipe: {search.path / BEST}")
    print_sentences(out, f"see every trial: optuna-dashboard {search.path / JOURNAL}")
