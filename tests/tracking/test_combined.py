"""Mirrors may be slow, fail or be missing: the run goes on as if they were not there, and says so once."""

import errno
import re
import time
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from threading import Event
from typing import Any

import pytest

from assay.core.install import write_assay_line
from assay.errors import Interrupted, UserError
from assay.runs.directory import NOTES, RunDirectory
from assay.tracking import combined
from assay.tracking.base import ExternalTracker, Pace, Tracker
from assay.tracking.combined import EXTERNAL_TRACKERS, QUEUE_SIZE, BackgroundTracker, CombinedTracker, combine_trackers
from tracking.recorded import folder, metrics, tell


class Heard(Tracker):
    """Remembers what it is told."""

    def __init__(self) -> None:
        self.steps: list[int] = []
        self.notes: list[str] = []
        self.calls: list[str] = []

    def open_directory(self, folder: Path, step: int) -> None:
        self.calls.append("opened")

    def log_metrics(self, line: Mapping[str, Any], pace: Pace) -> None:
        self.steps.append(line["step"])

    def log_samples(self, step: int, texts: Sequence[str]) -> None:
        self.calls.append("sample")

    def log_final_scores(self, step: int, results: Mapping[str, Any]) -> None:
        self.calls.append("scores")

    def log_message(self, text: str) -> None:
        self.notes.append(text)

    def close(self) -> None:
        self.calls.append("end")


class Kept(Heard, ExternalTracker):
    """A copy that works."""

    close_timeout = 5.0
    timeout_message = "it lacks the end"

    def describe_location(self, folder: Path) -> str:
        return f"see {folder.name}"

    def log_scalars(self, scalars: Mapping[str, float], step: int) -> None:
        """Ignore them: whole lines are remembered."""


class Broken(Kept):
    """A copy that raises at step 3."""

    def log_metrics(self, line: Mapping[str, Any], pace: Pace) -> None:
        super().log_metrics(line, pace)
        if line["step"] == 3:
            raise ConnectionError("the server is gone")


class Stuck(Kept):
    """A copy that never comes back."""

    close_timeout = 0.2

    def __init__(self) -> None:
        super().__init__()
        self.never = Event()

    def log_metrics(self, line: Mapping[str, Any], pace: Pace) -> None:
        self.never.wait()


def test_everyone_is_told_everything_in_order(tmp_path: Path) -> None:
    first, copy = Heard(), Kept()
    run = folder(tmp_path)
    tell(CombinedTracker(first, [BackgroundTracker("kept", copy)]), run, range(1, 6))
    assert first.steps == copy.steps == [1, 2, 3, 4, 5]
    assert first.calls == copy.calls == ["opened", "sample", "scores", "end"]
    assert first.notes == [f"see {run.name}"]


def test_a_mirror_that_raises_is_switched_off_with_one_note(tmp_path: Path) -> None:
    first, broken, kept = Heard(), Broken(), Kept()
    tell(CombinedTracker(first, [BackgroundTracker("broken", broken), BackgroundTracker("kept", kept)]), folder(tmp_path), range(1, 8))
    assert broken.steps == [1, 2, 3]
    assert broken.calls == ["opened"]
    assert first.steps == kept.steps == [1, 2, 3, 4, 5, 6, 7]
    assert [note for note in first.notes if "broken" in note] == ["broken is switched off for the rest of this run: the server is gone"]


def test_a_mirror_that_is_stuck_neither_slows_nor_stops_the_run_and_what_it_lacks_is_counted(tmp_path: Path) -> None:
    first, stuck = Heard(), Stuck()
    began = time.monotonic()
    tell(CombinedTracker(first, [BackgroundTracker("stuck", stuck)]), folder(tmp_path), range(1, QUEUE_SIZE + 50))
    assert time.monotonic() - began < 2
    assert first.steps == list(range(1, QUEUE_SIZE + 50))
    assert "stuck is not done 0.2 seconds after the run; it lacks the end" in first.notes
    lacks = next(note for note in first.notes if "too slow" in note)
    assert lacks.startswith("stuck was too slow and lacks 5")
    stuck.never.set()


def test_a_run_that_never_began_ends_without_a_word() -> None:
    first = Heard()
    CombinedTracker(first, [BackgroundTracker("kept", Kept())]).close()
    assert first.notes == []


def test_without_names_the_first_tracker_is_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(combined.TRACK_VARIABLE, raising=False)
    made = combine_trackers(Heard())
    assert isinstance(made, CombinedTracker)
    assert made.external == []


def test_the_environment_names_mirrors_that_are_always_wanted_each_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(combined, "EXTERNAL_TRACKERS", {"a": Kept, "b": Kept})
    monkeypatch.setenv(combined.TRACK_VARIABLE, "a, b,")
    made = combine_trackers(Heard(), ["b"])
    assert isinstance(made, CombinedTracker)
    assert [mirror.name for mirror in made.external] == ["b", "a"]


def test_an_unknown_name_is_refused_with_the_nearest() -> None:
    with pytest.raises(UserError, match=r"track: nothing is called 'tensorbord'; did you mean 'tensorboard'\?"):
        combine_trackers(Heard(), ["tensorbord"])


@pytest.mark.parametrize("name", EXTERNAL_TRACKERS)
def test_a_missing_library_gives_the_line_that_installs_it(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(f"assay.tracking.{name}.find_spec", lambda library: None)
    with pytest.raises(UserError, match=re.escape(write_assay_line(name))):
        combine_trackers(Heard(), [name])


def test_a_line_of_metrics_can_be_told_after_the_end_of_a_broken_mirror(tmp_path: Path) -> None:
    mirror = BackgroundTracker("broken", Broken())
    tracker = CombinedTracker(Heard(), [mirror])
    tell(tracker, folder(tmp_path), range(3, 5))
    metrics(tracker, 5)
    assert isinstance(mirror.failed, ConnectionError)


class Strict(Heard):
    """Cannot show what the model wrote."""

    def log_samples(self, step: int, texts: Sequence[str]) -> None:
        texts[0].encode("ascii")


class Impatient(Heard):
    """A signal arrives while it shows something."""

    def log_message(self, text: str) -> None:
        raise Interrupted("stopped")


def test_a_tracker_that_raises_is_dropped_with_a_note_in_the_run_which_goes_on(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    heard = Strict()
    tracker = CombinedTracker(heard)
    tracker.open_directory(tmp_path, 0)
    for _ in range(2):
        tracker.log_samples(4, ["na\u00efve"])
    tracker.log_message("unheard")
    tracker.close()
    assert heard.calls == ["opened"]
    notes = list(RunDirectory(tmp_path).read_lines(NOTES))
    assert [set(note) for note in notes] == [{"time", "note"}]
    assert notes[0]["note"].startswith("what showed the run failed (UnicodeEncodeError: 'ascii' codec")
    assert capsys.readouterr().err == f"assay: {notes[0]['note']}\n"


def test_what_fails_before_the_run_has_a_directory_is_noted_when_it_has_one(tmp_path: Path) -> None:
    class Blind(Heard):
        def show_busy(self, text: str) -> AbstractContextManager[object]:
            raise OSError(errno.EIO, "Input/output error")

    tracker = CombinedTracker(Blind())
    with tracker.show_busy("preparing the text"):
        pass
    tracker.open_directory(tmp_path, 0)
    assert "Input/output error" in next(RunDirectory(tmp_path).read_lines(NOTES))["note"]


def test_a_signal_that_arrives_while_something_is_shown_is_not_lost() -> None:
    with pytest.raises(Interrupted):
        CombinedTracker(Impatient()).log_message("text")
