"""Bits per byte: equal to the obvious loop, independent of everything but text, tokenizer, weights and context."""

import json
import math
import threading
from dataclasses import replace

import numpy as np
import pytest
import torch

from assay.errors import AssayError
from assay.evaluation.metrics import ratio_standard_error
from assay.evaluation.readers import WindowReader, find_documents
from assay.evaluation.score import Score, make_score_tree
from assay.evaluation.targets import count_characters
from assay.models.base import Model
from assay.text.bpe import BpeConfig
from assay.text.token_files import TokenizedPart
from support.texts import END, LINES, TOKENIZER, decoder, part_of, scorer, unigram

PART = part_of(LINES)
N = PART.target_count
LONG = part_of([f"{number} is the square of {number**0.5:.3f}" for number in range(60)])


def plain_loop(model: Model, part: TokenizedPart, context: int, stride: int) -> float:
    """Nats of every token, one window at a time."""
    stream, total = [END, *part.tokens.tolist()], 0.0
    for begin in range(0, part.target_count, stride):
        end = min(begin + stride, part.target_count)
        first = max(0, end - context)
        with torch.no_grad():
            likely = model(torch.tensor([stream[first:end]])).logits[0].log_softmax(-1)
        total -= sum(float(likely[i - first, stream[i + 1]]) for i in range(begin, end))
    return total


@pytest.mark.parametrize(("context", "stride"), [(16, 16), (16, 5), (7, 1), (N, N), (N - 1, 30), (2 * N, 2 * N), (1, 1)])
def test_equals_the_plain_loop(context: int, stride: int) -> None:
    model = decoder()
    score = scorer(PART, context, stride).score(model)
    assert score.nats == pytest.approx(plain_loop(model, PART, context, stride), abs=1e-10)
    assert score.bits_per_byte == pytest.approx(score.nats / (PART.byte_count * math.log(2)), abs=1e-14)


def test_does_not_depend_on_the_batch_size() -> None:
    model = decoder()
    figures = [scorer(PART, 16, 7, batch_size=size).score(model).nats for size in (1, 2, 5, 64)]
    assert figures == pytest.approx([figures[0]] * 4, abs=1e-10)


@pytest.mark.parametrize(("context", "stride"), [(N, N), (N, 9), (N + 50, N + 50), (N + 1, 1)])
def test_does_not_depend_on_the_window_where_the_whole_past_fits(context: int, stride: int) -> None:
    model = decoder()
    assert scorer(PART, context, stride).score(model).nats == pytest.approx(plain_loop(model, PART, N, N), abs=1e-10)


def test_does_not_depend_on_the_window_for_a_model_that_sees_one_token() -> None:
    model = decoder(depth=0, position="none")
    figures = [scorer(PART, context, stride).score(model).nats for context, stride in ((1, 1), (5, 2), (32, 32))]
    assert figures == pytest.approx([figures[0]] * 3, abs=1e-10)


def test_disjoint_windows_are_what_the_whole_stride_means() -> None:
    model, context = decoder(), 10
    whole = part_of(["a" * 4, "b" * 9, "cé" * 4 + "yz"])
    assert whole.target_count == 3 * context
    stream = torch.tensor([END, *whole.tokens.tolist()])
    with torch.no_grad():
        likely = model(stream[:-1].view(3, context)).logits.log_softmax(-1)
    alone = -likely.gather(-1, stream[1:].view(3, context, 1)).sum()
    assert scorer(whole, context, context).score(model).nats == pytest.approx(float(alone), abs=1e-10)


def test_more_context_than_one_window_changes_the_figure() -> None:
    model = decoder()
    assert scorer(PART, 16, 16).score(model).nats != pytest.approx(scorer(PART, 16, 4).score(model).nats, abs=1e-3)


def test_a_uniform_model_takes_log2_of_the_vocabulary_a_token() -> None:
    tree = scorer(PART, 16).score(unigram(torch.zeros(TOKENIZER.vocab_size))).to_dict()
    assert tree["nats_per_token"] / math.log(2) == pytest.approx(math.log2(TOKENIZER.vocab_size), abs=1e-12)
    assert tree["perplexity"] == pytest.approx(TOKENIZER.vocab_size)
    assert tree["bits_per_byte"] == pytest.approx(math.log2(TOKENIZER.vocab_size), abs=1e-12)  # a byte a token


def test_a_unigram_model_takes_the_empirical_cross_entropy() -> None:
    counts = np.bincount(PART.tokens, minlength=TOKENIZER.vocab_size)
    share = counts / counts.sum()
    entropy = -sum(p * math.log2(p) for p in share if p > 0)
    logits = torch.tensor(np.log(np.maximum(share, 1e-300)))
    assert scorer(PART, 13, 5).score(unigram(logits)).bits_per_byte == pytest.approx(entropy, abs=1e-10)


def test_the_bytes_are_those_of_the_text_with_one_newline_a_document() -> None:
    score = scorer(PART, 16, 3).score(decoder())
    raw = "".join(line + "\n" for line in LINES)
    assert score.bytes_scored == score.bytes_in_split == len(raw.encode())
    assert score.characters == len(raw)
    assert score.tokens_scored == score.tokens_in_split == N
    assert score.complete
    tree = score.to_dict()
    assert tree["coverage"] == 1
    assert tree["bits_per_character"] == pytest.approx(score.bits_per_byte * len(raw.encode()) / len(raw))
    assert tree["nats_per_character"] == pytest.approx(score.nats / len(raw))


def test_bytes_and_characters_are_right_for_a_tokenizer_that_joins_and_cuts_characters() -> None:
    documents = [line.encode() for line in LINES]
    tokenizer = BpeConfig(vocabulary=270).train(documents * 3)
    ids = [[*encoded.tolist(), tokenizer.end_id] for encoded in tokenizer.encode(documents)]
    raw = "".join(line + "\n" for line in LINES)
    flat = [token for document in ids for token in document]
    assert tokenizer.byte_lengths[flat].sum() == len(raw.encode())
    assert count_characters(tokenizer)[flat].sum() == len(raw)


def test_padding_adds_nothing() -> None:
    model = decoder()
    short = part_of(["ab"])  # 3 targets in a window of 16, beside nothing
    assert scorer(short, 16).score(model).nats == pytest.approx(plain_loop(model, short, 16, 16), abs=1e-12)
    rows = WindowReader(short, END, 2, 2, False).rows(np.arange(2))  # the second row is full of what the first one holds
    assert rows[1].sum() == 3


def test_the_standard_error_by_hand() -> None:
    # R = 40/20 = 2; residuals 10-2*6, 14-2*8, 16-2*6 = -2, -2, 4; sqrt(3/2 * 24) / 20
    assert ratio_standard_error(np.array([10.0, 14.0, 16.0]), np.array([6, 8, 6])) == pytest.approx(6 / 20)
    assert ratio_standard_error(np.array([3.0]), np.array([2])) is None  # one unit has no spread
    assert ratio_standard_error(np.array([2.0, 4.0, 6.0]), np.array([1, 2, 3])) == pytest.approx(0.0, abs=1e-12)


@pytest.mark.parametrize(("lines", "units"), [(LINES[:1], 1), (LINES, 1), (["a line of forty bytes, with its newline."] * 3, 1)])
def test_a_score_over_one_unit_has_no_standard_error(lines: list[str], units: int) -> None:
    score = scorer(part_of(lines), 16, 16).score(decoder())
    stored = make_score_tree(score)
    assert (score.units, score.standard_error) == (units, None)
    assert stored["standard_error"] is None
    assert set(stored["standard_errors"].values()) == {None}
    assert all(row["standard_error"] is None for row in (*stored["by_position"], *stored["by_class"]))
    assert "NaN" not in json.dumps(stored)


def test_the_standard_error_of_a_score_is_over_documents() -> None:
    model = decoder()
    score = scorer(LONG, 24, 24, mask=True).score(model)
    windows = WindowReader(LONG, END, 24, 24, True)
    bits = np.zeros(LONG.document_count)
    for row in range(len(windows)):
        tokens, scored, documents, index = (torch.from_numpy(x) for x in windows.rows(np.array([row]))[:4])
        with torch.no_grad():
            likely = model(tokens[:, :-1], None, documents).logits.log_softmax(-1)
        nll = -likely.gather(-1, tokens[:, 1:, None]).squeeze(-1)[scored] / math.log(2)
        np.add.at(bits, find_documents(LONG, index[scored].numpy()), nll.numpy())
    rate, k = bits.sum() / LONG.byte_count, LONG.document_count
    by_hand = math.sqrt(k / (k - 1) * ((bits - rate * LONG.byte_sizes) ** 2).sum()) / LONG.byte_count
    assert (score.unit_name, score.units) == ("documents", LONG.document_count)
    assert score.standard_error == pytest.approx(by_hand, rel=1e-9)


def test_few_documents_are_cut_into_blocks() -> None:
    score = scorer(part_of(["x" * 70_000]), 512, batch_size=16).score(decoder(depth=0, position="none"))
    assert (score.unit_name, score.units) == ("blocks of 5,120 bytes", 14)  # ten contexts, because a thirtieth of the text is less


def test_doubling_the_text_leaves_the_figure_and_shrinks_its_error() -> None:
    model = decoder()
    lines = [f"{number} is the square of {number**0.5:.3f}" for number in range(60)]
    once, twice = (scorer(part_of(text), 64, 16).score(model) for text in (lines, lines * 2))
    assert twice.bits_per_byte == pytest.approx(once.bits_per_byte, rel=2e-3)
    assert twice.standard_error == pytest.approx(once.standard_error / math.sqrt(2), rel=0.05)


def test_isolated_documents_score_as_each_one_alone() -> None:
    model = decoder()
    longest = max(len(line.encode()) + 1 for line in LINES)
    context, stride = longest + 7, 8  # every target sees at least `longest` tokens
    together = scorer(PART, context, stride, mask=True).score(model).nats
    alone = sum(scorer(part_of([line]), longest).score(model).nats for line in LINES)
    assert together == pytest.approx(alone, abs=1e-9)
    assert together != pytest.approx(scorer(PART, context, stride).score(model).nats, abs=1e-3)


def test_a_sample_says_so_and_is_always_the_same_one() -> None:
    model = decoder()
    sampled = scorer(LONG, 16, sample_share=0.25)
    first, second = sampled.score(model), sampled.score(model)
    assert first == second
    assert not first.complete
    assert first.to_dict()["coverage"] == pytest.approx(0.25, abs=0.02)
    assert first.bytes_scored < first.bytes_in_split == LONG.byte_count
    assert first.unit_name == "windows"
    assert first.units == round(0.25 * len(sampled.reader))
    assert first.bits_per_byte == pytest.approx(scorer(LONG, 16).score(model).bits_per_byte, rel=0.1)


class Shared:
    """Two processes' sums, made by two threads that wait for each other."""

    main = False

    def __init__(self, rank: int, barrier: threading.Barrier, box: list[torch.Tensor | None]) -> None:
        self.rank, self.world_size, self.barrier, self.box = rank, 2, barrier, box

    def all_reduce(self, tensor: torch.Tensor) -> torch.Tensor:
        self.box[self.rank] = tensor
        self.barrier.wait(timeout=60)
        total = self.box[0] + self.box[1]
        self.barrier.wait(timeout=60)
        return total


def test_the_shares_of_two_processes_add_up_to_the_whole() -> None:
    model, barrier, box = decoder(), threading.Barrier(2), [None, None]
    found: dict[int, Score] = {}

    def work(rank: int) -> None:
        found[rank] = replace(scorer(PART, 16, 5), parallel=Shared(rank, barrier, box)).score(model)

    threads = [threading.Thread(target=work, args=(rank,)) for rank in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    whole = scorer(PART, 16, 5).score(model)
    assert found[0] == found[1]
    assert found[0].nats == pytest.approx(whole.nats, abs=1e-10)
    assert replace(found[0], nats=0, standard_error=0) == replace(whole, nats=0, standard_error=0)


def test_a_share_alone_is_refused() -> None:
    class Lost(Shared):
        def all_reduce(self, tensor: torch.Tensor) -> torch.Tensor:
            return tensor

    with pytest.raises(AssayError, match="bytes of validation: this is a bug"):
        replace(scorer(PART, 16, 5), parallel=Lost(0, threading.Barrier(1), [])).score(decoder())


@pytest.mark.parametrize("training", [True, False])
def test_the_mode_of_the_model_is_as_before_and_dropout_is_off(training: bool) -> None:
    model = decoder(embedding_dropout=0.5).train(training)
    first, second = scorer(PART, 16).score(model), scorer(PART, 16).score(model)
    assert first.nats == second.nats
    assert model.training is training
    assert all(module.training is training for module in model.modules())


def test_the_mode_is_as_before_also_after_an_error() -> None:
    model = decoder(position={"kind": "learned", "length": 8}).train()
    with pytest.raises(AssayError):
        scorer(PART, 16).score(model)
    assert model.training


def test_scoring_leaves_weights_and_random_numbers_alone() -> None:
    model = decoder(embedding_dropout=0.5).train()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    state = torch.get_rng_state()
    scorer(PART, 16).score(model)
    assert torch.equal(state, torch.get_rng_state())
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())
    assert all(parameter.grad is None for parameter in model.parameters())


def test_the_protocol_says_what_a_target_sees() -> None:
    assert "stride 4 (a target sees 13 to 16 tokens)" in scorer(PART, 16, 4).protocol.describe()
    described = "disjoint (a target sees 1 to 16 tokens), the last moved back to be full, documents isolated"
    assert described in scorer(PART, 16, mask=True).protocol.describe()
    assert scorer(PART, 16, 4).score(decoder()).to_dict()["protocol"]["stride"] == 4
