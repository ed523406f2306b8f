"""One step: the update does not depend on how the batch is cut, clipping is torch's, and NaN changes nothing."""

import copy
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import ClassVar, Literal

import pytest
import torch
from torch import Tensor

from assay.core.parallel import Parallel
from assay.core.types import Mean, TrainingProgress
from assay.data.batches import shard_batch
from assay.errors import ConfigError, NonFiniteLoss
from assay.experiment.assemble import Experiment
from assay.nn.feedforward.base import DenseFeedforward, InnerActivation
from assay.nn.feedforward.dense import MlpConfig
from assay.nn.mixer.base import AuxOutputs
from assay.tools.verify_resume import equal_bits
from assay.training.budget import CALIBRATION_STEPS, Budget
from assay.training.learner import LossOutput
from assay.training.loop import clip_gradients, gradient_norms, progress_fraction, train_step
from assay.training.state import StepResult
from support.experiment import DROPOUT, build

EXACTLY = ["train.precision=float64", "train.clip=0.5"]
BATCH_OF_7 = ["batches.size=7"]  # the last batch of the epoch has 4 rows, the last of them padded


def weights(experiment: Experiment) -> dict[str, Tensor]:
    return {name: tensor.detach().clone() for name, tensor in experiment.state.learner.state_dict().items()}


def train(experiment: Experiment, steps: range) -> list[StepResult]:
    experiment.state.step = steps.start
    return [train_step(experiment.state, experiment.setup) for _ in steps]


def gap(left: Experiment, right: Experiment) -> float:
    theirs = weights(right)
    return max(float((tensor - theirs[name]).abs().max()) for name, tensor in weights(left).items())


class Energetic(DenseFeedforward):
    """A perceptron that reports the energy of its output, a mean over rows, as a loss and as a statistic."""

    aux_loss_weights: ClassVar[dict[str, float]] = {"energy": 0.5}

    def forward(self, x: Tensor) -> tuple[Tensor, AuxOutputs]:
        y, _ = super().forward(x)
        energy = Mean(y.square().mean((-2, -1)).sum(), torch.tensor(float(len(y))))
        return y, AuxOutputs({"energy": energy}, {"level": energy})


class EnergeticConfig(MlpConfig):
    """Stays out of the registry, except inside the fixture `energetic`."""

    kind: Literal["energetic"] = "energetic"  # type: ignore[assignment]

    def build(self, width: int) -> DenseFeedforward:
        return Energetic(InnerActivation(self.activation, gated=False), width, 4 * width, self.bias)


assert EnergeticConfig.family is not None
FEEDS = EnergeticConfig.family
FEEDS._kinds.pop("energetic")


@pytest.fixture
def energetic() -> Iterator[list[str]]:
    """The override that makes every layer report a loss."""
    FEEDS.register("energetic", EnergeticConfig)
    yield ["model.block.feedforward=energetic"]
    FEEDS._kinds.pop("energetic")


def forward(experiment: Experiment) -> LossOutput:
    """The first step's batch through the learner."""
    rows = experiment.setup.batches.batch_at(0)
    (batch,) = shard_batch(rows, 0, 1, 1)
    learned: LossOutput = experiment.state.learner(batch, TrainingProgress(0, 0.0, rows.targets, rows.row_count))
    return learned


def epoch_end(experiment: Experiment) -> range:
    """Steps around the first ragged batch."""
    last = experiment.setup.batches.steps_per_epoch - 1
    assert len(experiment.setup.batches.batch_at(last).tokens) < experiment.config.batches.size
    return range(last - 2, last + 3)


@pytest.mark.parametrize("accumulation", [2, 3, 7])
def test_the_update_does_not_depend_on_the_number_of_micro_batches(text: Path, accumulation: int) -> None:
    whole = build(text, *EXACTLY, *BATCH_OF_7)
    parts = build(text, *EXACTLY, *BATCH_OF_7, f"train.accumulation={accumulation}")
    start = weights(whole)
    steps = epoch_end(whole)
    for left, right in zip(train(whole, steps), train(parts, steps), strict=True):
        assert float(left.terms["loss"].mean.total) == pytest.approx(float(right.terms["loss"].mean.total), rel=1e-13)
        assert left.terms["loss"].mean.count == right.terms["loss"].mean.count
        assert float(left.total_norm) == pytest.approx(float(right.total_norm), rel=1e-12)
    assert gap(whole, parts) < 1e-12
    assert max(float((tensor - start[name]).abs().max()) for name, tensor in weights(whole).items()) > 1e-3


def test_four_rows_at_once_equal_four_rows_one_by_one(text: Path) -> None:
    whole, single = build(text, *EXACTLY), build(text, *EXACTLY, "train.accumulation=4")
    assert [len(batch.tokens) for batch in shard_batch(single.setup.batches.batch_at(0), 0, 1, 4)] == [1, 1, 1, 1]
    train(whole, range(6))
    train(single, range(6))
    assert gap(whole, single) < 1e-12


@pytest.mark.parametrize("accumulation", [2, 7])
def test_losses_that_layers_report_enter_exactly_under_accumulation(text: Path, energetic: list[str], accumulation: int) -> None:
    whole = build(text, *EXACTLY, *BATCH_OF_7, *energetic)
    parts = build(text, *EXACTLY, *BATCH_OF_7, *energetic, f"train.accumulation={accumulation}")
    steps = epoch_end(whole)
    for left, right in zip(train(whole, steps), train(parts, steps), strict=True):
        for name in ("loss", "energy"):
            ours, theirs = left.terms[name].mean, right.terms[name].mean
            assert float(ours.total) == pytest.approx(float(theirs.total), rel=1e-12)
            assert ours.count == theirs.count
        assert float(left.stats["level"].value()) == pytest.approx(float(right.stats["level"].value()), rel=1e-12)
    assert gap(whole, parts) < 1e-12


def test_a_reported_loss_enters_the_total_with_its_weight(text: Path, energetic: list[str]) -> None:
    proposed = build(text, *EXACTLY, *energetic)
    said = build(text, *EXACTLY, *energetic, "objective.weights.energy=0.5")
    none = build(text, *EXACTLY, *energetic, "objective.weights.energy=0.0")
    plain = build(text, *EXACTLY)
    for experiment in (proposed, said, none, plain):
        train(experiment, range(3))
    assert gap(proposed, said) == 0
    assert gap(none, plain) == 0
    assert gap(proposed, plain) > 1e-6


def test_the_total_is_the_weighted_sum_of_its_terms(text: Path, energetic: list[str]) -> None:
    experiment = build(text, *EXACTLY, *energetic, "objective.weights.energy=3.0")
    learned = forward(experiment)
    expected = sum(term.scale * float(term.mean.value()) for term in learned.terms.values())
    assert {name: term.scale for name, term in learned.terms.items()} == {"loss": 1.0, "energy": 3.0}
    assert not any(mean.total.requires_grad for mean in learned.stats.values())
    assert float(learned.total.detach()) == pytest.approx(expected, rel=1e-12)


def test_a_weight_for_a_loss_that_no_layer_reports_is_refused(text: Path, energetic: list[str]) -> None:
    with pytest.raises(ConfigError, match=r"objective\.weights\.enrgy: .*did you mean 'energy'"):
        build(text, *energetic, "objective.weights.enrgy=1.0")


@pytest.mark.parametrize("limit", [1e-3, 0.7, 1e3])
def test_clipping_is_what_torch_does(text: Path, limit: float) -> None:
    ours, theirs = build(text), build(text)
    for experiment in (ours, theirs):
        forward(experiment).total.backward()
    norms, total = gradient_norms(ours.state)
    clip_gradients(ours.state, total, limit)
    assert torch.equal(total, torch.nn.utils.clip_grad_norm_(theirs.state.learner.parameters(), limit))
    assert len(norms) == len(list(ours.state.learner.parameters()))
    for mine, torchs in zip(ours.state.learner.parameters(), theirs.state.learner.parameters(), strict=True):
        assert torch.equal(mine.grad, torchs.grad)  # type: ignore[arg-type]


def test_clipping_by_value_is_what_torch_does(text: Path) -> None:
    ours, theirs = build(text), build(text)
    for experiment in (ours, theirs):
        forward(experiment).total.backward()
    clip_gradients(ours.state, gradient_norms(ours.state)[1], 0.0, 1e-3)
    torch.nn.utils.clip_grad_value_(theirs.state.learner.parameters(), 1e-3)
    largest = []
    for mine, torchs in zip(ours.state.learner.parameters(), theirs.state.learner.parameters(), strict=True):
        assert torch.equal(mine.grad, torchs.grad)  # type: ignore[arg-type]
        largest.append(float(mine.grad.abs().max()))  # type: ignore[union-attr]
    assert max(largest) == pytest.approx(1e-3)


def test_a_largest_value_reaches_the_step(text: Path) -> None:
    plain, cut = build(text, "optimizer=sgd"), build(text, "optimizer=sgd", "train.clip_value=1e-5")
    train(plain, range(2))
    train(cut, range(2))
    assert gap(plain, cut) > 0


def test_a_clip_of_zero_is_no_limit(text: Path) -> None:
    unlimited, far = build(text, "train.clip=0.0"), build(text, "train.clip=1e6")
    train(unlimited, range(3))
    train(far, range(3))
    assert gap(unlimited, far) == 0


def refused(experiment: Experiment, message: str) -> None:
    """The next step raises, and weights, moments and counters stay as they are."""
    state = experiment.state
    before, moments = weights(experiment), copy.deepcopy(state.optimizer.state_dict())
    step, targets = state.step, state.targets
    with pytest.raises(NonFiniteLoss, match=message):
        train_step(state, experiment.setup)
    assert all(torch.equal(tensor, before[name]) or bool(tensor.isnan().any()) for name, tensor in weights(experiment).items())
    assert equal_bits(state.optimizer.state_dict(), moments)
    assert (state.step, state.targets) == (step, targets)


def test_a_non_finite_loss_is_refused_at_its_step_and_changes_nothing(text: Path) -> None:
    experiment = build(text)
    train(experiment, range(2))
    with torch.no_grad():
        dict(experiment.state.learner.model.named_parameters())["blocks.0.mixer.output.weight"][0, 0] = torch.nan
    refused(experiment, r"^step 2: the gradient is not finite, .*\(15 of 15 parameters\): the loss itself is not finite")


def test_a_non_finite_gradient_names_its_layer(text: Path) -> None:
    experiment = build(text)
    train(experiment, range(3))
    model = experiment.state.learner.model
    dict(model.named_parameters())["blocks.0.mixer.output.weight"].register_hook(lambda gradient: gradient * torch.inf)
    refused(experiment, r"^step 3: .* first at blocks\.0\.mixer\.output\.weight on the way back from the loss \(1 of 15 parameters\)")


def test_dropout_is_a_function_of_seed_step_process_and_micro_batch(text: Path) -> None:
    one, two = build(text, *DROPOUT), build(text, *DROPOUT)
    train(one, range(4))
    torch.manual_seed(99)
    torch.randn(7)
    for _ in range(4):
        train_step(two.state, two.setup)
        torch.randn(3)  # somebody else draws between the steps
    assert gap(one, two) == 0
    other = build(text, *DROPOUT)
    other_setup = replace(other.setup, config=other.setup.config.model_copy(update={"seed": 1}))
    for _ in range(4):
        train_step(other.state, other_setup)
    assert gap(one, other) > 1e-4


def test_shares_of_two_processes_add_up_to_the_step_of_one(text: Path) -> None:
    alone = build(text, *EXACTLY, *BATCH_OF_7)
    (loss,) = [result.terms["loss"].mean for result in train(alone, range(1))]
    parts = []
    for rank in range(2):
        process = build(text, *EXACTLY, *BATCH_OF_7)
        setup = replace(process.setup, parallel=Parallel(rank, 2), config=process.setup.config.model_copy(update={"accumulation": 2}))
        parts.append(train_step(process.state, setup).terms["loss"].mean)
    assert float(sum(part.total for part in parts)) == pytest.approx(float(loss.total), rel=1e-13)
    assert sum(part.count for part in parts) == loss.count


def test_the_state_counts_steps_and_targets(text: Path) -> None:
    experiment = build(text, *BATCH_OF_7)
    batches = experiment.setup.batches
    train(experiment, range(batches.steps_per_epoch))
    assert experiment.state.step == batches.steps_per_epoch
    assert experiment.state.targets == batches.targets_per_epoch


def test_the_schedule_sees_no_progress_while_minutes_are_measured(text: Path) -> None:
    experiment = build(text, "train.budget=5min")
    state, setup = experiment.state, experiment.setup
    assert state.steps is None
    assert [progress_fraction(step, state, setup) for step in (0, 30, 70)] == [0, 0, 0]
    state.steps = 100
    assert [progress_fraction(step, state, setup) for step in (0, 30, CALIBRATION_STEPS - 1)] == [0, 0, 0]
    assert [progress_fraction(step, state, setup) for step in (CALIBRATION_STEPS, 75, 99)] == [0.5, 0.75, 0.99]
    assert progress_fraction(30, state, replace(setup, budget=Budget.parse("100steps"))) == 0.3
