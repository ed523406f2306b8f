"""Going on with a run that was stopped, or beyond the end of one that was not."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from assay.core import recipe
from assay.core.config import flatten
from assay.core.parallel import Parallel
from assay.errors import RunError
from assay.experiment.assemble import assemble
from assay.experiment.config import ExperimentConfig
from assay.experiment.load import load_data, read_config
from assay.runs.checkpoint_ref import steps_in
from assay.runs.directory import CONFIG, METRICS, RunDirectory
from assay.tracking.base import Tracker
from assay.trainer.overrides import Override, apply_override
from assay.trainer.start import write_run
from assay.trainer.trainer import Fit
from assay.training.eta import Clock
from assay.training.hook import Hook

FREE = (  # what may change in a run that has begun: how long, where, and what merely observes
    "train.budget", "train.device", "train.compile", "train.log_every", "train.validate_every", "train.validation_bytes",
    "train.sample_every", "train.samples", "train.save_every", "train.patience",
)  # fmt: skip


def reopen(
    run: RunDirectory, overrides: Sequence[Override], data_dir: Path | None, around: tuple[Parallel, Tracker], hooks: Sequence[Hook] = ()
) -> Fit:
    """A run where it stopped, among its processes and for its tracker.

    Of the config only `train.budget` and what merely observes may change; changes are recorded. Raises RunError for any other.
    """
    parallel, tracker = around
    old = read_config(run)
    tree = old.tree()
    for override in overrides:
        tree = apply_override(tree, override)
    config = ExperimentConfig.make(tree)
    changed = changes(old, config)
    for key in changed:
        if key not in FREE:
            raise RunError(
                f"{key}: cannot change in a run that has begun; start a new one with `assay train`, or change one of: {', '.join(FREE)}"
            )
    prepared = load_data(config, data_dir)
    fit = Fit(run, assemble(config, prepared, parallel), tracker, Clock(), hooks)
    fit.resume()
    if changed and parallel.main:
        run.append("changes.jsonl", {"step": fit.state.step, "changes": changed})
        (run.path / CONFIG).write_text(recipe.dump(config.tree()), encoding="utf-8")
        tracker.note("changed: " + ", ".join(f"{key} {old} -> {new}" for key, (old, new) in changed.items()))
    return fit


def begin_or_reopen(run: RunDirectory, data_dir: Path | None, parallel: Parallel, tracker: Tracker) -> Fit:
    """A run that has its config from its last checkpoint or, where nothing is saved yet, from its first step, in its own directory."""
    config = read_config(run)
    if parallel.main:
        load_data(config, data_dir)  # the others then find it in the cache
    parallel.barrier()
    if steps_in(run.checkpoints):
        return reopen(run, [], data_dir, (parallel, tracker))
    fit = Fit(run, assemble(config, load_data(config, data_dir), parallel), tracker, Clock())
    fit.hold()  # before anything is written over
    if parallel.main:
        if (run.path / METRICS).is_file():
            run.rewind(0)
        write_run(run, config, fit.experiment.prepared)
    return fit


def changes(old: ExperimentConfig, new: ExperimentConfig) -> dict[str, tuple[Any, Any]]:
    """Every key that differs, with both values; None where it is absent."""
    left, right = dict(flatten(old.tree())), dict(flatten(new.tree()))
    keys = sorted(left.keys() | right.keys())
    return {key: (left.get(key), right.get(key)) for key in keys if left.get(key) != right.get(key)}
