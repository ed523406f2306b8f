"""The picture of bytes: the same figures give the same file, whatever bytes there are."""

import re
import sys
from pathlib import Path

import pytest

from assay.core.install import write_assay_line
from assay.errors import UserError
from assay.reports.byte_histogram import BYTE_KINDS, draw_byte_histogram, format_percent
from assay.reports.plots import check_plot_path


def test_every_byte_is_of_one_kind() -> None:
    values = [value for kind in BYTE_KINDS for value in kind.values]
    assert sorted(values) == list(range(256))
    kind_of = {value: kind.label for kind in BYTE_KINDS for value in kind.values}
    assert kind_of[ord("$")] == "punctuation and symbols"
    assert all(kind_of[byte].startswith("UTF-8: first") for byte in (0xC2, 0xE2, 0xF0, 0xF4))
    assert all(kind_of[byte] == "never in UTF-8" for byte in (0xC0, 0xC1, 0xF5, 0xFF))


@pytest.mark.parametrize("text", ["plain ASCII $5 $6\n", "naïve — 言葉\n\0\x07\t"])
def test_the_same_figures_give_the_same_svg(tmp_path: Path, text: str) -> None:
    pytest.importorskip("matplotlib")
    histogram = [text.encode().count(bytes([byte])) for byte in range(256)]
    for name in ("a.svg", "b.svg"):
        draw_byte_histogram(histogram, "a title", tmp_path / name)
    drawn = (tmp_path / "a.svg").read_bytes()
    assert drawn == (tmp_path / "b.svg").read_bytes()
    assert b"<svg" in drawn
    assert b"dc:date" not in drawn
    draw_byte_histogram(histogram[::-1], "a title", tmp_path / "b.svg")
    assert drawn != (tmp_path / "b.svg").read_bytes()


def test_a_png_and_even_no_bytes_at_all(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    draw_byte_histogram([0] * 256, "nothing", tmp_path / "a.png")
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")


def test_what_cannot_be_drawn_is_said_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UserError, match=r"neither .svg nor .png; write a.svg"):
        check_plot_path(tmp_path / "a.jpeg")
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(UserError, match=re.escape(write_assay_line("plots"))):
        check_plot_path(tmp_path / "a.svg")


@pytest.mark.parametrize(
    ("share", "text"), [(1, "100 %"), (0.1234, "12.3 %"), (0.1, "10 %"), (0.0123, "1.2 %"), (2.34e-8, "0.0000023 %"), (0, "0 %")]
)
def test_shares_are_written_without_powers_of_ten(share: float, text: str) -> None:
    assert format_percent(share) == text
