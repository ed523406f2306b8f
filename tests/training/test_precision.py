"""Number formats: what a device is made for, what is computed in which, and how float16 finds its scale."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_flatten, tree_map

from assay.core.types import Mean
from assay.errors import ConfigError, NonFiniteLoss
from assay.experiment.assemble import Experiment
from assay.training import precision
from assay.training.loop import train_step
from assay.training.precision import MixedPrecision, autocast, choose_precision, use_bfloat16_copies, weight_dtype
from support.experiment import DROPOUT, build
from support.kinds import COMBINED, PLAIN, Case
from support.tiny import AT, batch, learner, lively

CPU, GPU = torch.device("cpu"), torch.device("cuda", 0)
HALF = ("bf16", "bf16_weights", "fp16")
SMALL = ("batches={kind='documents', window=64, size=8}", "model.width=32")


@pytest.mark.parametrize(("supported", "chosen"), [(True, "bf16"), (False, "float32")])
def test_auto_takes_bfloat16_where_a_cpu_multiplies_it(supported: bool, chosen: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(precision, "cpu_supports_bf16", lambda: supported)
    assert choose_precision("auto", CPU) == chosen


@pytest.mark.parametrize(("capability", "chosen"), [((9, 0), "bf16"), ((8, 0), "bf16"), ((7, 5), "float32")])
def test_auto_goes_by_the_capability_of_a_gpu(capability: tuple[int, int], chosen: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
    assert choose_precision("auto", GPU) == chosen


def test_formats_that_a_device_lacks_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match=r"train.precision: tf32 is a format of NVIDIA's GPUs from Ampere on, not of cpu; use float32"):
        choose_precision("tf32", CPU)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (7, 0))
    for asked in ("tf32", "bf16", "bf16_weights"):
        with pytest.raises(ConfigError, match=r"train\.precision"):
            choose_precision(asked, GPU)
    assert [choose_precision(asked, GPU) for asked in ("float32", "fp16")] == ["float32", "fp16"]


def test_tf32_holds_for_both_passes_and_no_longer() -> None:
    before, weight, seen = torch.get_float32_matmul_precision(), torch.ones(2, requires_grad=True), []
    weight.register_hook(lambda gradient: seen.append(torch.get_float32_matmul_precision()))
    with autocast("tf32", GPU):
        assert torch.get_float32_matmul_precision() == "high"
    MixedPrecision("tf32", CPU).backward(weight.sum())
    assert seen == ["high"]
    assert torch.get_float32_matmul_precision() == before
    assert weight_dtype("tf32") == torch.float32


def gradients(case: Case, asked: Any) -> tuple[Tensor, dict[str, Tensor | None]]:
    """The loss of a batch, and of the one after it where state is carried, and what it gives every parameter, once the scale is found."""
    model = lively(case.model, torch.float32).train()
    trained, rows = learner(case, model).float(), replace(batch(), weight=batch().weight.float())
    computing, begun, learned = MixedPrecision(asked, CPU), None, None
    for _ in range(30):
        torch.manual_seed(0)
        with computing.cast_weights(trained):
            for _ in range(2 if model.bounded_state else 1):
                begun = model.init_state(3) if model.bounded_state and learned is None else begun
                learned = computing.forward(trained, rows, AT, begun)
                computing.backward(learned.total)
                begun = tree_map(lambda leaf: leaf.detach() if isinstance(leaf, Tensor) else leaf, learned.state)
        if computing.unscale(trained.parameters()):
            return learned.total.detach(), {name: p.grad for name, p in trained.named_parameters()}
        trained.zero_grad()
        begun = learned = None
    raise AssertionError("no scale was found")


@pytest.mark.slow
@pytest.mark.parametrize("case", [*PLAIN, *COMBINED], ids=str)
def test_every_kind_learns_in_half_precision_what_it_learns_in_float32(case: Case) -> None:
    """The loss is within 1 % of float32's, and the same parameters have finite gradients, in their own format."""
    exact, expected = gradients(case, "float32")
    for asked in HALF:
        rough, found = gradients(case, asked)
        assert abs(rough - exact) <= 0.01 * abs(exact), f"{asked}: the loss is {rough} instead of {exact}"
        for name, gradient in found.items():
            assert (gradient is None) == (expected[name] is None), f"{asked}: {name} has a gradient, or none, otherwise than in float32"
            if gradient is not None:
                assert gradient.dtype == torch.float32
                assert torch.isfinite(gradient).all(), f"{asked}: the gradient of {name} is not finite"


@pytest.mark.parametrize("case", [case for case in PLAIN if lively(case.model).bounded_state], ids=str)
def test_what_is_carried_keeps_its_format(case: Case) -> None:
    """From the second batch on: a state that changed its format from batch to batch would not be what a checkpoint gives back."""
    model = lively(case.model, torch.float32).train()
    trained, rows, state, formats = learner(case, model).float(), batch(), model.init_state(3), []
    with MixedPrecision("bf16_weights", CPU).cast_weights(trained), torch.no_grad():
        for _ in range(3):
            state = trained(replace(rows, weight=rows.weight.float()), AT, state).state
            formats.append([leaf.dtype for leaf in tree_flatten(state)[0] if isinstance(leaf, Tensor)])
    assert formats[1] == formats[2]


def test_copies_take_the_place_of_the_weights_and_give_it_back(text: Path) -> None:
    trained = build(text, "model.block.feedforward={kind='moe', experts=4, hidden=8}", "model.head.tied=false").state.learner
    masters = dict(trained.named_parameters())

    def broken() -> None:
        with use_bfloat16_copies(trained):
            kept = {name for name, tensor in trained.named_parameters() if tensor.dtype == torch.float32}
            assert kept == {"model.embedding.weight", "model.readout.weight", "model.blocks.0.feedforward.router.map.weight"}
            assert {tensor.dtype for tensor in trained.parameters()} == {torch.float32, torch.bfloat16}
            assert trained.model.embedding(torch.tensor([0])).dtype == torch.bfloat16
            raise InterruptedError

    with pytest.raises(InterruptedError):
        broken()
    after = dict(trained.named_parameters())
    assert list(after) == list(masters)
    assert all(after[name] is master for name, master in masters.items())
    assert trained.model.embedding(torch.tensor([0])).dtype == torch.float32


def test_a_weight_in_two_places_is_one_copy() -> None:
    both = nn.Sequential(nn.Linear(2, 2, bias=False), nn.Linear(2, 2, bias=False))
    both[1].weight = both[0].weight
    with use_bfloat16_copies(both):
        assert both[0].weight is both[1].weight
        both(torch.ones(1, 2, dtype=torch.bfloat16)).sum().backward()
    assert both[0].weight.grad is not None
    assert both[0].weight.grad.dtype == torch.float32


def one_step(experiment: Experiment) -> tuple[Tensor, Mean]:
    """All gradients of a step as one vector, and its loss."""
    found: list[Tensor] = []
    learned = experiment.state.learner

    def look(factor: float) -> None:
        found.append(torch.cat([p.grad.double().flatten() for p in learned.parameters() if p.grad is not None]))

    experiment.state.optimizer.step = look  # type: ignore[method-assign]
    result = train_step(experiment.state, experiment.setup)
    return found[0], result.terms["loss"].mean


@pytest.mark.parametrize(
    ("asked", "bound"), [("float64", 1e-10), ("float32", 1e-6), ("bf16", 0.005), ("bf16_weights", 0.005), ("fp16", 0.001)]
)
def test_micro_batches_of_ragged_rows_add_up_to_the_global_batch(text: Path, asked: str, bound: float) -> None:
    """Rows are as long as their documents, so the micro-batches have unequal numbers of targets."""
    settings = (*SMALL, f"train.precision={asked}", "train.clip=0")
    whole, loss = one_step(build(text, *settings))
    parts, same = one_step(build(text, *settings, "train.accumulation=4"))
    assert loss.count == same.count
    assert float((loss.total - same.total).abs() / loss.total) <= bound
    assert float((whole - parts).norm() / whole.norm()) <= bound


def scaler(scale: float) -> Mapping[str, Any]:
    return {**MixedPrecision("fp16", CPU).state_dict(), "scale": scale}


def test_an_overflow_in_float16_skips_the_step_and_lowers_the_scale(text: Path) -> None:
    experiment = build(text, *SMALL, "train.precision=fp16")
    state = experiment.state
    state.mixed_precision.load_state_dict(scaler(2.0**40))
    before = [p.detach().clone() for p in state.learner.parameters()]
    result = train_step(state, experiment.setup)
    assert all(torch.equal(p, old) for p, old in zip(state.learner.parameters(), before, strict=True))
    assert state.step == 1
    assert (float(result.stats["skipped"].value()), state.mixed_precision.loss_scale) == (1.0, 2.0**39)
    assert torch.isfinite(result.norms).all()
    results = [train_step(state, experiment.setup) for _ in range(40)]
    assert float(results[-1].stats["skipped"].value()) == 0.0
    assert not any(torch.equal(p, old) for p, old in zip(state.learner.parameters(), before, strict=True))


def test_gradients_that_no_scale_makes_finite_end_the_run(text: Path) -> None:
    experiment = build(text, *SMALL, "train.precision=fp16")
    experiment.state.mixed_precision.load_state_dict(scaler(2.0))
    with torch.no_grad():
        next(iter(experiment.state.learner.parameters())).fill_(float("nan"))
    train_step(experiment.state, experiment.setup)
    assert experiment.state.mixed_precision.loss_scale == 1.0
    with pytest.raises(NonFiniteLoss, match="the loss itself is not finite"):
        train_step(experiment.state, experiment.setup)


def test_the_scale_does_not_change_the_gradient(text: Path) -> None:
    gradients = []
    for scale in (1.0, 2.0**10):
        experiment = build(text, *SMALL, "train.precision=fp16")
        experiment.state.mixed_precision.load_state_dict(scaler(scale))
        gradients.append(one_step(experiment)[0])
    assert float((gradients[0] - gradients[1]).norm() / gradients[1].norm()) < 0.01  # with a scale of 1 small ones vanish
    assert not torch.equal(*gradients)


def test_a_resumed_run_goes_on_with_the_scale(text: Path) -> None:
    one, other = (build(text, *SMALL, *DROPOUT, "train.precision=fp16") for _ in range(2))
    one.state.mixed_precision.load_state_dict(scaler(2.0**40))
    for _ in range(3):
        train_step(one.state, one.setup)
    other.state.learner.load_state_dict(one.state.learner.state_dict())
    other.state.load_state_dict(one.state.state_dict())
    assert other.state.mixed_precision.loss_scale == one.state.mixed_precision.loss_scale == 2.0**37
    changed = build(text, *SMALL)
    changed.state.load_state_dict(one.state.state_dict())  # in another format there is no scale to go on with
    assert changed.state.mixed_precision.state_dict() == {}
    for experiment in (one, other):
        train_step(experiment.state, experiment.setup)
    assert all(torch.equal(a, b) for a, b in zip(one.state.learner.parameters(), other.state.learner.parameters(), strict=True))


def test_the_noise_scale_refuses_scaled_gradients(text: Path) -> None:
    with pytest.raises(ConfigError, match=r"noise_scale: looks at gradients as they arrive, and fp16 scales them"):
        build(text, "train.precision=fp16", "train.noise_scale=true", "train.accumulation=2")
