"""`python docs/make_tree.py`: print the packages of src/assay in the order of their layers, and put both into docs/design.md.

The order, and who may import whom, are those of the contracts in pyproject.toml, which import-linter holds the code to. What a package is
for is the first sentence of its `__init__.py`.
"""

import ast
import re
import sys
import textwrap
import tomllib
from collections.abc import Iterator
from pathlib import Path

from docstrings import first_sentence

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "src" / "assay"
PAGE = ROOT / "docs" / "design.md"
WIDTH = 120  # columns of a line
INDENT = "  "  # of a folder in another, and of the names of its files


class NoPlace(Exception):
    """The page has no place for what is to be written into it."""


def main() -> None:
    """Print the tree, and write the page."""
    sys.stdout.write(tree() + "\n")
    PAGE.write_text(renewed(PAGE.read_text(encoding="utf-8")), encoding="utf-8")


def renewed(page: str) -> str:
    """The page with the tree and the layers as they are now. Raises NoPlace."""
    for name, text in (("tree", tree()), ("layers", layers())):
        begin, end = f"<!-- {name}: make tree -->", f"<!-- end of {name} -->"
        page, count = re.subn(f"(?s){begin}.*?{end}", lambda _, new=f"{begin}\n\n{text}\n\n{end}": new, page)
        if count != 1:
            raise NoPlace(f"{PAGE.name} has to have one line {begin} and a line {end} after it")
    return page


def tree() -> str:
    """Every package with what it is for and its files, the highest layer first, as a block of text."""
    names = [name for layer in ordered() for name in layer]
    left = sorted(path.name for path in PACKAGE.iterdir() if path.is_dir() and path.name not in [*names, "__pycache__"])
    lines = ["src/assay/"]
    for name in ["__main__", "__init__", *names, *left]:
        path = PACKAGE / name
        lines += folder(path, 1) if path.is_dir() else file(path.with_suffix(".py"))
    return "\n".join(["```text", *lines, "```"])


def folder(path: Path, depth: int) -> Iterator[str]:
    """A folder, what it is for, its files, and the folders in it."""
    module, inside = path / "__init__.py", INDENT * (depth + 1)
    yield entry(f"{path.name}/", purpose(module) if module.exists() else "", depth)
    names = sorted(one.name for one in path.iterdir() if one.is_file() and one.name not in ("__init__.py", "py.typed"))
    yield from textwrap.wrap(" ".join(names), WIDTH, initial_indent=inside, subsequent_indent=inside, break_on_hyphens=False)
    for one in sorted(path.iterdir()):
        if one.is_dir() and one.name != "__pycache__":
            yield from folder(one, depth + 1)


def file(path: Path) -> Iterator[str]:
    """A module that stands beside the packages."""
    yield entry(path.name, purpose(path), 1)


def entry(name: str, text: str, depth: int) -> str:
    """A name and what it is for, in one line if there is room."""
    begin = f"{INDENT * depth}{name:<14}{' ' if text else ''}"
    return textwrap.fill(text, WIDTH, initial_indent=begin, subsequent_indent=" " * len(begin)) if text else begin.rstrip()


def purpose(module: Path) -> str:
    """The first sentence of a module's docstring."""
    return first_sentence(ast.get_docstring(ast.parse(module.read_text(encoding="utf-8"))) or "")


def layers() -> str:
    """Who may import whom: the layers, and then the other contracts by their names."""
    arrows = " -> ".join(", ".join(layer) for layer in ordered())
    block = textwrap.wrap(arrows, WIDTH, subsequent_indent="    ", break_on_hyphens=False)
    others = [f"- {contract['name'][:1].upper()}{contract['name'][1:]}." for contract in contracts()[1:]]
    return "\n".join(["```text", *block, "```", "", "Beside the layers it checks:", "", *others])


def ordered() -> list[list[str]]:
    """The layers, the highest first, each with the names of its packages."""
    return [[name.strip().removeprefix("assay.") for name in layer.split("|")] for layer in contracts()[0]["layers"]]


def contracts() -> list[dict[str, str]]:
    """What import-linter checks; the layers are the first."""
    found: list[dict[str, str]] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"]["contracts"]
    return found


if __name__ == "__main__":
    main()
