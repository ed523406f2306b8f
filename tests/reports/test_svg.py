"""Figures inside a page: same ids never twice, colours by name, names of artists as hints."""

import re
from xml.etree import ElementTree

import pytest

pytest.importorskip("matplotlib")

from assay.reports.axes import AxisSettings
from assay.reports.charts import (
    LABEL_SPACING,
    DifferenceBar,
    Dot,
    LegendEntry,
    Line,
    plot_cost_plane,
    plot_curves,
    plot_differences,
    shorten_middle,
    spread_labels,
)
from assay.reports.svg import AltText

SAID = AltText("a title & more", "a <description>")
LINES = [
    Line(LegendEntry(1, "base", 0), [(0, 3.0), (1000, 2.0)], [(0, 2.9, 3.1), (1000, 1.9, 2.1)]),
    Line(LegendEntry(2, "<b>other</b> $x$", 1), [(0, 3.0), (1000, 2.001)]),
    Line(LegendEntry(3, "one of many", None), [(0, 3.0), (1000, 2.5)]),
]


def drawn(name: str = "one") -> str:
    return plot_curves(name, LINES, AxisSettings("tokens"), AxisSettings("bits per byte"), SAID)


def words(svg: str) -> list[str]:
    return re.findall(r"<text[^>]*>([^<]*)</text>", svg)


def test_a_picture_is_well_formed_named_and_described() -> None:
    root = ElementTree.fromstring(drawn())
    assert (root[0].tag, root[0].text, root[1].tag, root[1].text) == ("title", SAID.title, "desc", SAID.description)
    assert root.attrib["aria-labelledby"] == "one-title one-desc"
    assert root.attrib["role"] == "img"
    assert "width" not in root.attrib, "it is as wide as its place"


def test_the_same_lines_in_two_pictures_share_no_id() -> None:
    one, other = (set(re.findall(r' id="([^"]+)"', drawn(name))) for name in ("one", "two"))
    assert one
    assert one & other == set()


def test_hovering_over_a_line_names_its_arm_and_the_name_is_escaped() -> None:
    assert "<title>2 &lt;b&gt;other&lt;/b&gt; $x$</title>" in drawn()
    assert "<b>" not in drawn()


def test_only_arms_that_stand_out_are_numbered_and_their_numbers_do_not_meet() -> None:
    ends = dict(re.findall(r'<text style="[^"]*font-weight: 700[^"]*" [^>]*y="([\d.]+)"[^>]*>(\d)</text>', drawn()))
    assert sorted(ends.values()) == ["1", "2"]
    assert abs(float(next(iter(ends))) - float(list(ends)[1])) >= LABEL_SPACING - 0.2


def test_numbers_that_would_meet_are_moved_apart_and_stay_inside() -> None:
    assert spread_labels([10, 50], 100) == [10, 50]
    assert spread_labels([10, 11, 12], 100) == [10, 10 + LABEL_SPACING, 10 + 2 * LABEL_SPACING]
    assert spread_labels([99, 100], 100) == [100 - LABEL_SPACING, 100]


def test_the_figures_of_an_axis_have_one_unit_and_equally_many_decimals() -> None:
    figures = [word for word in words(drawn()) if re.fullmatch(r"\d\.\d+", word)]
    assert len(figures) > 2
    assert len({len(figure) for figure in figures}) == 1
    up_to = plot_curves("one", [Line(LegendEntry(1, "a", 0), [(0, 1), (1_500_000, 2)])], AxisSettings("tokens"), AxisSettings("bits"), SAID)
    assert {"0", "0.3M", "1.5M"} <= set(words(up_to))


def test_a_difference_that_is_not_resolved_is_hollow() -> None:
    row = DifferenceBar(LegendEntry(2, "arm", 1), -0.1, -0.2, 0.05, False, "tooltip")
    hollow, filled = (plot_differences("d", [row._replace(resolved=resolved)], "bits", SAID) for resolved in (False, True))
    assert "fill: var(--paper); stroke: var(--series-2)" in hollow
    assert "fill: var(--paper); stroke: var(--series-2)" not in filled
    assert "2  arm" in words(hollow)


def test_an_interval_far_wider_than_the_difference_ends_in_an_arrow_and_leaves_the_others_visible() -> None:
    narrow = DifferenceBar(LegendEntry(2, "narrow", 1), -0.01, -0.011, -0.009, True, "tooltip")
    alone = plot_differences("d", [narrow], "bits", SAID)
    both = plot_differences("d", [narrow, DifferenceBar(LegendEntry(3, "wide", 2), -0.01, -5.0, 5.0, False, "tooltip")], "bits", SAID)
    assert "5" not in {word.lstrip("−") for word in words(both)}
    assert both.count("<use") > alone.count("<use")


def test_only_the_front_is_joined_and_every_dot_names_its_arm() -> None:
    cheap, dear, beaten = (LegendEntry(number, name, number) for number, name in enumerate(("cheap", "dear", "beaten"), 1))
    dots = [Dot(cheap, 1, 2.0, 0.0, True, "a"), Dot(dear, 9, 1.0, 0.1, True, "b"), Dot(beaten, 9, 2.0, 0.0, False, "c")]
    svg = plot_cost_plane("p", dots, AxisSettings("FLOPs", log=True), AxisSettings("bits per byte"), SAID)
    assert "<title>1 cheap: a</title>" in svg
    assert "<title>3 beaten: c</title>" in svg
    assert {"1", "2", "3"} <= set(words(svg))


def test_a_long_name_loses_its_middle() -> None:
    assert shorten_middle("short", 10) == "short"
    assert shorten_middle("a" * 20 + "b" * 20, 10) == "aaaaaa…bbb"
