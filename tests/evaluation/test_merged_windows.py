"""Strided windows that share work: the same figures where a model looks alike from everywhere, and nothing shared elsewhere."""

import math

import numpy as np
import pytest
import torch

from assay.evaluation.readers import WindowReader
from assay.models.base import Model
from assay.nn.mixer.base import MixerConfig
from evaluation.test_score import plain_loop
from support.texts import END, LINES, decoder, part_of, scorer

PART = part_of(LINES * 3)
LOCAL = {"kind": "local", "heads": 2, "window": 4}
MIXERS = {
    "local": LOCAL,
    "convolution": {"kind": "convolution", "kernel": 3},
    "adaptive span": {"kind": "adaptive_span", "heads": 2, "span": 5, "ramp": 2},
}


def stationary(mixer: dict = LOCAL, position: object = "rope", **rest: object) -> Model:
    torch.manual_seed(0)
    return decoder(block={"mixer": mixer}, position="none" if mixer["kind"] == "convolution" else position, **rest)


class Counting:
    """How many tokens a model reads."""

    def __init__(self, model: Model) -> None:
        self.read = 0
        model.register_forward_pre_hook(self._count)

    def _count(self, _: Model, arguments: tuple[torch.Tensor, ...]) -> None:
        self.read += arguments[0].numel()


@pytest.mark.parametrize("name", list(MIXERS))
@pytest.mark.parametrize(("context", "stride"), [(24, 1), (24, 5), (16, 3)])
def test_shared_work_gives_the_figure_of_the_plain_loop(name: str, context: int, stride: int) -> None:
    model = stationary(MIXERS[name])
    assert model.reach is not None
    assert model.reach <= context - stride
    expected = plain_loop(model, PART, context, stride)
    counting = Counting(model)
    score = scorer(PART, context, stride).score(model)
    assert score.nats == pytest.approx(expected, abs=1e-9)
    assert score.protocol.stride == stride
    assert counting.read < 1.6 * PART.target_count
    assert (score.targets.context_lengths >= 1).all()
    assert score.targets.context_lengths.max() == context


@pytest.mark.parametrize("position", ["rope", "alibi", "none"])
def test_the_reach_of_a_model_is_how_far_a_change_is_felt(position: str) -> None:
    model = stationary(position=position)
    assert model.reach == 2 * 3
    tokens = torch.from_numpy(PART.tokens[:40].astype(np.int64)).unsqueeze(0)
    changed = tokens.clone()
    changed[0, 10] += 1
    with torch.no_grad():
        differ = (model(tokens).logits != model(changed).logits).any(-1)[0]
    assert differ.nonzero().squeeze(-1).tolist() == list(range(10, 10 + model.reach + 1))


def test_predictions_do_not_depend_on_where_the_text_began() -> None:
    model = stationary()
    tokens = torch.from_numpy(PART.tokens[:60].astype(np.int64)).unsqueeze(0)
    with torch.no_grad():
        whole, later = model(tokens).logits[:, 20 + model.reach :], model(tokens[:, 20:]).logits[:, model.reach :]
    assert torch.allclose(whole, later, atol=1e-11)


@pytest.mark.parametrize(
    ("mixer", "position"),
    [
        ({"kind": "full", "heads": 2}, "rope"),  # no bound: what a window leaves out is felt through every layer
        (LOCAL, {"kind": "learned", "length": 64}),  # positions count from the beginning of the window
        (LOCAL, "sinusoidal"),
        ({"kind": "block_local", "heads": 2, "block": 4}, "rope"),  # blocks do
    ],
)
def test_nothing_is_shared_where_it_matters_where_a_window_begins(mixer: dict, position: object) -> None:
    model = stationary(mixer, position)
    assert model.reach is None
    counting = Counting(model)
    score = scorer(PART, 16, 4).score(model)
    assert counting.read >= 3.5 * PART.target_count
    assert score.nats == pytest.approx(plain_loop(model, PART, 16, 4), abs=1e-9)


def test_windows_in_which_a_target_may_see_less_than_the_reach_are_read_as_asked() -> None:
    windows = WindowReader(PART, END, 16, 4, False)
    assert windows.merge_windows(12).stride > windows.stride  # every target sees 13 tokens: those before its last one are 12
    assert windows.merge_windows(13) is windows
    assert windows.merge_windows(None) is windows


def test_documents_are_isolated_in_shared_windows_too() -> None:
    model = stationary()
    alone = sum(plain_loop(model, part_of([line]), 200, 200) for line in LINES * 3)
    assert scorer(PART, 30, 2, mask=True).score(model).nats == pytest.approx(alone, abs=1e-9)


def test_a_sample_is_of_the_windows_that_were_asked_for() -> None:
    model = stationary()
    score = scorer(PART, 24, 4, sample_share=0.5).score(model)
    assert score.units == round(0.5 * math.ceil(PART.target_count / 4))


def test_every_mixer_that_declares_itself_stationary_is_tested_here() -> None:
    kinds = MixerConfig.family.kinds
    declared = {name for name, kind in kinds.items() if kind.make({"kind": name, **getattr(kind, "tiny", {})}).build(16).shift_invariant}
    assert declared == {mixer["kind"] for mixer in MIXERS.values()}
