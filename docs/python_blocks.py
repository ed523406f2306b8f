"""`python docs/python_blocks.py PAGE`: run the Python blocks of a page in order, and put what they print below them.

All `python` blocks of a page run in one namespace, as in a notebook, and in a fresh folder. A `text` block that follows one, with nothing
but an empty line between, is what it prints; a block that prints something must have one. An error ends it and leaves the page as it was.
"""

import contextlib
import io
import os
import re
import sys
import tempfile
from pathlib import Path
from typing import Any

BLOCK = re.compile(r"^```python\n(?P<code>.*?)^```\n(?:\n```text\n(?P<output>.*?)^```\n)?", re.MULTILINE | re.DOTALL)


def renewed(text: str) -> str:
    """A page with what its blocks print now. Raises what a block raises, and ValueError where its output has no place."""
    namespace: dict[str, Any] = {"__name__": "__page__"}
    os.environ.pop("ASSAY_RUNS", None)

    def run(block: re.Match[str]) -> str:
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            exec(compile(block["code"], "page", "exec"), namespace)
        output = printed.getvalue()
        if bool(output) != (block["output"] is not None):
            raise ValueError(f"a block that prints must have a text block below it, and no other:\n{block['code']}{output}")
        return f"```python\n{block['code']}```\n" + (f"\n```text\n{output}```\n" if output else "")

    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        return BLOCK.sub(run, text)


def main() -> None:
    """Renew the pages that the command line names."""
    for name in sys.argv[1:]:
        page = Path(name)
        page.write_text(renewed(page.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
