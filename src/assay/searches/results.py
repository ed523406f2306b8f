"""The results of a search: its best trials, how far the best figure is to be believed, and recipes to go on with."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import takewhile

from assay.core import recipe
from assay.core.files import readable_name, write_text
from assay.core.recipe import get_value
from assay.core.trees import Tree
from assay.core.words import format_count
from assay.runs.lock import is_locked, wait_for_lock
from assay.searches.folder import BASE, BEST, SearchFolder
from assay.searches.trial import MAX_FRUITLESS, Trial, count_fruitless, count_trials, trial_name
from assay.variation.names import format_value, shorten_keys

CONFIRM = "confirm-{}.toml"  # a study of the base and the best with fresh seeds; the name of the search in it
FRESH_SEEDS = 3


@dataclass(frozen=True, slots=True)
class SearchResults:
    """The trials of a search so far."""

    search: SearchFolder
    trials: tuple[Trial, ...]

    @property
    def ranked_trials(self) -> tuple[Trial, ...]:
        """Those with a figure, the best first."""
        loss = self.search.config.target_metric.loss
        complete = [trial for trial in self.trials if trial.state == "complete" and trial.value is not None]
        return tuple(sorted(complete, key=lambda trial: (loss(trial.value or 0.0), trial.number)))

    @property
    def done(self) -> bool:
        """Whether nothing is left to be made."""
        running = any(trial.state in ("running", "waiting") for trial in self.trials)
        return not running and not self.remaining_trials

    @property
    def is_exhausted(self) -> bool:
        """Whether nothing new is left to try."""
        tried = [trial.point for trial in self.trials]
        exhausted = self.search.config.sampler == "grid" and all(point in tried for point in self.search.space.grid_points())
        return exhausted or count_fruitless(self.trials) >= MAX_FRUITLESS

    @property
    def remaining_trials(self) -> int:
        """How many trials are still to be begun."""
        return 0 if self.is_exhausted else max(0, self.search.config.trial_count - count_trials(self.trials))

    def summary(self) -> str:
        """Count in a sentence how the trials ended."""
        counts = Counter(map(self.state, self.trials))
        parts = [f"{count} {state}" for state in STATES if (count := counts[state])]
        parts += [f"{self.remaining_trials} not begun"] if self.remaining_trials else []
        return f"{count_trials(self.trials)} of {format_count(self.search.config.trial_count, 'trial')}: {', '.join(parts) or 'none begun'}"

    def state(self, trial: Trial) -> str:
        """Find the state of a trial in a word; `stopped` where its worker is gone."""
        if trial.state == "running":
            return "running" if is_locked(self.search.lock(trial_name(trial.number))) else "stopped"
        return trial.ending or trial.state

    def sentences(self) -> list[str]:
        """Say in sentences how far the best figure is to be believed."""
        return list(self._write_sentences())

    def _write_sentences(self) -> Iterator[str]:
        if self.is_exhausted and count_trials(self.trials) < self.search.config.trial_count:
            yield "The search ended early: the last proposals had been tried before or cannot be built, so the space is used up."
        for ending, what in (("refused", "proposals could not be built and do not count"), ("failed", "trials failed")):
            ended = [trial for trial in self.trials if trial.ending == ending]
            if ended:
                yield f"{len(ended)} {what}, such as trial {ended[0].number}: {ended[0].reason}."
        best = self.ranked_trials[0].point if self.ranked_trials else {}
        edges = [f"{key} {format_value(drawn)}" for key, drawn in best.items() if self.search.space.dimensions[key].at_edge(drawn)]
        if edges:
            edge = f"The best trial is at the edge of what was searched: {', '.join(edges)}"
            yield f"{edge}. Better values may lie beyond it; widen the range where that can be."
        compared = sum(trial.value is not None for trial in self.trials)
        if self.ranked_trials and compared > 1:
            yield (
                f"The best of {compared} trials on one validation text is too good: with other seeds or on other text the same "
                "configuration is likely to do worse, as it was chosen for its luck as well. Confirm it with fresh seeds: "
                f"assay study run {self.search.path / CONFIRM.format(self.search.path.name)}"
            )

    def to_dict(self) -> Tree:
        """Convert to plain values."""
        trials = [
            {
                "trial": trial.number, "state": self.state(trial), "value": trial.value,
                "settings": self.search.space.settings(trial.point), "reason": trial.reason or None, "runs": list(trial.runs),
                "values_by_tokens": {str(tokens): value for tokens, value in trial.values.items()},
            }
            for trial in self.trials
        ]  # fmt: skip
        return {
            "search": str(self.search.path), "question": self.search.config.question, "metric": self.search.config.metric,
            "count": self.search.config.trial_count, "done": self.done,
            "best": self.ranked_trials[0].number if self.ranked_trials else None,
            "importance": self.search.journal.importance(), "sentences": self.sentences(), "trials": trials,
        }  # fmt: skip


STATES = ("complete", "pruned", "diverged", "failed", "running", "stopped", "waiting", "refused", "repeat", "abandoned")


def read_results(search: SearchFolder) -> SearchResults:
    """Read the trials of a search so far."""
    return SearchResults(search, tuple(search.journal.trials()))


def describe_trial(search: SearchFolder, trial: Trial) -> str:
    """Describe the state of a trial and its point, for people who watch."""
    short = shorten_keys(search.space.dimensions)
    point = ", ".join(f"{short[key]}={format_value(value)}" for key, value in search.space.settings(trial.point).items())
    if trial.state == "complete":
        return f"{trial_name(trial.number)}: {trial.value:.4f} {search.config.target_metric.label} on validation  ({point})"
    ended = trial.reason if trial.state == "pruned" and trial.ending is None else f"{trial.ending or trial.state}: {trial.reason}"
    return f"{trial_name(trial.number)}: {ended}  ({point})"


def table_rows(results: SearchResults, trials: Sequence[Trial]) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """Make the heads and cells of a table of trials; a key that a trial does not have is left empty."""
    short = shorten_keys(results.search.space.dimensions)
    head = ("trial", *short.values(), results.search.config.target_metric.label)
    cells = []
    for trial in trials:
        settings = results.search.space.settings(trial.point)
        figure = "-" if trial.value is None else f"{trial.value:.4f}"
        cells.append((str(trial.number), *(format_value(settings[key]) if key in settings else "" for key in short), figure))
    return head, cells


def write_best(results: SearchResults) -> None:
    """Write the best trial as a recipe on the base, and the study that confirms it. Does nothing while there is no figure."""
    if not results.ranked_trials:
        return
    search, best = results.search, results.ranked_trials[0]
    tree: Tree = {}
    for key, value in _take_values(search, best, (*search.space.settings(best.point), *best.notes.get("solved", {}))).items():
        tree = recipe.set_value(tree, key, value)
    figure, count = f"{best.value:.4f} {search.config.target_metric.label}", len(results.ranked_trials)
    remark = (
        f"# Trial {best.number}, the best of {count} complete ones: {figure} on validation.\n"
        "# That figure is optimistic, as it is the best of several; confirm it with fresh seeds.\n"
    )
    with wait_for_lock(search.lock("best")):
        write_text(search.path / BEST, remark + recipe.to_toml({"extends": BASE, **tree}))
        write_text(search.path / CONFIRM.format(search.path.name), recipe.to_toml(make_confirmation_study(search, best)))


def _take_values(search: SearchFolder, trial: Trial, keys: Iterable[str]) -> Tree:
    """Take what a trial has at these keys, whole tables where kinds were chosen: these mean the same wherever they are laid."""
    config, roots = search.read_job(trial.runs[0]).config, [_find_root(key) for key in keys]
    return {key: get_value(config, key) for key in roots if not any(key.startswith(f"{other}.") for other in roots)}


def _find_root(key: str) -> str:
    """Find the key of a whole table or list that holds a key of the space: a kind with all its settings, a list with all its items."""
    path = key.removesuffix(".kind").split(".")
    return ".".join(takewhile(lambda name: not name.isdigit(), path))


def make_confirmation_study(search: SearchFolder, best: Trial) -> Tree:
    """Make the file of a study of the base and the best configuration, with seeds that the search has not seen."""
    first = max(search.config.seeds) + 1
    return {
        "question": f"Is the best of {readable_name(search.path)} better than its base with seeds that the search has not seen?",
        "base": BASE,
        "variants": {"best": _take_values(search, best, search.space.settings(best.point))},
        "seeds": list(range(first, first + FRESH_SEEDS)),
        "match": list(search.config.match),
        "checkpoint": search.config.checkpoint,
        "metric": search.config.metric,
        "report_on": "test" if search.base.split.test else "validation",
    }
