"""The picture of calibration: what can be drawn is drawn, and what cannot is refused before anything is computed."""

import sys
from pathlib import Path

import pytest

from assay.errors import UserError
from assay.reports.byte_picture import check
from assay.reports.reliability_picture import draw

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
    draw(STORED, "a run", path)
    data = path.read_bytes()
    assert data.startswith(b"\x89PNG" if suffix == "png" else b"<?xml")
    assert suffix == "png" or b"expected calibration error 5.00 %" in data


def test_other_formats_are_refused() -> None:
    with pytest.raises(UserError, match=r"'a.jpg' is neither .svg nor .png; write a.svg"):
        check(Path("a.jpg"))


def test_a_missing_matplotlib_gives_the_install_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(UserError, match=r"pip install 'assay\[plots\]'"):
        check(Path("a.svg"))
