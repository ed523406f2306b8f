"""Every planted fault is found and named; no model that is right is accused."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from assay.errors import UserError
from assay.foreign.check import check_model
from foreign.nano import Nano, V
from support import broken
from support.kinds import PLAIN, Case
from support.tiny import V as SMALL
from support.tiny import lively

SOUND = [case for case in PLAIN if case.family in ("mixer", "model", "cell", "position", "feedforward")]
FAULTS = (
    "looks_ahead", "mixes_rows", "depends_on_batch", "depends_on_length", "depends_on_padding", "not_deterministic", "changes_state",
    "non_finite", "probabilities", "last_position_only", "refuses_length",
)  # fmt: skip


def rounded(model: nn.Module) -> Callable[[Tensor], Tensor]:
    """The model under bfloat16 autocast."""

    def call(ids: Tensor) -> Tensor:
        with torch.autocast("cpu", torch.bfloat16):
            found = model(ids)
            return getattr(found, "logits", found)  # type: ignore[no-any-return]

    return call


def behind_a_function(model: nn.Module) -> Callable[[Tensor], Tensor]:
    """The model as a function, which cannot be copied or put into evaluation mode."""

    def call(ids: Tensor) -> Tensor:
        return model(ids)  # type: ignore[no-any-return]

    return call


@pytest.mark.parametrize("fault", FAULTS)
def test_a_planted_fault_is_found_and_no_other(fault: str) -> None:
    found = check_model(Nano(fault), V, pad=0)
    assert found.kinds == (fault,)
    assert found
    assert not found.ok


@pytest.mark.parametrize("fault", [fault for fault in FAULTS if fault != "looks_ahead"])
def test_a_fault_is_found_in_bfloat16_behind_a_callable_that_cannot_be_copied(fault: str) -> None:
    assert check_model(rounded(Nano(fault).eval()), V, pad=0).kinds == (fault,)


def test_a_model_that_is_right_is_accused_of_nothing() -> None:
    for model in (Nano(), rounded(Nano().eval()), Nano().bfloat16(), Nano().double(), lambda ids: (Nano().eval()(ids), None)):
        found = check_model(model, V, pad=0)
        assert not found
        assert found.ok
        assert str(found) == "nothing was found"


@pytest.mark.slow
@pytest.mark.parametrize("case", SOUND, ids=str)
def test_no_kind_of_our_own_is_accused(case: Case) -> None:
    model = lively(case.model, torch.float32)
    for call in (model, behind_a_function(model), rounded(model)):
        assert check_model(call, SMALL, length=13).ok


@pytest.mark.parametrize(
    ("name", "kinds"),
    [("Sound", ()), ("LooksAhead", ("looks_ahead",)), ("MixesRows", ("mixes_rows",)), ("DividesByLength", ("non_finite",))],
)
def test_the_broken_mixers_of_the_property_suite_are_told_apart(name: str, kinds: tuple[str, ...]) -> None:
    with broken.registered():
        model = lively(broken.toy(name).model, torch.float32)
    assert check_model(model, SMALL, length=13).kinds == kinds
    assert check_model(lambda ids: model(ids).logits, SMALL, length=13).kinds == kinds


def test_a_look_ahead_names_the_position_and_the_token() -> None:
    def call(ids: Tensor) -> Tensor:
        logits = torch.nn.functional.one_hot(ids, V).float()
        logits[:, 7] += logits[:, 9]
        return logits

    (found,) = check_model(call, V)
    assert (found.kind, found.values["position"], found.values["token"]) == ("looks_ahead", 7, 9)
    assert found.sentence == "looks ahead: the logits at position 7 change with token 9 (by 1)"
    assert found.to_dict() == {"kind": "looks_ahead", "position": 7, "amount": 1.0, "token": 9}


def test_a_look_ahead_across_the_end_of_a_block_is_found_in_a_long_text() -> None:
    def call(ids: Tensor) -> Tensor:
        logits = torch.nn.functional.one_hot(ids, V).float()
        logits[:, 127] += logits[:, 128]
        return logits

    assert check_model(call, V, length=200)[0].to_dict()["position"] == 127


def test_what_weights_of_zero_would_hide_is_found() -> None:
    model = Nano("looks_ahead")
    nn.init.zeros_(model.out.weight)
    assert check_model(model, V).kinds == ("looks_ahead",)
    assert check_model(behind_a_function(model.eval()), V).kinds == ("ignores_past",)


def test_statistics_of_the_batch_look_ahead_and_mix_rows() -> None:
    assert check_model(Nano("batch_norm"), V).kinds == ("looks_ahead", "mixes_rows")


def test_a_buffer_that_is_written_in_evaluation_is_named() -> None:
    (found,) = check_model(Nano("buffer"), V)
    assert "'calls'" in found.sentence


@pytest.mark.parametrize("kind", ["normalised", "ignores_past"])
def test_what_is_harmless_is_told_and_is_ok(kind: str) -> None:
    found = check_model(Nano(kind), V)
    assert found.kinds == (kind,)
    assert found
    assert found.ok


def test_a_vocabulary_that_is_too_small_is_told_without_reading_ids_beyond_it() -> None:
    (found,) = check_model(Nano(vocabulary=20), 65)
    assert found.sentence == "has a vocabulary of 20 entries, fewer than the 65 asked for"


def test_dropout_behind_a_function_is_told_and_eval_mends_it() -> None:
    model = Nano()
    assert check_model(behind_a_function(model), V).kinds == ("not_deterministic",)
    model.eval()
    assert check_model(behind_a_function(model), V).ok


def test_a_check_leaves_modes_weights_and_random_numbers_as_they_were() -> None:
    model = Nano()
    model.dropout.eval()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    check_model(model, V)
    assert torch.equal(torch.rand(3), expected)
    assert (model.training, model.dropout.training) == (True, False)
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())


def test_a_model_can_be_trained_after_a_check() -> None:
    class Caches(Nano):
        kept: Tensor | None = None

        def forward(self, ids: Tensor) -> Tensor:
            if self.kept is None:
                self.kept = torch.arange(64.0)
            return super().forward(ids) * (1 + self.kept[: ids.shape[1]].view(-1, 1))

    model = Caches()
    with torch.inference_mode():
        assert check_model(model, V).ok
    model(torch.zeros(1, 4, dtype=torch.int64)).sum().backward()


@pytest.mark.parametrize(
    ("model", "said"),
    [
        (lambda ids: None, "NoneType without logits"),
        (lambda ids: torch.zeros(ids.shape[1], ids.shape[0], V), "shape \\[32, 3, "),
        (lambda ids: torch.zeros(3, V)[ids], "IndexError"),
    ],
)
def test_what_is_no_model_is_refused_in_a_sentence(model: Callable[[Tensor], Tensor], said: str) -> None:
    with pytest.raises(UserError, match=said):
        check_model(model, V)


def test_a_text_longer_than_the_model_reads_is_refused() -> None:
    with pytest.raises(UserError, match=r"\[3, 65\].*length that it reads"):
        check_model(Nano(), V, length=65)
