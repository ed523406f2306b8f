"""Memories that are wrong as those of published code are: the suite, or a check beside it, must tell them from sound ones."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from assay.core.types import State
from assay.nn.mixer import compressive, xl
from assay.nn.mixer.base import AuxOutputs, LayerInputs
from assay.nn.mixer.segments import InputRows, SegmentRows, VisibleRows
from support.kinds import Case, case_of, tiny
from support.properties import learning, sequence, states
from support.tiny import AT, T, batch, embedding, fresh, learner, lively, tokens

Check = Callable[[Case], None]
FUNCTIONS = ("mean", "max", "convolution", "dilated_convolution", "most_used")


def of_xl() -> Case:
    return case_of(tiny(xl.XlConfig))


def compressing(function: str = "convolution") -> Case:
    return case_of(tiny(compressive.CompressiveConfig).replace(function=function))


SOUND = [of_xl(), *map(compressing, FUNCTIONS)]


def every_step_teaches_all(case: Case) -> None:
    """After the first step, in which what begins at zero may hide the rest, each step gives every parameter a gradient."""
    trained = learner(case, fresh(case.model).train())
    optimizer = torch.optim.AdamW(trained.parameters(), lr=1e-2)
    for step in range(1, 4):
        optimizer.zero_grad()
        trained(batch(), AT).total.backward()
        for name, parameter in trained.named_parameters():
            learned = parameter.grad is not None and float(parameter.grad.abs().max()) > 0
            assert learned or step == 1, f"in step {step} no gradient reaches {name}"
        optimizer.step()


def no_gradient_leaves_its_segment(case: Case) -> None:
    """d logits[t] / d embedding[s] is exactly 0 for s before the segment of t, whatever t reads of it."""
    model = lively(case.model)
    segment = case.leaf.segment  # type: ignore[attr-defined]
    kept: list[Tensor] = []
    hook = embedding(model).register_forward_hook(lambda module, given, made: kept.append(made))
    logits = model(tokens()).logits
    hook.remove()
    for t in range(T):
        (gradient,) = torch.autograd.grad(logits[:, t].square().sum(), kept[0], retain_graph=True)
        before = gradient[:, : t // segment * segment]
        assert torch.equal(before, torch.zeros_like(before)), f"the gradient of the logits at {t} leaves their segment"


class RemembersTheLastCall(xl.XlAttention):
    """Its memory is whatever the call before saw, and a call is a segment, as in the authors' code."""

    def join_rows(self, kept: InputRows | None, x: Tensor, inputs: LayerInputs) -> SegmentRows:
        rows = super().join_rows(kept, x, replace(inputs, stream_position=0))
        return rows._replace(segments=1)

    def keep_rows(self, rows: SegmentRows, memory: int) -> InputRows:
        return InputRows(rows.x[:, rows.memory :].detach(), rows.position[:, rows.memory :])


class BeginsSegmentsWithCalls(xl.XlAttention):
    """Counts positions in the call."""

    def join_rows(self, kept: InputRows | None, x: Tensor, inputs: LayerInputs) -> SegmentRows:
        return super().join_rows(kept, x, replace(inputs, stream_position=0))


class TakesItsSegmentForMemory(xl.XlAttention):
    """Puts a segment into memory before its queries have read it."""

    def attend_to_segments(self, q: Tensor, seen: VisibleRows, rows: SegmentRows, inputs: LayerInputs) -> Tensor:
        key, value = (F.pad(x, (0, 0, 0, -x.shape[2] % self.segment)) for x in (seen.own.key, seen.own.value))
        past = seen.own._replace(key=key, value=value, position=F.pad(seen.own.position, (0, key.shape[2] - q.shape[2])))
        return super().attend_to_segments(q, seen._replace(parts=(seen.parts[0]._replace(past=past),)), rows, inputs)


class LetsGradientsThrough(xl.XlAttention):
    """Reads memory with the keys and values that its rows had in their own segment."""

    def project_rows(self, rows: SegmentRows, inputs: LayerInputs) -> Any:
        q, own, memory = super().project_rows(rows, inputs)
        before = memory.key.shape[2] - rows.memory
        key, value = (
            torch.cat([a[:, :, : rows.memory], b[:, :, :before]], dim=2) for a, b in ((memory.key, own.key), (memory.value, own.value))
        )
        return q, own, memory._replace(key=key, value=value)


class FreezesItsMaps(compressive.LearnedCompressiveAttention):
    """Detaches the parameter itself, in place, for the loss that is to leave it alone."""

    def forward(self, x: Tensor, state: State, inputs: LayerInputs) -> tuple[Tensor, State, AuxOutputs]:
        given = super().forward(x, state, inputs)
        self.project.weight.detach_()
        return given


class FreezesThemLater(compressive.LearnedCompressiveAttention):
    """The same where the first call has nothing to compress."""

    calls = 0

    def forward(self, x: Tensor, state: State, inputs: LayerInputs) -> tuple[Tensor, State, AuxOutputs]:
        given = super().forward(x, state, inputs)
        if self.calls:
            self.project.weight.detach_()
        self.calls += 1
        return given


class ForgetsWhatWasUsed(compressive.MostUsedCompressiveAttention):
    """Counts attention in the call alone."""

    def forward(self, x: Tensor, state: State, inputs: LayerInputs) -> tuple[Tensor, State, AuxOutputs]:
        return super().forward(x, state and state._replace(usage=torch.zeros_like(state.usage)), inputs)


BROKEN: tuple[tuple[type, Callable[[], Case], Check, str], ...] = (
    (RemembersTheLastCall, of_xl, sequence.split_invariance, "in pieces"),
    (BeginsSegmentsWithCalls, of_xl, sequence.split_invariance, "in pieces"),
    (TakesItsSegmentForMemory, of_xl, sequence.causality, "before the change"),
    (LetsGradientsThrough, of_xl, no_gradient_leaves_its_segment, "leaves their segment"),
    (FreezesItsMaps, compressing, learning.gradient_reach, "no gradient reaches .*project.weight"),
    (FreezesThemLater, compressing, every_step_teaches_all, "in step 2 no gradient reaches .*project.weight"),
    (ForgetsWhatWasUsed, lambda: compressing("most_used"), sequence.split_invariance, "in pieces"),
)


def put_in_place(broken: type, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the sound config builds is the broken mixer."""
    sound = broken.__mro__[1]
    monkeypatch.setattr(xl if sound is xl.XlAttention else compressive, sound.__name__, broken)


@pytest.mark.parametrize("check", [every_step_teaches_all, no_gradient_leaves_its_segment], ids=lambda check: check.__name__)
@pytest.mark.parametrize("sound", SOUND, ids=["xl", *FUNCTIONS])
def test_a_sound_memory_passes_the_checks_of_memories(sound: Case, check: Check) -> None:
    check(sound)


@pytest.mark.parametrize(("broken", "make", "check", "said"), BROKEN, ids=[broken.__name__ for broken, *_ in BROKEN])
def test_a_broken_memory_is_found_out(
    broken: type, make: Callable[[], Case], check: Check, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    case = make()
    check(case)
    put_in_place(broken, monkeypatch)
    with pytest.raises(AssertionError, match=said):
        check(case)


def test_a_memory_of_the_last_call_passes_all_but_the_uneven_splits(monkeypatch: pytest.MonkeyPatch) -> None:
    put_in_place(RemembersTheLastCall, monkeypatch)
    case = of_xl()
    for check in (sequence.causality, sequence.causality_by_gradient, sequence.batch_invariance, states.state_hygiene):
        check(case)


def test_frozen_maps_pass_where_one_gradient_in_three_steps_is_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    """So the check of every step is needed."""
    put_in_place(FreezesThemLater, monkeypatch)
    learning.gradient_reach(compressing())
