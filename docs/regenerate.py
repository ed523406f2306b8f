"""`python docs/regenerate.py PAGE`: run the commands of a page in order, and put what they print below them.

The folder they run in is fresh, and it is their home folder too, so nothing is there that was prepared before. In the page's order

- a code block with a title is written to the file of that name,
- a `text` block is one command, `$ COMMAND`, for the shell, and what that printed, errors included,
- a picture that the page shows is copied from the folder, if the commands made it there.

A comment in the line before a block says more of it, in clauses between semicolons:

    <!-- output: first 4, last 6; Ctrl-C at "step 100/" -->

keeps only so many lines, with a line `...` for those between, and interrupts the command as soon as it has printed that text. A command
that fails, or that does not exit with 130 when interrupted, ends it all and leaves the page as it was. What is changed in an output
besides: spaces at the ends of lines are cut off, and the fresh folder is written `~`.
"""

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

BLOCK = re.compile(r"(?:^<!-- (?P<rule>[^\n]*?) -->\n)?^```(?P<head>[^\n]*)\n(?P<body>.*?)^```$", re.MULTILINE | re.DOTALL)
PICTURE = re.compile(r"!\[[^]]*\]\(([^)]+)\)")
INTERRUPTED = 130
COLUMNS = "100"  # of the window, as the commands see it; lines of prose are longer all the same


class Failed(Exception):
    """A command did something else than it should."""


def printed(command: str, folder: Path, interrupt_at: str | None) -> str:
    """What a command prints in a shell. Raises Failed for another exit code than it should have."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("ASSAY_", "XDG_"))}
    environment = {**kept, "PATH": path, "HOME": str(folder), "COLUMNS": COLUMNS}
    process = subprocess.Popen(
        ["bash", "-c", command], cwd=folder, env=environment, text=True, start_new_session=True,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    assert process.stdout is not None
    lines, waiting = [], interrupt_at
    for line in process.stdout:
        lines.append(line.rstrip() + "\n")
        if waiting is not None and waiting in line:
            os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to all that the command has started
            waiting = None
    output = "".join(lines).replace(str(folder), "~").strip("\n") + "\n"
    code, wanted = process.wait(), 0 if interrupt_at is None else INTERRUPTED
    if code != wanted or waiting is not None:
        raise Failed(f"$ {command}\n{output}\nexit code {code}, not {wanted}")
    if re.search("^```", output, re.MULTILINE):
        raise Failed(f"$ {command}\n{output}\nhas a line of backticks, which would end the block")
    return output


def shortened(output: str, first: int, last: int) -> str:
    """The first and last lines, and `...` for those between."""
    lines = output.splitlines(keepends=True)
    return output if len(lines) <= first + last + 1 else "".join([*lines[:first], "...\n", *lines[len(lines) - last :]])


def renewed(block: re.Match[str], folder: Path) -> str:
    """A block of the page as it is to be. Raises Failed."""
    whole, rule, body = block[0], block["rule"] or "", block["body"]
    if title := re.search(r'title="([^"]+)"', block["head"]):
        (folder / title[1]).write_text(body, encoding="utf-8")
    if block["head"] != "text" or not body.startswith("$ "):
        return whole
    command = body.split("\n", 1)[0]
    interrupt, lines = re.search(r'Ctrl-C at "([^"]+)"', rule), re.search(r"output: first (\d+), last (\d+)", rule)
    began = time.monotonic()
    output = printed(command.removeprefix("$ "), folder, interrupt and interrupt[1])
    sys.stderr.write(f"{time.monotonic() - began:7.1f} s  {command}\n")
    if lines:
        output = shortened(output, int(lines[1]), int(lines[2]))
    return whole.replace(f"```text\n{body}```", f"```text\n{command}\n{output}```")


def regenerate(page: Path) -> None:
    """Run a page and write it anew. Raises Failed."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place).resolve()
        text = BLOCK.sub(lambda block: renewed(block, folder), page.read_text(encoding="utf-8"))
        for picture in PICTURE.findall(text):
            made = folder / Path(picture).name
            if made.exists():
                shutil.copyfile(made, page.parent / picture)
        page.write_text(text, encoding="utf-8")


def main() -> None:
    """Regenerate the pages that the command line names."""
    try:
        for name in sys.argv[1:]:
            regenerate(Path(name))
    except Failed as failed:
        sys.exit(str(failed))


if __name__ == "__main__":
    main()
