"""Track a run in TensorBoard: curves in a browser, during the run and after it. Writes event files into `tensorboard/` of the run."""

from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from assay.core.install import write_assay_line
from assay.errors import UserError
from assay.runs.directory import CONFIG
from assay.terminal.console import escape_control_characters
from assay.tracking.base import ExternalTracker, score_scalars

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter

FOLDER = "tensorboard"
WHOLE_SPLIT = "validation_whole_split"  # the group of the final scores
FLUSH = 5  # seconds until what is written can be seen


class TensorBoard(ExternalTracker):
    """Writes scalars of all metrics, and texts: the config, the samples, the final scores.

    A resumed run tells TensorBoard to forget what lies beyond the step that it goes on from (`purge_step`), so that no point is doubled.
    """

    close_timeout = 30.0  # it writes to a disk
    timeout_message = "its curves may lack the end"

    def __init__(self) -> None:
        if find_spec("tensorboard") is None:
            raise UserError(f"track: tensorboard needs the tensorboard library: {write_assay_line('tensorboard')}")
        self.writer: SummaryWriter | None = None

    def describe_location(self, folder: Path) -> str:
        return f"curves in a browser: tensorboard --logdir {folder.parent}"

    def open_directory(self, folder: Path, step: int) -> None:
        from torch.utils.tensorboard import SummaryWriter  # noqa: PLC0415 (optional, and it takes a second)

        self.writer = SummaryWriter(str(folder / FOLDER), purge_step=step + 1 if step else None, flush_secs=FLUSH)
        self._text("config", (folder / CONFIG).read_text(encoding="utf-8"), step)
        self.writer.flush()

    def log_scalars(self, scalars: Mapping[str, float], step: int) -> None:
        assert self.writer is not None
        for name, value in scalars.items():
            self.writer.add_scalar(name, value, step)

    def log_samples(self, step: int, texts: Sequence[str]) -> None:
        self._text("samples", "\n\n".join(map(escape_control_characters, texts)), step)

    def log_final_scores(self, step: int, results: Mapping[str, Any]) -> None:
        scores = {which: score["bits_per_byte"] for which, score in results["scores"].items() if which != "training"}
        self.log_scalars({f"{WHOLE_SPLIT}/{which}_bits_per_byte": bits for which, bits in scores.items()}, step)
        self._text("final", "\n".join(f"{name:<36}{value:.6g}" for name, value in score_scalars(results).items()), step)

    def close(self) -> None:
        if self.writer is not None:
            self.writer.close()

    def _text(self, name: str, text: str, step: int) -> None:
        """Write a text, indented, so that TensorBoard does not take it for Markdown."""
        assert self.writer is not None
        self.writer.add_text(name, "\n".join(f"    {line}" for line in text.splitlines()), step)
