"""Trunks in more shapes than the suite's plain ones, and trunks that are wrong: the suite must tell them apart."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from assay.core.config import FAMILIES
from assay.core.types import State
from assay.models import hourglass, resample, staged
from assay.models.forward_pass import ForwardPass
from assay.nn.mixer.base import AuxOutputs, LayerInputs
from support.kinds import Case, case_of, tiny
from support.properties import learning, numerics, sequence, states

Check = Callable[[Case], None]
ATTENTION = {"pool_attention": True, "upsample_attention": True}
LINEAR = {"pool": "linear", "upsample": "linear"}
WINDOW = {"block": {"mixer": {"kind": "local", "window": 2}}}
NESTED = "1@1 1@2 1@4 1@2 1@1"


def shape(kind: str, **settings: Any) -> Case:
    return case_of(tiny(FAMILIES["model"].kinds[kind]).replace(**settings))


def glass(stages: str = "1@1 1@3 1@1", **settings: Any) -> Case:
    return shape("hourglass", hierarchy=stages, **settings)


SHAPES = {
    "attention": glass(**ATTENTION, position="rope"),
    "nested": glass(NESTED, **LINEAR),
    "nested attention": glass(NESTED, **ATTENTION, **LINEAR, position="relative"),
    "nested windows": glass(NESTED, **WINDOW, position="alibi"),
    "windows": glass("1@1 1@5 1@1", **WINDOW),
    "a recurrent middle": glass(pattern=[{}, "lstm", {}]),
    "per layer": glass(**ATTENTION, position="per_layer"),
    "post": glass(NESTED, **ATTENTION, block={"placement": "post"}),
    "one group": glass("1@1 1@16 1@1", **LINEAR),
    "narrow and wide": shape("unet", depth=5, widths=(32, 16, 8, 16, 32), position="rope", block={"mixer": {"heads": 2}}),
    "unet of windows": shape("unet", depth=4, **WINDOW),
    "narrow windows": shape("pyramid", widths=(16, 8), depth=4, **WINDOW),
}
CHECKS: tuple[Check, ...] = (
    sequence.causality,
    sequence.causality_by_gradient,
    sequence.split_invariance,
    sequence.split_invariance_with_documents,
    sequence.batch_invariance,
    sequence.memory_used,
    sequence.memory_bound,
    states.state_hygiene,
    states.detached_state,
    states.state_bound,
    learning.gradient_reach,
    learning.seeds,
    learning.weights_round_trip,
    learning.initial_loss,
    numerics.bfloat16,
    numerics.single_token,
)


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("name", SHAPES)
def test_a_trunk_of_another_shape_has_every_property(name: str, check: Check) -> None:
    check(SHAPES[name])


@pytest.mark.slow
@pytest.mark.parametrize("name", ["nested attention", "narrow and wide"])
def test_a_trunk_of_another_shape_is_captured_whole(name: str) -> None:
    numerics.compile_parity(SHAPES[name])


class CountsGroupsInTheCall(hourglass.Hourglass):
    """Its levels number the groups of each call from 0."""

    def _group_inputs(self, inputs: LayerInputs, factor: int, complete: int, like: Tensor) -> LayerInputs:
        return replace(
            super()._group_inputs(replace(inputs, stream_position=0), factor, complete, like),
            stream_position=-(-inputs.stream_position // factor),
        )


class BeginsGroupsWithCalls(hourglass.Hourglass):
    """Takes no rows of an open group along."""

    def _run_inner_level(
        self, inner: hourglass.InnerLevel, x: Tensor, state: hourglass.InnerLevelState | None, forward_pass: ForwardPass
    ) -> tuple[Tensor, hourglass.InnerLevelState | None]:
        x, state = super()._run_inner_level(inner, x, state, forward_pass)
        return x, state and state._replace(partial_group=torch.zeros_like(state.partial_group))


class ForgetsTheLastGroup(hourglass.Hourglass):
    """Reads nothing in a group that an earlier call completed."""

    def _run_inner_level(
        self, inner: hourglass.InnerLevel, x: Tensor, state: hourglass.InnerLevelState | None, forward_pass: ForwardPass
    ) -> tuple[Tensor, hourglass.InnerLevelState | None]:
        return super()._run_inner_level(
            inner, x, state and state._replace(last_shortened=torch.zeros_like(state.last_shortened)), forward_pass
        )


class ShiftsTheOuterLevelAlone(hourglass.Hourglass):
    """Its inner levels pool a group with what comes after its first element."""

    def _run_inner_level(
        self, inner: hourglass.InnerLevel, x: Tensor, state: hourglass.InnerLevelState | None, forward_pass: ForwardPass
    ) -> tuple[Tensor, hourglass.InnerLevelState | None]:
        if state is None and inner is not self.level.inner:
            missing = torch.zeros_like(x[:, : -x.shape[1] % inner.factor])
            return super()._run_inner_level(
                inner, torch.cat([x[:, inner.factor - 1 :], x[:, :1], missing], dim=1)[:, : x.shape[1]], state, forward_pass
            )
        return super()._run_inner_level(inner, x, state, forward_pass)


class LooksUpAll(resample.UpsampleAttention):
    """Looks at all shortened vectors of the call."""

    def forward(self, x: Tensor, state: State, inputs: LayerInputs) -> tuple[Tensor, State, AuxOutputs]:
        ahead = replace(inputs, position=inputs.position + inputs.position.shape[1])
        return super().forward(x, state, ahead)


class SkipsToEarlier(staged.Unet):
    """Adds what the partner gave one position later."""

    def layer_input(self, index: int, x: Tensor, saved_outputs: list[Tensor]) -> Tensor:
        return super().layer_input(index, x, [one.roll(-1, dims=1) for one in saved_outputs])


class LeavesASkipOut(staged.Unet):
    """Never uses its first weight."""

    def layer_input(self, index: int, x: Tensor, saved_outputs: list[Tensor]) -> Tensor:
        return x if index == len(self.blocks) - 1 else super().layer_input(index, x, saved_outputs)


BROKEN: tuple[tuple[type, Case, Check, str], ...] = (
    (CountsGroupsInTheCall, glass(position="rope"), sequence.split_invariance, "in pieces"),
    (BeginsGroupsWithCalls, glass(), sequence.split_invariance, "in pieces"),
    (ForgetsTheLastGroup, glass(), sequence.split_invariance, "in pieces"),
    (ShiftsTheOuterLevelAlone, glass(NESTED), sequence.causality, "before the change"),
    (ShiftsTheOuterLevelAlone, glass(NESTED), sequence.causality_by_gradient, "depend on later tokens"),
    (LooksUpAll, glass(**ATTENTION), sequence.causality, "before the change"),
    (SkipsToEarlier, shape("unet"), sequence.causality, "before the change"),
    (LeavesASkipOut, shape("unet", depth=2), learning.gradient_reach, "no gradient reaches .*skips"),
)


@pytest.mark.parametrize(
    ("broken", "subject", "check", "said"), BROKEN, ids=[f"{one.__name__}-{check.__name__}" for one, _, check, _ in BROKEN]
)
def test_a_broken_trunk_is_found_out(broken: type, subject: Case, check: Check, said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    check(subject)
    sound = broken.__mro__[1]
    place = {hourglass.Hourglass: hourglass, resample.UpsampleAttention: resample, staged.Unet: staged}[sound]
    monkeypatch.setattr(place, sound.__name__, broken)
    with pytest.raises(AssertionError, match=said):
        check(subject)


@pytest.mark.parametrize("check", [sequence.causality, sequence.causality_by_gradient], ids=lambda check: check.__name__)
def test_a_shift_by_one_less_than_the_factor_less_one_is_found_out(check: Check, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the shift k - 2 a group is complete one position after the first that reads it; of T = 13, 5 leaves a last group that is."""
    case = glass("1@1 1@5 1@1")
    check(case)
    monkeypatch.setattr(hourglass, "shift", lambda factor: factor - 2)
    with pytest.raises(AssertionError, match=r"before the change|depend on later tokens"):
        check(case)
