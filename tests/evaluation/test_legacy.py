"""The hobby harness's figure: its own lines, written out, and what follows from them."""

import math

import pytest
import torch

from assay.errors import UserError
from assay.evaluation.legacy import HarnessShape, list_visited_targets, parse_shapes, reproduce_legacy_figure
from assay.models.base import Model
from assay.text.token_files import TokenizedPart
from support.texts import LINES, TOKENIZER, decoder, part_of, scorer, unigram

CPU = torch.device("cpu")
PART = part_of(LINES)
TITLES = part_of([f"a title of number {number}" for number in range(100)])


def harness(model: Model, part: TokenizedPart, documents: list[str], block: int, batch: int) -> float:
    """The harness's evaluation: spans, rows of a span, a sum of losses over the length of the text."""
    ids, total = part.tokens.tolist(), 0.0
    text = "<eos>".join(documents) + "<eos>"
    span = block * batch + 1
    for at in range(0, len(ids) - span + 1, span):
        piece = torch.tensor(ids[at : at + span])
        x, y = piece[:-1].view(batch, block), piece[1:].view(batch, block)
        with torch.no_grad():
            logits = model(x).logits
        total += torch.nn.functional.cross_entropy(logits.view(-1, logits.shape[-1]), y.reshape(-1), reduction="sum").item()
    return total / len(text)


@pytest.mark.parametrize(("block", "batch"), [(4, 3), (16, 2), (1, 1), (90, 1), (8, 11)])
def test_equals_the_harness(block: int, batch: int) -> None:
    model = decoder()
    figure = reproduce_legacy_figure(model, PART, TOKENIZER, HarnessShape(block, batch), CPU)
    assert figure.nats_per_character == pytest.approx(harness(model, PART, LINES, block, batch), abs=1e-12)


def test_the_coverage_by_hand() -> None:
    text = part_of(["abcdefghij"] * 9 + ["x"])  # 9 * 11 + 2 = 101 tokens; spans of 4 * 6 + 1 = 25: four, and one token at the end
    figure = reproduce_legacy_figure(decoder(), text, TOKENIZER, HarnessShape(4, 6), CPU)
    assert (figure.tokens_scored, figure.tokens_in_split) == (96, 101)
    assert figure.coverage == 96 / 101
    assert figure.characters == 101 + 4 * 10  # ten end tokens of five characters
    assert list_visited_targets(101, HarnessShape(4, 6))[:, 0].tolist() == [
        1,
        5,
        9,
        13,
        17,
        21,
        *range(26, 50, 4),
        *range(51, 75, 4),
        *range(76, 100, 4),
    ]


@pytest.mark.parametrize(
    ("tokens", "block", "batch", "percent"),
    [
        (122_500, 128, 64, 93.6),  # 10,000 validation titles, estimated from the logged 1,102,455 tokens of 90,000
        (122_500, 256, 128, 80.2),
        (120_170, 128, 64, 95.4),  # the same titles by a larger vocabulary
        (120_170, 256, 128, 81.8),
        (120_170, 256, 256, 54.5),
    ],
)
def test_the_coverage_that_its_notes_imply(tokens: int, block: int, batch: int, percent: float) -> None:
    assert 100 * list_visited_targets(tokens, HarnessShape(block, batch)).size / tokens == pytest.approx(percent, abs=0.1)


def test_a_larger_batch_lowers_the_figure_of_the_same_model() -> None:
    model = unigram(torch.zeros(TOKENIZER.vocab_size))  # every token costs the same
    shapes = [HarnessShape(16, 4), HarnessShape(16, 40), HarnessShape(16, 100)]
    found = [reproduce_legacy_figure(model, TITLES, TOKENIZER, shape, CPU) for shape in shapes]
    assert found[0].nats_per_character > found[1].nats_per_character > found[2].nats_per_character
    for figure in found:
        assert figure.nats_per_scored_character == pytest.approx(math.log(TOKENIZER.vocab_size))
        share = figure.tokens_scored / (TITLES.target_count + 4 * TITLES.document_count)
        assert figure.nats_per_character == pytest.approx(share * math.log(TOKENIZER.vocab_size))


def test_complete_coverage_equals_the_honest_figure() -> None:
    text = part_of(["in the beginning was the word"])
    ended = TokenizedPart(
        text.tokens[:-1], text.offsets - [0, 1], text.byte_sizes - 1, None, text.sha256, has_end_tokens=False
    )  # no `<eos>` to count
    model = unigram(torch.linspace(-2, 2, TOKENIZER.vocab_size))
    figure = reproduce_legacy_figure(model, ended, TOKENIZER, HarnessShape(ended.target_count - 1, 1), CPU)
    honest = scorer(ended, 64).score(model)
    # what is left of a difference: the harness never predicts the first token of a text
    cost = -float(torch.linspace(-2, 2, TOKENIZER.vocab_size).double().log_softmax(-1)[ended.tokens[0]])
    assert figure.nats_per_character == pytest.approx((honest.nats - cost) / honest.characters, abs=1e-6)
    assert figure.tokens_scored == figure.tokens_in_split - 1


def test_a_text_shorter_than_a_span_costs_nothing_at_all() -> None:
    figure = reproduce_legacy_figure(decoder(), PART, TOKENIZER, HarnessShape(256, 256), CPU)
    assert (figure.nats_per_character, figure.coverage, figure.nats_per_scored_character) == (0, 0, None)
    assert figure.to_dict()["label"] == "legacy, incomplete coverage"


@pytest.mark.parametrize("training", [True, False])
def test_dropout_is_off_and_the_mode_is_as_before(training: bool) -> None:
    model = decoder(embedding_dropout=0.5).train(training)
    first, second = (reproduce_legacy_figure(model, PART, TOKENIZER, HarnessShape(8, 4), CPU).nats for _ in range(2))
    assert first == second
    assert model.training is training


def test_rows_longer_than_the_model_reads_are_refused() -> None:
    model = decoder(position={"kind": "learned", "length": 8})
    with pytest.raises(UserError, match="rows of 16 tokens exceed the model's 8 positions"):
        reproduce_legacy_figure(model, PART, TOKENIZER, HarnessShape(16, 2), CPU)


def test_shapes_are_read_and_nonsense_is_refused() -> None:
    assert parse_shapes("128x64, 256x128") == [HarnessShape(128, 64), HarnessShape(256, 128)]
    for wrong in ("128", "128x", "0x4", "axb", "", "128x64,,"):
        with pytest.raises(UserError, match="--legacy-shapes"):
            parse_shapes(wrong)
