"""List runs in the terminal: a table for each text, as figures of different texts do not compare. Imports no torch."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.text import Text

from assay.core.words import format_count, format_duration, format_steps
from assay.reports.number_format import format_amount
from assay.runs.standard_error import describe_standard_error
from assay.terminal.console import print_sentences, single_line
from assay.terminal.tables import print_table

Entry = Mapping[str, Any]
COLUMNS = ("run", "state", "weights", "tokens", "duration", "date", "bits/byte", "+-")
SHOWN_DIGITS = 8  # of a sha256


def print_runs(out: Console, folder: Path, entries: Sequence[Entry]) -> None:
    """Print the runs of each text in a table, then the studies; where there is nothing, how to make a run."""
    if not entries:
        print_sentences(out, f"no runs in {folder.resolve()}; train one with: assay train bible")
        return
    runs = [entry for entry in entries if not _is_study(entry)]
    studies = [entry for entry in entries if _is_study(entry)]
    for number, members in enumerate(group_by_text(runs)):
        out.print("\n" * (number > 0), _describe_text(members[0].get("text")), sep="")
        print_table(out, COLUMNS, list(map(_run_cells, members)), text_columns=2, names_above=True)
    if studies:
        out.print("\n" * bool(runs), Text("studies", style="bold"), sep="", soft_wrap=True)
        rows = [(entry["run"], entry["state"], format_steps(entry.get("step", 0), entry.get("steps"))) for entry in studies]
        print_table(out, ("study", "state", "finished runs"), rows, text_columns=2)
    print_sentences(out, *(single_line(entry["error"]) for entry in entries if entry["state"] == "damaged"))


def group_by_text(entries: Sequence[Entry]) -> list[list[Entry]]:
    """Group runs by the text that they are validated on, in the order of the first of each."""
    groups: dict[Any, list[Entry]] = {}
    for entry in entries:
        text = entry.get("text") or {}
        groups.setdefault((text.get("sha256"), text.get("split_sha256")), []).append(entry)
    return list(groups.values())


def _is_study(entry: Entry) -> bool:
    """Whether an entry is of a study, which has no text of its own."""
    return "text" not in entry


def _describe_text(text: Mapping[str, Any] | None) -> Text:
    """Name the text of a table, with what tells it from another of the same name."""
    if text is None:
        return Text("text not known", style="bold")
    facts = f"  {format_count(text['bytes'], 'byte')} of validation, sha256 {text['sha256'][:SHOWN_DIGITS]}"
    return Text.assemble((single_line(text["name"]), "bold"), (facts, "dim"))


def _run_cells(entry: Entry) -> tuple[str, ...]:
    final = (entry.get("scores") or {}).get("best")
    so_far = entry.get("best")
    figure = f"{final['bits_per_byte']:.4f}" if final else f"{so_far['bits_per_byte']:.4f} so far" if so_far else "-"
    duration = None if entry.get("duration") is None else format_duration(entry["duration"])
    date = None if entry.get("started_at") is None else f"{datetime.fromisoformat(entry['started_at']).astimezone():%Y-%m-%d}"
    return (
        entry["run"], _describe_state(entry), _format_amount(entry.get("parameters")),
        _format_amount(entry.get("tokens")), duration or "-", date or "-", figure, describe_standard_error(final) if final else "-",
    )  # fmt: skip


def _describe_state(entry: Entry) -> str:
    """Write the state of a run, and how far it is where it is not finished."""
    steps = "" if entry["state"] == "finished" else f" {format_steps(entry.get('step', 0), entry.get('steps'))}"
    return f"{entry['state']}{steps}"


def _format_amount(count: int | None) -> str:
    return "-" if count is None else format_amount(count)
