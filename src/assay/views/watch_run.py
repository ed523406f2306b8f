"""What `assay watch` shows of one run."""

import textwrap
from pathlib import Path
from typing import Any

from assay.core.words import duration
from assay.terminal.charts import chart, progress
from assay.terminal.console import visible
from assay.terminal.curves import WIDEST
from assay.tracking.follow import Followed, state

HIGHEST = 16  # lines of the chart
SAMPLE = 3  # lines of what it wrote
LAST = 4  # lines of metrics that are shown
OVER = ("finished", "failed", "interrupted", "killed", "gone")  # states in which nobody writes


class RunView:
    """One run: where it stands, its curves, what it wrote, its last lines."""

    def __init__(self, path: Path) -> None:
        self.followed = Followed(path)

    def look(self) -> None:
        """Read what is new."""
        self.followed.look()

    @property
    def state(self) -> str:
        """The state as written, `killed` where its process is gone, `gone` where its directory is."""
        return state(self.followed.status) if self.followed.there else "gone"

    @property
    def over(self) -> bool:
        """Whether nothing more will come."""
        return self.state in OVER

    def lines(self, width: int, height: int, *, unicode: bool) -> list[str]:
        """As much as there is room for, the most important first."""
        run, width = self.followed, min(width, WIDEST)
        head = self._head(width, unicode=unicode)
        below = [*self._sample(width), *(f"  {told(line)}" for line in run.recent[-LAST:])]
        room = height - len(head) - 2  # for the chart with its title
        if room - len(below) < 6:
            below = below[-max(0, room - 10) :] if room > 10 else []
        losses = [(float(step), loss) for step, loss in run.losses]
        validations = [(float(step), figures["nats_per_token"]) for step, figures in run.validations]
        drawn = chart(losses, validations, (width, min(HIGHEST, room - len(below))), unicode=unicode)
        marks = ("⠒ training", "● validation") if unicode else (". training", "o validation")
        title = ["", f"nats/token   {'   '.join(marks)}"] if drawn else []
        return [*head, *title, *drawn, *below][:height]

    def _head(self, width: int, *, unicode: bool) -> list[str]:
        run = self.followed
        share = 0.0 if not run.steps else run.step / run.steps
        head = [f"{run.run.name}  {self.state}  step {run.step}/{run.steps or '?'}", progress(share, width, unicode=unicode)]
        if self.state == "running":
            head.append(f"left {duration(run.left)}   {run.timing.get('tokens_per_second', 0):,.0f} tokens/s")
        if run.best is not None:
            bits, error = run.best
            scored = (run.status.get("scores") or {}).get("best")
            head.append(f"{bits:.4f} +- {error:.4f} bits/byte, {'best checkpoint, whole split' if scored else 'best so far'}")
        if self.state == "failed":
            head.append(f"failed: {in_a_line(run.status.get('error'))}")
        if self.state in ("interrupted", "killed"):
            head.append(f"go on with: assay resume {run.run.path}")
        return head

    def _sample(self, width: int) -> list[str]:
        text = self.followed.sample()
        return [] if not text else ["", *textwrap.wrap(f"  wrote: {in_a_line(text)}", width, subsequent_indent="  ")[:SAMPLE]]


def in_a_line(text: object) -> str:
    """What others wrote, in one line that commands no terminal."""
    return visible(" ".join(str(text).split()))


def told(line: dict[str, Any]) -> str:
    """A line of metrics in words."""
    if "validation" in line:
        figures = line["validation"]
        return f"step {line['step']}  validation {figures['bits_per_byte']:.4f} +- {figures['standard_error']:.4f} bits per byte"
    return f"step {line.get('step')}  loss {line.get('loss', float('nan')):.4f} nats/token"
