"""What a split did not give is told, and what is advised instead is right for the text at hand."""

import re
from pathlib import Path
from typing import cast

import pytest

from assay.core.recipe import apply_overrides
from assay.data import leakage, split_advice
from assay.data.prepare import prepare_text
from assay.data.split import ContiguousConfig, HashConfig, PartName, ShuffleConfig, Split, SplitConfig
from assay.errors import DataError
from assay.text.piece_tokenizers import ByteConfig
from assay.text.text_files import TextConfig

SAME = [b"the same line"] * 500
LINES = [f"line {number} of the text".encode() for number in range(200)]
TEXTS = {
    "equal lines": SAME,
    "equal lines and two": [*SAME, b"another", b"a third"],
    "one letter": [b"a"],
    "one short line": [b"abc def"],
    "one long line": [b"long words " * 100],
    "ten lines": LINES[:10],
    "few lines": LINES,
    "one long line and others": [b"long words " * 1000, *LINES],
    "five lines, often": [b"l%d" % (number % 5) for number in range(500)],
    "a refrain": [line for number, line in enumerate(LINES) for line in (line, *([b"and all the people sang"] * (number % 2)))],
    "each line twice": LINES * 2,
}
SPLITS: list[SplitConfig] = [
    HashConfig(),
    ShuffleConfig(),
    ContiguousConfig(),
    HashConfig(validation=0.001, test=0.0),
    ShuffleConfig(validation=0.3, test=0.001),
    ContiguousConfig(validation=0.001, test=0.001),
]


def complain(config: SplitConfig, documents: list[bytes]) -> str | None:
    """What is said of a split: that a part is empty, that shares do not hold, or that it leaks."""
    try:
        split = config.apply(documents)
    except DataError as refused:
        return str(refused)
    repeats = split_advice.advise_on_repeats(config, split, documents)
    return next(iter([*split.warnings, *([repeats] if repeats else [])]), None)


def heed(said: str, config: SplitConfig, documents: list[bytes]) -> tuple[SplitConfig, list[bytes]]:
    """Do what was said."""
    if "use a longer text" in said:
        return config, [document + b" and more of it, %d" % number for document in documents for number in range(3000)]
    if "more different documents" in said:
        return config, [*documents, *(b"a document of its own, number %d" % number for number in range(5000))]
    if "remove repeated documents" in said:
        documents = list(dict.fromkeys(documents))
    tree = apply_overrides({"split": config.to_dict()}, re.findall(r"split\S*=\S+", said.rsplit("; ", maxsplit=1)[-1]))
    assert SplitConfig.family is not None
    return cast(SplitConfig, SplitConfig.family.make(tree["split"])), documents


@pytest.mark.parametrize("name", TEXTS)
@pytest.mark.parametrize("config", SPLITS, ids=lambda config: f"{config.to_dict()['kind']} {config.validation} {config.test}")
def test_whoever_heeds_the_advice_hears_no_complaint(config: SplitConfig, name: str) -> None:
    documents = TEXTS[name]
    said = complain(config, documents)
    if said is not None and "split=" not in said.split("; ")[-1]:  # another text, of which the split may still be a wrong one
        config, documents = heed(said, config, documents)
        said = complain(config, documents)
    if said is not None:
        config, documents = heed(said, config, documents)
    assert complain(config, documents) is None


def test_equal_lines_are_refused_for_what_they_are() -> None:
    with pytest.raises(DataError, match=r"split=hash puts none of 500 documents .* more different documents \(1 of 500 are different\)"):
        HashConfig().apply(SAME)


def test_shares_that_the_bytes_do_not_have_are_told() -> None:
    (said,) = ShuffleConfig().apply(TEXTS["equal lines and two"]).warnings
    assert said.startswith("the split gives 0.1 % of the bytes for train instead of 90 %")
    assert all(config.apply(LINES * 5).warnings == () for config in SPLITS[:3])


@pytest.mark.parametrize(
    ("share", "found", "near"),
    [(0.05, 0.036, True), (0.05, 0.074, True), (0.05, 0.032, False), (0.05, 0.08, False), (0.5, 0.46, True), (0.5, 0.56, False)],
)
def test_a_part_may_be_half_as_large_again_and_five_points_off(share: float, found: float, near: bool) -> None:
    validation = round(1000 * found)
    documents: dict[PartName, list[bytes]] = {"train": [b"x"] * (1000 - validation), "validation": [b"y"] * validation, "test": []}
    split = Split(documents, {part: [*range(len(texts))] for part, texts in documents.items()}, b"")
    assert (split_advice.check_shares(HashConfig(validation=share, test=0.0), split, LINES) == ()) == near


def test_no_split_is_advised_that_would_be_warned_of() -> None:
    assert split_advice.REPEATED == leakage.DOCUMENT_LIMIT


def test_the_warnings_come_with_the_prepared_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ASSAY_CACHE", str(tmp_path / "cache"))
    file = tmp_path / "text.txt"
    file.write_bytes(b"\n".join(TEXTS["equal lines and two"]))
    for _ in range(2):
        prepared = prepare_text(TextConfig(path=str(file)), ShuffleConfig(), ByteConfig())
        assert "instead of 90 %" in prepared.warnings[0]
    leaky = prepare_text(TextConfig(path=str(file)), ContiguousConfig(), ByteConfig())
    assert all("more different documents" in text for text in leaky.warnings if "byte for byte" in text)
