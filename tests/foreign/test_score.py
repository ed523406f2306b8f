"""The figure of a model from elsewhere: every byte, and for a model of our own exactly what the scorer of runs gives."""

import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from assay.errors import DataError, UserError
from assay.evaluation.score import make_score_tree
from assay.foreign.score import score_foreign
from foreign.nano import CHARACTERS, TEXT, Nano, V
from support.texts import LINES, TOKENIZER, decoder, part_of, scorer

RAW = TEXT.encode()
IDS = [CHARACTERS.index(character) for character in TEXT]


def by_hand(model: Any, ids: list[int], context: int, start: int | None = None, stride: int | None = None) -> float:
    """The nats of every token, one call a token: windows of `stride` new tokens, the first token uniform without a start."""
    model, total = model.eval(), 0.0
    stream, step = [start, *ids], stride or context
    with torch.no_grad():
        for at, token in enumerate(ids):
            stop = min((at // step + 1) * step, len(ids))
            seen = [x for x in stream[max(0, stop - context) : at + 1] if x is not None]
            logits = model(torch.tensor([seen]))[0, -1].double() if seen else torch.zeros(V)
            total -= float(F.log_softmax(logits, -1)[token])
    return total


@pytest.mark.parametrize("start", [None, 3])
def test_every_byte_is_scored_as_by_hand(start: int | None) -> None:
    score = score_foreign(Nano(), CHARACTERS, RAW, context=32, start=start)
    assert score.nats == pytest.approx(by_hand(Nano(), IDS, 32, start), rel=1e-6)
    assert score.bits_per_byte == score.nats / (len(RAW) * math.log(2))
    assert score.complete
    assert (score.bytes_scored, score.tokens_scored, score.characters) == (len(RAW), len(TEXT), len(TEXT))
    assert score.protocol.uniform_first == (start is None)
    assert ("first token uniform" in score.protocol.describe()) == (start is None)


@pytest.mark.parametrize("start", [None, 3])
@pytest.mark.parametrize(("context", "stride"), [(64, 1), (64, 16), (64, 64), (8, 4)])
def test_overlapping_windows_score_every_byte_as_by_hand(context: int, stride: int, start: int | None) -> None:
    score = score_foreign(Nano(), CHARACTERS, RAW, context=context, stride=stride, start=start)
    assert score.nats == pytest.approx(by_hand(Nano(), IDS, context, start, stride), rel=1e-6)
    assert math.isfinite(score.bits_per_byte)
    assert score.complete
    assert score.bytes_scored == len(RAW)
    if stride == context:
        assert score.nats == score_foreign(Nano(), CHARACTERS, RAW, context=context, start=start).nats


def test_a_first_token_without_a_start_costs_ln_v() -> None:
    assert score_foreign(Nano(), CHARACTERS, "I", context=8).nats == pytest.approx(math.log(V))


@pytest.mark.parametrize("stride", [None, 5])
@pytest.mark.parametrize("wrapped", [False, True])
def test_a_model_of_our_own_has_the_figure_of_the_scorer_to_the_last_bit(wrapped: bool, stride: int | None) -> None:
    model = decoder()
    expected = scorer(part_of(LINES), 16, stride).score(model)
    found = score_foreign((lambda ids: model(ids).logits) if wrapped else model, TOKENIZER, LINES, context=16, stride=stride)
    assert found.nats == expected.nats
    assert found.standard_error == expected.standard_error
    assert (found.bytes_scored, found.tokens_scored) == (expected.bytes_scored, expected.tokens_scored)
    assert found.protocol.text_sha256 != ""
    assert not found.protocol.uniform_first


def test_the_standard_error_is_over_blocks_of_the_text_and_the_details_can_be_had() -> None:
    score = score_foreign(Nano(), CHARACTERS, TEXT, context=2)
    assert score.unit_name.startswith("blocks of")
    assert score.units > 1
    assert score.standard_error > 0
    assert make_score_tree(score)["bits_per_byte"] == score.bits_per_byte


@pytest.mark.parametrize("batch", [1, 3, 64])
def test_the_figure_does_not_depend_on_the_batch(batch: int) -> None:
    model = Nano().double()
    assert score_foreign(model, CHARACTERS, TEXT, context=16, batch=batch).nats == pytest.approx(
        score_foreign(model, CHARACTERS, TEXT, context=16).nats, rel=1e-12
    )


def test_whatever_is_returned_logits_are_found() -> None:
    model = Nano().eval()
    expected = score_foreign(model, CHARACTERS, TEXT, context=16).nats
    forms = (
        lambda ids: (model(ids), None),
        lambda ids: SimpleNamespace(logits=model(ids)),
        lambda ids: model(ids).flatten(0, 1),
    )
    for form in forms:
        assert score_foreign(form, CHARACTERS, TEXT, context=16).nats == expected


def test_a_text_is_bytes_a_str_a_path_or_documents(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "input.txt").write_bytes(RAW)
    monkeypatch.chdir(tmp_path)
    forms = (RAW, TEXT, tmp_path / "input.txt", "input.txt", TEXT.split("\n")[:-1])
    scores = [score_foreign(Nano(), CHARACTERS, form, context=16) for form in forms]
    assert len({score.nats for score in scores}) == 1
    assert len({score.protocol.text_sha256 for score in scores}) == 1
    assert scores[3].protocol.split == "text input.txt"


def test_a_path_that_is_not_there_is_no_text() -> None:
    with pytest.raises(DataError, match=r"inptu\.txt: cannot be read"):
        score_foreign(Nano(), CHARACTERS, "inptu.txt", context=16)


def test_a_model_keeps_its_mode_and_may_overwrite_nothing() -> None:
    model, kept = Nano(), torch.randn(1, 64, V)
    model.dropout.eval()
    score_foreign(model, CHARACTERS, TEXT, context=16)
    assert (model.training, model.dropout.training) == (True, False)
    before = kept.clone()
    score_foreign(lambda ids: kept[:, : ids.shape[1]].expand(len(ids), -1, -1), CHARACTERS, TEXT, context=16)
    assert torch.equal(kept, before)


def test_the_weights_are_named_in_the_protocol() -> None:
    model = Nano()
    one = score_foreign(model, CHARACTERS, TEXT, context=16).protocol
    model.head.bias.data += 1
    other = score_foreign(model, CHARACTERS, TEXT, context=16).protocol
    assert one.model.startswith("model Nano, weights ")
    assert one.model != other.model
    assert (one.dtype, one.context, one.stride, one.policy) == ("float32", 16, 16, "disjoint")


@pytest.mark.parametrize("fault", ["looks_ahead", "mixes_rows", "not_deterministic", "changes_state", "non_finite", "probabilities"])
def test_a_model_whose_figure_would_mean_nothing_is_refused(fault: str) -> None:
    with pytest.raises(UserError, match="its figure would mean nothing"):
        score_foreign(Nano(fault), CHARACTERS, TEXT, context=16)


@pytest.mark.parametrize(
    ("model", "changes", "said"),
    [
        (Nano(), {"context": 65}, "cannot read 65 tokens .*give a context that it can read"),
        (Nano(), {"stride": 17}, "stride: 17 is not between 1 and the context of 16"),
        (Nano(), {"start": V}, "start: the text must begin with a token from 0 to"),
        (Nano(vocabulary=20), {}, "the text has token .*do not belong together"),
        (Nano("last_position_only"), {}, "last position only, as nanoGPT does"),
        (Nano(), {"text": b""}, "the text is empty"),
        (Nano(), {"text": []}, "the text is empty"),
    ],
)
def test_what_cannot_be_scored_is_refused_in_a_sentence(model: Any, changes: dict[str, Any], said: str) -> None:
    with pytest.raises(UserError, match=said):
        score_foreign(model, CHARACTERS, **{"text": TEXT, "context": 16, **changes})


def test_what_padded_logits_hold_for_ids_that_do_not_occur_may_be_minus_infinity() -> None:
    model = Nano().eval()

    def call(ids: Tensor) -> Tensor:
        return F.pad(model(ids), (0, 3), value=-torch.inf)

    found = score_foreign(call, CHARACTERS, TEXT, context=16, start=0)
    assert found.nats == pytest.approx(score_foreign(model, CHARACTERS, TEXT, context=16, start=0).nats)
    assert np.isfinite(found.targets.nats).all()
