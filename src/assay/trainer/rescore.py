"""A run's checkpoint opened once more, and its score on a part of the text: the stored one where there is one, else made now."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple, get_args

from assay.core.devices import resolve
from assay.data.plan import Policy
from assay.data.prepare import Prepared
from assay.data.split import PartName
from assay.errors import UserError, nearest, refuse_outside
from assay.evaluation.detail import store
from assay.evaluation.protocol import Protocol
from assay.evaluation.score import Score, Scorer
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

Report = Callable[[str], object]


class OpenedRun(NamedTuple):
    """A run with its weights and the text to be scored."""

    run: RunDirectory
    config: ExperimentConfig
    prepared: Prepared
    model: Model
    checkpoint: CheckpointRef
    split: PartName


def open_run(run: RunDirectory, split: str, checkpoint: str | int, data_dir: Path | None) -> OpenedRun:
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
    return OpenedRun(run, config, prepared, model, ref, split)


def protocol_name(protocol: Protocol) -> str:
    """How the text was read, in a file's name."""
    return f"stride{protocol.stride}" if protocol.policy == "strided" else protocol.policy


def used_test(run: RunDirectory, stored: dict[str, Any]) -> list[dict[str, Any]]:
    """Write down that the test split was used, and give all uses, this one last."""
    use = {name: stored[name] for name in ("bits_per_byte", "standard_error", "protocol")}
    run.append(TEST_USES, {"time": datetime.now(UTC).isoformat(timespec="seconds"), "checkpoint": stored["protocol"]["checkpoint"], **use})
    return run.test_uses()


@dataclass(frozen=True, slots=True)
class ScoreRequest:
    """Which score of a run is asked for."""

    split: str
    checkpoint: str | int = "best"
    policy: Policy | None = None  # None: as the text was read in training
    stride: int | None = None  # new targets a window; alone it means the policy strided
    data_dir: Path | None = None
    batch_size: int = 32
    device: str | None = None  # None: as trained

    def __post_init__(self) -> None:
        if self.policy is not None and self.policy not in get_args(Policy):
            raise UserError(f"policy: there is no '{self.policy}'; {nearest(self.policy, get_args(Policy))}")
        refuse_outside("stride", self.stride, 1)
        refuse_outside("batch_size", self.batch_size, 1)

    def of(self, member: RunDirectory | Path, report: Report) -> Stored:
        """The score of a run, or the one in a file of scores. One that was not made yet is made now, of which `report` gets a sentence."""
        if isinstance(member, Path):
            return read_stored(member)
        file = self.find(member)
        if file is None:
            report(f"{member.name}: not scored on {self.split} in this way yet; scoring it now")
            file = score_run(member, self).file
        return read_stored(file, member, self.ref(member))

    def ref(self, run: RunDirectory) -> CheckpointRef:
        """Which checkpoint of the run it is of. Raises RunError if it is not there."""
        return checkpoints.resolve(run.checkpoints, self.checkpoint)

    def find(self, run: RunDirectory) -> Path | None:
        """The file of the score, if the run has it."""
        policy = self.policy or ("strided" if self.stride is not None else read_config(run).plan.policy)
        return find_stored(run, self.split, self.ref(run), policy, self.stride)


@dataclass(frozen=True, slots=True)
class KeptScore:
    """A score that was just made, and as it is kept in the run."""

    score: Score
    name: str  # of its file among the scores
    stored: dict[str, Any]
    file: Path
    uses: list[dict[str, Any]]  # of the test split, this one last; empty for another split


def score_run(run: RunDirectory, request: ScoreRequest) -> KeptScore:
    """Score a checkpoint on every byte of a split, keep the score, and note a use of the test split. Raises UserError."""
    opened = open_run(run, request.split, request.checkpoint, request.data_dir)
    return keep_score(opened, make_run_scorer(opened, request))


def make_run_scorer(opened: OpenedRun, request: ScoreRequest) -> Scorer:
    """The scorer that a request means for an opened run, whose model goes to its device. Raises UserError."""
    if request.policy == "carried":
        refuse_growing_state(opened.model, "--policy")
    device = resolve(request.device or opened.config.train.device)
    opened.model.to(device)
    labels = (opened.split, opened.checkpoint)
    part = opened.prepared.parts[opened.split]
    scorer = make_scorer(opened.config, opened.prepared, part, labels, device, request.policy, request.stride)
    return replace(scorer, batch_size=request.batch_size)


def keep_score(opened: OpenedRun, scorer: Scorer) -> KeptScore:
    """Score an opened run and keep the score."""
    score, ref = scorer.score(opened.model), opened.checkpoint
    which = str(ref.step) if ref.kind == "step" else ref.kind
    name = f"{opened.split}-{which}-step{ref.step}-{protocol_name(scorer.protocol)}"
    stored = store(opened.run, name, score)
    uses = used_test(opened.run, stored) if opened.split == "test" else []
    return KeptScore(score, name, stored, opened.run.path / "scores" / f"{name}.json", uses)
