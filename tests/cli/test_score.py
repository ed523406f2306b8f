"""`assay score`: its options, what it prints at any width, and what it keeps."""

import json
import re
from pathlib import Path

import numpy as np
import pytest

from assay.runs.directory import TEST_USES, RunDirectory
from support.lab import Lab
from support.trained import call


def test_figures_beside_bits_per_byte_come_with_standard_errors(lab: Lab) -> None:
    figures = call("score", lab.run, "--json").json
    errors = figures["standard_errors"]
    wanted = {"bits_per_byte", "perplexity_per_word", "top1_accuracy", "top5_accuracy", "calibration_error", "expected_bits_per_byte"}
    assert wanted <= errors.keys()
    assert all(figures[name] > 0 and errors[name] > 0 for name in wanted)
    assert errors["bits_per_byte"] == pytest.approx(figures["standard_error"])
    assert sum(row["tokens"] for row in figures["reliability"]) == figures["tokens_scored"]
    assert len(figures["hardest"]) == len(figures["easiest"]) == 5


@pytest.mark.parametrize("name", ["end-best", "end-last", "end-training", "validation-best-step8-disjoint"])
def test_a_score_is_kept_by_unit_beside_its_figures(lab: Lab, name: str) -> None:
    call("score", lab.run, "--checkpoint", "best", "--json")
    found = sorted((lab.run / "scores").glob("validation-best-*-disjoint.json")) if name.startswith("validation") else []
    path = found[0] if found else lab.run / "scores" / f"{name}.json"
    stored = json.loads(path.read_text())
    with np.load(path.with_suffix(".npz"), allow_pickle=False) as units:
        assert set(units) == {"bytes", "characters", "words", "tokens", "bits", "top1", "top5", "group"}
        assert all(len(units[column]) == stored["units"]["count"] for column in units)
        assert units["bytes"].sum() == stored["bytes_scored"]
        assert units["bits"].sum() / units["bytes"].sum() == pytest.approx(stored["bits_per_byte"])
        assert units["top1"].sum() / units["tokens"].sum() == pytest.approx(stored["top1_accuracy"])
    assert stored["units"]["kind"] == ("grains" if stored["standard_error_over"]["count"] < 30 else "documents")
    if name != "end-training":
        assert stored["units"]["bytes_sha256"] == stored["protocol"]["text_sha256"]


def test_the_loop_the_end_of_a_run_and_the_command_compute_the_same_score(lab: Lab) -> None:
    command = call("score", lab.run, "--checkpoint", "last", "--json").json
    run = RunDirectory(lab.run)
    loop = [line["validation"] for line in run.lines("metrics.jsonl") if "validation" in line][-1]
    end = json.loads((lab.run / "scores" / "end-last.json").read_text())
    assert loop["coverage"] == 1  # no sample of it
    assert loop["bits_per_byte"] == end["bits_per_byte"] == command["bits_per_byte"]
    with np.load(lab.run / "scores" / "end-last.npz") as at_the_end, np.load(Path(command["stored"]).with_suffix(".npz")) as by_command:
        assert all(np.array_equal(at_the_end[column], by_command[column]) for column in at_the_end.files)


@pytest.mark.parametrize("columns", [40, 80])
def test_the_tables_fit_into_a_terminal(lab: Lab, columns: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    answer = call("score", "last", "--detail")
    assert answer.code == 0, answer.err
    for heading in ("every figure", "by position", "by class", "calibration", "hardest documents", "easiest documents"):
        assert heading in answer.out
    assert "9-16" in answer.out
    assert "end token" in answer.out
    widest = max(len(line.rstrip()) for line in answer.out.splitlines())
    assert widest <= columns
    for line in re.findall(r"^ +\d\.\d{3}  .*$", answer.out, re.MULTILINE):
        assert len(line) <= columns


def test_without_detail_there_are_no_tables(lab: Lab) -> None:
    printed = call("score", "last").out
    assert "likeliest token" in printed
    assert "by position" not in printed


def test_a_minimum_context_is_a_stride_by_another_name(lab: Lab) -> None:
    one, other = call("score", "last", "--minimum-context", 12, "--json").json, call("score", "last", "--stride", 5, "--json").json
    assert one["protocol"] == other["protocol"]
    assert one["bits_per_byte"] == other["bits_per_byte"]
    assert "a target sees 12 to 16 tokens" in call("score", "last", "--minimum-context", 12).out
    assert call("score", "last", "--minimum-context", 1, "--json").json["protocol"]["stride"] == 16


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--minimum-context", 17), "--minimum-context: 17 exceeds the context of 16 tokens; choose 1 to 16"),
        (("--minimum-context", 4, "--stride", 4), "--minimum-context: says the same as --stride in another way; give one of them"),
        (("--minimum-context", 4, "--policy", "documents"), "goes with the policy strided and only with it"),
        (("--picture", "a.pdf"), "--picture: 'a.pdf' is neither .svg nor .png; write a.svg"),
    ],
)
def test_what_cannot_be_is_refused_with_a_remedy(lab: Lab, arguments: tuple[object, ...], message: str) -> None:
    answer = call("score", "last", *arguments)
    assert answer.code == 2
    assert message in " ".join(answer.err.split())


def test_each_use_of_the_test_split_is_written_down_and_told(lab: Lab) -> None:
    path = lab.run / TEST_USES
    path.unlink(missing_ok=True)
    call("score", "last")
    assert not path.exists()
    first = call("score", "last", "--split", "test")
    assert "used for the first time with this run" in first.out
    told = call("score", "last", "--split", "test", "--stride", 4, "--json").json
    uses = RunDirectory(lab.run).test_uses()
    assert told["test_uses"] == uses
    assert [use["protocol"]["stride"] for use in uses] == [16, 4]
    assert uses[1]["bits_per_byte"] == told["bits_per_byte"]
    assert {"time", "checkpoint", "protocol", "bits_per_byte"} <= uses[0].keys()
    third = call("score", "last", "--split", "test")
    assert "used 3 times with this run" in third.out
    assert uses[0]["time"] in third.out


def test_the_picture_is_the_same_byte_for_byte(lab: Lab) -> None:
    pytest.importorskip("matplotlib")
    for name in ("one.svg", "two.svg"):
        assert call("score", "last", "--picture", lab.folder / name).code == 0
    one, two = ((lab.folder / name).read_bytes() for name in ("one.svg", "two.svg"))
    assert one == two
    assert b"<svg" in one
