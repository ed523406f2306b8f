"""Dynamic evaluation: scored before learning, equal to the rule written out, and nothing of it stays."""

import copy
from itertools import pairwise

import numpy as np
import pytest
import torch

from assay.evaluation.dynamic import EPSILON, Adaptation, evaluate_dynamically, measure_gradient_scales
from assay.evaluation.readers import StreamReader, TextReader, WindowReader
from assay.models.base import Model
from assay.models.recurrent import RecurrentConfig
from support.texts import END, LINES, TOKENIZER, decoder, part_of, scorer

CPU = torch.device("cpu")
PART = part_of(LINES)
TRAINING = WindowReader(part_of(["the word in the beginning", "was", "naïve and wörd"]), END, 16, 16, False)
SOME = Adaptation(0.004, 0.3)


def the_decoder(**settings: object) -> Model:
    """The same one at every call."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return decoder(**settings)


def windows(stride: int = 16, context: int = 16, mask: bool = False) -> WindowReader:
    return WindowReader(PART, END, context, stride, mask)


def nats(model: Model, reading: TextReader, adaptation: Adaptation) -> np.ndarray:
    return evaluate_dynamically(model, reading, measure_gradient_scales(model, TRAINING, CPU), adaptation, CPU).nats


def loss_of(model: Model, piece: object) -> tuple[torch.Tensor, np.ndarray]:
    """The mean nats of a piece's scored targets, and each of them."""
    row = torch.from_numpy(piece.tokens)
    likely = model(row[:, :-1]).logits.log_softmax(-1)
    values = -likely.gather(-1, row[:, 1:, None]).squeeze(-1)[torch.from_numpy(piece.scored)]
    return values.mean(), values.detach().numpy()


def written_out(model: Model, reading: WindowReader, rate: float, decay: float) -> np.ndarray:
    """The rule as in the paper, a piece at a time."""
    squares: dict[str, torch.Tensor] = {}
    for unit in range(len(TRAINING)):
        model.zero_grad()
        loss_of(model, TRAINING.rows(np.array([unit])))[0].backward()
        squares = {name: squares.get(name, 0) + p.grad**2 for name, p in model.named_parameters()}
    r = {name: (square / len(TRAINING)).sqrt() for name, square in squares.items()}
    mean = torch.cat([value.flatten() for value in r.values()]).mean()
    origin, found = copy.deepcopy(model.state_dict()), []
    for unit in range(len(reading)):
        model.zero_grad()
        loss, values = loss_of(model, reading.rows(np.array([unit])))
        found.append(values)
        loss.backward()
        with torch.no_grad():
            for name, p in model.named_parameters():
                pull = decay * (r[name] / mean).clamp(max=1 / decay)
                p.add_(pull * (origin[name] - p) - rate * p.grad / (r[name] + EPSILON * mean))
    return np.concatenate(found)


@pytest.mark.parametrize("stride", [16, 5])
def test_equals_the_rule_written_out(stride: int) -> None:
    by_hand = written_out(the_decoder(), windows(stride), *SOME)
    assert nats(the_decoder(), windows(stride), SOME) == pytest.approx(by_hand, abs=1e-9)


@pytest.mark.parametrize(("stride", "mask"), [(16, False), (5, False), (16, True)])
def test_with_rate_0_it_is_static_evaluation_exactly(stride: int, mask: bool) -> None:
    static = scorer(PART, 16, stride, mask=mask, batch_size=1)
    record = evaluate_dynamically(
        the_decoder(), static.reader, measure_gradient_scales(the_decoder(), TRAINING, CPU), Adaptation(0.0, 0.3), CPU
    )
    assert static.make_score(record).nats == static.score(the_decoder()).nats


def test_with_rate_0_a_carried_state_is_static_too() -> None:
    config = RecurrentConfig.make({"kind": "recurrent", "width": 8, "hidden": (8,)})
    model = config.build(TOKENIZER.vocab_size, torch.Generator().manual_seed(0)).double()
    streams = StreamReader(part_of(LINES * 3), END, 4)
    whole = evaluate_dynamically(model, streams, measure_gradient_scales(model, streams, CPU), Adaptation(0.0, 0.1), CPU).nats
    with torch.no_grad():
        rows = torch.tensor([[END, *streams.part.tokens.tolist()]])
        cuts = streams.cuts.tolist()
        for begin, stop in pairwise(cuts):
            likely = model.eval()(rows[:, begin:stop]).logits.log_softmax(-1)
            alone = -likely.gather(-1, rows[:, begin + 1 : stop + 1, None]).flatten().numpy()
            assert whole[begin:stop] == pytest.approx(alone, abs=1e-10)
    learnt = evaluate_dynamically(model, streams, measure_gradient_scales(model, streams, CPU), SOME, CPU).nats
    assert not np.allclose(learnt, whole)


def test_a_piece_is_scored_before_anything_is_learnt_from_it() -> None:
    static, dynamic = nats(the_decoder(), windows(), Adaptation(0.0, 0.3)), nats(the_decoder(), windows(), SOME)
    assert (static[:16] == dynamic[:16]).all()
    assert (static[16:] != dynamic[16:]).all()


def test_what_comes_later_does_not_change_what_was_scored() -> None:
    other = WindowReader(part_of([*LINES[:-1], "THE END"]), END, 16, 16, False)
    first = PART.target_count - 8
    here, there = nats(the_decoder(), windows(), SOME), nats(the_decoder(), other, SOME)
    assert (here[:first] == there[:first]).all()
    assert not np.allclose(here[first:], there[first:])


def test_text_that_repeats_itself_becomes_cheaper() -> None:
    text = WindowReader(part_of(["so said he"] * 60), END, 11, 11, False)
    static, dynamic = nats(the_decoder(), text, Adaptation(0.0, 0.0)), nats(the_decoder(), text, Adaptation(0.02, 0.0))
    assert dynamic[-110:].sum() < 0.5 * static[-110:].sum()


@pytest.mark.parametrize("training", [True, False])
def test_the_model_stays_as_it_was_bit_for_bit(training: bool) -> None:
    model = the_decoder(embedding_dropout=0.5).train(training)
    model.readout.norm.requires_grad_(False)
    before, state = copy.deepcopy(model.state_dict()), torch.get_rng_state()
    learning = [parameter.requires_grad for parameter in model.parameters()]
    first, second = nats(model, windows(), SOME), nats(model, windows(), SOME)
    assert (first == second).all()
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())
    assert [parameter.requires_grad for parameter in model.parameters()] == learning
    assert all(parameter.grad is None for parameter in model.parameters())
    assert model.training is training
    assert torch.equal(state, torch.get_rng_state())


def test_the_protocol_says_dynamic() -> None:
    protocol = scorer(PART, 16).protocol
    assert "dynamic" not in protocol.describe()
    assert "dynamic evaluation with rate 0.1" in protocol._replace(dynamic="rate 0.1").describe()
