"""The page in a real browser: nothing is loaded, nothing complains, tables sort by keyboard, nothing runs off a phone."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from support.made_study import arm
from support.reported import ARMS, EVIL, reported, study

pytest.importorskip("matplotlib")
pytest.importorskip("jinja2")
playwright = pytest.importorskip("playwright.sync_api", reason="playwright drives the browser, of the extra dev")

from assay.reports.page import render_page  # noqa: E402

CHROMIUM = Path("/usr/bin/chromium")
pytestmark = pytest.mark.skipif(not CHROMIUM.exists(), reason="needs Debian's chromium: apt-get install chromium")
LONG = "model.block.mixer={kind=local window=64} and model.block.feedforward={kind=glu hidden=256} with a very long name"


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with playwright.sync_playwright() as driver:
        one = driver.chromium.launch(executable_path=str(CHROMIUM), args=["--no-sandbox"])
        yield one
        one.close()


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of a study with hostile and long names."""
    folder = tmp_path_factory.mktemp("browser")
    arms = (*ARMS, arm(EVIL, {"model.width": 24}), arm(LONG, {"model.width": 32}))
    path = folder / "report.html"
    path.write_text(render_page(reported(study(folder / "made", arms, lr_factors=[0.5, 1.0]))), encoding="utf-8")
    return path


class Opened:
    """A page that was opened, and what it asked for and complained of."""

    def __init__(self, browser: Any, file: Path, **how: Any) -> None:
        self.context = browser.new_context(**how)
        self.page = self.context.new_page()
        self.said: list[str] = []
        self.asked: list[str] = []
        self.page.on("console", lambda message: self.said.append(message.text))
        self.page.on("pageerror", lambda error: self.said.append(str(error)))
        self.page.on("dialog", lambda dialog: self.said.append(f"dialog {dialog.message}"))
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.goto(file.as_uri())


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_is_asked_for_but_the_file_and_nothing_complains(browser: Any, file: Path, scheme: str) -> None:
    opened = Opened(browser, file, color_scheme=scheme)
    opened.page.wait_for_timeout(100)
    assert opened.said == []
    assert opened.asked == [file.as_uri()]
    ground = opened.page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (ground == "rgb(253, 253, 253)") == (scheme == "light")


def test_tables_are_sorted_by_keyboard_and_say_how(browser: Any, file: Path) -> None:
    page = Opened(browser, file).page
    button = page.locator("#results th button", has_text="bits per byte").first
    head = button.locator("xpath=..")
    figures = "[...document.querySelector('#results table').tBodies[0].rows].map(row => Number(row.cells[2].textContent))"
    button.focus()
    page.keyboard.press("Enter")
    assert head.get_attribute("aria-sort") == "ascending"
    rising = page.evaluate(figures)
    assert rising == sorted(rising)
    page.keyboard.press("Space")
    assert head.get_attribute("aria-sort") == "descending"
    assert page.evaluate(figures) == rising[::-1]
    assert page.locator("#results table").first.locator("th[aria-sort]").count() == 1


def test_what_has_no_figure_stays_at_the_end_however_it_is_sorted(browser: Any, file: Path) -> None:
    page = Opened(browser, file).page
    button = page.locator("#results th button", has_text="difference").first
    for _ in range(2):
        button.click()
        assert page.evaluate("[...document.querySelector('#results table').tBodies[0].rows].at(-1).cells[1].textContent") == "base"


def test_tokens_are_gone_through_by_arrow_keys_and_pointed_at(browser: Any, file: Path) -> None:
    page = Opened(browser, file).page
    tokens, tooltip = page.locator(".tokens").first.locator("span"), page.locator("#tooltip")
    assert page.locator(".tokens span[tabindex='0']").count() == page.locator(".tokens").count(), "each text is one stop"
    tokens.first.focus()
    assert tooltip.text_content() == "base: “In”: 0.25 bits"
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    assert tooltip.text_content() == "base: “é”: 9.00 bits in 2 tokens"
    page.keyboard.press("ArrowLeft")
    assert page.evaluate("document.activeElement.textContent").startswith(" the <script>")
    tokens.last.hover()
    assert tooltip.text_content() == "base: end of the document: 3.00 bits"


@pytest.mark.parametrize("width", [320, 360, 768, 1280])
def test_nothing_runs_off_the_side(browser: Any, file: Path, width: int) -> None:
    page = Opened(browser, file, viewport={"width": width, "height": 700}).page
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_nothing_runs_off_the_paper(browser: Any, file: Path) -> None:
    page = Opened(browser, file, viewport={"width": 718, "height": 1015}).page
    page.emulate_media(media="print")
    assert page.evaluate("document.documentElement.scrollWidth") <= 718
    assert page.evaluate("getComputedStyle(document.querySelector('nav')).display") == "none"


def test_boxes_that_scroll_are_reached_by_keyboard_and_named(browser: Any, file: Path) -> None:
    page = Opened(browser, file, viewport={"width": 360, "height": 700}).page
    boxes = page.evaluate(
        "[...document.querySelectorAll('*')].filter(e => getComputedStyle(e).overflowX === 'auto' && e.scrollWidth > e.clientWidth + 1)"
        ".map(e => [e.tabIndex, e.getAttribute('role'), e.getAttribute('aria-label')])"
    )
    assert boxes
    assert all(tab == 0 and role == "region" and name for tab, role, name in boxes)


def test_words_of_a_picture_lie_inside_it(browser: Any, file: Path) -> None:
    page = Opened(browser, file).page
    outside = page.evaluate(
        "[...document.querySelectorAll('svg.chart')].flatMap(svg => { const box = svg.getBoundingClientRect();"
        " return [...svg.querySelectorAll('text')].filter(t => { const r = t.getBoundingClientRect();"
        " return r.left < box.left - 3 || r.right > box.right + 3 || r.top < box.top - 3 || r.bottom > box.bottom + 3 })"
        ".map(t => t.textContent) })"
    )
    assert outside == []
