"""Measure whether a run's model writes or recites: its samples are compared with held-out documents. The figures are kept with the run."""

from dataclasses import dataclass
from pathlib import Path

from assay.core.trees import Tree
from assay.errors import UserError, try_to_store
from assay.experiment.load import load_checkpoint, load_data, read_config
from assay.generation.decode import Sampling
from assay.generation.quality import SampleQuality, assess_quality, draw_held_out, generate_samples, longest_document_tokens
from assay.runs.checkpoint_ref import CheckpointRef
from assay.runs.directory import resolve_runs_folder
from assay.runs.lookup import find_run


@dataclass(frozen=True, slots=True)
class SampleOptions:
    """How many texts the model writes, and how."""

    count: int = 200  # texts
    tokens: int | None = None  # in a text at most; None: those of the longest document
    temperature: float = 1.0
    seed: int = 0


DEFAULT_OPTIONS = SampleOptions()


@dataclass(frozen=True, slots=True)
class RunQuality:
    """The figures of a run's samples, and the file in which they are kept, if it can be written."""

    quality: SampleQuality
    checkpoint: CheckpointRef
    options: SampleOptions
    path: Path
    not_stored: str | None = None  # why they could not be written

    def to_dict(self) -> Tree:
        """Return it as plain values."""
        place = {"stored": str(self.path)} if self.not_stored is None else {"stored": None, "not_stored": self.not_stored}
        return {**_figures(self.quality, self.checkpoint, self.options), **place}


def measure_quality(
    run: str, options: SampleOptions = DEFAULT_OPTIONS, checkpoint: str = "best", device: str | None = None,
    runs_dir: Path | None = None, data_dir: Path | None = None,
) -> RunQuality:  # fmt: skip
    """Let a run's model write texts, and compare them with as many held-out documents. Raises UserError where it has none."""
    directory = find_run(run, resolve_runs_folder(runs_dir))
    model, tokenizer, ref = load_checkpoint(directory, checkpoint, device)
    prepared = load_data(read_config(directory), data_dir)
    if prepared.tokenizer.digest != tokenizer.digest:
        raise UserError(f"{directory.name}: the text gives another tokenizer than the run's; the corpus has changed since it was trained")
    if not prepared.parts["validation"].document_count:
        raise UserError(f"{directory.name}: has no validation text to compare its samples with; train with a split that keeps some")
    count, seed = options.count, options.seed
    limit = options.tokens or longest_document_tokens(prepared)
    limit = limit if model.max_length is None else min(limit, model.max_length)
    written = generate_samples(model, prepared, count, limit, Sampling(options.temperature), seed)
    quality = assess_quality(written, draw_held_out(prepared, count, limit, seed), prepared, limit)
    name = f"quality/{checkpoint}-step{ref.step}-t{options.temperature:g}-n{count}-s{seed}.json"
    refused = try_to_store(lambda: directory.write_json(name, _figures(quality, ref, options)))
    return RunQuality(quality, ref, options, directory.path / name, refused)


def _figures(quality: SampleQuality, checkpoint: CheckpointRef, options: SampleOptions) -> Tree:
    """Return the figures that are kept."""
    return {**quality.to_dict(), "checkpoint": checkpoint.to_dict(), "temperature": options.temperature, "seed": options.seed}
