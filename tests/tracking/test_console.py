"""What a person sees: plain lines in a file, a live bar in a terminal, nothing cut off at any width."""

import io
import re
import time
from dataclasses import replace

import pytest
from rich.console import Console

from assay.core.words import format_duration
from assay.terminal.console import escape_control_characters
from assay.tracking.base import Pace
from assay.tracking.console import ConsoleTracker, format_pace

PACE = Pace(step=1200, steps=20_000, epoch=12.34, tokens_per_second=123_456.7, epoch_left=62.0, run_left=3723.0)
LINE = {"step": 1200, "loss": 1.23456}
FACTS = {"text": "bible: 4,511,940 bytes, documents: train 27,977, validation 1,555, test 1,570; public domain", "run": "runs/x" * 20}
SCORE = {"bits_per_byte": 1.2345, "standard_error": 0.0067, "nats_per_token": 2.3456, "coverage": 1.0}


def screen(out: io.StringIO, width: int, term: str = "xterm-256color") -> Console:
    """A terminal's console."""
    return Console(force_terminal=True, width=width, file=out, color_system="truecolor", _environ={"TERM": term})


def narrated(*, terminal: bool, width: int, steps: int | None = 20_000) -> str:
    """All that a tracker can be told, as it was printed."""
    out = io.StringIO()
    tracker = ConsoleTracker(screen(out, width) if terminal else Console(width=width, file=out))
    tracker.start("assay train bible", FACTS)
    tracker.log_metrics(LINE, Pace(50, None, 0.1, 1.0, None, None))
    tracker.log_metrics(LINE, replace(PACE, steps=steps))
    tracker.log_validation({"step": 1200, "validation": SCORE}, True)
    tracker.log_validation({"step": 1300, "validation": {**SCORE, "coverage": 0.034}}, False)
    tracker.log_samples(1200, ["and the :heart: said [bold]\x1b[31m\x00 unto 言葉 " * 4, ""])
    tracker.log_message("changed: [train.budget] 1 -> 2")
    tracker.log_metrics(LINE, replace(PACE, step=20_000, run_left=0.0))
    tracker.close()
    return out.getvalue()


def plain(text: str) -> list[str]:
    """The lines without colours and without the movements of the cursor."""
    return re.split(r"[\r\n]+", re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text))


def test_a_file_gets_plain_lines() -> None:
    printed = narrated(terminal=False, width=40)
    assert "\x1b" not in printed
    lines = printed.splitlines()
    assert "step 1200/20000  epoch 12.34  loss 1.2346 nats/token  123,457 tokens/s  left: epoch 1:02, run 1:02:03" in lines
    assert "step 50/?  epoch 0.10  loss 1.2346 nats/token  1 tokens/s  left: epoch ?, run ?" in lines
    assert "step 1200  validation 1.2345 +- 0.0067 bits per byte  2.3456 nats/token  best so far" in lines
    assert "step 1300  validation (sample 3.4 %) 1.2345 +- 0.0067 bits per byte  2.3456 nats/token" in lines
    assert f"  text       {FACTS['text']}" in lines


@pytest.mark.parametrize(("run_left", "shown"), [(35.0, "left: run 0:35"), (0.0, "left: run 0:00"), (None, "left: epoch ?, run ?")])
def test_the_epoch_is_left_out_where_the_run_ends_before_it(run_left: float | None, shown: str) -> None:
    assert format_pace(replace(PACE, epoch_left=None, run_left=run_left), 1.0)[1] == shown


def test_a_validation_without_spread_has_no_standard_error_and_one_over_few_units_is_marked() -> None:
    out = io.StringIO()
    tracker = ConsoleTracker(Console(width=80, file=out))
    for error, count in ((None, 1), (0.0067, 3)):
        over = {"standard_error": error, "standard_error_over": {"count": count, "unit": "documents"}}
        tracker.log_validation({"step": 5, "validation": {**SCORE, **over}}, False)
    assert [line.partition(" bits per byte")[0] for line in out.getvalue().splitlines()] == [
        "step 5  validation 1.2345 +- -", "step 5  validation 1.2345 +- 0.0067 (3 units)"
    ]  # fmt: skip


@pytest.mark.parametrize("steps", [20_000, None])
@pytest.mark.parametrize("width", [40, 60, 80, 200])
def test_a_terminal_shows_every_figure_at_any_width(width: int, steps: int | None) -> None:
    printed = narrated(terminal=True, width=width, steps=steps)
    lines = plain(printed)
    assert max(len(line.rstrip()) for line in lines) <= width
    assert "…" not in printed
    text = " ".join(lines)
    for figure in ("1200/", "loss 1.2346", "123,457 tokens/s", "epoch 1:02", "run 1:02:03", "1.2345 +- 0.0067", "3.4 %", "27,977"):
        assert figure in text, figure
    assert "scoring the whole split" in text


@pytest.mark.parametrize("terminal", [True, False])
def test_what_the_model_writes_is_shown_as_it_is_and_commands_nothing(terminal: bool) -> None:
    text = " ".join(plain(narrated(terminal=terminal, width=200)))
    assert "and the :heart: said [bold]\\x1b[31m\\x00 unto 言葉" in text
    assert "changed: [train.budget] 1 -> 2" in text


def test_only_tab_and_newline_stay_of_the_control_characters() -> None:
    assert escape_control_characters("a\tb\nc\x1b\x7f\r\x9b") == "a\tb\nc\\x1b\\x7f\\x0d\\x9b"
    assert escape_control_characters("naïve 言葉 🙂") == "naïve 言葉 🙂"


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(None, "?"), (0, "0:00"), (59.6, "1:00"), (61, "1:01"), (3599.4, "59:59"), (3600, "1:00:00"), (360_000, "100:00:00")],
)
def test_duration(seconds: float | None, shown: str) -> None:
    assert format_duration(seconds) == shown


def test_the_time_left_counts_down_between_two_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    out, now = io.StringIO(), [100.0]
    tracker = ConsoleTracker(screen(out, 200))
    monkeypatch.setattr("assay.tracking.console.time.monotonic", lambda: now[0])
    assert tracker.bar is not None
    tracker.log_metrics(LINE, PACE)
    now[0] += 10
    tracker.console.print(tracker.bar.render())
    now[0] += 1e6
    tracker.console.print(tracker.bar.render())
    assert "left: epoch 0:52, run 1:01:53" in out.getvalue()
    assert "left: epoch 0:00, run 0:00" in out.getvalue()


def test_a_terminal_that_cannot_move_its_cursor_gets_plain_lines() -> None:
    out = io.StringIO()
    tracker = ConsoleTracker(screen(out, 120, "dumb"))
    tracker.log_metrics(LINE, PACE)
    assert "step 1200/20000  epoch 12.34" in out.getvalue()


@pytest.mark.parametrize(("slow", "shown"), [(0.01, "preparing the text ...\n"), (60.0, "")])
def test_a_file_is_told_what_takes_long_and_no_more(monkeypatch: pytest.MonkeyPatch, slow: float, shown: str) -> None:
    monkeypatch.setattr("assay.tracking.console.SLOW", slow)
    out = io.StringIO()
    with ConsoleTracker(Console(file=out, width=80)).show_busy("preparing the text"):
        deadline = time.monotonic() + (5.0 if shown else 0.05)
        while time.monotonic() < deadline and out.getvalue() != shown:
            time.sleep(0.005)
    assert out.getvalue() == shown


def test_a_quiet_console_stays_quiet() -> None:
    tracker = ConsoleTracker(Console(quiet=True, force_terminal=True))
    tracker.start("x", {})
    tracker.log_metrics(LINE, PACE)
    tracker.close()
    assert tracker.bar is None
