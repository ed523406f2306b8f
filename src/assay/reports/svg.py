"""Render a matplotlib figure as SVG inside a page: unique ids, text as text, and colours that follow the page's colour scheme.

The page's stylesheet gives the CSS variables `--ink`, `--faint`, `--paper` and `--series-1` ... their colours, light and dark.
"""

import io
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, NamedTuple
from xml.etree import ElementTree

from assay.core.install import write_assay_line
from assay.errors import UserError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

INK, FAINT, PAPER = "#1b1b1f", "#8a8a93", "#fdfdfd"
SERIES = ("#1b1b20", "#0067a5", "#c24c06", "#00795a", "#9c4189", "#8f6400", "#2f86b5", "#7a5230")  # 1: the base, in ink
DASHES: tuple[tuple[float, ...], ...] = ((), (), (6, 2.5), (1.5, 2), (7, 2, 1.5, 2), (3, 1.5), (9, 3), (1.5, 4))
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
COLOURS = {INK: "var(--ink)", FAINT: "var(--faint)", PAPER: "var(--paper)"} | {
    colour: f"var(--series-{number})" for number, colour in enumerate(SERIES, 1)
}
STYLE = {
    "svg.hashsalt": "assay",
    "svg.fonttype": "none",
    "text.parse_math": False,
    "font.family": "DejaVu Sans",
    "font.size": 10.5,
    "axes.edgecolor": FAINT,
    "axes.labelcolor": INK,
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "axes.facecolor": "none",
    "figure.facecolor": "none",
    "grid.color": FAINT,
    "grid.linewidth": 0.5,
    "grid.alpha": 0.35,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "path.simplify_threshold": 0.5,
}
POINT = 4 / 3  # CSS pixels
LONG_FRACTION = re.compile(r"-?\d+\.\d{2,}")
GEOMETRY = ("d", "x", "y", "transform", "viewBox")


class AltText(NamedTuple):
    """A chart in words, for those who do not see it."""

    title: str
    description: str


def refuse_missing_libraries() -> None:
    """Raise UserError where a library that the report is made with is not installed."""
    for library in ("matplotlib", "jinja2"):
        if find_spec(library) is None:
            raise UserError(f"the report is made with {library}, which is not installed; run: {write_assay_line('report')}")


@contextmanager
def chart_style() -> Iterator[None]:
    """Give all figures made inside the style of a report."""
    import matplotlib as mpl  # noqa: PLC0415 (optional and slow to import)

    with mpl.rc_context(STYLE):  # type: ignore[arg-type]  # it lists every name it knows
        yield


def render_svg(figure: "Figure", name: str, alt_text: AltText, tooltips: Mapping[str, str]) -> str:
    """Render a figure as an <svg> element whose ids begin with `name`; `tooltips` are by the gid of an artist."""
    buffer = io.StringIO()
    no_metadata: dict[str, Any] = dict.fromkeys(("Date", "Creator", "Format", "Type"))
    figure.savefig(buffer, format="svg", bbox_inches="tight", pad_inches=0.04, metadata=no_metadata)
    root = ElementTree.fromstring(buffer.getvalue().partition("<svg")[1] + buffer.getvalue().partition("<svg")[2])
    ids = _rename_ids(root, name, tooltips)
    for element in root.iter():
        _restyle(element, ids)
    width = round(float(root.attrib.pop("width").removesuffix("pt")) * POINT)
    root.attrib.pop("height")
    root.attrib.pop("version", None)
    root.attrib |= {"class": "chart", "role": "img", "aria-labelledby": f"{name}-title {name}-desc", "style": f"max-width: {width}px"}
    for position, (tag, text) in enumerate((("title", alt_text.title), ("desc", alt_text.description))):
        element = ElementTree.Element(tag, {"id": f"{name}-{tag}"})
        element.text = text
        root.insert(position, element)
    return ElementTree.tostring(root, encoding="unicode")


def prefix_ids(svg: str, prefix: str) -> str:
    """Put a prefix before every id of an <svg> element that was rendered, so that two charts of one name can share a page."""
    marked = re.sub(r'(\bid="|url\(#|href="#)', rf"\g<1>{prefix}", svg)
    return re.sub(r'(aria-labelledby=")(\S+) ', rf"\g<1>{prefix}\g<2> {prefix}", marked)


def _rename_ids(root: ElementTree.Element, name: str, tooltips: Mapping[str, str]) -> dict[str, str]:
    """Remove matplotlib's namespaces, styles and unused ids, and insert tooltips; return the new ids by their old names."""
    for parent in list(root.iter()):
        parent.tag = parent.tag.rpartition("}")[2]
        for child in list(parent):
            if child.tag.endswith("}defs") and any(inner.tag.endswith("}style") for inner in child):
                parent.remove(child)
    written = "".join(value for element in root.iter() for value in element.attrib.values())
    ids: dict[str, str] = {}
    for element in root.iter():
        old = element.attrib.pop("id", None)
        if old is not None and old in tooltips:
            tooltip = ElementTree.Element("title")
            tooltip.text = tooltips[old]
            element.insert(0, tooltip)
        elif old is not None and f"#{old}" in written:
            ids[old] = f"{name}-{len(ids)}"
            element.attrib["id"] = ids[old]
    return ids


def _restyle(element: ElementTree.Element, ids: Mapping[str, str]) -> None:
    """Give an element short numbers, own ids, and the page's colours and font."""
    kept = {}
    for key, value in element.attrib.items():
        plain = key.rpartition("}")[2]
        if plain in GEOMETRY:
            kept[plain] = LONG_FRACTION.sub(lambda match: f"{float(match[0]):.1f}", " ".join(value.split()))
        elif plain == "href":
            kept[plain] = f"#{ids[value.removeprefix('#')]}"
        elif plain == "clip-path":
            kept[plain] = f"url(#{ids[value.removeprefix('url(#').removesuffix(')')]})"
        else:
            kept[plain] = _replace_colours(value) if plain == "style" else value
    if kept.get("transform", "").startswith("rotate(-0 "):
        del kept["transform"]
    element.attrib.clear()
    element.attrib.update(kept)
    if element.tag not in ("text", "title"):
        element.text = None
    element.tail = None


def _replace_colours(style: str) -> str:
    """Replace font and colours in a style by the page's."""
    style = re.sub(r"font: ([\d.]+px) [^;]*", r"font-size: \1", style)
    style = re.sub(r"font-family: [^;]*;? ?", "", style)
    return re.sub(r"#[0-9a-f]{6}", lambda match: COLOURS.get(match[0], match[0]), style)
