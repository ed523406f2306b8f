"""A run's checkpoint opened once more, and its score on a part of the text: the stored one where there is one, else made now."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from assay.core.devices import resolve
from assay.data.plan import Policy
from assay.data.prepare import Prepared
from assay.data.split import PartName
from assay.errors import UserError, nearest
from assay.evaluation.detail import store
from assay.evaluation.protocol import Protocol
from assay.evaluation.stored import Stored, find_stored, read_stored
from assay.experiment.assemble import build_model, refuse_growing_state
from assay.experiment.config import ExperimentConfig
from assay.experiment.load import load_data, read_config
from assay.experiment.scorers import make_scorer
from assay.models.base import Model
from assay.runs.checkpoint_ref import CheckpointRef
from assay.runs.directory import TEST_USES, RunDirectory
from assay.text.tokenizer import load_tokenizer
from assay.training import checkpoint as checkpoints

Tell = Callable[[str], None]


class Opened(NamedTuple):
    """A run with its weights and the text to be scored."""

    run: RunDirectory
    config: ExperimentConfig
    prepared: Prepared
    model: Model
    checkpoint: CheckpointRef
    split: PartName


def open_run(run: RunDirectory, split: str, checkpoint: str, data_dir: Path | None) -> Opened:
    """Everything that scoring a checkpoint needs. Raises UserError where the text is not the one that the run knows."""
    config = read_config(run)
    prepared = load_data(config, data_dir)
    if split not in prepared.parts:
        raise UserError(f"--split: no part '{split}'; {nearest(split, prepared.parts)}")
    if prepared.parts[split].target_count == 0:
        raise UserError(f"--split: the part '{split}' of this run is empty; score another one")
    trained_on = run.provenance().get("data", {}).get("parts", {}).get(split, {}).get("sha256")
    if trained_on not in (None, prepared.parts[split].sha256):
        raise UserError(f"{run.name}: the {split} text is not the one that the run knows; the corpus has changed since, restore it")
    if load_tokenizer(run.path / "tokenizer.json").digest != prepared.tokenizer.digest:
        raise UserError(f"{run.name}: the text gives another tokenizer than the run's; the corpus has changed since it was trained")
    model = build_model(config, prepared.tokenizer.size)
    ref = checkpoints.open_weights(run.checkpoints, checkpoint, model)
    return Opened(run, config, prepared, model, ref, split)


def protocol_name(protocol: Protocol) -> str:
    """How the text was read, in a file's name."""
    return f"stride{protocol.stride}" if protocol.policy == "strided" else protocol.policy


def used_test(run: RunDirectory, stored: dict[str, Any]) -> list[dict[str, Any]]:
    """Write down that the test split was used, and give all uses, this one last."""
    use = {name: stored[name] for name in ("bits_per_byte", "standard_error", "protocol")}
    run.append(TEST_USES, {"time": datetime.now(UTC).isoformat(timespec="seconds"), "checkpoint": stored["protocol"]["checkpoint"], **use})
    return run.test_uses()


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which score of a run is asked for; what was not scored yet is scored now."""

    split: str
    checkpoint: str
    policy: Policy | None
    stride: int | None
    data_dir: Path | None

    def of(self, member: RunDirectory | Path, tell: Tell) -> Stored:
        """The score of a run, or the one in a file of scores. `tell` is told, in a sentence, when a run has to be scored."""
        if isinstance(member, Path):
            return read_stored(member)
        file = self.find(member)
        if file is None:
            tell(f"{member.name}: not scored on {self.split} in this way yet; scoring it now")
            file = self.score(member)
        return read_stored(file, member, self.ref(member))

    def ref(self, run: RunDirectory) -> CheckpointRef:
        """Which checkpoint of the run it is of. Raises RunError if it is not there."""
        return checkpoints.resolve(run.checkpoints, self.checkpoint)

    def find(self, run: RunDirectory) -> Path | None:
        """The file of the score, if the run has it."""
        return find_stored(run, self.split, self.ref(run), self.policy or read_config(run).plan.policy, self.stride)

    def score(self, run: RunDirectory) -> Path:
        """Score the run, keep the score, and note a use of the test split; the file of the score."""
        opened = open_run(run, self.split, self.checkpoint, self.data_dir)
        if self.policy == "carried":
            refuse_growing_state(opened.model, "--policy")
        device = resolve(opened.config.train.device)
        labels = (opened.split, opened.checkpoint)
        part = opened.prepared.parts[opened.split]
        scorer = make_scorer(opened.config, opened.prepared, part, labels, device, self.policy, self.stride)
        name = f"{self.split}-{self.checkpoint}-step{opened.checkpoint.step}-{protocol_name(scorer.protocol)}"
        stored = store(run, name, scorer.score(opened.model.to(device)))
        if self.split == "test":
            used_test(run, stored)
        return run.path / "scores" / f"{name}.json"
