"""Figures of samples beside held-out documents: planted recital is found, honest text is not accused."""

import random
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch

from assay.data.prepare import PreparedText, prepare_text
from assay.data.split import ContiguousConfig, ShuffleConfig
from assay.generation.decode import Sampling
from assay.generation.diversity import hash_words_by_text, kolmogorov_smirnov_distance, measure_distinct_n, measure_distinct_shares
from assay.generation.quality import TextSample, assess_quality, draw_held_out, generate_samples, longest_document_tokens
from assay.models.base import Model
from assay.models.decoder import DecoderConfig
from assay.text.piece_tokenizers import ByteConfig
from assay.text.text_files import TextConfig

WORDS = [f"{first}{last}" for first in ("ba", "ke", "li", "mo", "nu") for last in ("ra", "sto", "ven", "dix", "pal", "qui")]


def sentences(count: int, seed: int) -> list[str]:
    """Sentences of 14 to 20 of 30 words."""
    draw = random.Random(seed)
    return [" ".join(draw.choices(WORDS, k=draw.randint(14, 20))) for _ in range(count)]


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> PreparedText:
    folder = tmp_path_factory.mktemp("quality")
    (folder / "text.txt").write_text("\n".join(sentences(400, 0)) + "\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ASSAY_CACHE", str(folder / "cache"))
        return prepare_text(TextConfig(path=str(folder / "text.txt")), ShuffleConfig(validation=0.2, test=0.1), ByteConfig())


def texts(documents: Sequence[bytes]) -> list[TextSample]:
    return [TextSample(list(document), document, ended=True) for document in documents]


def judged(prepared: PreparedText, documents: Sequence[bytes]) -> str:
    held_out = draw_held_out(prepared, 60, 1000, 0)
    return assess_quality(texts(documents), held_out, prepared, 1000).verdict


def test_new_text_of_the_same_kind_is_not_accused(prepared: PreparedText) -> None:
    found = assess_quality(texts([s.encode() for s in sentences(60, 1)]), draw_held_out(prepared, 60, 1000, 0), prepared, 1000)
    assert found.verdict.startswith("No sign of memorising: half its samples share")
    assert found.samples.verbatim == found.samples.passages_in_training == 0
    assert found.samples.copied_bytes_quantiles == pytest.approx(found.held_out.copied_bytes_quantiles, rel=0.2)
    assert found.samples.length_distance == pytest.approx(found.held_out.length_distance, abs=0.2)


def test_recited_documents_are_found_also_in_capitals(prepared: PreparedText) -> None:
    training = list(prepared.documents("train"))
    mixed = [s.encode() for s in sentences(50, 1)] + [document.upper() + b"!" for document in training[:10]]
    assert judged(prepared, mixed).startswith("It memorised: 16.7% of its samples are training documents, against 0.0%")
    found = assess_quality(texts(training[:30]), draw_held_out(prepared, 30, 1000, 0), prepared, 1000)
    assert found.samples.verbatim == found.samples.near_verbatim == found.samples.passages_in_training == 1
    assert found.longest_copy is not None
    recited = max(training[:30], key=len)
    assert found.longest_copy.bytes >= len(recited)
    assert recited.decode() in found.longest_copy.span


def test_recited_passages_are_found(prepared: PreparedText) -> None:
    training = list(prepared.documents("train"))
    pasted = [b"and so " + document.rsplit(b" ", 1)[0] + b" they said" for document in training[:40]]
    assert judged(prepared, pasted).startswith("It memorised passages: ")


def test_spans_too_short_for_passages_are_found(prepared: PreparedText) -> None:
    training = list(prepared.documents("train"))
    pasted = [b" ".join(document.split(b" ")[:11]) for document in training[:60]]
    assert judged(prepared, pasted).startswith("It copies longer spans than this kind of text repeats: half its samples share ")


def test_a_model_that_repeats_itself_is_told(prepared: PreparedText) -> None:
    assert judged(prepared, [b"balo kero nuxi molo"] * 60).startswith("It repeats itself: ")


def test_samples_that_are_empty_are_told_and_give_no_shares(prepared: PreparedText) -> None:
    found = assess_quality(texts([b""] * 3), draw_held_out(prepared, 3, 1000, 0), prepared, 1000)
    assert found.verdict.startswith("At least half of its samples are empty, so there is little to compare")
    assert found.samples.passages_in_training is None
    assert found.samples.distinct_words == found.held_out.distinct_words == (None,) * 4


def test_samples_that_share_nothing_with_training_are_not_said_to_share_0_bytes(prepared: PreparedText) -> None:
    assert "half its samples share nothing with training, half the held-out documents " in judged(prepared, [b"\x01\x02\x03"] * 3)


def test_the_longest_copy_says_where_it_stands(prepared: PreparedText) -> None:
    training = list(prepared.documents("train"))
    copied = training[17][5:60]
    found = assess_quality(texts([b"zzz " + copied + b" zzz", b"yyy"]), draw_held_out(prepared, 2, 1000, 0), prepared, 1000)
    assert found.longest_copy is not None
    copy = found.longest_copy
    assert training[copy.document][copy.start_byte : copy.start_byte + copy.bytes] == copy.span.encode()
    assert (copy.document, copy.group) == (17, None)
    assert copy.span.encode() in b"zzz " + copied + b" zzz"
    assert copy.bytes >= len(copied)


def model_of(prepared: PreparedText) -> Model:
    tree = {"kind": "decoder", "width": 16, "depth": 1, "block": {"mixer": {"heads": 2}}, "position": "rope"}
    return DecoderConfig.make(tree).build(prepared.tokenizer.vocab_size, torch.Generator().manual_seed(0))


def test_samples_are_decided_by_the_seed(prepared: PreparedText) -> None:
    model = model_of(prepared)
    first, again, other = (generate_samples(model, prepared, 4, 30, Sampling(), seed) for seed in (0, 0, 1))
    assert first == again != other
    assert all(len(text.tokens) <= 30 and prepared.tokenizer.end_id not in text.tokens for text in first)


def test_held_out_documents_are_drawn_from_validation_and_cut_alike(prepared: PreparedText) -> None:
    validation = set(prepared.documents("validation"))
    whole = draw_held_out(prepared, 20, 1000, 0)
    assert {text.bytes for text in whole} <= validation
    assert all(text.ended for text in whole)
    cut = draw_held_out(prepared, 20, 10, 0)
    assert [text.bytes for text in cut] == [text.bytes[:10] for text in whole]
    assert not any(text.ended for text in cut)
    assert len(draw_held_out(prepared, 10**6, 10, 0)) == prepared.parts["validation"].document_count
    assert longest_document_tokens(prepared) == max(map(len, prepared.documents("train"))) + 1


def test_a_contiguous_text_has_pieces_and_no_figures_of_documents(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ASSAY_CACHE", str(tmp_path / "cache"))
    (tmp_path / "text.txt").write_text("\n".join(sentences(200, 0)))
    corpus = TextConfig(path=str(tmp_path / "text.txt"), document="file")
    joined = prepare_text(corpus, ContiguousConfig(), ByteConfig())
    held_out = draw_held_out(joined, 10, 50, 0)
    assert [len(text.bytes) for text in held_out] == [50] * 10
    assert len({text.bytes for text in held_out}) == 10
    found = assess_quality(texts([s.encode()[:50] for s in sentences(10, 1)]), held_out, joined, 50)
    sides = (found.samples, found.held_out)
    assert all(side.ended is side.verbatim is side.near_verbatim is side.length_distance is None for side in sides)
    assert found.verdict.startswith("No sign of memorising")


def test_distinct_by_hand() -> None:
    assert measure_distinct_n([[1, 2, 1, 2], [1, 2]], 1) == 2 / 6
    assert measure_distinct_n([[1, 2, 1, 2], [1, 2]], 2) == 2 / 4  # (1 2), (2 1), (1 2) and (1 2)
    assert measure_distinct_n([[1], []], 2) is None


def test_distinct_is_over_equally_many_items() -> None:
    varied = [[1, 2, 3, 4]]
    assert measure_distinct_shares([varied * 50, varied])[0] == measure_distinct_shares([varied, varied])[0] == (1.0, 1.0, 1.0, 1.0)


def test_words_are_in_lower_case_and_without_marks() -> None:
    one, two, none = hash_words_by_text([b"The WORD, the word.", b"word", b"--"])
    assert one[:2] == one[2:]
    assert two == one[1:2]
    assert none == []


def test_the_distance_of_two_samples_by_hand() -> None:
    assert kolmogorov_smirnov_distance([1, 2, 3], [1, 2, 3]) == 0
    assert kolmogorov_smirnov_distance([1, 2], [3, 4]) == 1
    assert kolmogorov_smirnov_distance([1, 2, 3, 4], [3, 4, 5, 6]) == 0.5
    draw = np.random.default_rng(0)
    assert kolmogorov_smirnov_distance(draw.normal(size=4000), draw.normal(size=4000)) < 0.04
