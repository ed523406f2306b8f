"""TensorBoard: curves in a browser while the run goes on, and after it. Writes event files into `tensorboard/` of the run."""

from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from assay.errors import UserError
from assay.runs.directory import CONFIG
from assay.terminal.console import visible
from assay.tracking.base import Pace
from assay.tracking.figures import of_scores, of_training, of_validation
from assay.tracking.mirror import Copy

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter

FOLDER = "tensorboard"
WHOLE = "validation_whole_split"  # the group of the final scores
FLUSH = 5  # seconds: what is written is seen that soon


class TensorBoard(Copy):
    """Writes scalars of every figure, and texts: the config, the samples, the final scores.

    A resumed run tells TensorBoard to forget what lies beyond the step that it goes on from (`purge_step`), so that no point is doubled.
    """

    patience = 30.0  # it writes to a disk
    late = "its curves may lack the end"

    def __init__(self) -> None:
        if find_spec("tensorboard") is None:
            raise UserError("--track tensorboard: needs the tensorboard library: pip install 'assay[tensorboard]'")
        self.writer: SummaryWriter | None = None

    def where(self, folder: Path) -> str:
        return f"curves in a browser: tensorboard --logdir {folder.parent}"

    def opened(self, folder: Path, step: int) -> None:
        from torch.utils.tensorboard import SummaryWriter  # noqa: PLC0415 (optional, and it takes a second)

        self.writer = SummaryWriter(str(folder / FOLDER), purge_step=step + 1 if step else None, flush_secs=FLUSH)
        self._text("config", (folder / CONFIG).read_text(encoding="utf-8"), step)
        self.writer.flush()

    def metrics(self, line: Mapping[str, Any], pace: Pace) -> None:
        self._scalars(of_training(line, pace), line["step"])

    def validation(self, line: Mapping[str, Any], best: bool) -> None:
        self._scalars(of_validation(line), line["step"])

    def sample(self, step: int, texts: Sequence[str]) -> None:
        self._text("samples", "\n\n".join(map(visible, texts)), step)

    def scores(self, step: int, figures: Mapping[str, Any]) -> None:
        scored = {
            f"{WHOLE}/{which}_bits_per_byte": score["bits_per_byte"] for which, score in figures["scores"].items() if which != "training"
        }
        self._scalars(scored, step)
        self._text("final", "\n".join(f"{name:<36}{value:.6g}" for name, value in of_scores(figures).items()), step)

    def end(self) -> None:
        if self.writer is not None:
            self.writer.close()

    def _scalars(self, values: Mapping[str, float], step: int) -> None:
        assert self.writer is not None
        for name, value in values.items():
            self.writer.add_scalar(name, value, step)

    def _text(self, name: str, text: str, step: int) -> None:
        """Indented, so that TensorBoard shows it as it is instead of taking it for Markdown."""
        assert self.writer is not None
        self.writer.add_text(name, "\n".join(f"    {line}" for line in text.splitlines()), step)
