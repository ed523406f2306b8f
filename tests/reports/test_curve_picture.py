"""Pictures of curves: the same figures give the same file."""

from pathlib import Path

import pytest

from assay.errors import UserError
from assay.reports.curve_picture import Curve, Mark, Scene, draw

CURVES = [Curve("first", [(1, 3), (10, 2)]), Curve("second", [(1, 2), (10, 5)])]


def test_the_same_figures_give_the_same_svg_without_a_date(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    scene = Scene("a title", "across", "up", logarithmic=True, low=0.0, high=4.0)
    for name in ("a.svg", "b.svg"):
        draw(CURVES, scene, tmp_path / name, [Mark("here", 3.0)])
    drawn = (tmp_path / "a.svg").read_bytes()
    assert drawn == (tmp_path / "b.svg").read_bytes()
    assert b"dc:date" not in drawn
    draw(CURVES, scene, tmp_path / "b.svg")
    assert drawn != (tmp_path / "b.svg").read_bytes(), "the mark is drawn"


def test_a_png(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    draw(CURVES, Scene("a title", "across", "up"), tmp_path / "a.png")
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")


def test_other_formats_are_refused_by_the_options_name(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"--output: .*neither .svg nor .png; write a.svg"):
        draw(CURVES, Scene("a title", "across", "up"), tmp_path / "a.jpeg")
