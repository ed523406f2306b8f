"""`assay runs`: what has been trained, with its scores."""

from typing import Any

from assay.cli.options import AsJson, RunsDir
from assay.errors import RunError
from assay.runs.directory import all_runs, runs_folder
from assay.studies.folder import StudyFolder, studies
from assay.terminal.console import console, print_json
from assay.terminal.tables import print_table
from assay.tracking.follow import state


def runs(runs_dir: RunsDir = None, as_json: AsJson = False) -> None:
    """List the runs in a folder, oldest first, with the best validation score of each; a study of many runs is one line."""
    folder = runs_folder(runs_dir)
    rows = [{"run": run.name, "path": str(run.path.resolve()), **run.status(), "state": state(run.status())} for run in all_runs(folder)]
    rows += [_study(study) for study in studies(folder)]
    if as_json:
        print_json(rows)
    elif not rows:
        console().print(f"no runs in {folder.resolve()}; train one with: assay train bible", soft_wrap=True, markup=False)
    else:
        print_table(console(), ("run", "state", "step", "bits/byte", "+-"), [_cells(row) for row in rows], words=2)


def _cells(row: dict[str, Any]) -> tuple[str, ...]:
    final = (row.get("scores") or {}).get("best")
    so_far = row.get("best")
    figure = f"{final['bits_per_byte']:.4f}" if final else f"{so_far['bits_per_byte']:.4f} so far" if so_far else "-"
    error = f"{final['standard_error']:.4f}" if final else "-"
    count = f"{row.get('step', 0)}/{row.get('steps') or '?'}"
    return row["run"], row["state"], f"{count} runs" if row["state"] == "study" else count, figure, error


def _study(study: StudyFolder) -> dict[str, Any]:
    """A study in a line: how many of its runs are finished."""
    line = {"run": study.path.name, "path": str(study.path.resolve())}
    try:
        plan = study.plan()
    except RunError as damaged:
        return {**line, "state": "damaged", "error": str(damaged)}
    finished = sum(study.run(job).status()["state"] == "finished" for job in plan.jobs)
    return {**line, "state": "study", "step": finished, "steps": len(plan.jobs)}
