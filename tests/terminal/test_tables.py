"""Tables: what has no rows says so."""

import io

from rich.console import Console

from assay.terminal.tables import print_table


def test_a_table_without_rows_says_so_instead_of_a_head_alone() -> None:
    out = io.StringIO()
    print_table(Console(file=out, width=80), ("", "documents"), [], nothing="none: neither validation nor test has documents")
    assert out.getvalue() == "none: neither validation nor test has documents\n"
