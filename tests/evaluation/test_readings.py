"""Streams with carried state and documents alone: every target once, and the figures that a plain loop gives."""

import math
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from assay.core.parallel import Parallel
from assay.errors import ConfigError
from assay.evaluation.documents import Documents
from assay.evaluation.protocol import Protocol
from assay.evaluation.reading import Reading
from assay.evaluation.score import Scorer
from assay.evaluation.streams import LEAST_ROWS, STREAMS, Streams
from assay.experiment.assemble import build_model
from assay.experiment.config import ExperimentConfig
from assay.experiment.load import load_data
from assay.experiment.scorers import make_scorer
from assay.models.base import Model
from assay.models.recurrent import RecurrentConfig
from assay.text.store import Part
from support.experiment import build, tree_of, write_text
from support.texts import END, LINES, TOKENIZER, decoder, part_of

PART = part_of(LINES)


def recurrent() -> Model:
    config = RecurrentConfig(width=12, hidden=(16,))
    model = config.build(TOKENIZER.size, torch.Generator().manual_seed(0)).double().eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64), alpha=0.3)
    return model


def scorer_of(reading: Reading, **rest: object) -> Scorer:
    streams = len(reading) if reading.carries else 0
    protocol = Protocol("validation", "", "", "", "carried" if streams else "documents", 16, 16, streams, False, "float64", None, "")
    return Scorer(reading, TOKENIZER, protocol, torch.device("cpu"), **rest)


@torch.no_grad()
def alone(model: Model, before: int, targets: list[int]) -> float:
    """Nats of some targets read in one piece."""
    likely = model(torch.tensor([[before, *targets[:-1]]])).logits[0].log_softmax(-1)
    return -sum(float(likely[i, target]) for i, target in enumerate(targets))


def numbered(lengths: list[int]) -> Part:
    """Documents whose token i is i."""
    return Part(np.arange(sum(lengths)), np.cumsum([0, *lengths]), np.array(lengths), None, "")


@given(st.lists(st.integers(1, 30), min_size=1, max_size=12), st.integers(1, 9), st.integers(1, 5))
def test_every_target_is_scored_once_with_its_past_before_it(lengths: list[int], context: int, size: int) -> None:
    part = numbered(lengths)
    for reading in (Streams(part, -1, context), Documents(part, -1, context)):
        seen: list[int] = []
        for piece in reading.batches(np.arange(len(reading)), size):
            seen += piece.place[piece.scored].tolist()
            assert (piece.tokens[:, 1:][piece.scored] == piece.place[piece.scored]).all()
            inputs, places = piece.tokens[:, :-1][piece.scored], piece.place[piece.scored]
            begins = np.isin(places, part.offsets) if isinstance(reading, Documents) else places == 0
            assert (inputs[~begins] == places[~begins] - 1).all()
            assert (inputs[begins] == -1).all()
        assert sorted(seen) == list(range(part.target_count))


def test_a_text_has_few_streams_and_a_short_one_has_one() -> None:
    assert len(Streams(numbered([500]), -1, 16)) == 1
    assert len(Streams(numbered([5 * LEAST_ROWS * 16 + 3]), -1, 16)) == 5
    assert len(Streams(numbered([10**6]), -1, 16)) == STREAMS


def test_carried_state_gives_what_one_long_pass_gives() -> None:
    model, targets = recurrent(), PART.tokens.tolist()
    whole = alone(model, END, targets)
    for context in (1, 5, 16, 1000):
        assert scorer_of(Streams(PART, END, context)).score(model).nats == pytest.approx(whole, abs=1e-9)


def test_several_streams_are_as_many_cold_starts() -> None:
    part = part_of([f"{number} is the square of {number**0.5:.3f}" for number in range(40)])
    model, reading = recurrent(), Streams(part, END, 4)
    assert len(reading) == 4
    targets, cuts = part.tokens.tolist(), reading.cuts.tolist()
    expected = sum(alone(model, END if i == 0 else targets[i - 1], targets[i:j]) for i, j in pairwise(cuts))
    score = scorer_of(reading).score(model)
    assert score.nats == pytest.approx(expected, abs=1e-9)
    assert score.complete
    assert "state carried through 4 streams (a target sees all of its stream before it)" in score.protocol.describe()


def test_a_sample_of_the_streams_says_so() -> None:
    part = part_of([f"{number} is the square of {number**0.5:.3f}" for number in range(40)])
    score = scorer_of(Streams(part, END, 4), sample=0.5).score(recurrent())
    assert (score.unit, score.units, score.complete) == ("streams", 2, False)


def test_documents_alone_score_as_each_one_by_itself() -> None:
    for model in (decoder(), recurrent()):
        expected = sum(alone(model, END, PART.document(index).tolist()) for index in range(PART.documents))
        for size in (1, 3, 64):
            score = scorer_of(Documents(PART, END, 64), batch_size=size).score(model)
            assert score.nats == pytest.approx(expected, abs=1e-9)
    assert "each document alone" in score.protocol.describe()


def test_a_document_longer_than_the_context_is_cut() -> None:
    model, document = decoder(), PART.document(3).tolist()
    pieces = [(END if at == 0 else document[at - 1], document[at : at + 3]) for at in range(0, len(document), 3)]
    one = Part(PART.document(3), np.array([0, len(document)]), np.array([len(document)]), None, "")
    assert scorer_of(Documents(one, END, 3)).score(model).nats == pytest.approx(sum(alone(model, *piece) for piece in pieces), abs=1e-9)


@pytest.fixture
def text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ASSAY_CACHE", str(tmp_path / "cache"))
    return write_text(tmp_path)


LSTM = "model={kind='recurrent', width=16, hidden=[8]}"


@pytest.mark.parametrize(
    ("overrides", "policy", "kind"),
    [((), "disjoint", "windows"), (("plan.kind=lanes", LSTM), "carried", "streams"), (("plan.kind=documents",), "documents", "rows")],
)
def test_a_text_is_scored_as_it_was_read_in_training(text: Path, overrides: tuple[str, ...], policy: str, kind: str) -> None:
    experiment = build(text, *overrides)
    scorer = experiment.scorer("validation", "last")
    assert (scorer.protocol.policy, scorer.reading.name) == (policy, kind)
    score = scorer.score(experiment.state.learner.model)
    assert score.complete
    assert math.isfinite(score.bits_per_byte)


def test_policies_that_do_not_fit_are_refused(text: Path) -> None:
    config = ExperimentConfig.make(tree_of(text))
    prepared = load_data(config, None)
    for policy, stride in (("strided", None), ("carried", 4), ("disjoint", 4)):
        with pytest.raises(ConfigError, match="stride: goes with the policy strided and only with it"):
            make_scorer(config, prepared, prepared.parts["test"], ("test", "last"), torch.device("cpu"), policy, stride)
    for overrides, message in (
        (("plan.kind=lanes",), "this model's state grows with it; use another mixer"),
        (("plan.kind=lanes", "model.position={kind='learned', length=64}"), "the model has 64 positions; set model.position=none"),
        (("plan.document_mask=true", LSTM), "cannot isolate documents inside a row; set it to false, or use plan=documents"),
    ):
        with pytest.raises(ConfigError, match=message):
            build_model(ExperimentConfig.make(tree_of(text, *overrides)), 257)
    with pytest.raises(ConfigError, match=r"plan.batch: 2 lanes are fewer than the 4 micro-batches of all processes; raise it"):
        build(text, "plan={kind='lanes', batch=2}", LSTM, "train.accumulation=2", parallel=Parallel(0, 2, 0))
