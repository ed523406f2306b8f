"""Score runs: at the end of training, and any checkpoint later, on any part of the text. Scores are stored in the run."""

from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple, get_args

import numpy as np

from assay.core.devices import choose_device
from assay.core.renames import suggest_today
from assay.core.seeds import numpy_generator
from assay.core.words import Notify
from assay.data.batches import Policy
from assay.data.prepare import PreparedText
from assay.data.split import PartName
from assay.errors import RunError, UserError, check_range, suggest, try_to_store
from assay.evaluation.score import Score, Scorer, make_score_tree, store_score
from assay.evaluation.stored import StoredScore, find_stored_score, read_stored_score
from assay.evaluation.targets import MIN_DOCUMENTS
from assay.experiment.assemble import Experiment, ScoreTarget, build_model, make_scorer, refuse_unbounded_state
from assay.experiment.config import ExperimentConfig
from assay.experiment.load import load_data, read_config, read_tokenizer
from assay.models.base import Model
from assay.runs.checkpoint_ref import CheckpointRef, list_steps
from assay.runs.directory import TEST_USES, RunDirectory
from assay.text.token_files import TokenizedPart
from assay.training import checkpoint as checkpoints
from assay.training.clock import Clock

FINAL_SCORES = 3  # last, best and training text, each about as long as a validation
SUMMARY = (  # in a line of metrics
    "bits_per_byte", "standard_error", "standard_error_over", "nats_per_token", "bytes_scored", "bytes_in_split", "coverage",
)  # fmt: skip


class LoadedRun(NamedTuple):
    """A run with its weights and the text to be scored."""

    run: RunDirectory
    config: ExperimentConfig
    prepared: PreparedText
    model: Model
    checkpoint: CheckpointRef
    split: PartName


def load_run(run: RunDirectory, split: str, checkpoint: str | int, data_dir: Path | None) -> LoadedRun:
    """Load a checkpoint and the text to score. Raises UserError where the text has changed since the run was trained."""
    config = read_config(run)
    prepared = load_data(config, data_dir)
    if split not in prepared.parts:
        raise UserError(f"split: no part '{split}'; {suggest(split, prepared.parts)}")
    if prepared.parts[split].target_count == 0:
        raise UserError(f"split: the part '{split}' of this run is empty; score another one")
    trained_on = run.text_part(split).get("sha256")
    if trained_on not in (None, prepared.parts[split].sha256):
        raise UserError(f"{run.name}: the {split} text is not the one of the run; the corpus has changed since, restore it")
    if read_tokenizer(run).digest != prepared.tokenizer.digest:
        raise UserError(f"{run.name}: the text gives another tokenizer than the run's; the corpus has changed since it was trained")
    model = build_model(config, prepared.tokenizer.vocab_size)
    ref = checkpoints.load_chosen_weights(run.checkpoints, checkpoint, model)
    return LoadedRun(run, config, prepared, model, ref, split)


def record_test_use(run: RunDirectory, stored: dict[str, Any]) -> None:
    """Record a use of the test split."""
    run.append_line(TEST_USES, make_test_use(stored))


def make_test_use(stored: dict[str, Any]) -> dict[str, Any]:
    """Make the line that says when the test split was used, and for what."""
    use = {"time": datetime.now(UTC).isoformat(timespec="seconds"), "checkpoint": stored["protocol"]["checkpoint"]}
    return use | {name: stored[name] for name in ("bits_per_byte", "standard_error", "protocol")}


@dataclass(frozen=True, slots=True)
class ScoreRequest:
    """Which score of a run: of which split and checkpoint, and how the text is read."""

    split: str
    checkpoint: str | int = "best"
    policy: Policy | None = None  # None: as the text was read in training
    stride: int | None = None  # new targets a window; alone it means the policy strided
    data_dir: Path | None = None
    batch_size: int = 32
    device: str | None = None  # None: as trained

    def __post_init__(self) -> None:
        if self.policy is not None and self.policy not in get_args(Policy):
            raise UserError(f"policy: there is no '{self.policy}'; {suggest_today(str(self.policy), get_args(Policy))}")
        check_range("stride", self.stride, 1)
        check_range("batch_size", self.batch_size, 1)

    def find_or_compute(self, member: RunDirectory | Path, notify: Notify) -> StoredScore:
        """Find the score of a run, or read the one in a file of scores. A missing one is computed now, which `notify` is told."""
        if isinstance(member, Path):
            return read_stored_score(member)
        checkpoint = self.find_checkpoint(member)
        file = self.find_stored_file(member, checkpoint)
        if file is None:
            notify(f"{member.name}: not scored on {self.split} in this way yet; scoring it now")
            return score_run(member, self).read_back(member, notify)
        return read_stored_score(file, member, checkpoint)

    def find_checkpoint(self, run: RunDirectory) -> CheckpointRef:
        """Find the checkpoint that is to be scored. Raises RunError if it is not there."""
        status = run.status()
        if status.get("failure") == "diverged" and not list_steps(run.checkpoints):
            step = status.get("step", 0)
            raise RunError(
                f"{run.name}: diverged at step {step} before it saved anything, so it has no score; train it with a lower optimizer.lr"
            )
        return checkpoints.resolve(run.checkpoints, self.checkpoint)

    def find_stored_file(self, run: RunDirectory, checkpoint: CheckpointRef | None = None) -> Path | None:
        """Find the file of the score, if the run has it; `checkpoint`: the one that is meant, where that is known."""
        policy = self.policy or ("strided" if self.stride is not None else read_config(run).batches.policy)
        return find_stored_score(run, self.split, checkpoint or self.find_checkpoint(run), policy, self.stride)


@dataclass(frozen=True, slots=True)
class SavedScore:
    """A score that was just computed, and as it is stored in the run, if that can be written."""

    score: Score
    name: str  # of its file among the scores
    stored: dict[str, Any]
    file: Path
    test_uses: list[dict[str, Any]]  # of the test split, this one last; empty for another split
    not_stored: str | None = None  # why it could not be written

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain values, with the file it is in."""
        place: dict[str, Any] = {"stored": str(self.file)}
        if self.not_stored is not None:
            place = {"stored": None, "not_stored": self.not_stored}
        return {**self.stored, **place, **({"test_uses": self.test_uses} if self.test_uses else {})}

    def read_back(self, run: RunDirectory, notify: Notify) -> StoredScore:
        """Read the score as it is stored, or as it would be, which `notify` is told."""
        checkpoint = self.score.protocol.checkpoint
        if self.not_stored is None:
            return read_stored_score(self.file, run, checkpoint)
        notify(f"the score is not kept ({self.not_stored})")
        with TemporaryDirectory() as folder:
            store_score(RunDirectory(Path(folder)), self.name, self.score)
            return read_stored_score(Path(folder) / "scores" / f"{self.name}.json", run, checkpoint)


def score_run(run: RunDirectory, request: ScoreRequest) -> SavedScore:
    """Score a checkpoint on every byte of a split, store the score, and record a use of the test split. Raises UserError."""
    loaded = load_run(run, request.split, request.checkpoint, request.data_dir)
    return score_and_save(loaded, make_run_scorer(loaded, request))


def make_run_scorer(loaded: LoadedRun, request: ScoreRequest) -> Scorer:
    """Make the scorer for a request, and move the model of the run to its device. Raises UserError."""
    if request.policy == "streams":
        refuse_unbounded_state(loaded.model, "policy", "choose another policy, such as disjoint")
    device = choose_device(request.device, loaded.config.train.device, loaded.config.train.precision)
    loaded.model.to(device)
    target = ScoreTarget(loaded.prepared.parts[loaded.split], loaded.split, loaded.checkpoint)
    scorer = make_scorer(loaded.config, loaded.prepared, target, device, request.policy, request.stride)
    return replace(scorer, batch_size=request.batch_size)


def score_and_save(loaded: LoadedRun, scorer: Scorer) -> SavedScore:
    """Score a loaded run and store the score."""
    score, ref = scorer.score(loaded.model), loaded.checkpoint
    which = str(ref.step) if ref.kind == "step" else ref.kind
    protocol = scorer.protocol
    reading = f"stride{protocol.stride}" if protocol.policy == "strided" else protocol.policy
    name = f"{loaded.split}-{which}-step{ref.step}-{reading}"
    return save_score(loaded.run, name, score, uses_test=loaded.split == "test")


def save_score(run: RunDirectory, name: str, score: Score, *, uses_test: bool) -> SavedScore:
    """Store a score in a run, and record the use of the test split where it was scored; what cannot be written is returned all the same."""
    stored = make_score_tree(score)
    uses: list[dict[str, Any]] = []
    if uses_test:
        with suppress(RunError):  # the score is worth more than the count of those before it; the readers of a run say what is damaged
            uses = run.test_uses()
        uses.append(make_test_use(stored))
    refused = try_to_store(lambda: store_score(run, name, score, stored))
    if uses and (unrecorded := try_to_store(lambda: run.append_line(TEST_USES, uses[-1]))):
        refused = f"{refused or unrecorded}; nor is this use of the test split recorded"
    return SavedScore(score, name, stored, run.path / "scores" / f"{name}.json", uses, refused)


def compute_final_scores(run: RunDirectory, experiment: Experiment, clock: Clock) -> dict[str, Any]:
    """Score a trained run without dropout, store the scores in it, and return what its status keeps of them.

    Last, best and average are scored on the whole validation split, and last on as much training text.
    """
    state, parallel = experiment.state, experiment.setup.parallel
    model, last = state.learner.model, CheckpointRef("last", state.step)

    def timed(scorer: Scorer) -> Score:
        with clock.measure("validate"):
            return scorer.score(model)

    with state.optimizer.use_averaged_weights():
        scores = {"last": timed(experiment.make_validation_scorer(last))}
        scores["training"] = timed(make_training_scorer(experiment, experiment.prepared.parts["validation"].byte_count))
    if state.weight_average is not None:
        with state.weight_average.use_average():
            scores["average"] = timed(experiment.make_validation_scorer(CheckpointRef("average", state.step)))
    scores["best"] = scores["last"]
    best = state.best
    if best is not None and best.step != state.step:
        checkpoints.load_chosen_weights(run.checkpoints, "best", model)
        scores["best"] = timed(experiment.make_validation_scorer(CheckpointRef("best", best.step)))
        checkpoints.load_chosen_weights(run.checkpoints, "last", model)
    if parallel.is_main:
        for name, score in scores.items():
            store_score(run, f"end-{name}", score)
    return {
        "bits_per_byte": scores["best"].bits_per_byte,
        "scores": {name: summarize_score(score) for name, score in scores.items()},
        "time_left_error": clock.mean_error(),
        "seconds": dict(clock.spent),
    }


def make_training_scorer(experiment: Experiment, size: int) -> Scorer:
    """Make the scorer of about `size` bytes of training text: random documents or, where there are few, spread windows."""
    part, share = experiment.prepared.parts["train"], 1.0
    if part.document_count >= MIN_DOCUMENTS:
        part = sample_documents(part, size, experiment.config.train.seed)
    else:
        share = min(1.0, size / part.byte_count)
    return experiment.make_scorer(ScoreTarget(part, "train_sample", CheckpointRef("last", experiment.state.step)), share)


def summarize_score(score: Score) -> dict[str, Any]:
    """Return the values of a score that a line of metrics holds."""
    tree = score.to_dict()
    return {name: tree[name] for name in SUMMARY}


def sample_documents(part: TokenizedPart, size: int, seed: int) -> TokenizedPart:
    """Draw documents of about `size` bytes at random, in their order."""
    order = numpy_generator(seed, "evaluation").permutation(part.document_count)
    count = max(1, int(np.searchsorted(np.cumsum(part.byte_sizes[order]), size)))
    chosen = np.sort(order[:count])
    tokens = [part.document(index) for index in chosen]
    offsets = np.cumsum([0, *map(len, tokens)])
    return TokenizedPart(np.concatenate(tokens), offsets, part.byte_sizes[chosen], None, part.sha256, part.has_end_tokens)
