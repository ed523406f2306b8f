"""Docstrings, which are plain text, as Markdown: used by `make_catalogue.py`."""

import re
import textwrap
from collections.abc import Callable, Iterator
from itertools import groupby

Anchor = Callable[[str], str | None]  # the place on the page that a name between backticks stands for

ARXIV = re.compile(r"(?<![\d.])(?:arXiv )?(\d\d(?:0[1-9]|1[0-2])\.\d{4,5})(?![\d.]*\d)")
SITE = re.compile(r"\b(?:[\w-]+\.)+(?:com|net|pub)/[\w./-]*\w")
AUTHORS = r"[A-Z]\w+(?:(?:, [A-Z]\w+)*,? and [A-Z]\w+| et al\.(?:, (?!arXiv)[\w-]+)?)"
NAMED = re.compile(AUTHORS + r",? (?:19|20)\d\d\b(?!\.\d)")  # Gers et al. 2000
SENTENCE = re.compile(r"(?<=[.!?])\s+(?=[A-Z`])")
EQUATION = re.compile(r"[^`]{1,40}? (?:=|<-) ")
LONGEST_SYMBOL = 3  # letters in a row on the left of an equation; more of them are a word


def spaced(text: str) -> str:
    """In one line."""
    return " ".join(text.split())


def first_sentence(text: str) -> str:
    """Of the first paragraph, in one line."""
    return SENTENCE.split(spaced(text.strip().split("\n\n")[0]))[0]


def is_equation(text: str) -> bool:
    """Whether a sentence begins with symbols that something equals."""
    found = EQUATION.match(text)
    return found is not None and not re.search(rf"[A-Za-z]{{{LONGEST_SYMBOL + 1},}}", found[0])


def markdown(text: str, anchor: Anchor) -> list[str]:
    """The lines of a page: equations, indented or at the beginning of a paragraph, become blocks of code, a paragraph becomes one line."""
    made: list[str] = []
    for block, indented in _blocks(text):
        sentence, *rest = [block] if indented else SENTENCE.split(block, maxsplit=1)
        if indented or is_equation(sentence):
            made += code(sentence if indented else sentence.removesuffix("."))
        else:
            rest = [block]
        made += [line for other in rest for line in (prose(spaced(other), anchor), "")]
    return made


def _blocks(text: str) -> Iterator[tuple[str, bool]]:
    """Paragraphs, and what is indented in them."""
    for kind, lines in groupby(text.splitlines(), key=lambda line: line.startswith("    ") if line.strip() else None):
        if kind is not None:
            yield textwrap.dedent("\n".join(lines)), kind


def code(text: str) -> list[str]:
    """The lines of a block of code."""
    return ["```text", *text.splitlines(), "```", ""]


def prose(text: str, anchor: Anchor = lambda name: None) -> str:
    """A paragraph in one line: what Markdown would take for markup is escaped; numbers of arXiv, sites and known names become links."""
    made = []
    for index, piece in enumerate(re.split(r"`([^`]*)`", text)):
        if index % 2:
            place = anchor(piece)
            made.append(f"[`{piece}`](#{place})" if place else f"`{piece}`")
            continue
        plain = piece.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace("~", "&#126;")
        plain = re.sub(r"[*\[\]]|(?<!\w)_", r"\\\g<0>", plain)
        plain = ARXIV.sub(r"[\g<0>](https://arxiv.org/abs/\1)", plain)
        made.append(SITE.sub(lambda found: found[0] if found[0].startswith("arxiv.org") else f"[{found[0]}](https://{found[0]})", plain))
    return re.sub(r"^(\d*)([-+#.])(?=\s)", r"\1\\\2", "".join(made))


def works(text: str) -> list[str]:
    """Links to what a text cites, or the names of the authors with the year."""
    text = spaced(text)
    cited = [f"[{number}](https://arxiv.org/abs/{number})" for number in ARXIV.findall(text)]
    return list(dict.fromkeys([*cited, *NAMED.findall(text), *(f"[{site}](https://{site})" for site in SITE.findall(text))]))
