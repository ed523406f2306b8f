"""Plots in files: what can be drawn is drawn, and what cannot is refused before anything is computed."""

import re
import sys
from pathlib import Path

import pytest

from assay.core.install import write_assay_line
from assay.errors import UserError
from assay.reports.plots import PlotSettings, check_plot_path, draw_curves, draw_reliability

CURVES = {"first": [(1, 3), (10, 2)], "second": [(1, 2), (10, 5)]}


def test_the_same_figures_give_the_same_svg_without_a_date(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    settings = PlotSettings("a title", "across", "up", log_x=True, y_min=0.0, y_max=4.0)
    for name in ("a.svg", "b.svg"):
        draw_curves(CURVES, settings, tmp_path / name, {"here": 3.0})
    drawn = (tmp_path / "a.svg").read_bytes()
    assert drawn == (tmp_path / "b.svg").read_bytes()
    assert b"dc:date" not in drawn
    draw_curves(CURVES, settings, tmp_path / "b.svg")
    assert drawn != (tmp_path / "b.svg").read_bytes(), "the mark is drawn"


def test_a_png(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    draw_curves(CURVES, PlotSettings("a title", "across", "up"), tmp_path / "a.png")
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")


def test_other_formats_are_refused_by_the_options_name(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"--output: .*neither .svg nor .png; write a.svg"):
        draw_curves(CURVES, PlotSettings("a title", "across", "up"), tmp_path / "a.jpeg")


STORED = {
    "calibration_error": 0.05,
    "reliability": [
        {"from": 0.0, "to": 1 / 15, "tokens": 30, "confidence": 0.05, "accuracy": 0.04},
        {"from": 14 / 15, "to": 1.0, "tokens": 10, "confidence": 0.97, "accuracy": 0.85},
    ],
}


@pytest.mark.parametrize("suffix", ["svg", "png"])
def test_a_picture_is_written_and_says_the_error(tmp_path: Path, suffix: str) -> None:
    pytest.importorskip("matplotlib")
    path = tmp_path / f"reliability.{suffix}"
    draw_reliability(STORED, "a run", path)
    data = path.read_bytes()
    assert data.startswith(b"\x89PNG" if suffix == "png" else b"<?xml")
    assert suffix == "png" or b"expected calibration error 5.00 %" in data


def test_other_formats_are_refused() -> None:
    with pytest.raises(UserError, match=r"'a.jpg' is neither .svg nor .png; write a.svg"):
        check_plot_path(Path("a.jpg"))


def test_a_missing_matplotlib_gives_the_install_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(UserError, match=re.escape(write_assay_line("plots"))):
        check_plot_path(Path("a.svg"))
