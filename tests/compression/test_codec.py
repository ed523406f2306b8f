"""Compression: exact for any bytes, as long as predicted, as good as the score says, and never wrong."""

import bz2
import lzma
import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
import zstandard

from assay.compression.arithmetic import encode
from assay.compression.codec import Codec, measure_other_compressors, measure_rank_coding
from assay.compression.header import HEADER_BYTES
from assay.compression.streams import choose_layout
from assay.errors import AssayError, DataError
from assay.models.base import Model
from assay.models.decoder import DecoderConfig
from compression.codecs import LEARNED, TEXT, TOKENIZERS, codec, lstm
from support.texts import END, LINES, decoder, part_of, scorer, unigram

RANDOM = np.random.default_rng(0).bytes(150)
BYTES = {
    "empty": b"",
    "one byte": b"x",
    "a newline": b"\n",
    "newlines": b"\n\n\n",
    "random": RANDOM,
    "not UTF-8": b"caf\xe9 \xff\xfe\x00\xed\xa0\x80",
    "one long line": b"ab" * 150,
    "no newline at the end": b"one\r\ntwo\nthree",
    "newline at the end": b"one\n\ntwo\n",
    "text": TEXT[:200],
}
WAYS: dict[str, Callable[[], Codec]] = {
    "windows": codec,
    "overlapping windows": lambda: codec(stride=4),
    "isolated documents": lambda: codec(mask=True),
    "carried state": lambda: codec(lstm(), stride=0),
    "BPE": lambda: codec(decoder_of("bpe"), "bpe"),
    "words": lambda: codec(decoder_of("word"), "word"),
    "an LSTM of words": lambda: codec(lstm(TOKENIZERS["word"].vocab_size), "word", stride=0),
}


def decoder_of(tokenizer: str) -> Model:
    """A decoder for as many tokens."""
    tree = {"kind": "decoder", "width": 8, "depth": 1, "block": {"mixer": {"heads": 2}}, "position": LEARNED}
    return DecoderConfig.make(tree).build(TOKENIZERS[tokenizer].vocab_size, torch.Generator().manual_seed(0))


@pytest.mark.parametrize("way", WAYS)
def test_any_bytes_come_back(way: str) -> None:
    made = WAYS[way]()
    for name, text in BYTES.items():
        assert made.decompress(made.compress(text).packed).text == text, name


@pytest.mark.parametrize("way", WAYS)
def test_the_file_is_as_long_as_predicted(way: str) -> None:
    found = WAYS[way]().compress(TEXT)
    assert abs(8 * (len(found.packed) - HEADER_BYTES) - found.predicted_bits) <= 64


@pytest.mark.parametrize(("stride", "mask"), [(9, False), (4, False), (1, False), (9, True)])
def test_one_stream_costs_what_the_evaluator_says(stride: int, mask: bool) -> None:
    model, rest = decoder(position=LEARNED), -part_of([*LINES, ""]).target_count % 36  # whole windows: a shorter last one sees more
    part = part_of([*LINES, "x" * rest])
    bits = scorer(part, 9, stride, mask=mask).score(model).nats / math.log(2)
    layout = choose_layout(part.target_count, 9, stride, mask=mask, max_streams=1)
    found = encode(model, part.tokens.astype(np.int64), layout, END)
    assert found.bits == pytest.approx(bits, rel=2e-4)  # the rounding of a few logits
    assert abs(8 * len(found.payload) - found.bits) <= 64


def test_more_streams_cost_a_little_and_come_back() -> None:
    sizes = []
    for most in (1, 7):
        made = codec(decoder(), max_streams=most)
        found = made.compress(TEXT)
        assert found.layout.count == most
        assert made.decompress(found.packed).text == TEXT
        sizes.append(found.predicted_bits)
    assert sizes[0] != sizes[1]
    assert sizes[1] == pytest.approx(sizes[0], rel=0.1)


def test_a_decoder_takes_the_streams_and_windows_of_the_file_not_its_own() -> None:
    model = decoder(position=LEARNED)
    packed = codec(model, stride=4, max_streams=3).compress(TEXT).packed
    assert codec(model, stride=9, max_streams=8).decompress(packed).text == TEXT


def test_a_model_that_knows_nothing_makes_n_bytes_of_n() -> None:
    made = codec(unigram(torch.zeros(257)), context=64, stride=64)
    size = len(made.compress(RANDOM * 20).packed) - HEADER_BYTES
    assert size == pytest.approx(3000 * math.log2(257) / 8, abs=8)
    assert 3000 < size < 3010


@pytest.mark.parametrize("threads", [(1, 2), (2, 1)])
def test_the_number_of_threads_does_not_matter(threads: tuple[int, int]) -> None:
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(threads[0])
        packed = codec(lstm()).compress(TEXT).packed
        torch.set_num_threads(threads[1])
        assert codec(lstm()).decompress(packed).text == TEXT
        assert torch.get_num_threads() == threads[1]
    finally:
        torch.set_num_threads(before)


def test_any_flipped_bit_of_a_file_is_an_error() -> None:
    made = codec()
    packed = made.compress(b"some text").packed
    for place in range(len(packed)):
        for bit in range(8):
            with pytest.raises(DataError):
                made.decompress(packed[:place] + bytes([packed[place] ^ 1 << bit]) + packed[place + 1 :])


@pytest.mark.parametrize("part", ["model", "tokenizer"])
def test_another_model_or_tokenizer_is_refused(part: str) -> None:
    made = codec()
    packed = made.compress(TEXT).packed
    other = replace(made, identity=made.identity._replace(**{part: b"o" * 16}))
    with pytest.raises(DataError, match=rf"compressed with the {part} \w{{8}} and this run's is 6f6f6f6f; name the run"):
        other.decompress(packed)


def test_a_machine_that_computes_otherwise_is_told_so_and_gets_no_text() -> None:
    packed = codec(decoder(seed=1)).compress(TEXT).packed
    with pytest.raises(AssayError, match=r"computes other probabilities .* compressed with torch .* and here are torch"):
        codec(decoder(seed=2)).decompress(packed)


def test_newlines_are_coded_as_the_model_has_learnt_them() -> None:
    logits = torch.zeros(257)
    for likely, other in ((10, 256), (256, 10)):
        logits[likely], logits[other] = 5.0, -5.0
        tokens = codec(unigram(logits)).tokens(b"one\ntwo\n")
        assert tokens.tolist() == [*b"one", likely, *b"two", likely]


def test_neither_the_model_nor_its_mode_is_changed() -> None:
    model = decoder_of("byte").train()
    codec(model).compress(b"abc")
    assert model.training
    assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}


def test_ranks_are_those_of_the_likeliest_tokens() -> None:
    logits = -torch.arange(257.0)
    found = codec(unigram(logits)).compress(b"\x00\x05\xff")
    assert found.ranks.tolist() == [0, 5, 255]


def test_progress_counts_every_token() -> None:
    told: list[tuple[int, int]] = []
    codec().compress(TEXT, lambda done, total: told.append((done, total)))
    assert told[-1] == (len(TEXT), len(TEXT))
    assert [done for done, _ in told] == sorted(done for done, _ in told)


def test_the_sizes_are_those_of_files_that_come_back() -> None:
    found = measure_other_compressors(TEXT)
    assert list(found) == ["xz", "bz2", "zstd"]
    assert all(30 < size < len(TEXT) for size in found.values())
    assert lzma.decompress(lzma.compress(TEXT, preset=9 | lzma.PRESET_EXTREME)) == TEXT
    assert found["bz2"] == len(bz2.compress(TEXT, 9))
    assert len(zstandard.decompress(zstandard.ZstdCompressor(level=19).compress(TEXT))) == len(TEXT)


def test_good_guesses_take_less_than_bad_ones() -> None:
    random = np.random.default_rng(0)
    good, bad = random.geometric(0.9, 5000) - 1, random.integers(0, 2048, 5000)
    assert measure_rank_coding(np.zeros(5000, np.int64)) < 100 < measure_rank_coding(good) < measure_rank_coding(bad)
    assert 5000 * 11 / 8 < measure_rank_coding(bad) < 5000 * 2
