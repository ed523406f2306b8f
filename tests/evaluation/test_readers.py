"""Windows, documents alone and streams: every target once, with the context that the protocol states."""

import math
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st

from assay.core.parallel import Parallel
from assay.errors import ConfigError
from assay.evaluation.protocol import Protocol
from assay.evaluation.readers import MAX_STREAMS, MIN_ROWS, DocumentReader, StreamReader, TextReader, WindowReader
from assay.evaluation.score import Scorer
from assay.experiment.assemble import ScoreTarget, build_model, make_scorer
from assay.experiment.config import ExperimentConfig
from assay.experiment.load import load_data
from assay.models.base import Model
from assay.models.recurrent import RecurrentConfig
from assay.runs.checkpoint_ref import CheckpointRef
from assay.text.token_files import TokenizedPart
from support.experiment import build, tree_of, write_text
from support.texts import END, LINES, TOKENIZER, decoder, part_of

PART = part_of(LINES)


def recurrent() -> Model:
    config = RecurrentConfig(width=12, hidden=(16,))
    model = config.build(TOKENIZER.vocab_size, torch.Generator().manual_seed(0)).double().eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64), alpha=0.3)
    return model


def scorer_of(reading: TextReader, **rest: object) -> Scorer:
    streams = len(reading) if reading.carries_state else 0
    protocol = Protocol("validation", "", "", "", "streams" if streams else "documents", 16, 16, streams, False, "float64", None, "")
    return Scorer(reading, TOKENIZER, protocol, torch.device("cpu"), **rest)


@torch.no_grad()
def alone(model: Model, before: int, targets: list[int]) -> float:
    """Nats of some targets read in one piece."""
    likely = model(torch.tensor([[before, *targets[:-1]]])).logits[0].log_softmax(-1)
    return -sum(float(likely[i, target]) for i, target in enumerate(targets))


def numbered(lengths: list[int]) -> TokenizedPart:
    """Documents whose token i is i."""
    return TokenizedPart(np.arange(sum(lengths)), np.cumsum([0, *lengths]), np.array(lengths), None, "")


@given(st.lists(st.integers(1, 30), min_size=1, max_size=12), st.integers(1, 9), st.integers(1, 5))
def test_every_target_is_scored_once_with_its_past_before_it(lengths: list[int], context: int, size: int) -> None:
    part = numbered(lengths)
    for reading in (StreamReader(part, -1, context), DocumentReader(part, -1, context)):
        seen: list[int] = []
        for piece in reading.batches(np.arange(len(reading)), size):
            seen += piece.target_index[piece.scored].tolist()
            assert (piece.tokens[:, 1:][piece.scored] == piece.target_index[piece.scored]).all()
            inputs, places = piece.tokens[:, :-1][piece.scored], piece.target_index[piece.scored]
            begins = np.isin(places, part.offsets) if isinstance(reading, DocumentReader) else places == 0
            assert (inputs[~begins] == places[~begins] - 1).all()
            assert (inputs[begins] == -1).all()
        assert sorted(seen) == list(range(part.target_count))


def test_a_text_has_few_streams_and_a_short_one_has_one() -> None:
    assert len(StreamReader(numbered([500]), -1, 16)) == 1
    assert len(StreamReader(numbered([5 * MIN_ROWS * 16 + 3]), -1, 16)) == 5
    assert len(StreamReader(numbered([10**6]), -1, 16)) == MAX_STREAMS


def test_carried_state_gives_what_one_long_pass_gives() -> None:
    model, targets = recurrent(), PART.tokens.tolist()
    whole = alone(model, END, targets)
    for context in (1, 5, 16, 1000):
        assert scorer_of(StreamReader(PART, END, context)).score(model).nats == pytest.approx(whole, abs=1e-9)


def test_several_streams_are_as_many_cold_starts() -> None:
    part = part_of([f"{number} is the square of {number**0.5:.3f}" for number in range(40)])
    model, reading = recurrent(), StreamReader(part, END, 4)
    assert len(reading) == 4
    targets, cuts = part.tokens.tolist(), reading.cuts.tolist()
    expected = sum(alone(model, END if i == 0 else targets[i - 1], targets[i:j]) for i, j in pairwise(cuts))
    score = scorer_of(reading).score(model)
    assert score.nats == pytest.approx(expected, abs=1e-9)
    assert score.complete
    assert "state carried through 4 streams (a target sees all of its stream before it)" in score.protocol.describe()


def test_a_sample_of_the_streams_says_so() -> None:
    part = part_of([f"{number} is the square of {number**0.5:.3f}" for number in range(40)])
    score = scorer_of(StreamReader(part, END, 4), sample_share=0.5).score(recurrent())
    assert (score.unit_name, score.units, score.complete) == ("streams", 2, False)


def test_documents_alone_score_as_each_one_by_itself() -> None:
    for model in (decoder(), recurrent()):
        expected = sum(alone(model, END, PART.document(index).tolist()) for index in range(PART.document_count))
        for size in (1, 3, 64):
            score = scorer_of(DocumentReader(PART, END, 64), batch_size=size).score(model)
            assert score.nats == pytest.approx(expected, abs=1e-9)
    assert "each document alone" in score.protocol.describe()


def test_a_document_longer_than_the_context_is_cut() -> None:
    model, document = decoder(), PART.document(3).tolist()
    pieces = [(END if at == 0 else document[at - 1], document[at : at + 3]) for at in range(0, len(document), 3)]
    one = TokenizedPart(PART.document(3), np.array([0, len(document)]), np.array([len(document)]), None, "")
    assert scorer_of(DocumentReader(one, END, 3)).score(model).nats == pytest.approx(
        sum(alone(model, *piece) for piece in pieces), abs=1e-9
    )


@pytest.fixture
def text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ASSAY_CACHE", str(tmp_path / "cache"))
    return write_text(tmp_path)


LSTM = "model={kind='recurrent', width=16, hidden=[8]}"


@pytest.mark.parametrize(
    ("overrides", "policy", "kind"),
    [
        ((), "disjoint", "windows"),
        (("batches.kind=streams", LSTM), "streams", "streams"),
        (("batches.kind=documents",), "documents", "rows"),
    ],
)
def test_a_text_is_scored_as_it_was_read_in_training(text: Path, overrides: tuple[str, ...], policy: str, kind: str) -> None:
    experiment = build(text, *overrides)
    scorer = experiment.make_validation_scorer("last")
    assert (scorer.protocol.policy, scorer.reader.unit_name) == (policy, kind)
    score = scorer.score(experiment.state.learner.model)
    assert score.complete
    assert math.isfinite(score.bits_per_byte)


def test_policies_that_do_not_fit_are_refused(text: Path) -> None:
    config = ExperimentConfig.make(tree_of(text))
    prepared = load_data(config, None)
    for policy, stride in (("strided", None), ("streams", 4), ("disjoint", 4)):
        with pytest.raises(ConfigError, match="stride: is"):
            make_scorer(
                config, prepared, ScoreTarget(prepared.parts["test"], "test", CheckpointRef("last", 0)), torch.device("cpu"), policy, stride
            )
    for overrides, message in (
        (("batches.kind=streams",), "the state of this model grows with it; use another mixer"),
        (("batches.kind=streams", "model.position={kind='learned', length=64}"), "this model has 64 positions; set model.position=none"),
        (("batches.document_mask=true", LSTM), "cannot isolate documents inside a row; set it to false, or use batches=documents"),
    ):
        with pytest.raises(ConfigError, match=message):
            build_model(ExperimentConfig.make(tree_of(text, *overrides)), 257)
    with pytest.raises(ConfigError, match=r"batches.size: 2 \w+ are fewer than the 4 micro-batches of all processes; raise it"):
        build(text, "batches={kind='streams', size=2}", LSTM, "train.accumulation=2", parallel=Parallel(0, 2, 0))


def rows_of(count: int, context: int, stride: int, size: int = 3) -> list[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """tokens, scored and index of every window of a numbered text, one row at a time."""
    windows = WindowReader(numbered([count]), -1, context, stride, False)
    batches = list(windows.batches(np.arange(len(windows)), size))
    assert all(piece.documents is None and piece.starts_stream for piece in batches)
    return [row for piece in batches for row in zip(piece.tokens, piece.scored, piece.target_index, strict=True)]


@st.composite
def geometry(draw: st.DrawFn) -> tuple[int, int, int]:
    count, context = draw(st.integers(1, 90)), draw(st.integers(1, 40))
    return count, context, draw(st.integers(1, context))


@given(geometry(), st.integers(1, 7))
@example((23, 8, 5), 3)  # not a multiple of the stride
@example((5, 8, 3), 3)  # shorter than a window
@example((20, 6, 1), 3)
@example((20, 6, 6), 3)
@example((6, 40, 40), 3)
def test_every_target_is_scored_exactly_once(shape: tuple[int, int, int], size: int) -> None:
    count, context, stride = shape
    scored = [int(i) for _, mask, index in rows_of(count, context, stride, size) for i in index[mask]]
    assert sorted(scored) == list(range(count))


@given(geometry())
def test_a_scored_target_has_its_past_in_front_of_it_and_itself_as_target(shape: tuple[int, int, int]) -> None:
    for tokens, mask, index in rows_of(*shape):
        for t in np.nonzero(mask)[0]:
            assert tokens[t + 1] == index[t]
            past = tokens[: t + 1]
            assert past.tolist() == list(range(index[t] - t - 1, index[t]))  # -1 is the end token with which the stream begins


@given(geometry())
def test_the_context_of_a_target_is_between_the_two_that_the_protocol_states(shape: tuple[int, int, int]) -> None:
    count, context, stride = shape
    for _, mask, index in rows_of(count, context, stride):
        for t in np.nonzero(mask)[0]:
            assert min(int(index[t]) + 1, context - stride + 1) <= t + 1 <= context


@given(geometry())
@example((23, 8, 8))  # 7 targets are left for the last window, which sees 2 to 8 tokens
@example((16, 8, 8))
@example((5, 8, 8))
def test_each_target_has_exactly_the_context_that_is_stated(shape: tuple[int, int, int]) -> None:
    count, context, stride = shape
    seen = {int(index[t]): t + 1 for _, mask, index in rows_of(count, context, stride) for t in np.nonzero(mask)[0]}
    for target, length in seen.items():
        assert length == target + 1 - max(0, min((target // stride + 1) * stride, count) - context)
    if stride == context:
        left = count % context or context  # targets of the last window
        for target, length in seen.items():
            last = target >= count - left and count > context
            assert length == (target - (count - context) + 1 if last else target % context + 1)
    reader = WindowReader(numbered([count]), -1, context, stride, False)
    assert reader.context_lengths(np.arange(count)).tolist() == [seen[target] for target in range(count)]


def roll_windows(count: int, length: int) -> list[tuple[list[int], list[int]]]:
    """Context and targets of each window, as lm-evaluation-harness rolls them (`get_rolling_token_windows`); -1: the prefix."""
    tokens, first = list(range(count)), min(length, count)
    windows, done = [([-1, *tokens[: first - 1]], tokens[:first])], first
    while done < count:
        end = done + min(count - done, length)
        windows.append((tokens[end - length - 1 : end - 1], tokens[done:end]))
        done = end
    return windows


@given(st.integers(1, 90), st.integers(1, 40))
def test_disjoint_windows_are_those_of_lm_evaluation_harness(count: int, length: int) -> None:
    ours = [
        (tokens[:-1][: mask.nonzero()[0][-1] + 1].tolist(), index[mask].tolist()) for tokens, mask, index in rows_of(count, length, length)
    ]
    assert ours == roll_windows(count, length)


def test_documents_number_each_target_and_the_end_token_closes_its_own() -> None:
    part = part_of(LINES)
    windows = WindowReader(part, END, 11, 4, True)
    _, scored, documents, index, _ = windows.rows(np.arange(len(windows)))
    belongs = np.repeat(np.arange(part.document_count), np.diff(part.offsets))
    assert documents is not None
    assert (documents[scored] == belongs[index[scored]]).all()


@pytest.mark.parametrize("count", [7, 12])
def test_padding_is_the_end_token_and_not_scored(count: int) -> None:
    windows = WindowReader(numbered([count]), -1, 5, 3, False)
    tokens, scored, _, index, _ = windows.rows(np.arange(len(windows)))
    beyond = tokens[:, 1:] != index
    assert not (scored & beyond).any()
    assert (tokens[:, 1:][beyond] == -1).all()
