"""What is told of a report that was written."""

from rich.console import Console

from assay.terminal.console import print_json
from assay.tools.report import WrittenReport


def print_report(out: Console, report: WrittenReport, *, as_json: bool) -> None:
    """Print the verdict and the files, for a program or for people."""
    if as_json:
        print_json({"files": [str(path) for path in report.files], "verdict": report.verdict, "warnings": report.warnings})
        return
    for sentence in report.verdict:
        out.print(sentence, markup=False, soft_wrap=True)
    for path, size in report.files.items():
        out.print(f"written: {path} ({size / 1000:,.0f} kB)", markup=False, soft_wrap=True)
