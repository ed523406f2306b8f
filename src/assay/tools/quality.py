"""Whether a run's model writes or recites: its samples beside held-out documents, kept with the run."""

from dataclasses import dataclass
from pathlib import Path

from assay.core.config import Tree
from assay.errors import UserError
from assay.experiment.load import load_data, load_model, read_config
from assay.generation.quality import Quality, assess, hold_out, longest_document, write
from assay.generation.sampling import Sampling
from assay.runs.checkpoint_ref import CheckpointRef
from assay.runs.directory import find, runs_folder
from assay.training import checkpoint as checkpoints


@dataclass(frozen=True, slots=True)
class SampleOptions:
    """What the model is to write."""

    count: int = 200  # texts
    tokens: int | None = None  # in a text at most; None: those of the longest document
    temperature: float = 1.0
    seed: int = 0


DEFAULT = SampleOptions()


@dataclass(frozen=True, slots=True)
class RunQuality:
    """The figures of a run's samples, and the file in which they are kept."""

    quality: Quality
    checkpoint: CheckpointRef
    options: SampleOptions
    stored: Path

    def tree(self) -> Tree:
        """As plain values."""
        return {**_figures(self.quality, self.checkpoint, self.options), "stored": str(self.stored)}


def measure_quality(
    run: str,
    options: SampleOptions = DEFAULT,
    checkpoint: str = "best",
    device: str | None = None,
    runs_dir: Path | None = None,
    data_dir: Path | None = None,
) -> RunQuality:
    """Let a run's model write texts, and measure them beside as many held-out documents. Raises UserError where it has none."""
    directory = find(run, runs_folder(runs_dir))
    model, tokenizer = load_model(directory.path, checkpoint=checkpoint, device=device)
    ref = checkpoints.resolve(directory.checkpoints, checkpoint)
    prepared = load_data(read_config(directory), data_dir)
    if prepared.tokenizer.digest != tokenizer.digest:
        raise UserError(f"{directory.name}: the text gives another tokenizer than the run's; the corpus has changed since it was trained")
    if not prepared.parts["validation"].documents:
        raise UserError(f"{directory.name}: has no validation text to set its samples beside; train with a split that keeps some")
    count, seed = options.count, options.seed
    limit = options.tokens or longest_document(prepared)
    limit = limit if model.length is None else min(limit, model.length)
    written = write(model, prepared, count, limit, Sampling(options.temperature), seed)
    found = assess(written, hold_out(prepared, count, limit, seed), prepared, limit)
    name = f"quality/{checkpoint}-step{ref.step}-t{options.temperature:g}-n{count}-s{seed}.json"
    return RunQuality(found, ref, options, directory.write_json(name, _figures(found, ref, options)))


def _figures(found: Quality, checkpoint: CheckpointRef, options: SampleOptions) -> Tree:
    """What is kept."""
    return {**found.tree(), "checkpoint": checkpoint.tree(), "temperature": options.temperature, "seed": options.seed}
