"""A report is gathered first and drawn then: drawing measures nothing and leaves the folder as it is."""

import os
import re
from pathlib import Path

import pytest

from assay.errors import UserError
from assay.runs.directory import list_runs
from assay.studies.analysis.plain_runs import read_runs
from assay.tools.report import choose_runs, gather_baselines, gather_token_losses, write_report
from support.made_study import made, put_on
from support.reported import ARMS, rate, study

pytest.importorskip("matplotlib")
pytest.importorskip("jinja2")

from assay.reports.content import compose_report
from assay.reports.page import render_page
from assay.reports.text_tables import to_csv, to_markdown


def snapshot(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_drawing_needs_nothing_but_what_was_gathered_and_writes_nothing(tmp_path: Path) -> None:
    outcome = study(tmp_path, ARMS[:2])
    for file in [*tmp_path.glob("*/reading-best.json"), *tmp_path.glob("*/baselines.json")]:
        file.unlink()
    before = snapshot(tmp_path)
    content = compose_report(outcome, "Study made")
    assert content.baselines == content.heatmap.documents == ()
    assert render_page(content)
    assert to_markdown(content)
    assert to_csv(outcome)
    assert snapshot(tmp_path) == before


def test_what_runs_keep_is_gathered_from_them(tmp_path: Path) -> None:
    outcome = study(tmp_path, ARMS[:2])
    kept = gather_baselines(outcome, None)
    assert kept is not None
    assert kept.bits_per_byte["xz"] == 2.3
    losses = gather_token_losses(outcome, None)
    assert [arm for arm, _ in losses] == ["base", "depth=2"]
    assert all(not found.error and len(found.documents) == 2 for _, found in losses)


def test_a_report_is_written_from_python_as_by_the_command(tmp_path: Path) -> None:
    made(tmp_path / "made", ARMS[:2], rate)
    output, csv = tmp_path / "out" / "page.html", tmp_path / "runs.csv"
    written = write_report(tmp_path / "made", output, csv)
    assert written.files == {path: path.stat().st_size for path in (output, csv)}
    assert "depth=2 is better" in written.verdict[0]
    assert write_report(["made"], output, runs_dir=tmp_path).verdict == written.verdict


def test_a_report_is_written_of_runs_whose_names_are_no_text(tmp_path: Path) -> None:
    made(tmp_path / os.fsdecode(b"made\xff"), ARMS[:2], rate)
    for run in list_runs(tmp_path / os.fsdecode(b"made\xff")):
        run.path.rename(tmp_path / os.fsdecode(b"\xfe" + os.fsencode(run.path.name)))
    written = write_report([str(tmp_path)], tmp_path / "page.html", tmp_path / "runs.csv", runs_dir=tmp_path)
    assert "\\xfe" in (tmp_path / "runs.csv").read_text(encoding="utf-8")
    assert written.verdict


def two_texts(folder: Path) -> Path:
    """Finished runs of two texts: on the first all are better than the baselines, on the second worse."""
    study(folder, ARMS, seeds=[0])
    for name, arms, ngram in (("bible", ("base", "depth-2"), 1.99), ("titles", ("depth-4", "lr"), 1.5)):
        put_on(list_runs(folder), name, (name[0] * 64).replace("t", "d"), arms)
        for run in list_runs(folder):
            if run.name.startswith(arms):
                run.write_json("baselines.json", {"uniform": 8.0, "ngram": ngram})
    return folder


def test_runs_of_two_texts_stand_beside_the_baselines_of_their_own(tmp_path: Path) -> None:
    found = read_runs(list_runs(two_texts(tmp_path / "runs")))
    for part in found.by_text:
        content = compose_report(part, "Runs", gather_baselines(part, None))
        names = {arm.name for arm in part.arms}
        labels = [row.label for row in content.baselines]
        assert [row.bits_per_byte for row in content.baselines if not row.arm] == [8.0, 1.99 if part.text.name == "bible" else 1.5]
        assert all(any(name in label for name in names) for label, row in zip(labels, content.baselines, strict=True) if row.arm)
        assert {key.name for panel in content.panels.values() for key in panel.legend} <= names
        assert {row[1].text for row in content.table.rows} == names
        others = {arm.name for arm in found.arms} - names
        charts = "".join(chart for panel in content.panels.values() for chart in panel.charts)
        drawn = {name for name in (*names, *others) if re.search(rf"\d {re.escape(name)}\b", charts)}
        assert drawn == names


def test_the_page_of_two_texts_has_a_part_for_each(tmp_path: Path) -> None:
    page, csv, markdown = (tmp_path / name for name in ("page.html", "runs.csv", "page.md"))
    written = write_report([str(two_texts(tmp_path / "runs"))], page, csv, markdown)
    text = page.read_text(encoding="utf-8")
    ids = re.findall(r'\bid="([^"]+)"', text)
    assert len(ids) == len(set(ids))
    assert {"text1-results", "text2-results", "text1-costs", "text2-costs"} <= set(ids)
    named = {*re.findall(r'(?:href="#|url\(#)([^")]+)', text), *" ".join(re.findall(r'aria-labelledby="([^"]+)"', text)).split()}
    assert named <= set(ids)
    assert re.findall("^# (.*)$", markdown.read_text(encoding="utf-8"), re.MULTILINE) == ["bible", "titles"]
    assert sorted({line.rpartition(",")[2] for line in csv.read_text(encoding="utf-8").splitlines()[1:]}) == ["bible", "titles"]
    tree = written.to_dict()
    assert [(one["name"], len(one["sha256"])) for one in tree["texts"]] == [("bible", 64), ("titles", 64)]
    assert all(sentence in text.replace("&#34;", '"') for sentence in (written.verdict[0], *tree["texts"][1]["verdict"][:2]))


def test_a_single_run_of_a_text_is_set_beside_the_baselines_of_that_text(tmp_path: Path) -> None:
    """The second text's run, 1.85 bits, is worse than its own n-gram, and better than that of the first text."""
    runs = list_runs(two_texts(tmp_path / "runs"))
    chosen = [str(run.path) for run in runs if run.name.startswith(("base", "depth-2", "depth-4"))]
    verdict = write_report(chosen, tmp_path / "page.html").texts[1].verdict
    assert "more than the best of the cheaper methods" in verdict[1]
    assert verdict[1].endswith("(1.5000).")


@pytest.mark.parametrize("name", ["r.pdf", "r.md", "r", "r.html.gz"])
def test_a_page_has_the_name_of_a_page(tmp_path: Path, name: str) -> None:
    made(tmp_path / "made", ARMS[:1], rate)
    with pytest.raises(UserError, match=r"a report is a page, so its file ends in \.html or \.htm"):
        write_report(tmp_path / "made", tmp_path / name)
    assert not (tmp_path / name).exists()


def test_without_names_the_newest_finished_run_is_the_base_and_others_are_left_out(tmp_path: Path) -> None:
    made(tmp_path / "made", ARMS[:4], rate, seeds=[0])
    runs = list_runs(tmp_path / "made")
    runs[0].update_status(state="failed", failure="diverged", error="the loss became infinite")
    runs[-1].update_status(state="interrupted")
    chosen = choose_runs((), tmp_path / "made")
    assert (chosen.runs, chosen.base_is) == ([runs[2], runs[1]], "the newest finished run")
    left_out = f"Left out, as not finished: {runs[0].name} (failed) and {runs[3].name} (interrupted)."
    assert chosen.describe_left_out() == (left_out,)
    named = choose_runs([runs[0].name], tmp_path / "made")
    assert (named.runs, named.describe_left_out()) == ([runs[0]], ())


@pytest.mark.parametrize(
    ("name", "damage", "reason"),
    [("*.npz", "junk", "is damaged ("), ("*.json", "{", "delete it, and score again")],
)
def test_a_finished_run_with_a_damaged_score_has_the_reason_told(tmp_path: Path, name: str, damage: str, reason: str) -> None:
    made(tmp_path / "made", ARMS[:1], rate)
    run = list_runs(tmp_path / "made")[0]
    for file in (run.path / "scores").glob(name):
        file.write_text(damage)
    verdict = write_report(run.path, tmp_path / "page.html").verdict[0]
    assert reason in verdict
    assert "not finished" not in verdict
