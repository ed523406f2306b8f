"""Write the results of a study or of some runs on one page: gather them, measure what is missing, and only then draw."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

from assay.core.files import find_write_problem, write_text
from assay.core.words import format_count, format_list
from assay.errors import UserError
from assay.reports.content import compose_report
from assay.reports.page import render_page
from assay.reports.svg import refuse_missing_libraries
from assay.reports.text_tables import to_csv, to_markdown
from assay.reports.token_heatmap import choose_heatmap_runs
from assay.runs.directory import RunDirectory, list_runs, resolve_runs_folder
from assay.runs.lookup import find_run
from assay.studies.analysis.outcome import read_study
from assay.studies.analysis.plain_runs import read_runs
from assay.studies.analysis.results import StudyOutcome
from assay.studies.analysis.several_texts import join_texts
from assay.studies.analysis.single_arm import describe_single_arm
from assay.studies.folder import is_study
from assay.trainer.baselines import Baselines, measure_if_quick, read_baselines
from assay.trainer.token_losses import TokenLosses, measure_token_losses

PAGE_ENDINGS = (".html", ".htm")


@dataclass(frozen=True, slots=True)
class WrittenReport:
    """The files of a report with their sizes, and its verdict, also by text where there are several."""

    files: dict[Path, int]  # bytes of each
    verdict: tuple[str, ...]
    warnings: tuple[str, ...]
    texts: tuple[StudyOutcome, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain values."""
        texts = [{**part.text._asdict(), "verdict": part.verdict, "warnings": part.warnings} for part in self.texts]
        return {"files": [str(path) for path in self.files], "verdict": self.verdict, "warnings": self.warnings, "texts": texts}


class ChosenRuns(NamedTuple):
    """The runs of a report, the base of each text before the others of that text."""

    runs: list[RunDirectory]
    base_is: str  # why the first is the base
    left_out: list[RunDirectory]

    def describe_left_out(self) -> tuple[str, ...]:
        """Say in a sentence which runs were left out; nothing where none was."""
        names = [f"{run.name} ({run.status()['state']})" for run in self.left_out]
        return (f"Left out, as not finished: {format_list(names)}.",) if names else ()


def write_report(
    what: str | Path | Sequence[str | Path], output: Path, csv: Path | None = None, markdown: Path | None = None,
    *, runs_dir: Path | None = None, data_dir: Path | None = None,
) -> WrittenReport:  # fmt: skip
    """Write the page of a study or of some runs, by folder or name, the first of which is the base.

    Where none is named, it is of all finished runs, and the newest is the base.

    `csv` and `markdown` are written too where they are given. Raises UserError where nothing is found, a library is missing, or a file
    cannot be written or is no page by its name.
    """
    _refuse_other_endings(output)
    refuse_missing_libraries()
    names = [str(what)] if isinstance(what, str | Path) else [str(name) for name in what]
    folder = resolve_runs_folder(runs_dir)
    study = _find_study(names, folder)
    chosen = ChosenRuns([], "", []) if study is not None else choose_runs(names, folder)
    outcome = read_study(study) if study is not None else read_runs(chosen.runs, chosen.base_is)
    for path in (output, csv, markdown):
        if path is not None and (problem := find_write_problem(path, makes_folders=True)):
            raise UserError(problem)
    title, several = _title(outcome, study), bool(outcome.texts)
    gathered = [_gather_text(part, data_dir, speaks_of_one_arm=study is None or several) for part in outcome.by_text]
    parts = [part for part, _ in gathered]
    outcome = join_texts(outcome.plan, outcome.arms, parts, outcome.unreadable) if several else parts[0]
    left_out = chosen.describe_left_out()
    outcome = replace(outcome, verdict=(*outcome.verdict, *left_out))
    shown = parts if several else [outcome]
    contents = [
        compose_report(part, title, baselines, gather_token_losses(part, data_dir))
        for part, (_, baselines) in zip(shown, gathered, strict=True)
    ]
    preface = (outcome.verdict[0], *left_out, *outcome.unreadable) if several else ()
    texts = {output: render_page(*contents, preface=preface)}
    if csv is not None:
        texts[csv] = to_csv(outcome)
    if markdown is not None:
        texts[markdown] = to_markdown(*contents, preface=preface)
    for path, text in texts.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        write_text(path, text)
    return WrittenReport({path: path.stat().st_size for path in texts}, outcome.verdict, outcome.warnings, outcome.by_text)


def _gather_text(outcome: StudyOutcome, data_dir: Path | None, *, speaks_of_one_arm: bool) -> tuple[StudyOutcome, Baselines | None]:
    """Gather the baselines of one text, and put into the outcome what they let it say."""
    baselines = gather_baselines(outcome, data_dir)
    if baselines is not None and baselines.skip_reason:
        outcome = replace(outcome, warnings=(*outcome.warnings, f"The cheaper methods are left out: {baselines.skip_reason}."))
    if speaks_of_one_arm and len(outcome.arms) == 1:
        outcome = replace(outcome, verdict=describe_single_arm(outcome, baselines))
    return outcome, baselines


def gather_baselines(outcome: StudyOutcome, data_dir: Path | None) -> Baselines | None:
    """Read the baselines that a run of one text keeps; where none does, or they do not hold, measure those of a finished run if quick."""
    kept = read_baselines(run.run for run in outcome.all_runs)
    finished = next((run.run for run in outcome.all_runs if run.finished), None)
    if finished is None or (kept is not None and not kept.skip_reason):
        return kept
    return measure_if_quick(finished, data_dir) or kept


def gather_token_losses(outcome: StudyOutcome, data_dir: Path | None) -> list[tuple[str, TokenLosses]]:
    """Read the losses of single tokens under the models of the heatmap, by arm; score them where that was not done yet."""
    checkpoint = outcome.plan.study.checkpoint
    return [(arm, measure_token_losses(run, data_dir, checkpoint)) for arm, run in choose_heatmap_runs(outcome)]


def _find_study(names: Sequence[str], folder: Path) -> Path | None:
    """Find the folder of the study that is named; None where runs are. Raises UserError for a study among others."""
    places = [path for name in names for path in (Path(name), folder / name) if is_study(path)]
    if places and len(names) > 1:
        raise UserError(f"{places[0]} is a study and has a page of its own; name it alone, or name runs")
    return places[0] if places else None


def _refuse_other_endings(output: Path) -> None:
    """Raise UserError for the name of a file that no page has, as somebody would open it with another program."""
    if output.suffix.lower() not in PAGE_ENDINGS and not output.is_dir():
        others = "print the page to PDF in a browser; --markdown and --csv write the figures in these forms"
        raise UserError(f"{output}: a report is a page, so its file ends in {' or '.join(PAGE_ENDINGS)}; {others}")


def choose_runs(names: Sequence[str], folder: Path) -> ChosenRuns:
    """Find the runs that are named, each by any of its names or as one of a folder of runs; without names, all finished ones.

    Raises UserError where there are none.
    """
    runs = [run for name in names for run in _runs_of(name, folder)] if names else list_runs(folder)
    if not runs:
        raise UserError(f"no runs in {folder.resolve()}; train one with `assay train bible`, or give --runs-dir")
    finished = [] if names else [run for run in runs if run.status()["state"] == "finished"]
    if not finished:
        return ChosenRuns(runs, "as it was named first" if names else "as it is the oldest; no run is finished", [])
    left_out = [run for run in runs if run not in finished]
    return ChosenRuns(finished[::-1], "the newest finished run", left_out)


def _runs_of(name: str, folder: Path) -> list[RunDirectory]:
    inside = list_runs(Path(name)) if Path(name).is_dir() else []
    return inside or [find_run(name, folder)]


def _title(outcome: StudyOutcome, study: Path | None) -> str:
    """Name what is reported, for the head of the page."""
    if study is None:
        return "Run" if len(outcome.all_runs) == 1 else format_count(len(outcome.all_runs), "run")
    return f"Study {outcome.plan.name}{f', scale {outcome.plan.scale}' if outcome.plan.scale else ''}"
