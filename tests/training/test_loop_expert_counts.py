"""What a step does after the optimiser: a router's bias moves by the load of the whole step, however it was cut."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from assay.core.parallel import Parallel
from assay.data.batches import shard_batch
from assay.experiment.assemble import Experiment
from assay.nn.feedforward.moe import BalancingRouter
from assay.optim.base import Optimizer
from assay.runs.directory import METRICS
from assay.tools.verify_resume import equal_bits
from assay.training import checkpoint
from assay.training.loop import StepCounts, train_step
from support.commands import only_run, started, train
from support.experiment import build, write_recipe

DEEPSEEK = "model.block.feedforward={kind=deepseek_moe, experts=6, active=2, hidden=8, rate=0.02}"
SOFTMAX = "model.block.feedforward={kind=moe, experts=6, active=2, hidden=8}"
EXACTLY = ["train.precision=float64", "train.clip=0.5", "batches.size=43", "model.depth=2"]  # an epoch ends with a batch of 2 rows
TORCHRUN = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", "-m", "assay")


def routers(experiment: Experiment) -> list[BalancingRouter]:
    return [module for module in experiment.state.learner.modules() if isinstance(module, BalancingRouter)]


def bias(experiment: Experiment) -> Tensor:
    """The biases of all layers."""
    return torch.cat([router.bias.clone() for router in routers(experiment)])


def advance(experiment: Experiment, steps: Sequence[int]) -> None:
    experiment.state.step = steps[0]
    for _ in steps:
        train_step(experiment.state, experiment.setup)


def epoch_end(experiment: Experiment) -> range:
    """Steps around the last of an epoch, which leaves some micro-batches empty."""
    last = experiment.setup.batches.steps_per_epoch - 1
    assert len(experiment.setup.batches.batch_at(last).tokens) == 2
    return range(last - 2, last + 3)


@pytest.mark.parametrize("feedforward", [DEEPSEEK, SOFTMAX], ids=["deepseek_moe", "moe"])
@pytest.mark.parametrize("accumulation", [2, 7])
def test_a_mixture_does_not_depend_on_the_number_of_micro_batches(text: Path, feedforward: str, accumulation: int) -> None:
    whole, parts = (build(text, *EXACTLY, feedforward, f"train.accumulation={n}") for n in (1, accumulation))
    steps = epoch_end(whole)
    for experiment in (whole, parts):
        experiment.state.step = steps.start
    for _ in steps:
        left, right = (train_step(experiment.state, experiment.setup) for experiment in (whole, parts))
        assert left.stats.keys() == right.stats.keys() == {"router_entropy", "expert_load_max", "expert_load_min", "dead_experts"}
        for name, mean in left.stats.items():
            assert float(mean.value()) == pytest.approx(float(right.stats[name].value()), rel=1e-12)
    theirs = parts.state.learner.state_dict()
    for name, tensor in whole.state.learner.state_dict().items():
        assert float((tensor - theirs[name]).abs().max()) < 1e-12, name
    if feedforward == DEEPSEEK:
        assert torch.equal(bias(whole), bias(parts))
        assert float(bias(whole).abs().max()) >= 0.02


class RecordingParallel(Parallel):
    """One of the processes, alone: it records what all of them would sum."""

    recorded: ClassVar[list[Tensor]] = []

    def all_reduce(self, tensor: Tensor) -> Tensor:
        self.recorded.append(tensor.clone())
        return tensor


def test_the_expert_counts_of_two_processes_add_up_to_those_of_one(text: Path) -> None:
    counts = []
    for rank, world in ((0, 1), (0, 2), (1, 2)):
        process = build(text, *EXACTLY, DEEPSEEK, "train.accumulation=2")
        setup = replace(process.setup, parallel=RecordingParallel(rank, world))
        RecordingParallel.recorded.clear()
        advance(replace(process, setup=setup), epoch_end(process)[2:3])
        counts.append(torch.stack(RecordingParallel.recorded))  # [layers, experts]
    assert torch.equal(counts[1] + counts[2], counts[0])
    assert counts[0].sum(-1).tolist() == [2 * 16 * 2] * 2  # rows, tokens of a row, experts of a token


def test_modules_change_after_the_optimiser(text: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    experiment = build(text, *EXACTLY, DEEPSEEK)
    seen: list[float] = []
    step = Optimizer.step

    def noted(optimizer: Optimizer, factor: float) -> None:
        seen.append(float(bias(experiment).abs().max()))
        step(optimizer, factor)
        seen.append(float(bias(experiment).abs().max()))

    monkeypatch.setattr(Optimizer, "step", noted)
    train_step(experiment.state, experiment.setup)
    assert seen == [0, 0]
    assert float(bias(experiment).abs().max()) == pytest.approx(0.02)


def test_no_optimiser_has_the_bias(text: Path) -> None:
    for optimizer in ("adamw", "muon"):
        experiment = build(text, DEEPSEEK, f"optimizer={optimizer}")
        held = {id(p) for part in experiment.state.optimizer.parts.values() for group in part.param_groups for p in group["params"]}
        assert not held & {id(router.bias) for router in routers(experiment)}
        assert held == {id(parameter) for parameter in experiment.state.learner.parameters()}


def test_forward_passes_outside_a_step_count_nothing(text: Path) -> None:
    watched, alone = (build(text, *EXACTLY, DEEPSEEK) for _ in range(2))
    for step in range(3):
        tokens = watched.setup.batches.batch_at(step + 5).tokens
        watched.state.learner.model(tokens[:, :-1])
        watched.state.learner.model.eval()(tokens[:, :-1])
        watched.state.learner.model.train()
        advance(watched, [step])
        advance(alone, [step])
    assert torch.equal(bias(watched), bias(alone))
    assert equal_bits(watched.state.learner.state_dict(), alone.state.learner.state_dict())


def test_a_micro_batch_without_targets_is_not_counted(text: Path) -> None:
    experiment = build(text, *EXACTLY, DEEPSEEK)
    (batch,) = shard_batch(experiment.setup.batches.batch_at(0), 0, 1, 1)
    counts = StepCounts(experiment.state.learner)
    for weight in (batch.weight, torch.zeros_like(batch.weight)):
        with counts.count(weight):
            experiment.state.learner.model(batch.tokens[:, :-1])
    assert [int(total.sum()) for total in counts.sums] == [43 * 16 * 2] * 2


def test_the_bias_is_saved_and_goes_on_bit_for_bit(text: Path, tmp_path: Path) -> None:
    straight, resumed = (build(text, DEEPSEEK, "train.accumulation=2") for _ in range(2))
    advance(straight, range(4))
    path = checkpoint.save(tmp_path, straight.state, {})
    checkpoint.load(path, resumed.state)
    assert float(bias(resumed).abs().max()) > 0
    assert torch.equal(bias(resumed), bias(straight))
    for experiment in (straight, resumed):
        advance(experiment, range(4, 8))
    assert equal_bits(straight.state.learner.state_dict(), resumed.state.learner.state_dict())


@pytest.fixture
def recipe(text: Path, tmp_path: Path) -> Path:
    return write_recipe(tmp_path, text)


@pytest.mark.parametrize("feedforward", [DEEPSEEK, SOFTMAX], ids=["deepseek_moe", "moe"])
def test_a_mixture_trains_from_the_command_line_and_logs_its_loads(recipe: Path, tmp_path: Path, feedforward: str) -> None:
    run = train(recipe, tmp_path / "runs", feedforward, "train.budget=60steps", "train.log_every=10steps", "train.accumulation=2")
    lines = [line for line in run.read_lines(METRICS) if "loss" in line]
    assert lines[-1]["loss"] < lines[0]["loss"] - 0.3
    for line in lines:
        assert 0 <= line["expert_load_min"] <= 1 <= line["expert_load_max"] <= 3
        assert 0 <= line["dead_experts"] <= 4
        assert 0 < line["router_entropy"] <= 1.7918
        assert line["sequence_balance" if feedforward == DEEPSEEK else "expert_balance"] > 0.9
    assert json.dumps(lines[-1])


@pytest.mark.slow
def test_two_processes_have_the_bias_of_one(recipe: Path, tmp_path: Path) -> None:
    """An epoch has 12 steps; in the last of them two of the 2 x 2 micro-batches are empty."""
    overrides = [*EXACTLY, DEEPSEEK, "train.budget=13steps"]
    alone = train(recipe, tmp_path / "one", *overrides)
    with started("train", recipe, *overrides, "train.accumulation=2", "--runs-dir", tmp_path / "two", program=TORCHRUN) as process:
        _, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors
    both = only_run(tmp_path / "two")
    ours, theirs = (load_file(checkpoint.find_folder(run.checkpoints, "last") / checkpoint.WEIGHTS) for run in (alone, both))
    assert ours.keys() == theirs.keys()
    assert max(float((ours[name] - theirs[name]).abs().max()) for name in ours) < 1e-10
    found = [tensor for name, tensor in theirs.items() if name.endswith("router.bias")]
    assert len(found) == 2
    assert all(float(one.abs().max()) >= 0.02 for one in found)
    lines, expected = ([line for line in run.read_lines(METRICS) if "loss" in line] for run in (both, alone))
    for line, other in zip(lines, expected, strict=True):
        for name in ("expert_load_max", "expert_load_min", "dead_experts", "router_entropy", "sequence_balance"):
            assert line[name] == pytest.approx(other[name], rel=1e-9)
