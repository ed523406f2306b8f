"""What was told of a lie as Markdown, and its place in a page of prose."""

import re
from pathlib import Path

from assay.demo.lie import Lie, Table, Told
from assay.errors import UserError


def marks(number: int) -> tuple[str, str]:
    """The lines between which a lie is told."""
    return f"<!-- lie {number} -->", f"<!-- end of lie {number} -->"


def read_page(path: Path, lies: list[Lie]) -> str:
    """The page to be changed, or a bare one where there is none. Raises UserError where there is no place for a lie in it."""
    if not path.parent.is_dir():
        raise UserError(f"-o: there is no folder {path.parent}; make it first")
    if not path.exists():
        sections = [f"## {lie.number} {lie.name}\n\n{marks(lie.number)[0]}\n{marks(lie.number)[1]}\n" for lie in lies]
        return "\n".join(["# The six lies\n", *sections])
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"-o: {path} cannot be read ({error}); name a page in Markdown") from None
    for lie in lies:
        begin, end = marks(lie.number)
        if not re.search(f"(?s){begin}.*{end}", text):
            raise UserError(f"-o: {path} has no place for lie {lie.number}; add the lines {begin} and {end} where it is to be told")
    return text


def written(page: str, lie: Lie, told: Told) -> str:
    """The page with what was told."""
    begin, end = marks(lie.number)
    return re.sub(f"(?s){begin}.*{end}", lambda _: f"{begin}\n{markdown(told)}\n{end}", page)


def markdown(told: Told) -> str:
    """The claim as a quotation, the tables, and the two paragraphs."""
    notes = [f"({note}.)" for note in told.notes]
    parts = [
        f"> {told.claim}",
        *map(_table, told.tables),
        *notes,
        f"**What is wrong.** {told.wrong}",
        f"**What Assay does.** {told.remedy}",
    ]
    return "\n\n".join(parts)


def _table(table: Table) -> str:
    lines = [table.head, ["---", *["---:"] * (len(table.head) - 1)], *table.rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
