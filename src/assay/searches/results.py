"""What a search has found: the best trials, what mattered, how far the best figure is to be believed, and recipes to go on with."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from assay.core import recipe
from assay.core.config import Tree
from assay.core.files import write_text
from assay.runs.lock import is_held
from assay.searches.folder import BASE, BEST, SearchFolder
from assay.searches.trial import FRUITLESS, Trial, counted, fruitless, trial_name
from assay.variation.names import short_keys, spoken

CONFIRM = "confirm-{}.toml"  # a study of the base and the best with fresh seeds; the name of the search in it
FRESH = 3  # seeds


@dataclass(frozen=True, slots=True)
class Results:
    """Where a search stands."""

    search: SearchFolder
    trials: tuple[Trial, ...]

    @property
    def best(self) -> tuple[Trial, ...]:
        """Those with a figure, the best first."""
        loss = self.search.config.compared.loss
        complete = [trial for trial in self.trials if trial.state == "complete" and trial.value is not None]
        return tuple(sorted(complete, key=lambda trial: (loss(trial.value or 0.0), trial.number)))

    @property
    def done(self) -> bool:
        """Whether nothing is left to be made."""
        running = any(trial.state in ("running", "waiting") for trial in self.trials)
        return not running and not self.unmade

    @property
    def used_up(self) -> bool:
        """Whether nothing new was found to try."""
        tried = [trial.point for trial in self.trials]
        exhausted = self.search.config.sampler == "grid" and all(point in tried for point in self.search.space.points())
        return exhausted or fruitless(self.trials) >= FRUITLESS

    @property
    def unmade(self) -> int:
        """How many trials are still to be begun."""
        return 0 if self.used_up else max(0, self.search.config.count - counted(self.trials))

    def standing(self) -> str:
        """How many trials ended how, in a sentence."""
        counts = Counter(self.state(trial) for trial in self.trials)
        words = [f"{count} {word}" for word in WORDS if (count := counts[word])]
        begun = counted(self.trials)
        left = [f"{self.unmade} not begun"] if self.unmade else []
        return f"{begun} of {self.search.config.count} trials: {', '.join([*words, *left]) or 'none begun'}"

    def state(self, trial: Trial) -> str:
        """The state of a trial in a word; `stopped` where its worker is gone."""
        if trial.state == "running":
            return "running" if is_held(self.search.runs.lock(trial_name(trial.number))) else "stopped"
        return trial.ending or trial.state

    def sentences(self) -> list[str]:
        """What is to be known about the best figure."""
        said = []
        if self.used_up and counted(self.trials) < self.search.config.count:
            said.append("The search ended early: what was proposed last had been tried before or cannot be built, so the space is used up.")
        refused = [trial for trial in self.trials if trial.ending == "refused"]
        if refused:
            said.append(
                f"{len(refused)} proposals could not be built and do not count, such as trial {refused[0].number}: {refused[0].reason}."
            )
        failed = [trial for trial in self.trials if trial.ending == "failed"]
        if failed:
            said.append(f"{len(failed)} trials failed, such as trial {failed[0].number}: {failed[0].reason}.")
        said += self._edges()
        compared = sum(trial.value is not None for trial in self.trials)
        if self.best and compared > 1:
            said.append(
                f"The best of {compared} trials on one validation text is too good: with other seeds or on other text the same "
                "configuration is likely to do worse, as it was chosen for its luck as well. Confirm it with fresh seeds: "
                f"assay study run {self.search.path / CONFIRM.format(self.search.path.name)}"
            )
        return said

    def _edges(self) -> list[str]:
        """Where better values may lie outside what was searched."""
        point = self.best[0].point if self.best else {}
        keys = [key for key, drawn in point.items() if self.search.space.dimensions[key].at_edge(drawn)]
        if not keys:
            return []
        values = ", ".join(f"{key} {spoken(point[key])}" for key in keys)
        return [
            f"The best trial is at the edge of what was searched: {values}. Better values may lie beyond it; widen the range "
            "where that can be."
        ]

    def tree(self) -> Tree:
        """As plain values."""
        listed = [self._entry(trial) for trial in self.trials]
        return {
            "search": str(self.search.path), "question": self.search.config.question, "metric": self.search.config.metric,
            "count": self.search.config.count, "done": self.done, "best": self.best[0].number if self.best else None,
            "importance": self.search.journal.importance(), "sentences": self.sentences(), "trials": listed,
        }  # fmt: skip

    def _entry(self, trial: Trial) -> Tree:
        return {
            "trial": trial.number,
            "state": self.state(trial),
            "value": trial.value,
            "settings": self.search.space.settings(trial.point),
            "reason": trial.reason or None,
            "runs": list(trial.runs),
            "values_by_tokens": {str(tokens): value for tokens, value in trial.values.items()},
        }


WORDS = ("complete", "pruned", "diverged", "failed", "running", "stopped", "waiting", "refused", "repeat", "abandoned")


def results(search: SearchFolder) -> Results:
    """Where a search stands now."""
    return Results(search, tuple(search.journal.trials()))


def line(search: SearchFolder, trial: Trial) -> str:
    """What became of a trial, for people who watch."""
    short = short_keys(search.space.dimensions)
    point = ", ".join(f"{short[key]}={spoken(value)}" for key, value in search.space.settings(trial.point).items())
    if trial.state == "complete":
        return f"{trial_name(trial.number)}: {trial.value:.4f} {search.config.compared.label} on validation  ({point})"
    ended = trial.reason if trial.state == "pruned" and trial.ending is None else f"{trial.ending or trial.state}: {trial.reason}"
    return f"{trial_name(trial.number)}: {ended}  ({point})"


def rows(found: Results, trials: Sequence[Trial]) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """Heads and cells of a table of trials; a key that a trial does not have is left empty."""
    short = short_keys(found.search.space.dimensions)
    head = ("trial", *short.values(), found.search.config.compared.label)
    cells = []
    for trial in trials:
        settings = found.search.space.settings(trial.point)
        figure = "-" if trial.value is None else f"{trial.value:.4f}"
        cells.append((str(trial.number), *(spoken(settings[key]) if key in settings else "" for key in short), figure))
    return head, cells


def write_best(found: Results) -> None:
    """Write the best trial as a recipe on the base, and the study that confirms it. Does nothing while there is no figure."""
    if not found.best:
        return
    search, best = found.search, found.best[0]
    tree: Tree = {}
    for key, value in _tables(search, best, (*search.space.settings(best.point), *best.notes.get("solved", {}))).items():
        tree = recipe.place(tree, key, value)
    with search.take("best"):
        write_text(search.path / BEST, _remark(found) + recipe.dump({"extends": BASE, **tree}))
        write_text(search.path / CONFIRM.format(search.path.name), recipe.dump(confirming(search, best)))


def _tables(search: SearchFolder, trial: Trial, keys: Iterable[str]) -> Tree:
    """What a trial has at these keys, whole tables where kinds were chosen: so they mean the same wherever they are laid on the base."""
    config = search.job(trial.runs[0]).config
    return {key: _at(config, key) for key in map(_root, keys) if not any(_root(other) in _above(key) for other in keys)}


def _above(key: str) -> list[str]:
    path = key.split(".")
    return [".".join(path[:length]) for length in range(1, len(path))]


def _root(key: str) -> str:
    """The key of a whole table or list that holds what a key of the space sets: a kind with all its settings, a list with all its items."""
    path = key.removesuffix(".kind").split(".")
    index = next((place for place, name in enumerate(path) if name.isdigit()), len(path))
    return ".".join(path[:index])


def _at(tree: Any, key: str) -> Any:
    for name in key.split("."):
        tree = tree[name]
    return tree


def confirming(search: SearchFolder, best: Trial) -> Tree:
    """The file of a study of the base and the best configuration with seeds that the search has not seen."""
    first = max(search.config.seeds) + 1
    return {
        "question": f"Is the best of {search.path.name} better than its base with seeds that the search has not seen?",
        "base": BASE,
        "variants": {"best": _tables(search, best, search.space.settings(best.point))},
        "seeds": list(range(first, first + FRESH)),
        "match": list(search.config.match),
        "checkpoint": search.config.checkpoint,
        "metric": search.config.metric,
        "report_on": "test" if search.base.split.test else "validation",
    }


def _remark(found: Results) -> str:
    best, config = found.best[0], found.search.config
    return (
        f"# Trial {best.number}, the best of {len(found.best)} complete ones: {best.value:.4f} {config.compared.label} on validation.\n"
        "# That figure is optimistic, as it is the best of several; confirm it with fresh seeds.\n"
    )
