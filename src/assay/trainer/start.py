"""A new run: its text and experiment prepared, its directory made."""

from collections.abc import Sequence
from pathlib import Path

from assay.core import recipe
from assay.core.devices import resolve
from assay.core.parallel import Parallel
from assay.data.prepare import Prepared
from assay.experiment.assemble import Experiment, assemble
from assay.experiment.config import ExperimentConfig
from assay.experiment.describe import describe_start
from assay.experiment.load import load_data
from assay.runs.directory import CONFIG, RunDirectory, create
from assay.runs.provenance import provenance
from assay.tracking.base import Tracker
from assay.trainer.trainer import Fit
from assay.training.eta import Clock
from assay.training.hook import Hook


def prepare_experiment(config: ExperimentConfig, data_dir: Path | None, parallel: Parallel, tracker: Tracker) -> Experiment:
    """The experiment, ready to train; one process prepares the text, the others then find it in the cache."""
    resolve(config.train.device)
    if parallel.main:
        with tracker.waiting("preparing the text"):
            load_data(config, data_dir)
    parallel.barrier()
    return assemble(config, load_data(config, data_dir), parallel)


def write_run(run: RunDirectory, config: ExperimentConfig, prepared: Prepared) -> None:
    """Fill a new run directory with all that describes the run."""
    (run.path / CONFIG).write_text(recipe.dump(config.tree()), encoding="utf-8")
    facts = {
        "corpus": prepared.corpus.__dict__,
        "fingerprint": prepared.fingerprint,
        "split_sha256": prepared.split_sha256,
        "parts": {
            name: {"documents": p.documents, "bytes": p.bytes, "tokens": p.target_count, "sha256": p.sha256}
            for name, p in prepared.parts.items()
        },
        "tokenizer": prepared.tokenizer.digest,
        "leakage": None if prepared.leakage is None else prepared.leakage.tree(),
    }
    run.write_json("provenance.json", {**provenance(), "config": config.digest(), "data": facts})
    prepared.tokenizer.save(run.path / "tokenizer.json")
    run.set_status(state="created", step=0)


def start_run(experiment: Experiment, label: str, folder: Path, tracker: Tracker, hooks: Sequence[Hook] = ()) -> Fit:
    """A run directory for the experiment, written whole, and the run that will train in it."""
    config, parallel = experiment.config, experiment.setup.parallel
    made = create(folder, label, config.digest(), config.train.seed).path if parallel.main else Path()
    run = RunDirectory(Path(parallel.first(str(made))))
    if parallel.main:
        write_run(run, config, experiment.prepared)
    tracker.begin(f"assay train {label}", describe_start(experiment, run))
    return Fit(run, experiment, tracker, Clock(), hooks)
