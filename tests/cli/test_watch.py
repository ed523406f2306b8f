"""`assay watch`: reads what is there, however little that is, and ends when all is finished."""

import json
import os
import platform
import pty
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from rich.cells import cell_len

from assay.runs.directory import RunDirectory
from assay.studies.plan import StudyPlan
from assay.terminal.charts import draw_chart, draw_progress_bar, draw_sparkline
from assay.tracking.monitor import JsonlReader, RunMonitor
from assay.views.watch import RunView, find_view
from assay.views.watch_study import ARMS, StudyView, fit_columns
from support.lab import Lab
from support.made_study import made
from support.reported import ARMS as REPORTED
from support.reported import rate
from support.trained import call

PROGRAM = "; ".join(  # `assay watch`, without loading what other commands need; Ctrl-C is heard as from a terminal, also in the background
    [
        "import signal, typer",
        "signal.signal(signal.SIGINT, signal.default_int_handler)",
        "from assay.cli.train import watch",
        "typer.run(watch)",
    ]
)
GONE = 4_000_000  # a process that is not there: beyond the largest number that Linux gives


def validation(step: int, bits: float) -> dict[str, Any]:
    return {"step": step, "validation": {"bits_per_byte": bits, "standard_error": 0.01, "nats_per_token": bits * 2, "coverage": 1.0}}


def make_run(path: Path, state: str, bits: float, step: int = 8, **status: Any) -> RunDirectory:
    """A run's files, without a run: it has lost half a bit on the way to `bits`."""
    path.mkdir(parents=True)
    run = RunDirectory(path)
    (path / "config.toml").write_text("")
    for at in range(2, step + 1, 2):
        run.append_line("metrics.jsonl", {"step": at, "loss": 8 - at / 10})
    run.append_line("metrics.jsonl", validation(step // 2, bits + 0.5))
    run.append_line("metrics.jsonl", validation(step, bits))
    run.append_line("timings.jsonl", {"step": step, "tokens_per_second": 1234.5, "run_left": 65.0, "elapsed": 30.0})
    final = {"scores": {"best": validation(8, bits)["validation"]}, "seconds": {"step": 30.0}} if state == "finished" else {}
    run.update_status(state=state, step=step, steps=8, host=platform.node(), pid=os.getpid(), **final, **status)
    return run


def make_study(folder: Path, jobs: Mapping[str, str], **more: Any) -> Path:
    """A study's plan: jobs `arm-seed` of arms."""
    folder.mkdir(parents=True, exist_ok=True)
    entries = [
        {"run": run, "arm": arm, "seed": int(run[-1]), "lr_factor": 2.0 if "lr2" in run else 1.0, "tuning": False}
        for run, arm in jobs.items()
    ]
    arms = [{"name": name} for name in dict.fromkeys(jobs.values())]
    plan = {"question": "Which is best?", "seeds": [0, 1], "lr_factors": [1.0], "chosen": {}, "arms": arms, "jobs": entries, **more}
    (folder / "plan.json").write_text(json.dumps(plan))
    return folder


def seen(view: RunView | StudyView, width: int = 100, height: int = 60) -> str:
    view.refresh()
    return "\n".join(view.lines(width, height, unicode=True))


def row(text: str, name: str) -> list[str]:
    return next(line for line in text.splitlines() if line.startswith(name)).split()


# one run


def test_a_finished_run_is_printed_once_with_score_curve_and_sample(lab: Lab) -> None:
    answer = call("watch", lab.run.name)
    assert answer.code == 0
    assert f"{lab.run.name}  finished  step 8/8" in answer.out
    assert f"{lab.answer.json['bits_per_byte']:.4f} +- " in answer.out
    assert "nats/token" in answer.out
    assert "step 8  validation" in answer.out
    assert "wrote: <start>" in answer.out
    assert "\x1b" not in answer.out


def test_the_last_run_and_a_folder_of_runs_are_found(lab: Lab) -> None:
    assert lab.run.name in call("watch", "last", "--once").out
    for arguments in ((), (lab.folder / "runs",)):
        answer = call("watch", *arguments)
        assert "finished" in row(answer.out, lab.run.name)


def test_a_wrong_name_is_answered_with_the_nearest_run_or_study(lab: Lab, tmp_path: Path) -> None:
    make_run(tmp_path / "bible-1-s0", "finished", 2.0)
    make_study(tmp_path / "attention-tiny", {"base-0": "base"})
    answer = call("watch", "atention-tiny", "--runs-dir", tmp_path)
    assert (answer.code, answer.out) == (2, "")
    assert "no run or study 'atention-tiny'" in answer.err
    assert "did you mean 'attention-tiny'?" in answer.err
    assert call("watch", "nothing", "--runs-dir", tmp_path / "none").code == 2


def test_a_running_run_tells_pace_and_time_left_and_a_killed_one_how_to_go_on(tmp_path: Path) -> None:
    make_run(tmp_path / "a", "running", 2.0, step=4)
    text = seen(RunView(tmp_path / "a"))
    assert "a  running  step 4/8" in text
    assert "left 1:05   1,234 tokens/s" in text
    assert "2.0000 +- 0.0100 bits/byte, best so far" in text
    make_run(tmp_path / "b", "running", 2.0, step=4).update_status(pid=GONE)
    killed = RunView(tmp_path / "b")
    assert "b  killed  step 4/8" in seen(killed)
    assert f"go on with: assay resume {tmp_path / 'b'}" in seen(killed)
    assert killed.finished


def test_a_failed_run_tells_why(tmp_path: Path) -> None:
    make_run(tmp_path / "a", "failed", 2.0, error="the loss became \x1b[31mnan")
    assert "failed: the loss became \\x1b[31mnan" in seen(RunView(tmp_path / "a"))


@pytest.mark.parametrize("size", [(20, 5), (40, 10), (80, 24), (300, 100), (1, 1)])
def test_nothing_is_wider_or_higher_than_the_terminal(size: tuple[int, int], tmp_path: Path) -> None:
    make_run(tmp_path / "runs" / "a", "finished", 2.0)
    study = make_study(tmp_path / "study", {f"arm{n}-0": f"mixer=言葉 window={n}" for n in range(30)})
    width, height = size
    for view in (RunView(tmp_path / "runs" / "a"), StudyView(study)):
        view.refresh()
        lines = view.lines(width, height, unicode=True)
        assert 0 < len(lines) <= height
    table = fit_columns(ARMS, [("mixer=言葉 window=7", "1.2345 so far", "0.0100", "0/2", "1", "0", "3/8", "0:10", "▁▂")], width)
    assert max(map(cell_len, table)) <= max(width, 8 + 2 + len("1.2345 so far"))


def test_a_chart_holds_all_but_the_first_fall_and_its_axes_are_labelled() -> None:
    dense = [(float(step), 8.0 if step < 5 else 4.0 - step / 50) for step in range(1, 101)]
    for unicode, circle in ((True, "●"), (False, "o")):
        lines = draw_chart(dense, [(50.0, 3.5), (100.0, 2.5)], (60, 12), unicode=unicode)
        assert len(lines) == 12
        assert max(map(len, lines)) <= 60
        assert lines[0].startswith("3.800")
        assert lines[9].startswith("2.000")
        assert lines[-1].endswith("step 100")
        assert "".join(lines).count(circle) == 2
        assert lines[7][-1] == circle
    assert not any(ord(character) > 127 for character in "".join(lines))


def test_a_chart_without_room_or_points_is_empty_and_a_single_point_is_drawn() -> None:
    assert draw_chart([(1.0, 2.0)], [], (20, 3), unicode=True) == []
    assert draw_chart([], [], (80, 20), unicode=True) == []
    assert "●" in "".join(draw_chart([], [(8.0, 2.0)], (40, 6), unicode=True))


def test_small_marks() -> None:
    assert draw_sparkline([3.0, 2.0, 1.0], 16, unicode=True) == "█▅▁"
    assert draw_sparkline(range(100), 4, unicode=False) == ".-*%"
    assert draw_sparkline([], 4, unicode=True) == ""
    assert draw_progress_bar(0.5, 4, unicode=False) == "##--"


# what is being written


def test_lines_are_read_once_and_a_half_written_one_when_it_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    lines = JsonlReader(path)
    assert lines.read_new() == ([], False)
    path.write_text('{"step": 1}\n{"step": ')
    assert lines.read_new() == ([{"step": 1}], True)
    with path.open("a") as file:
        file.write('2}\nnonsense\n[]\n{"step": "x"}\n{"step": 3}\n')
    assert lines.read_new() == ([{"step": 2}, {"step": 3}], False)
    assert lines.read_new() == ([], False)


def test_a_resumed_run_that_rewrites_its_metrics_is_read_anew(tmp_path: Path) -> None:
    run = make_run(tmp_path / "a", "running", 2.0)
    followed = RunMonitor(run.path)
    followed.refresh()
    assert [step for step, _ in followed.losses] == [2, 4, 6, 8]
    run.rewind(4)
    run.append_line("metrics.jsonl", {"step": 6, "loss": 1.0})
    followed.refresh()
    assert followed.losses == [(2, 7.8), (4, 7.6), (6, 1.0)]
    assert [step for step, _ in followed.validations] == [4]


def test_a_large_file_is_not_read_again(tmp_path: Path) -> None:
    run = make_run(tmp_path / "a", "running", 2.0)
    with (run.path / "metrics.jsonl").open("a") as file:
        file.writelines(f'{{"step": {step}, "loss": 1.0, "lr": {{"adamw": 0.001}}}}\n' for step in range(10, 50_000))
    followed = RunMonitor(run.path)
    began = time.perf_counter()
    followed.refresh()
    first = time.perf_counter() - began
    for _ in range(20):
        followed.refresh()
    assert time.perf_counter() - began < 3 * first
    assert followed.step == 49_999


def test_empty_damaged_and_vanished_directories_are_shown_as_what_they_are(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    view = RunView(tmp_path / "a")
    assert "a  unknown  step 0/?" in seen(view)
    (tmp_path / "a" / "status.json").write_text('{"state": "runn')
    (tmp_path / "a" / "metrics.jsonl").write_bytes(b"\xff\xfe\n[1]\n{\n")
    (tmp_path / "a" / "timings.jsonl").write_text("\n\n")
    assert "unknown" in seen(view)
    for file in (tmp_path / "a").iterdir():
        file.unlink()
    (tmp_path / "a").rmdir()
    assert "a  gone" in seen(view)
    assert view.finished


# a study


def test_a_study_has_a_row_an_arm_sorted_by_figure_with_failures_and_reasons(tmp_path: Path) -> None:
    jobs = {"base-0": "base", "base-1": "base", "wide-0": "wide", "wide-1": "wide", "deep-0": "deep", "deep-1": "deep"}
    study = make_study(tmp_path / "study", jobs)
    make_run(study / "base-0", "finished", 2.0)
    make_run(study / "base-1", "finished", 2.2)
    make_run(study / "wide-0", "running", 1.5, step=4)
    make_run(study / "deep-0", "failed", 3.0, error="the loss became infinite")
    make_run(study / "deep-1", "running", 3.0, step=6).update_status(pid=GONE)
    make_run(study / "other-0", "finished", 1.0)  # of an earlier form of the study
    view = StudyView(study)
    text = seen(view)
    assert "study  2 of 6 runs finished, 1 failed, 1 killed, 1 running, 1 waiting" in text
    assert "Which is best?" in text
    assert [line.split()[0] for line in text.splitlines() if line.startswith(("base", "wide", "deep"))] == ["wide", "base", "deep"]
    assert row(text, "base")[1:8] == ["2.1000", "0.1000", "(2", "seeds)", "2/2", "0", "0"]
    assert row(text, "wide")[1:] == ["1.5000", "so", "far", "0.0100", "0/2", "1", "0", "4/8", "1:05", "█▁"]
    assert row(text, "deep")[4:7] == ["0.0100", "0/2", "0"]
    assert row(text, "deep")[7] == "2"
    assert "failed deep-0: the loss became infinite" in text
    assert "failed deep-0: the\n  loss became\n  infinite" in "\n".join(view.lines(20, 60, unicode=True))
    assert "killed deep-1, at step 6" in text
    assert "left about 2:05" in text  # 65 s of the one that runs, and two that take 30 s each, one at a time
    assert not view.finished


def test_a_study_is_over_when_every_run_is_finished_or_failed(tmp_path: Path) -> None:
    study = make_study(tmp_path / "study", {"base-0": "base", "wide-0": "wide"}, seeds=[0])
    view = StudyView(study)
    assert "0 of 2 runs finished, 2 waiting" in seen(view)
    assert "no process works on it now" in seen(view)
    make_run(study / "base-0", "finished", 2.0)
    make_run(study / "wide-0", "failed", 2.0)
    seen(view)
    assert view.finished


def test_of_several_learning_rates_the_best_is_shown_and_seeds_to_come_are_counted(tmp_path: Path) -> None:
    jobs = {"base-lr1-s0": "base", "base-lr2-s0": "base"}
    study = make_study(tmp_path / "study", jobs, lr_factors=[1.0, 2.0])
    make_run(study / "base-lr1-s0", "finished", 2.0)
    make_run(study / "base-lr2-s0", "finished", 1.8)
    view = StudyView(study)
    text = seen(view)
    assert row(text, "base")[1:3] == ["1.8000", "so"]
    assert row(text, "base")[5] == "2/3"
    assert not view.finished
    make_study(study, {**jobs, "base-lr2-s1": "base"}, lr_factors=[1.0, 2.0], chosen={"base": 2.0})
    make_run(study / "base-lr2-s1", "finished", 1.6)
    assert row(seen(view), "base")[1:4] == ["1.7000", "0.1000", "(2"]
    assert view.finished


def test_runs_that_follow_from_tried_learning_rates_are_shown_though_the_plan_was_written_before_them(tmp_path: Path) -> None:
    made(tmp_path / "made", REPORTED[:2], rate, lr_factors=[0.5, 1.0], tuning_seeds=[0])
    plan = StudyPlan.read(tmp_path / "made").extend(tmp_path / "made")
    named = {job.run for job in plan.jobs if job.tuning}
    laid = json.loads((tmp_path / "made" / "plan.json").read_text())
    before = {**laid, "chosen": {}, "jobs": [job for job in laid["jobs"] if job["run"] in named]}
    (tmp_path / "made" / "plan.json").write_text(json.dumps(before))
    view = StudyView(tmp_path / "made")
    assert (len(named), len(plan.jobs)) == (4, 8)
    assert "made  8 of 8 runs finished" in seen(view)
    assert view.finished


def test_a_run_that_vanishes_from_a_study_waits_again_and_a_damaged_plan_keeps_the_last(tmp_path: Path) -> None:
    study = make_study(tmp_path / "study", {"base-0": "base"}, seeds=[0])
    run = make_run(study / "base-0", "running", 2.0)
    view = StudyView(study)
    assert "1 running" in seen(view)
    for file in run.path.iterdir():
        file.unlink()
    run.path.rmdir()
    (study / "plan.json").write_text("{")
    assert "1 waiting" in seen(view)


def test_the_latest_study_is_watched_where_there_are_only_studies(tmp_path: Path) -> None:
    make_study(tmp_path / "runs" / "one", {"base-0": "base"})
    view = find_view(None, tmp_path / "runs")
    assert isinstance(view, StudyView)
    assert view.folder.name == "one"
    assert isinstance(find_view("one", tmp_path / "runs"), StudyView)


# in a terminal


def in_a_terminal(size: tuple[int, int], *arguments: object) -> tuple[subprocess.Popen[bytes], int]:
    """`assay watch` on a terminal of (columns, lines), and the other end of it."""
    ours, theirs = pty.openpty()
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": str(size[0]), "LINES": str(size[1])}
    command = [sys.executable, "-c", PROGRAM, *map(str, arguments), "--every", "0.2"]
    process = subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, env=environment, start_new_session=True)
    os.close(theirs)
    return process, ours


def read_until(terminal: int, text: str, seconds: float = 30.0) -> str:
    """What the terminal shows up to a word."""
    found, deadline = "", time.monotonic() + seconds
    while text not in found and time.monotonic() < deadline:
        try:
            found += os.read(terminal, 65536).decode(errors="replace")
        except OSError:  # the other end is closed
            break
    return found


@pytest.mark.parametrize("size", [(80, 24), (20, 5)])
def test_in_a_terminal_it_follows_the_run_and_ends_with_it(size: tuple[int, int], tmp_path: Path) -> None:
    run = make_run(tmp_path / "a", "running", 2.0, step=4)
    process, terminal = in_a_terminal(size, run.path)
    assert "a  running  step 4/8" in read_until(terminal, "4/8")
    run.append_line("metrics.jsonl", {"step": 6, "loss": 1.0})
    assert "step 6/8" in read_until(terminal, "step 6/8")
    run.update_status(state="finished", step=8)
    assert "finished" in read_until(terminal, "finished")
    read_until(terminal, "never written")
    assert process.wait(timeout=20) == 0
    os.close(terminal)


def test_ctrl_c_leaves_without_a_word(tmp_path: Path) -> None:
    run = make_run(tmp_path / "a", "running", 2.0, step=4)
    process, terminal = in_a_terminal((80, 24), run.path)
    read_until(terminal, "running")
    process.send_signal(2)
    assert "Traceback" not in read_until(terminal, "never written")
    assert process.wait(timeout=20) == 0
    os.close(terminal)
