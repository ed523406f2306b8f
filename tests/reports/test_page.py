"""The page, read as a program reads it: whole, harmless, in order, for studies of every shape."""

import re
from collections import Counter
from itertools import pairwise
from pathlib import Path

import pytest

from assay.studies.analysis.outcome import read_study
from support.made_study import arm
from support.reported import ARMS, EVIL, Page, reported, study

pytest.importorskip("matplotlib")
pytest.importorskip("jinja2")

from assay.reports.page import TEMPLATES, list_sections, render_page

REFERRING = {"aria-labelledby", "href"}


@pytest.fixture(scope="module")
def tuned(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The page of a study with tried learning rates, scored on test."""
    found = study(tmp_path_factory.mktemp("tuned"), lr_factors=[0.5, 1.0, 2.0], report_on="test")
    return render_page(reported(found))


def test_the_verdict_comes_first_and_warnings_right_after(tuned: str) -> None:
    headings = re.findall(r"<h([1-6])[^>]*>([^<]*)<", tuned)
    assert headings[:4] == [("1", "Which is best?"), ("2", "Verdict"), ("2", "Before you rely on it"), ("2", "Results")]
    levels = [int(level) for level, _ in headings]
    assert all(later - earlier <= 1 for earlier, later in pairwise(levels)), "no level is left out"
    assert 'class="lead">Beside the base (' in tuned


def test_every_part_of_a_whole_study_is_there(tuned: str) -> None:
    assert re.findall(r'<section id="([a-z]+)"', tuned) == [
        "verdict", "warnings", "results", "baselines", "differences", "learning", "costs", "rates", "context", "gradients", "reading",
        "samples", "changes", "protocol", "machine", "runs",
    ]  # fmt: skip


def test_ids_are_unique_over_all_pictures_and_whatever_is_referred_to_is_there(tuned: str) -> None:
    found = Page(tuned)
    assert [one for one, count in Counter(found.ids).items() if count > 1] == []
    for tag, name, value in found.attributes:
        if name in REFERRING or name == "clip-path":
            for reference in value.removeprefix("url(").removesuffix(")").split():
                if tag != "link":
                    assert reference.removeprefix("#") in found.ids, (tag, name, value)


def test_nothing_is_loaded_from_anywhere(tuned: str) -> None:
    found = Page(tuned)
    outside = [(tag, name, value) for tag, name, value in found.attributes if name in ("src", "href", "xlink:href") and value[:1] != "#"]
    assert outside == [("link", "href", "data:,")]
    assert "@import" not in tuned
    assert not re.search(r"url\((?!#)", tuned)
    assert "default-src 'none'" in tuned


def test_every_picture_says_what_it_is_in_words(tuned: str) -> None:
    pictures = re.findall(r'<svg class="chart" role="img"|<svg [^>]*class="chart"', tuned)
    described = re.findall(r'<title id="[a-z_-]+-title">[^<]+</title><desc id="[a-z_-]+-desc">[^<]+</desc>', tuned)
    assert len(pictures) == len(described) == 8


def test_words_in_pictures_are_words_and_their_colours_those_of_the_page(tuned: str) -> None:
    svg = tuned[tuned.index('<section id="learning"') : tuned.index('<section id="costs"')]
    assert re.search(r"<text[^>]*>validation, bits per byte</text>", svg)
    assert not re.findall(r'style="[^"]*#[0-9a-f]{6}', svg), "a colour that does not follow the scheme"
    assert "font-family" not in svg
    assert "var(--series-2)" in svg


def test_names_from_data_are_harmless(tmp_path: Path) -> None:
    found = study(tmp_path, [arm(), arm(EVIL, {"model.width": 24})], question=f"Is {EVIL} safe?", seeds=[0])
    text = render_page(reported(found))
    assert Page(text).tags.count("script") == 1
    assert "<script>alert" not in text
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in text
    assert all("alert" not in value or name in ("title", "data-model", "aria-label") for _, name, value in Page(text).attributes)


def test_the_same_study_gives_the_same_page_byte_for_byte(tmp_path: Path) -> None:
    found = study(tmp_path, ARMS[:2])
    assert render_page(reported(found)) == render_page(reported(found))


def test_forty_arms_with_long_names_have_a_page_far_below_two_megabytes(tmp_path: Path) -> None:
    arms = [arm(), *(arm(f"model.width={width} and a name that is rather long", {"model.width": width}) for width in range(18, 96, 2))]
    text = render_page(reported(study(tmp_path, arms, seeds=[0])))
    assert "32 others, in grey" in text
    assert text.count('<th scope="row"><span>model.width=') >= 2 * 39
    assert len(text.encode()) < 500_000


@pytest.mark.parametrize(("leave", "there"), [(("depth-2",), "differences"), (("base",), "results"), (("",), "runs")])
def test_a_study_that_has_just_begun_has_a_page_that_says_so(tmp_path: Path, leave: tuple[str, ...], there: str) -> None:
    found = study(tmp_path, leave=leave)
    text = render_page(reported(found))
    assert f'<section id="{there}"' in text
    assert "waiting" in text


def test_a_run_that_failed_is_shown_with_its_reason(tmp_path: Path) -> None:
    found = study(tmp_path, ARMS[:2])
    failed = found.arm("depth=2").runs[1].run
    failed.update_status(state="failed", step=7, error="the loss became NaN <here>")
    text = render_page(reported(read_study(tmp_path)))
    assert f'<span>{failed.name}</span></th><td class="words">depth=2</td><td>failed</td><td>7 of 50 steps</td>' in text
    assert "the loss became NaN &lt;here&gt;" in text
    assert "2 arms, 5 of 6 runs finished" in text


def test_a_base_alone_has_a_page(tmp_path: Path) -> None:
    text = render_page(reported(study(tmp_path, ARMS[:1], seeds=[0])))
    assert '<section id="differences"' not in text
    assert '<section id="changes"' not in text
    assert "The base alone was run" in text


def test_another_figure_than_bits_per_byte_is_named_and_turned_the_right_way(tmp_path: Path) -> None:
    found = reported(study(tmp_path, ARMS[:2], metric="top1_accuracy"))
    assert "higher is better" in found.metric_meaning
    figure = [column.name for column in found.table.columns].index("figure")
    assert sorted(found.table.rows, key=lambda row: row[figure].sort_key or 0)[0][1].text == "depth=2"


def test_a_grid_shows_what_each_axis_does(tmp_path: Path) -> None:
    both = {"model.depth": 2, "model.width": 24}
    arms = [arm(), arm("depth=2", {"model.depth": 2}), arm("width=24", {"model.width": 24}), arm("depth=2 width=24", both)]
    found = reported(study(tmp_path, arms, mode="grid"))
    assert [axis for axis, _ in found.effects] == ["model.depth", "model.width", "pairs of values, less what each does alone"]
    assert "By axis" in render_page(found)


def test_tokens_are_coloured_by_their_bits_and_say_them(tuned: str) -> None:
    assert '<span class="b0" tabindex="0" title="“In”: 0.25 bits">In</span>' in tuned
    assert '<span class="b5" tabindex="-1" title="“é”: 9.00 bits in 2 tokens">é</span>' in tuned
    assert '<span class="b3" tabindex="-1" title="end of the document: 3.00 bits">⏎</span>' in tuned
    assert tuned.count("base: 13.8 bits, ") == tuned.count("depth=4: 13.8 bits, ") == 2, "the base and the best arm, two documents each"


def test_without_weights_it_says_so_and_goes_on(tmp_path: Path) -> None:
    found = study(tmp_path, ARMS[:2])
    for file in tmp_path.glob("*/reading-best.json"):
        file.unlink()
    text = render_page(reported(found))
    assert "base could not be read: " in text
    assert '<section id="samples"' in text


def luminance(colour: str) -> float:
    """Of #rgb or #rrggbb, after WCAG 2."""
    digits = "".join(2 * digit for digit in colour[1:]) if len(colour) == 4 else colour[1:]
    channels = [int(digits[place : place + 2], 16) / 255 for place in (0, 2, 4)]
    red, green, blue = (value / 12.92 if value <= 0.03928 else ((value + 0.055) / 1.055) ** 2.4 for value in channels)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    bright, dim = sorted((luminance(one), luminance(other)), reverse=True)
    return (bright + 0.05) / (dim + 0.05)


@pytest.mark.parametrize("scheme", [0, 1, 2], ids=["light", "dark", "print"])
def test_ink_stands_out_from_its_ground(scheme: int) -> None:
    style = (TEMPLATES / "style.css").read_text()
    block = re.findall(r":root \{(.*?)\}", style, flags=re.DOTALL)[scheme]
    colours = dict(re.findall(r"--([a-z0-9-]+): (#[0-9a-f]{3,6});", block))
    grounds = ["paper", "raised", "warn-ground", *(f"b{level}" for level in range(6))]
    low = {ground: contrast(colours["ink"], colours[ground]) for ground in grounds if contrast(colours["ink"], colours[ground]) < 4.5}
    inks = ["faint", "link", *(f"series-{number}" for number in range(1, 9))]
    low |= {ink: contrast(colours[ink], colours["paper"]) for ink in inks if contrast(colours[ink], colours["paper"]) < 4.5}
    low |= {ink: contrast(colours[ink], colours["raised"]) for ink in ("faint", "link") if contrast(colours[ink], colours["raised"]) < 4.5}
    assert low == {}


def test_sections_are_those_of_the_contents(tuned: str, tmp_path: Path) -> None:
    found = reported(study(tmp_path, ARMS[:2]))
    assert re.findall(r'<li><a href="#([a-z]+)"', render_page(found)) == list(list_sections(found))
