"""Run directories: their names, what they hold, how they are found again."""

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from assay.errors import RunError, UserError
from assay.runs.directory import (
    CONFIG,
    METRICS,
    PROVENANCE,
    STATUS,
    TIMINGS,
    RunDirectory,
    create_run,
    list_runs,
    read_score,
    resolve_runs_folder,
)
from assay.runs.lookup import find_run
from assay.runs.provenance import code_hash, code_version, collect_provenance
from assay.runs.status import Status

DIGEST = "0123456789abcdef"
OWN = "[corpus]\n[train]\n"  # what tells a run's config from that of another program
SCORE = {
    "bits_per_byte": 2.0, "bytes_scored": 8, "bytes_in_split": 8, "tokens_scored": 4,
    "protocol": {"split": "validation", "policy": "disjoint", "context": 4, "checkpoint": {"kind": "best", "step": 3}},
}  # fmt: skip


def made(folder: Path, name: str = "bible", at: int = 0) -> RunDirectory:
    """A run whose config was written at a second of its own."""
    run = create_run(folder, name, DIGEST, 0)
    (run.path / CONFIG).write_text(OWN)
    os.utime(run.path / CONFIG, (at, at))
    return run


def test_a_name_tells_recipe_digest_and_seed_and_nothing_is_overwritten(tmp_path: Path) -> None:
    names = [create_run(tmp_path / "runs", "bible", DIGEST, 3).name for _ in range(3)]
    assert names == ["bible-01234567-s3", "bible-01234567-s3-2", "bible-01234567-s3-3"]
    assert create_run(tmp_path / "runs", "bible", DIGEST, 4).name == "bible-01234567-s4"


def test_a_name_that_is_no_text_is_spelled_out(tmp_path: Path) -> None:
    assert RunDirectory(tmp_path / os.fsdecode("é".encode() + b"\xff")).name == "é\\xff"


@pytest.mark.parametrize("name", ["a/b", "../up", "", ".hidden", "two words", "tab\t"])
def test_a_name_that_is_no_folder_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(RunError, match="cannot be a run's name; use letters"):
        create_run(tmp_path, name, DIGEST, 0)
    assert list(tmp_path.iterdir()) == []


def test_a_run_is_found_by_path_name_and_as_the_last(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = made(tmp_path / "runs", at=200), made(tmp_path / "runs", at=100)
    folder = tmp_path / "runs"
    assert find_run(str(first.path), tmp_path / "elsewhere").path == first.path
    assert find_run(second.name, folder).path == second.path
    assert find_run("last", folder).path == first.path
    assert [run.name for run in list_runs(folder)] == [second.name, first.name]
    monkeypatch.chdir(folder)
    assert find_run(first.name, tmp_path / "elsewhere").path == first.path


def test_a_run_that_is_not_there_names_the_nearest(tmp_path: Path) -> None:
    made(tmp_path, "bible")
    made(tmp_path, "shakespeare")
    for wrong in ("bible-01234568-s0", str(tmp_path / "bible-01234568-s0")):
        with pytest.raises(RunError, match="did you mean 'bible-01234567-s0'"):
            find_run(wrong, tmp_path)
    with pytest.raises(RunError, match=r"no runs in .*train one with `assay train bible`, or give --runs-dir"):
        find_run("last", tmp_path / "none")


def test_a_folder_without_a_config_is_no_run(tmp_path: Path) -> None:
    create_run(tmp_path, "begun", DIGEST, 0)
    assert list_runs(tmp_path) == []


def test_runs_are_kept_where_one_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ASSAY_RUNS", raising=False)
    assert resolve_runs_folder(None) == Path("runs")
    monkeypatch.setenv("ASSAY_RUNS", str(tmp_path))
    assert resolve_runs_folder(None) == tmp_path
    assert resolve_runs_folder(Path("here")) == Path("here")


def test_lines_come_back_and_a_half_written_last_one_is_left_out(tmp_path: Path) -> None:
    run = RunDirectory(tmp_path)
    assert list(run.read_lines(METRICS)) == []
    lines = [{"step": step, "loss": 0.1 + step / 3} for step in (1, 2, 3)]
    for line in lines:
        run.append_line(METRICS, line)
    with (tmp_path / METRICS).open("a") as file:
        file.write('{"step": 4, "lo')
    assert list(run.read_lines(METRICS)) == lines


def test_rewind_drops_what_will_be_computed_again(tmp_path: Path) -> None:
    run = RunDirectory(tmp_path)
    for step in (2, 4, 4, 6):
        run.append_line(METRICS, {"step": step})
        run.append_line(TIMINGS, {"step": step})
    with (tmp_path / METRICS).open("a") as file:
        file.write('{"step": 8')
    run.rewind(4)
    run.append_line(METRICS, {"step": 5})
    assert [line["step"] for line in run.read_lines(METRICS)] == [2, 4, 4, 5]
    assert [line["step"] for line in run.read_lines(TIMINGS)] == [2, 4, 4]
    assert (tmp_path / METRICS).read_text().count("\n") == 4


def test_status_changes_some_values_and_survives_damage(tmp_path: Path) -> None:
    run = RunDirectory(tmp_path)
    assert run.status() == {"state": "unknown", "failure": None}
    run.update_status(state="running", step=3)
    run.update_status(step=4)
    assert run.status() == {"state": "running", "step": 4, "failure": None}
    (tmp_path / STATUS).write_text('{"state": "run')
    assert run.status()["state"] == "unknown"
    run.update_status(step=5)
    assert run.status() == {"state": "unknown", "step": 5, "failure": None}
    assert run.provenance() == {}


def test_json_is_written_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = RunDirectory(tmp_path)
    run.write_json("a.json", {"x": 1})
    assert [path.name for path in tmp_path.iterdir()] == ["a.json"]

    def stopped(self: Path, target: Path) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", stopped)
        with pytest.raises(KeyboardInterrupt):
            run.write_json("a.json", {"x": 2})
    with pytest.raises(TypeError):
        run.write_json("a.json", {"x": object()})
    assert json.loads((tmp_path / "a.json").read_text()) == {"x": 1}
    assert [path.name for path in tmp_path.iterdir()] == ["a.json"]


def test_scores_are_listed_by_what_was_scored_whenever_their_files_were_written(tmp_path: Path) -> None:
    run = RunDirectory(tmp_path)
    for second, (name, step) in enumerate({"c": 9, "a": 30, "b": 9, "d": 4}.items()):
        score = {**SCORE, "protocol": {**SCORE["protocol"], "checkpoint": f"last, step {step}"}}  # type: ignore[dict-item]
        os.utime(run.write_json(f"scores/{name}.json", score), (100 - second, 100 - second))
    assert list(run.scores_by_file()) == ["d", "b", "c", "a"]
    assert RunDirectory(tmp_path / "none").scores_by_file() == {}


def test_last_is_the_run_that_was_begun_last_whatever_was_touched_copied_or_resumed(tmp_path: Path) -> None:
    times = {"b": "2026-01-01T12:00:00.000001+00:00", "c": "2026-01-01T12:00:00.000001+00:00", "a": "2026-01-01T14:30:00+03:00"}
    for name, begun in times.items():
        made(tmp_path, name, at=1000).write_json(PROVENANCE, {"started_at": begun})
    os.utime(tmp_path / "a-01234567-s0" / CONFIG)
    assert [run.name[0] for run in list_runs(tmp_path)] == ["a", "b", "c"]  # a began at 11:30 in this zone
    (tmp_path / "a-01234567-s0" / PROVENANCE).write_text("{")
    os.utime(tmp_path / "a-01234567-s0" / CONFIG, (1, 1))
    assert [run.name[0] for run in list_runs(tmp_path)] == ["a", "b", "c"]  # of an unreadable one the oldest file tells


def test_a_config_of_another_program_makes_no_run_and_a_damaged_one_of_ours_does(tmp_path: Path) -> None:
    made(tmp_path, "ours")
    for name, text in (("foreign", "[server]\nport = 80\n[train]\n"), ("cut", "")):
        (tmp_path / name).mkdir()
        (tmp_path / name / CONFIG).write_text(text)
    RunDirectory(tmp_path / "cut").update_status(state="finished")
    assert {run.name for run in list_runs(tmp_path)} == {"ours-01234567-s0", "cut"}


def test_provenance_tells_code_versions_and_machine() -> None:
    facts = collect_provenance()
    assert facts["code"] == code_hash()
    assert len(code_hash()) == 64
    assert code_version().endswith(code_hash()[:8])
    assert facts["packages"]["torch"]
    assert facts["cpus"] >= 1
    json.dumps(facts)


@pytest.mark.parametrize(
    ("written", "fault"),
    [
        ("[]", "it is a list, not an object"),
        ("3", "it is a whole number, not an object"),
        ('{"step', "it is no JSON"),
        ("\udcff", "it is not UTF-8"),
        ("[" * 100_000, "it is nested too deeply"),
        ('{"step": "x"}', "step is a text, not a whole number"),
        ('{"step": true}', "step is true or false, not a whole number"),
        ('{"step": 1e3}', "step is a number, not a whole number"),
        (f'{{"step": {2**63}}}', "step is too large"),
        ('{"scores": {"best": {"bits_per_byte": null}}}', "scores.best.standard_error is missing"),
    ],
)
def test_a_damaged_status_is_an_unknown_one_that_says_why(tmp_path: Path, written: str, fault: str) -> None:
    (tmp_path / STATUS).write_bytes(written.encode(errors="surrogateescape"))
    status = RunDirectory(tmp_path).status()
    assert (status["state"], status["failure"]) == ("unknown", None)
    assert f"status.json: is damaged ({fault}); `assay resume` writes it anew" in status["error"]
    assert Status.from_dict(status).state == "unknown"


@pytest.mark.parametrize("make", [Path.mkdir, os.mkfifo])
def test_what_is_no_file_is_not_waited_for(tmp_path: Path, make: Callable[[Path], None]) -> None:
    for name in (STATUS, METRICS, PROVENANCE):
        make(tmp_path / name)
    run = RunDirectory(tmp_path)
    assert "status.json: is not a file; remove it" in run.status()["error"]
    assert run.read_json(STATUS) is None
    for read in (run.provenance, lambda: list(run.read_lines(METRICS))):
        with pytest.raises(RunError, match="is not a file; remove it"):
            read()


@pytest.mark.parametrize("written", ['{"threads": "all"}', '{"data": {"parts": {"train": []}}}', "{"])
def test_a_damaged_provenance_is_named_and_never_taken_for_a_missing_one(tmp_path: Path, written: str) -> None:
    (tmp_path / PROVENANCE).write_text(written)
    with pytest.raises(RunError, match=r"provenance.json: is damaged .*; restore it from a copy, or delete it"):
        RunDirectory(tmp_path).text_part("validation")


@pytest.mark.parametrize(
    "damage", [b'{"step": 2, "lo\n', b"[]\n", b'{"step": "\xff"}\n', b'{"loss": 2.0}\n', b'{"step": 2, "loss": "x"}\n']
)
def test_a_damaged_line_is_named_with_its_number(tmp_path: Path, damage: bytes) -> None:
    (tmp_path / METRICS).write_bytes(b'{"step": 1}\n' + damage + b'{"step": 3}\n')
    with pytest.raises(RunError, match=r"metrics.jsonl, line 2: is damaged \(.*\); restore it from a copy, or delete the line"):
        list(RunDirectory(tmp_path).read_lines(METRICS))


@pytest.mark.parametrize("damage", ["{", "[]", '{"bits_per_byte": "x"}', "{}", "null"])
def test_a_damaged_score_is_named(tmp_path: Path, damage: str) -> None:
    run = RunDirectory(tmp_path)
    run.write_json("scores/end-best.json", {}).write_text(damage)
    with pytest.raises(RunError, match=r"scores/end-best.json: is damaged \(.*\); delete it, and score again with `assay score`"):
        run.scores_by_file()


def test_a_folder_that_is_called_as_a_config_makes_no_run(tmp_path: Path) -> None:
    (tmp_path / "odd" / CONFIG).mkdir(parents=True)
    assert list_runs(tmp_path) == []
    with pytest.raises(RunError, match="no runs in"):
        find_run("odd", tmp_path)


def test_runs_that_are_only_in_folders_of_the_folder_are_named_as_they_are_found(tmp_path: Path) -> None:
    run = made(tmp_path / "study")
    with pytest.raises(RunError, match=rf"no run 'last' in .*; name one by its folder too: study/{run.name}$"):
        find_run("last", tmp_path)
    assert find_run(f"study/{run.name}", tmp_path).path == run.path


def test_a_file_is_no_folder_of_runs(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(UserError, match="file: is a file, and runs are kept in a folder; name a folder with --runs-dir"):
        resolve_runs_folder(tmp_path / "file")
    with pytest.raises(UserError, match="loop: is a symbolic link that leads to no folder"):
        resolve_runs_folder(tmp_path / "loop")


def test_a_status_that_cannot_be_read_is_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "status.json").symlink_to("status.json")  # to itself
    with pytest.raises(OSError, match="symbolic links"):
        RunDirectory(tmp_path).update_status(state="finished")
    assert (tmp_path / "status.json").is_symlink()


def test_a_score_that_cannot_be_read_is_not_advised_to_be_deleted(tmp_path: Path) -> None:
    unreadable = tmp_path / "score.json"
    unreadable.symlink_to("score.json")  # to itself
    with pytest.raises(RunError, match=r"score\.json: too many levels of symbolic links; a symbolic link leads back to itself"):
        read_score(unreadable)
