"""Show six ways in which numbers of small models lie: each done wrong and done right, on real text.

    python examples/six_lies.py --list
    python examples/six_lies.py 3
    python examples/six_lies.py --data-dir DIR --page docs/six-lies.md

Each lie is one file in `lies/`, written on the public API as anybody could write it.
"""

import argparse
import re
import sys
import tempfile
import time
from pathlib import Path

from assay.errors import AssayError, UserError
from lies import coverage, dead_knob, leaky_split, one_seed, resumed, units
from lies.runs import Settings, Shown

LIES = [leaky_split, coverage, dead_knob, units, one_seed, resumed]  # lie 1 to 6
SHARES = {"full": 1.0, "tiny": 0.1}  # of the steps, by scale


def main(arguments: list[str] | None = None) -> None:
    """Show the lies that were asked for, and put each into the page at once."""
    options = parse_options(arguments)
    if options.list:
        for number, lie in enumerate(LIES, 1):
            print(number, lie.TITLE)
        return
    numbers = options.number or range(1, len(LIES) + 1)
    if options.page is not None:
        for number in numbers:
            place_of(number, options.page)  # a page without a place is refused before anything is trained
    with tempfile.TemporaryDirectory(prefix="six-lies-") as folder:
        settings = Settings(Path(folder), options.data_dir, options.seed, SHARES[options.scale])
        for number in numbers:
            lie, began = LIES[number - 1], time.perf_counter()
            print(f"## {number} {lie.TITLE}\n", flush=True)
            text = markdown(lie.show(settings))
            print(f"{text}\n\n(took {time.perf_counter() - began:.0f} s)\n", flush=True)
            if options.page is not None:
                write_into(options.page, number, text)


def parse_options(arguments: list[str] | None) -> argparse.Namespace:
    """The options of the command line."""
    parser = argparse.ArgumentParser(description="Show six ways in which numbers of small models lie.")
    parser.add_argument("number", nargs="*", type=int, help="a lie, 1 to 6; absent: all")
    parser.add_argument("--list", action="store_true", help="print the six titles and stop")
    parser.add_argument("--scale", choices=SHARES, default="full", help="tiny: a tenth of the steps, to see that it works")
    parser.add_argument("--seed", type=int, default=0, help="decides all figures but the times")
    parser.add_argument("--data-dir", type=Path, help="a folder with titles.tsv, for lie 2")
    parser.add_argument("--page", type=Path, help="a Markdown page whose figures are written anew")
    options = parser.parse_args(arguments)
    if not set(options.number) <= set(range(1, len(LIES) + 1)):
        parser.error(f"there are lies 1 to {len(LIES)}")
    return options


def markdown(shown: Shown) -> str:
    """What a lie shows: the claim as a quotation, its tables, and what is wrong and right."""
    paragraphs = (f"**What is wrong.** {shown.wrong}", f"**What Assay does.** {shown.right}")
    return "\n\n".join([f"> {shown.claim}", *map(table, shown.tables), *paragraphs])


def table(rows: list[tuple[str, ...]]) -> str:
    """Rows as a Markdown table; the first one is the head, the first column is of words."""
    head, *others = rows
    rule = ("---", *["---:"] * (len(head) - 1))
    return "\n".join(f"| {' | '.join(row)} |" for row in (head, rule, *others))


def place_of(number: int, page: Path) -> re.Match[str]:
    """Where a lie stands in a page, between its two marks. Raises UserError."""
    begin, end = f"<!-- lie {number} -->", f"<!-- end of lie {number} -->"
    place = re.search(f"(?s)(?<={begin}\n).*(?={end})", page.read_text(encoding="utf-8"))
    if place is None:
        raise UserError(f"--page: {page} has no place for lie {number}; add the lines {begin} and {end} where it should stand")
    return place


def write_into(page: Path, number: int, text: str) -> None:
    """Replace what a page says of a lie; the prose around it stays."""
    place = place_of(number, page)
    page.write_text(f"{place.string[: place.start()]}{text}\n{place.string[place.end() :]}", encoding="utf-8")


if __name__ == "__main__":
    try:
        main()
    except (AssayError, OSError) as error:
        sys.exit(f"error: {error}")
