"""Start or resume runs, and train them to the end: the same for a command, for a job and for a call from Python."""

import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch

from assay.core import parallel as processes
from assay.core.devices import resolve_device
from assay.core.files import encode_json, write_durably
from assay.core.parallel import Parallel
from assay.core.recipe import is_text
from assay.core.seeds import preserve_rng_state
from assay.core.trees import find_changes
from assay.data.prepare import PreparedText
from assay.errors import RunError, StoppedEarly
from assay.experiment.assemble import Experiment, assemble
from assay.experiment.config import ExperimentConfig, Override, apply_overrides
from assay.experiment.load import change_config, load_data, read_config, read_tokenizer, write_config
from assay.experiment.own_text import name_text
from assay.experiment.summary import describe_start
from assay.runs.checkpoint_ref import list_steps
from assay.runs.directory import CONFIG, METRICS, PROVENANCE, TOKENIZER, RunDirectory, create_run, resolve_runs_folder
from assay.runs.lock import Lock, lock_run
from assay.runs.provenance import collect_provenance, current_time
from assay.terminal.console import make_console
from assay.tracking.base import Tracker
from assay.tracking.combined import combine_trackers
from assay.tracking.console import ConsoleTracker
from assay.trainer.callback import Event, as_hooks
from assay.trainer.run import Run
from assay.trainer.trainer import Trainer
from assay.training.hook import Hook

HookLike = Hook | Callable[[Event], object]
COSTS = ("train.accumulation", "train.activation_checkpointing")  # memory for time: the same update but for its rounding
CHANGEABLE = (  # what may change when a run is resumed: how long, where, at what cost, and what merely observes
    "train.budget", "train.device", "train.compile", *COSTS, "train.log_every", "train.validate_every", "train.validation_bytes",
    "train.training_bytes", "train.full_validate_every",
    "train.sample_every", "train.samples", "train.save_every", "train.keep_every", "train.patience",
)  # fmt: skip


def make_config(
    recipe: str | Path, overrides: Sequence[Override], scale: str | None, fixed: Mapping[str, Any], data_dir: Path | None = None
) -> ExperimentConfig:  # fmt: skip
    """Load the config of a recipe or for a text; apply the overrides in order and then what is `fixed` and not None. Raises ConfigError."""
    given = {key: value for key, value in fixed.items() if value is not None}
    return ExperimentConfig.load(str(recipe), [*overrides, given], scale, data_dir)


def train_run(
    config: ExperimentConfig, label: str, folder: Path | None, data_dir: Path | None, hooks: Sequence[HookLike], tracker: Tracker,
    origin: str | None = None,
) -> Run:  # fmt: skip
    """Train a new run to its end, or until a hook asks it to stop. With torchrun, every process calls this and gets the same run.

    `origin` says in the header where settings are from that nobody chose.
    """
    added = as_hooks(hooks)
    with processes.process_group() as parallel:
        tracker = tracker if parallel.is_main else Tracker()
        experiment = prepare_experiment(config, data_dir, parallel, tracker)
        path = create_run(resolve_runs_folder(folder), label, config.digest(), config.train.seed).path if parallel.is_main else Path()
        run = RunDirectory(Path(parallel.broadcast(str(path))))
        with lock_for_training(run, parallel, tracker) as lock:
            if parallel.is_main:
                write_run_files(run, config, experiment.prepared)
            tracker.start(f"assay train {label}", {**describe_start(experiment, run), **({} if origin is None else {"settings": origin})})
            return _finish(Trainer(run, experiment, tracker, added, lock.share()), data_dir)


def resume_run(run: Run, overrides: Sequence[Override], hooks: Sequence[HookLike], tracker: Tracker) -> Run:
    """Resume a run and train it to its end, or until a hook asks it to stop. Raises RunError for a change that a run cannot take."""
    with processes.process_group() as parallel:
        tracker = tracker if parallel.is_main else Tracker()
        with lock_for_training(run.directory, parallel, tracker) as lock:
            trainer = resume(run.directory, overrides, run.data_dir, parallel, tracker, as_hooks(hooks), lock)
            tracker.start(f"assay resume {run.name}, from step {trainer.state.step}", describe_start(trainer.experiment, run.directory))
            return _finish(trainer, run.data_dir)


def lock_for_training(run: RunDirectory, parallel: Parallel, tracker: Tracker) -> Lock:
    """Lock a run before anything of it is read, in the main process. Raises RunBusyError where another process trains it."""
    if not parallel.is_main:
        return Lock()
    lock = lock_run(run.path)
    if not lock.is_real:
        tracker.log_message("locks do not work on this file system or system: make sure that no other process trains this run")
    return lock


def _finish(trainer: Trainer, data_dir: Path | None) -> Run:
    try:
        with preserve_rng_state(), torch.enable_grad():  # torch's random state stays the caller's, who may have turned gradients off
            trainer.run()
    except StoppedEarly as stopped:
        trainer.tracker.log_message(str(stopped))
    return Run(trainer.directory.path, data_dir)


def resume(
    run: RunDirectory, overrides: Sequence[Override], data_dir: Path | None, parallel: Parallel, tracker: Tracker,
    hooks: Sequence[Hook], lock: Lock,
) -> Trainer:  # fmt: skip
    """Return the trainer of a run, whose lock is held, at its last checkpoint.

    Of the config only the settings in CHANGEABLE may change; changes are recorded. Raises RunError for any other.
    """
    old = read_config(run)
    read_tokenizer(run)  # which is to be that of the run, not only that of the text
    config = ExperimentConfig.make(apply_overrides(old.to_dict(), overrides))
    changed = find_changes(old.to_dict(), config.to_dict())
    if fixed := [key for key in changed if key not in CHANGEABLE]:
        known = ", ".join(CHANGEABLE)
        raise RunError(f"{fixed[0]}: cannot change in a run that has begun; start a new one with `assay train`, or change one of: {known}")
    trainer = Trainer(run, prepare_experiment(config, data_dir, parallel, tracker), tracker, hooks, lock.share())
    trainer.load_checkpoint()
    if changed and parallel.is_main:
        change_config(run, trainer.state.step, changed)
        tracker.log_message("changed: " + ", ".join(f"{key} {old} -> {new}" for key, (old, new) in changed.items()))
        if "train.accumulation" in changed:
            tracker.log_message("with other micro-batches: the same batches and updates, other rounding; dropout is drawn for each of them")
    return trainer


def start_or_resume(
    run: RunDirectory, config: ExperimentConfig, data_dir: Path | None, parallel: Parallel, tracker: Tracker, lock: Lock,
    hooks: Sequence[Hook] = (),
) -> Trainer:  # fmt: skip
    """Return the trainer of a run at its last checkpoint or, where none is saved yet, at its first step, in a directory that exists.

    The `lock` of the run is the caller's; the trainer shares it until it has trained.
    """
    if list_steps(run.checkpoints):
        return resume(run, [], data_dir, parallel, tracker, hooks, lock)
    if parallel.is_main and not (run.path / CONFIG).is_file():  # so that the run is listed even if it cannot be built
        write_config(run, config)
    experiment = prepare_experiment(config, data_dir, parallel, tracker)
    if parallel.is_main:
        if (run.path / METRICS).is_file():
            run.rewind(0)
        write_run_files(run, config, experiment.prepared)
    return Trainer(run, experiment, tracker, hooks, lock.share())


def prepare_experiment(config: ExperimentConfig, data_dir: Path | None, parallel: Parallel, tracker: Tracker) -> Experiment:
    """Load the text and build the experiment; the main process prepares the text, the others then find it in the cache."""
    resolve_device(config.train.device)
    if not parallel.is_main:
        parallel.barrier()
    with tracker.show_busy("preparing the text"):
        prepared = load_data(config, data_dir)
    if parallel.is_main:
        parallel.barrier()
    return assemble(config, prepared, parallel)


def write_run_files(run: RunDirectory, config: ExperimentConfig, prepared: PreparedText) -> None:
    """Write the config, the provenance and the tokenizer of a new run; it keeps when it was begun, if it has noted that."""
    write_config(run, config)
    started_at = current_time()
    with suppress(RunError):
        started_at = run.provenance().get("started_at", started_at)
    data = {
        "corpus": prepared.corpus.__dict__,
        "fingerprint": prepared.fingerprint,
        "split_sha256": prepared.split_sha256,
        "parts": {
            name: {"documents": p.document_count, "bytes": p.byte_count, "tokens": p.target_count, "sha256": p.sha256}
            for name, p in prepared.parts.items()
        },
        "tokenizer": prepared.tokenizer.digest,
        "vocabulary": {"made": prepared.tokenizer.vocab_size, "asked": config.tokenizer.to_dict().get("vocabulary")},
        "leakage": None if prepared.leakage is None else prepared.leakage.to_dict(),
        "warnings": prepared.warnings,
    }
    provenance = {"started_at": started_at, **collect_provenance(), "config": config.digest(), "data": data}
    write_durably(run.path / PROVENANCE, encode_json(provenance, indent=1) + "\n")  # a resume holds config and tokenizer against it
    prepared.tokenizer.save(run.path / TOKENIZER)
    run.update_status(state="created", step=0)


def choose_tracker(tracker: Tracker | None, progress: bool | None, track: Sequence[str] = ()) -> Tracker:
    """Return the given tracker, else one that shows progress if asked to or in a terminal; beside it the external ones named in `track`."""
    if tracker is None:
        tracker = ConsoleTracker(make_console()) if shows_progress(progress) else Tracker()
    return combine_trackers(tracker, [track] if isinstance(track, str) else track)


def make_run_label(recipe: str | Path, scale: str | None, name: str | None) -> str:
    """Choose the beginning of a run's name: as given, else the name of the recipe or the text, and the scale."""
    own = name_text(str(recipe)) if is_text(str(recipe)) else Path(recipe).stem
    return name or "-".join(filter(None, (own, scale)))


def shows_progress(progress: bool | None) -> bool:
    """Return whether to show progress: as given, else in a terminal and in a notebook."""
    return (sys.stdout.isatty() or "ipykernel" in sys.modules) if progress is None else progress
