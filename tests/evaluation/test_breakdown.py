"""Breakdowns: every target under one label, and the rows add up to the score."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.evaluation.breakdown import (
    CLASSES,
    EXTREMES,
    break_down_by_class,
    break_down_by_position,
    classify_tokens,
    find_extreme_documents,
    longest_context,
)
from assay.evaluation.readers import DocumentReader, StreamReader, TextReader, WindowReader
from assay.evaluation.score import Score, make_score_tree
from assay.text.bpe import BpeConfig
from assay.text.token_files import TokenizedPart
from support.texts import decoder, part_of, scorer

VERSES = [f"verse {number}: " + "naïve words " * (number % 5) for number in range(40)]


def score_of(documents: list[str] = VERSES, groups: list[int] | None = None) -> Score:
    part = dataclasses.replace(part_of(documents), groups=None if groups is None else np.array(groups))
    return scorer(part, 16, 4, group_names=("first", "second", "third")).score(decoder())


@st.composite
def readings(draw: st.DrawFn) -> TextReader:
    lengths = draw(st.lists(st.integers(1, 30), min_size=1, max_size=12))
    part = TokenizedPart(np.arange(sum(lengths)), np.cumsum([0, *lengths]), np.array(lengths), None, "")
    context = draw(st.integers(1, 20))
    masked, stride = draw(st.booleans()), draw(st.integers(1, context))
    return draw(
        st.sampled_from(
            [WindowReader(part, -1, context, stride, masked), StreamReader(part, -1, context), DocumentReader(part, -1, context)]
        )
    )


@given(readings())
def test_what_a_target_sees_is_what_stands_before_it_in_the_rows(reading: TextReader) -> None:
    offset, found = 0, {}
    for piece in reading.batches(np.arange(len(reading)), 3):
        offset = 0 if piece.starts_stream else offset + reading.context
        for row, t in zip(*np.nonzero(piece.scored), strict=True):
            seen = t + 1 + offset
            if piece.documents is not None:
                seen = int((piece.documents[row, : t + 1] == piece.documents[row, t]).sum())
            found[int(piece.target_index[row, t])] = seen
    places = np.arange(reading.part.target_count)
    assert reading.context_lengths(places).tolist() == [found[place] for place in places]


@pytest.mark.parametrize("name", ["by_position", "by_class", "by_group"])
def test_the_rows_of_a_breakdown_add_up_to_the_score(name: str) -> None:
    score = score_of(groups=[number // 15 for number in range(40)])
    rows = make_score_tree(score)[name]
    assert len(rows) > 2
    assert sum(row["bytes"] for row in rows) == score.bytes_scored
    assert sum(row["tokens"] for row in rows) == score.tokens_scored
    assert sum(row["share_of_bits"] for row in rows) == pytest.approx(1)
    assert sum(row["bits_per_byte"] * row["bytes"] for row in rows) == pytest.approx(score.bits_per_byte * score.bytes_scored)


def test_positions_are_in_ranges_that_end_at_powers_of_two() -> None:
    score = scorer(part_of(["x" * 99]), 50).score(decoder())
    rows = break_down_by_position(score.targets, score.unit_of_target)
    assert [row["name"] for row in rows] == ["1", "2", "3-4", "5-8", "9-16", "17-32", "33-50"]
    assert [(row["context_from"], row["context_to"]) for row in rows] == [(1, 1), (2, 2), (3, 4), (5, 8), (9, 16), (17, 32), (33, 50)]
    assert [longest_context(row) for row in rows] == [longest_context({"name": row["name"]}) for row in rows] == [1, 2, 4, 8, 16, 32, 50]
    assert longest_context({"name": "1,025-2,048"}) == 2048  # as versions before 0.6 stored it
    assert longest_context({"name": "3-4", "sees_most": 4}) == 4  # as 0.6 stored it
    assert [row["tokens"] for row in rows] == [2, 2, 4, 8, 16, 32, 36]


def test_the_class_of_a_token_is_that_of_its_first_byte_that_is_no_space() -> None:
    tokenizer = BpeConfig(vocabulary=300).train([b"the the 12 12 12, , , ,   the"] * 20)
    found = dict(
        zip(map(tokenizer.decode, ([token] for token in range(tokenizer.vocab_size - 1))), classify_tokens(tokenizer), strict=False)
    )
    names = {spelling: CLASSES[number] for spelling, number in found.items()}
    assert names[b" the"] == names[b"z"] == "letters"
    assert names[b"7"] == "digits"
    assert names[b","] == names[b"<"] == "punctuation"
    assert names[b" "] == names[b"\n"] == "white space"
    assert names[b"\xc3"] == "not ASCII"
    assert CLASSES[classify_tokens(tokenizer)[tokenizer.end_id]] == "end token"


def test_every_end_token_is_in_the_class_of_its_own() -> None:
    score = score_of()
    rows = {row["name"]: row for row in break_down_by_class(score.targets, score.unit_of_target)}
    assert rows["end token"]["tokens"] == len(VERSES)
    assert rows["not ASCII"]["bytes"] == sum(2 * verse.count("ï") for verse in VERSES)


def test_groups_have_their_names_and_few_units_no_standard_error() -> None:
    rows = make_score_tree(score_of(groups=[0] * 20 + [1] * 18 + [2] * 2))["by_group"]
    assert [row["name"] for row in rows] == ["first", "second", "third"]
    assert rows[2]["bytes"] == sum(len(verse.encode()) + 1 for verse in VERSES[38:])
    assert rows[0]["standard_error"] > 0
    assert rows[2]["standard_error"] is None


def test_the_hardest_and_the_easiest_documents_are_found() -> None:
    score = score_of()
    part, bits = score.targets.part, score.targets.bits
    rates = np.add.reduceat(bits, part.offsets[:-1]) / part.byte_sizes
    found = find_extreme_documents(score.targets)
    assert [row["bits_per_byte"] for row in found["hardest"]] == pytest.approx(sorted(rates, reverse=True)[:EXTREMES])
    assert [row["bits_per_byte"] for row in found["easiest"]] == pytest.approx(sorted(rates)[:EXTREMES])
    for row in (*found["hardest"], *found["easiest"]):
        assert row["text"] == VERSES[row["document"]].strip()
        assert row["bytes"] == len(VERSES[row["document"]].encode()) + 1


def test_a_few_documents_have_no_extremes_and_a_long_one_is_cut() -> None:
    assert find_extreme_documents(score_of(VERSES[: 2 * EXTREMES - 1]).targets) == {"hardest": [], "easiest": []}
    row = find_extreme_documents(score_of([*VERSES, "long \n" * 100]).targets)["easiest"][0]
    assert len(row["text"]) <= 200
    assert "\n" not in row["text"]


def test_a_sample_has_figures_but_no_units() -> None:
    part = part_of(VERSES)
    told = make_score_tree(scorer(part, 16, sample_share=0.3).score(decoder()))
    assert told["units"] is None
    assert told["words_scored"] > 0
    assert sum(row["tokens"] for row in told["by_class"]) == told["tokens_scored"] < part.target_count
