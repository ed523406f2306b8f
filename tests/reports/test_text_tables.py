"""The report as Markdown and as CSV."""

import csv
import io
from pathlib import Path

import pytest

from support.made_study import arm
from support.reported import ARMS, EVIL, reported, study

pytest.importorskip("matplotlib")

from assay.reports.text_tables import to_csv, to_markdown

COLUMNS = [
    "study", "run", "arm", "seed", "lr_factor", "tuning", "reported", "state", "step", "metric", "split", "figure", "validation",
    "standard_error", "arm_mean", "arm_deviation", "difference", "interval_low", "interval_high", "interval_over", "resolved", "parameters",
    "tokens", "bytes", "flops", "seconds", "tokens_per_second", "state_bytes", "text",
]  # fmt: skip


def rows(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def test_the_csv_has_a_line_a_run_and_every_column(tmp_path: Path) -> None:
    found = study(tmp_path, lr_factors=[1.0, 2.0], report_on="test")
    lines = rows(to_csv(found))
    assert list(lines[0]) == COLUMNS
    assert len(lines) == len(found.all_runs)
    assert {line["split"] for line in lines} == {"test"}
    best = next(line for line in lines if line["arm"] == "depth=4" and line["reported"] == "true")
    assert float(best["figure"]) == pytest.approx(found.arm("depth=4").figures[0])
    assert float(best["interval_low"]) < float(best["difference"]) < float(best["interval_high"]) < 0
    assert (best["resolved"], best["interval_over"], best["parameters"]) == ("true", "seeds", "40000")


def test_what_is_not_known_is_empty_in_the_csv(tmp_path: Path) -> None:
    lines = rows(to_csv(study(tmp_path, ARMS[:2], leave=("depth-2",))))
    waiting = next(line for line in lines if line["arm"] == "depth=2")
    assert (waiting["state"], waiting["figure"], waiting["tokens"], waiting["difference"]) == ("waiting", "", "", "")


def test_a_name_is_no_formula_for_a_spreadsheet(tmp_path: Path) -> None:
    lines = rows(to_csv(study(tmp_path, [arm(), arm("=1+1", {"model.width": 24})], seeds=[0])))
    assert lines[1]["arm"] == "'=1+1"
    assert float(lines[1]["difference"]) < 0 or float(lines[1]["difference"]) >= 0, "figures stay figures"


def test_markdown_says_what_the_page_says(tmp_path: Path) -> None:
    found = reported(study(tmp_path))
    text = to_markdown(found)
    assert text.startswith("# Which is best?\n")
    for heading in ("## Verdict", "## Before you rely on it", "## Results", "## What good looks like", "## Protocol", "## Runs"):
        assert heading in text
    assert all(sentence.split(":")[0].replace("=", "=") in text for sentence in found.verdict[:1])
    line = next(line for line in text.splitlines() if line.startswith("| 3 | depth=4 |"))
    assert line.count("|") == len(found.table.columns) + 1


def test_names_are_harmless_in_markdown(tmp_path: Path) -> None:
    text = to_markdown(reported(study(tmp_path, [arm(), arm(f"{EVIL} | [x](y)", {"model.width": 24})], seeds=[0])))
    outside = "\n".join(line for line in text.splitlines() if not line.startswith("    "))
    assert "<script>" not in outside
    assert "\\| \\[x\\](y)" in outside
