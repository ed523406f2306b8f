"""A run as a person asks it: a view of its directory, cheap to make, and the same in another process next year."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from assay.errors import file_errors_as_sentences
from assay.runs.directory import BASELINES, METRICS, RunDirectory, short_path
from assay.runs.status import Status

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from assay.data.plan import Policy
    from assay.evaluation.score import Score
    from assay.experiment.config import ExperimentConfig
    from assay.models.base import Model
    from assay.text.tokenizer import Tokenizer
    from assay.tracking.base import Tracker
    from assay.trainer.baselines import Baselines, Waiting
    from assay.trainer.callback import Event
    from assay.trainer.overrides import Override
    from assay.training.hook import Hook


@dataclass(frozen=True, slots=True)
class Run:
    """A run: `path` is its directory, and everything else is read from there when it is asked for. Runs of one directory are equal.

    >>> run.status.state
    'finished'
    """

    path: Path  # absolute, so that it holds in another working directory
    data_dir: Path | None = field(default=None, compare=False)  # where its text is looked for

    def __post_init__(self) -> None:
        object.__setattr__(self, "path", Path(self.path).resolve())
        if self.data_dir is not None:
            object.__setattr__(self, "data_dir", Path(self.data_dir).absolute())

    @property
    def name(self) -> str:
        """The name of its directory.

        >>> run.name.endswith("-s0")
        True
        """
        return self.path.name

    @property
    def directory(self) -> RunDirectory:
        """Its files.

        >>> (run.directory.path / "metrics.jsonl").is_file()
        True
        """
        return RunDirectory(self.path)

    @property
    def status(self) -> Status:
        """Where it stands: `state`, `step`, `steps`, `failure`, `error`, and the figures of a finished run.

        >>> run.status.step, run.status.failure
        (20, None)
        """
        return Status.of(self.directory.status())

    @property
    def config(self) -> "ExperimentConfig":
        """Everything that decided its outcome, as a frozen tree. Raises ConfigError if it was damaged.

        >>> run.config.model.depth
        1
        """
        from assay.experiment.load import read_config

        return read_config(self.directory)

    @property
    def baselines(self) -> dict[str, float] | None:
        """Cheaper methods on the same validation text, in bits per byte by name; None where they were not measured.

        >>> "uniform" in run.baselines
        True
        """
        found: dict[str, float] | None = self.directory.read_json(BASELINES)
        return found

    @file_errors_as_sentences()
    def measure_baselines(self, waiting: "Waiting" = nullcontext) -> "Baselines":
        """Measure what cheaper methods reach on the validation text, once, and keep it; `waiting` is entered with the seconds it takes.

        >>> found = run.measure_baselines()
        """
        from assay.experiment.load import load_data
        from assay.trainer.baselines import measure_baselines

        return measure_baselines(load_data(self.config, self.data_dir), waiting=waiting, run=self.directory)

    def metrics(self) -> list[dict[str, Any]]:
        """The lines of metrics.jsonl: training figures (`loss` in nats per token) and validations, each with its `step`.

        >>> run.metrics()[-1]["validation"]["bits_per_byte"] > 0
        True
        """
        return list(self.directory.lines(METRICS))

    def frame(self) -> Any:
        """The metrics as a pandas DataFrame, a row a line, nested figures as `validation.bits_per_byte`. UserError without pandas.

        >>> "validation.bits_per_byte" in run.frame()
        True
        """
        from assay.trainer.notebook import frame_of

        return frame_of(self.metrics())

    @property
    def scores(self) -> dict[str, dict[str, Any]]:
        """Every stored score by its name: figures with standard errors, and the protocol of each.

        >>> sorted(run.scores)
        ['end-best', 'end-last', 'end-training']
        """
        return self.directory.named_scores()

    def model(self, checkpoint: str | int = "best", device: str | None = None) -> "Model":
        """The model in evaluation mode: `model(ids).logits` is [B, T, V] for ids [B, T] of any integer type, of numpy or torch.

        `checkpoint` is `best`, `last`, `average` or a step. Raises RunError where it is not there.

        >>> run.model()(run.tokenizer.encode([b"And"])[0][None]).logits.shape[0]
        1
        """
        from assay.experiment.load import load_model
        from assay.trainer.ids import accept_any_ids

        return accept_any_ids(load_model(self.path, checkpoint=checkpoint, device=device).model)

    @property
    def tokenizer(self) -> "Tokenizer":
        """Bytes to ids and back: `encode([bytes, ...])` gives an array of ids each, `decode(ids)` gives bytes.

        >>> run.tokenizer.decode(run.tokenizer.encode([b"And"])[0])
        b'And'
        """
        from assay.text.tokenizer import load_tokenizer

        return load_tokenizer(self.directory.path / "tokenizer.json")

    @file_errors_as_sentences()
    def sample(
        self, prompt: str = "", count: int = 1, seed: int = 0, *, tokens: int = 200, temperature: float = 1.0, top_k: int | None = None,
        top_p: float | None = None, min_p: float | None = None, checkpoint: str | int = "best", device: str | None = None,
    ) -> list[str]:  # fmt: skip
        """What the model writes after `prompt`, which each text begins with; a text ends where the model ends it.

        `temperature` 0 takes the likeliest token; `top_k`, `top_p` and `min_p` draw from the likeliest only.

        >>> len(run.sample("And", count=2, tokens=5))
        2
        """
        from assay.trainer.writing import Writer

        return Writer(self.directory, (temperature, top_k, top_p, min_p), checkpoint, device).write(prompt, count, seed, tokens)

    def stream(
        self, prompt: str = "", seed: int = 0, *, tokens: int = 200, temperature: float = 1.0, top_k: int | None = None,
        top_p: float | None = None, min_p: float | None = None, checkpoint: str | int = "best", device: str | None = None,
    ) -> Iterator[str]:  # fmt: skip
        """The text that `sample` gives first, in pieces as they are drawn.

        >>> "".join(run.stream("And", tokens=5)) == run.sample("And", tokens=5)[0]
        True
        """
        from assay.trainer.writing import Writer

        return Writer(self.directory, (temperature, top_k, top_p, min_p), checkpoint, device).stream(prompt, seed, tokens)

    @file_errors_as_sentences()
    def score(
        self, split: str = "validation", *, checkpoint: str | int = "best", policy: "Policy | None" = None, stride: int | None = None,
        batch_size: int = 32, device: str | None = None,
    ) -> "Score":  # fmt: skip
        """Score every byte of a split once, and keep the score in the run: `.bits_per_byte`, `.standard_error`, `.protocol`.

        `policy` says how the text is read (`disjoint` or `strided` windows, `carried` state, `documents` alone), absent: as in training.
        A score of the test split is noted in the run. Raises UserError where the text is not the one that the run knows.

        >>> round(run.score().bits_per_byte, 4) == round(run.status.figures["bits_per_byte"], 4)
        True
        """
        from assay.trainer.rescore import ScoreRequest, score_run

        request = ScoreRequest(split, checkpoint, policy, stride, self.data_dir, batch_size, device)
        return score_run(self.directory, request).score

    @file_errors_as_sentences()
    def resume(
        self, *overrides: "Override", hooks: Sequence["Hook | Callable[[Event], object]"] = (), progress: bool | None = None,
        track: Sequence[str] = (), tracker: "Tracker | None" = None,
    ) -> "Run":  # fmt: skip
        """Go on where it stopped, bit for bit, or to a new total budget. Raises RunError for a change that a run cannot take.

        >>> run.resume("train.budget=40steps").status.step
        40
        """
        from assay.trainer.make import choose_tracker, resume_run

        return resume_run(self, overrides, hooks, choose_tracker(tracker, progress, track))

    def plot(self, split: str = "validation", figure: str = "bits_per_byte", x: str = "step", axes: "Axes | None" = None) -> "Axes":
        """A curve as matplotlib Axes: a `validation` or `training` figure over `step`, `tokens` or `epoch`.

        >>> run.plot("training", "loss", x="tokens").get_ylabel()
        'loss'
        """
        from assay.trainer.notebook import plot_curve

        return plot_curve(self, (split, figure), x, axes)

    def _repr_html_(self) -> str:
        """The table that a notebook shows: what it is, its figures, its baselines, its curve."""
        from assay.trainer.notebook import html_of

        return html_of(self)

    def __repr__(self) -> str:
        """One line: its path, where it stands, its figure."""
        status = self.status
        figure = status.figures.get("bits_per_byte")
        where = f"{status.state} at step {status.step}" + ("" if status.steps is None else f" of {status.steps}")
        return f"Run({str(short_path(self.path))!r}, {where}{'' if figure is None else f', {figure:.4f} bits per byte'})"
