"""`assay runs`: what has been trained, with its scores."""

from rich.table import Table

from assay.cli.options import AsJson, RunsDir, console, print_json
from assay.runs.store import all_runs, runs_folder


def runs(runs_dir: RunsDir = None, as_json: AsJson = False) -> None:
    """List the runs in a folder, oldest first."""
    folder = runs_folder(runs_dir)
    rows = [{"run": run.name, "path": str(run.path.resolve()), **run.status()} for run in all_runs(folder)]
    if as_json:
        print_json(rows)
        return
    out = console()
    if not rows:
        out.print(f"no runs in {folder.resolve()}; train one with: assay train bible", soft_wrap=True, highlight=False)
        return
    table = Table(box=None, pad_edge=False)
    for column in ("run", "state", "step", "validation bits/byte", "+-"):
        table.add_column(column, justify="left" if column in ("run", "state") else "right", overflow="fold")
    for row in rows:
        best = row.get("scores", {}).get("best")
        note = "" if best or not row.get("best") else " (best so far)"
        figure = best["bits_per_byte"] if best else (row.get("best") or {}).get("bits_per_byte")
        score = "-" if figure is None else f"{figure:.4f}{note}"
        error = f"{best['standard_error']:.4f}" if best else "-"
        table.add_row(row["run"], row["state"], f"{row.get('step', 0)}/{row.get('steps') or '?'}", score, error)
    out.print(table)
