"""A text so small that each demonstration takes a second."""

from pathlib import Path

import pytest

from assay.demo.stage import Stage

LINES = [f"{n} men said to {n * 7 % 13} women: the {('sea', 'sky', 'sun')[n % 3]} is {('low', 'high')[n % 2]}." for n in range(400)]
SMALL = (
    "model.width=16",
    "model.depth=1",
    "plan.window=16",
    "plan.batch=4",
    "split={kind=shuffle, validation=0.2, test=0.2}",
    "tokenizer={kind=byte}",
)


@pytest.fixture
def stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Stage:
    """A stage for a handful of steps on a text of 400 lines."""
    monkeypatch.setenv("ASSAY_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "lines.txt").write_text("\n".join(LINES) + "\n", encoding="utf-8")
    corpus = f"corpus={{kind=text, path='{tmp_path / 'lines.txt'}', document=line}}"
    heads = "model.block.mixer.heads=4"
    return Stage(share=0.1, overrides=(corpus, *SMALL, heads))
