"""The class `Run`: a view of a run's directory, cheap to make, and the same in another process next year."""

import warnings
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from assay.core.arguments import check_arguments
from assay.errors import explain_file_errors
from assay.runs.directory import METRICS, RunDirectory
from assay.runs.json_files import short_path
from assay.runs.status import Status

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from assay.data.batches import Policy
    from assay.evaluation.score import Score
    from assay.experiment.config import ExperimentConfig, Override
    from assay.generation.texts import GeneratedText, TextGenerator, TextStream
    from assay.models.base import Model
    from assay.text.tokenizer import Tokenizer
    from assay.tracking.base import Tracker
    from assay.trainer.baselines import Baselines, BusyIndicator
    from assay.trainer.callback import Event
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
        return self.directory.name

    @property
    def directory(self) -> RunDirectory:
        """Its files.

        >>> (run.directory.path / "metrics.jsonl").is_file()
        True
        """
        return RunDirectory(self.path)

    @property
    def status(self) -> Status:
        """Its progress: `state`, `step`, `steps`, `failure`, `error`, and the metrics of a finished run.

        >>> run.status.step, run.status.failure
        (20, None)
        """
        return Status.from_dict(self.directory.status())

    @property
    def config(self) -> "ExperimentConfig":
        """Its config, which decided its outcome, as a frozen tree. Raises ConfigError if it was damaged.

        >>> run.config.model.depth
        1
        """
        from assay.experiment.load import read_config

        return read_config(self.directory)

    @property
    def baselines(self) -> dict[str, float] | None:
        """Cheaper methods on the same validation text, in bits per byte by name; None where they were not measured or do not hold.

        >>> "uniform" in run.baselines
        True
        """
        from assay.trainer.baselines import read_baselines

        baselines = read_baselines([self.directory])
        return dict(baselines.bits_per_byte) or None if baselines else None

    @explain_file_errors()
    @check_arguments
    def measure_baselines(self, busy: "BusyIndicator" = nullcontext) -> "Baselines":
        """Measure what cheaper methods reach on the validation text, once, and store it; `busy` is entered with the seconds it takes.

        >>> baselines = run.measure_baselines()
        """
        from assay.experiment.load import load_data
        from assay.trainer.baselines import measure_baselines

        return measure_baselines(load_data(self.config, self.data_dir), busy=busy, run=self.directory)

    def metrics(self) -> list[dict[str, Any]]:
        """Read the lines of metrics.jsonl: training metrics (`loss` in nats per token) and validations, each with its `step`.

        >>> run.metrics()[-1]["validation"]["bits_per_byte"] > 0
        True
        """
        return list(self.directory.read_lines(METRICS))

    def frame(self) -> Any:
        """Read the metrics as a pandas DataFrame, a row a line, nested ones as `validation.bits_per_byte`. UserError without pandas.

        >>> "validation.bits_per_byte" in run.frame()
        True
        """
        from assay.trainer.notebook import make_dataframe

        return make_dataframe(self.metrics())

    @property
    def scores(self) -> dict[str, dict[str, Any]]:
        """Every stored score by its name: metrics with standard errors, and the protocol of each.

        >>> sorted(run.scores)
        ['end-best', 'end-last', 'end-training']
        """
        return self.directory.scores_by_file()

    @check_arguments
    def model(self, checkpoint: str | int = "best", device: str | None = None) -> "Model":
        """Load the model in evaluation mode: `model(ids).logits` is [B, T, V] for ids [B, T] of any integer type, of numpy or torch.

        `checkpoint` is `best`, `last`, `average` or a step. Raises RunError where it is not there.

        >>> run.model()(run.tokenizer.encode([b"And"])[0][None]).logits.shape[0]
        1
        """
        from assay.experiment.load import accept_any_ids, load_model

        return accept_any_ids(load_model(self.path, checkpoint=checkpoint, device=device).model)

    @property
    def tokenizer(self) -> "Tokenizer":
        """Bytes to ids and back: `encode([bytes, ...])` gives an array of ids each, `decode(ids)` gives bytes.

        >>> run.tokenizer.decode(run.tokenizer.encode([b"And"])[0])
        b'And'
        """
        from assay.experiment.load import read_tokenizer

        return read_tokenizer(self.directory)

    @explain_file_errors()
    @check_arguments
    def sample(
        self, prompt: str | bytes = "", count: int = 1, seed: int = 0, *, tokens: int = 200, temperature: float = 1.0,
        top_k: int | None = None, top_p: float | None = None, min_p: float | None = None, checkpoint: str | int = "best",
        device: str | None = None,
    ) -> list[str]:  # fmt: skip
        """Generate texts after `prompt`, which each text begins with; a text ends where the model ends it.

        The prompt may end anywhere, in a word or after a space: what follows has the law that the model gives to texts that begin so.
        `temperature` 0 takes the likeliest token; `top_k`, `top_p` and `min_p` draw from the likeliest only.

        >>> len(run.sample("And", count=2, tokens=5))
        2
        """
        options: dict[str, Any] = {"temperature": temperature, "top_k": top_k, "top_p": top_p, "min_p": min_p}
        written = self.generate(prompt, count, seed, tokens=tokens, checkpoint=checkpoint, device=device, **options)
        return [one.text for one in written]

    @explain_file_errors()
    @check_arguments
    def generate(
        self, prompt: str | bytes = "", count: int = 1, seed: int = 0, *, tokens: int = 200, temperature: float = 1.0,
        top_k: int | None = None, top_p: float | None = None, min_p: float | None = None, checkpoint: str | int = "best",
        device: str | None = None,
    ) -> "list[GeneratedText]":  # fmt: skip
        """Generate what `sample` does, each with how it ended: `text`, `ended`, `cut_at_positions`, `beyond_training`.

        >>> run.generate("And", tokens=5)[0].text == run.sample("And", tokens=5)[0]
        True
        """
        return self._text_generator(checkpoint, device, temperature, top_k, top_p, min_p).generate(prompt, count, seed, tokens)

    @check_arguments
    def stream(
        self, prompt: str | bytes = "", seed: int = 0, *, tokens: int = 200, temperature: float = 1.0,
        top_k: int | None = None, top_p: float | None = None, min_p: float | None = None, checkpoint: str | int = "best",
        device: str | None = None,
    ) -> "TextStream":  # fmt: skip
        """Generate the first text of `sample`, in pieces as they are drawn; `result` of what is returned is that of `generate` then.

        >>> "".join(run.stream("And", tokens=5)) == run.sample("And", tokens=5)[0]
        True
        """
        return self._text_generator(checkpoint, device, temperature, top_k, top_p, min_p).stream(prompt, seed, tokens)

    def _text_generator(self, checkpoint: str | int, device: str | None, *sampling: Any) -> "TextGenerator":
        from assay.experiment.load import load_model
        from assay.generation.decode import Sampling
        from assay.generation.texts import TextGenerator

        checked = Sampling(*sampling).check()
        model, tokenizer = load_model(self.path, checkpoint=checkpoint, device=device)
        batches = self.config.batches
        carried = batches.carries_state or (model.bounded_state and model.max_length is None)
        return TextGenerator(model, tokenizer, checked, None if carried else batches.window, f"{self.name}, checkpoint {checkpoint}")

    @explain_file_errors()
    @check_arguments
    def score(
        self, split: str = "validation", *, checkpoint: str | int = "best", policy: "Policy | None" = None, stride: int | None = None,
        batch_size: int = 32, device: str | None = None,
    ) -> "Score":  # fmt: skip
        """Score every byte of a split once, and store the score in the run: `.bits_per_byte`, `.standard_error`, `.protocol`.

        `policy` says how the text is read (`disjoint` or `strided` windows, `streams`, `documents`), absent: as in training.
        A score of the test split is recorded in the run. Raises UserError where the text is no longer the one of the run.

        >>> round(run.score().bits_per_byte, 4) == round(run.status.metrics["bits_per_byte"], 4)
        True
        """
        from assay.trainer.scoring import ScoreRequest, score_run

        request = ScoreRequest(split, checkpoint, policy, stride, self.data_dir, batch_size, device)
        saved = score_run(self.directory, request)
        if saved.not_stored is not None:
            warnings.warn(f"the score is not kept ({saved.not_stored})", stacklevel=4)
        return saved.score

    @explain_file_errors()
    @check_arguments
    def resume(
        self, *overrides: "Override", hooks: Sequence["Hook | Callable[[Event], object]"] = (), progress: bool | None = None,
        track: Sequence[str] = (), tracker: "Tracker | None" = None,
    ) -> "Run":  # fmt: skip
        """Go on where it stopped, bit for bit, or to a new total budget. Raises RunError for a change that a run cannot take.

        >>> run.resume("train.budget=40steps").status.step
        40
        """
        from assay.trainer.train_run import choose_tracker, resume_run

        return resume_run(self, overrides, hooks, choose_tracker(tracker, progress, track))

    @check_arguments
    def plot(self, split: str = "validation", metric: str = "bits_per_byte", x: str = "step", axes: "Axes | None" = None) -> "Axes":
        """Draw a curve on matplotlib Axes: a `validation` or `training` metric over `step`, `tokens` or `epoch`.

        >>> run.plot("training", "loss", x="tokens").get_ylabel()
        'loss'
        """
        from assay.trainer.notebook import plot_curve

        return plot_curve(self, split, metric, x, axes)

    def __fspath__(self) -> str:
        """Its path, so that functions that take a path take a run.

        >>> assay.load_model(run).tokenizer.vocab_size == run.tokenizer.vocab_size
        True
        """
        return str(self.path)

    def _repr_html_(self) -> str:
        """Render the table that a notebook shows: its state, score, baselines and curve."""
        from assay.trainer.notebook import render_run

        return render_run(self)

    def __repr__(self) -> str:
        """Return one line: its path, its progress, its score."""
        status = self.status
        bits = status.metrics.get("bits_per_byte")
        progress = f"{status.state} at step {status.step}" + ("" if status.steps is None else f" of {status.steps}")
        return f"Run({str(short_path(self.path))!r}, {progress}{'' if bits is None else f', {bits:.4f} bits per byte'})"
