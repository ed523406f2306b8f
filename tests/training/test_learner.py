"""What is compiled and what is computed twice, and in which number formats training computes."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from assay.core.parallel import Parallel
from assay.core.types import TrainingProgress
from assay.data.batches import shard_batch
from assay.errors import ConfigError
from assay.experiment.assemble import Experiment
from assay.nn.block import Block
from assay.training import checkpoint
from assay.training.learner import wrap_learner
from assay.training.loop import train_step
from assay.training.precision import weight_dtype
from support.commands import only_run, started
from support.experiment import DROPOUT, build, write_recipe

RECOMPUTED = "train.activation_checkpointing=true"
TORCHRUN = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", "-m", "assay")
STREAMS = ("batches={kind='streams', window=16, size=4}", "model.block.mixer={kind='xl', heads=2, segment=8, memory=8}")
MIXTURE = ("model.block.feedforward={kind='deepseek_moe', experts=4, hidden=8}",)


def test_each_block_is_compiled_and_nothing_around_it(text: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    compiled: list[torch.nn.Module] = []

    def note(module: torch.nn.Module) -> None:
        compiled.append(module)

    monkeypatch.setattr(torch.nn.Module, "compile", note)
    build(text, "model.depth=3")
    assert compiled == []
    experiment = build(text, "model.depth=3", "train.compile=true")
    assert compiled == [module for module in experiment.state.learner.modules() if isinstance(module, Block)]
    assert len(compiled) == 3


def test_every_block_may_be_compiled_in_its_own_way(text: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.nn.Module, "compile", lambda module: None)
    with torch._dynamo.config.patch(recompile_limit=8):
        build(text, "model.depth=1", "train.compile=true")
        assert torch._dynamo.config.recompile_limit == 8
        build(text, "model.depth=12", "train.compile=true")
        assert torch._dynamo.config.recompile_limit == 96


def test_one_process_trains_the_learner_itself(text: Path) -> None:
    learner = build(text).state.learner
    assert wrap_learner(learner, torch.device("cpu"), Parallel(), compiled=False) is learner


@pytest.fixture
def no_compiled_code() -> Iterator[None]:
    """Nothing that was compiled before counts against dynamo's limits, nor does this afterwards."""
    torch._dynamo.reset()
    yield
    torch._dynamo.reset()


@pytest.mark.inductor
@pytest.mark.filterwarnings("ignore")  # torch's compiler warns of itself
@pytest.mark.usefixtures("no_compiled_code")
def test_compiled_training_agrees_with_eager_training(text: Path) -> None:
    eager, compiled = build(text, "train.precision=float64"), build(text, "train.precision=float64", "train.compile=true")
    for _ in range(3):
        for experiment in (eager, compiled):
            train_step(experiment.state, experiment.setup)
    theirs = compiled.state.learner.state_dict()
    for name, tensor in eager.state.learner.state_dict().items():
        torch.testing.assert_close(tensor, theirs[name.replace("_orig_mod.", "")], rtol=0, atol=1e-9)


@pytest.mark.parametrize(
    ("precision", "weights", "hidden"),
    [
        ("float32", torch.float32, torch.float32),
        ("bf16", torch.float32, torch.bfloat16),
        ("bf16_weights", torch.float32, torch.bfloat16),
        ("fp16", torch.float32, torch.float16),
        ("float64", torch.float64, torch.float64),
    ],
)
def test_a_precision_decides_the_format_of_weights_and_of_products(
    text: Path, precision: str, weights: torch.dtype, hidden: torch.dtype
) -> None:
    experiment = build(text, *DROPOUT, f"train.precision={precision}")
    seen = []
    experiment.state.learner.model.get_submodule("blocks.0.feedforward.expand").register_forward_hook(
        lambda *call: seen.append(call[2].dtype)
    )
    result = train_step(experiment.state, experiment.setup)
    assert set(seen) == {hidden}
    assert {tensor.dtype for tensor in experiment.state.learner.parameters()} == {weights} == {weight_dtype(experiment.setup.precision)}
    moments = [state["exp_avg"].dtype for state in experiment.state.optimizer.state_dict()["adamw"]["state"].values()]
    assert set(moments) == {weights}
    assert result.terms["loss"].mean.total.dtype in (torch.float32, weights)


def first_loss(experiment: Experiment) -> torch.Tensor:
    rows, state = experiment.setup.batches.batch_at(0), experiment.state
    (batch,) = shard_batch(rows, 0, 1, 1)
    with state.mixed_precision.cast_weights(state.learner):
        learned = state.mixed_precision.forward(state.learner, batch, TrainingProgress(0, 0.0, rows.targets, rows.row_count), None)
    return learned.total.detach().double()


def test_lower_precisions_give_the_same_loss_but_for_rounding(text: Path) -> None:
    formats = ("float64", "float32", "bf16", "bf16_weights", "fp16")
    exact, single, *halves = (first_loss(build(text, f"train.precision={precision}")) for precision in formats)
    assert abs(single - exact) < 1e-5
    assert single != exact
    for half in halves:
        assert 0 < abs(half - exact) < 0.02
        assert half != single
    assert len(set(map(float, halves))) == 3


def weights_after(experiment: Experiment, steps: int = 3) -> dict[str, Tensor]:
    for _ in range(steps):
        train_step(experiment.state, experiment.setup)
    return experiment.state.learner.state_dict()


@pytest.mark.parametrize("precision", ["float64", "bf16", "bf16_weights"])
@pytest.mark.parametrize("settings", [DROPOUT, MIXTURE, STREAMS, ("model.position={kind='relative', dropout=0.2}",)], ids=str)
def test_recomputed_blocks_train_bit_for_bit_as_kept_ones(text: Path, settings: tuple[str, ...], precision: str) -> None:
    """With dropout, with experts whose loads move their biases, with carried memory, with positions that live outside the blocks."""
    asked = (*settings, "model.depth=2", "train.accumulation=2", f"train.precision={precision}")
    kept, recomputed = weights_after(build(text, *asked)), weights_after(build(text, *asked, RECOMPUTED))
    assert all(torch.equal(tensor, recomputed[name]) for name, tensor in kept.items())


def bytes_kept(experiment: Experiment) -> int:
    """Of tensors that the forward pass keeps for the backward pass, each storage once."""
    kept: dict[int, int] = {}

    def pack(tensor: Tensor) -> Tensor:
        kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        first_loss(experiment)
    return sum(kept.values())


def test_recomputed_blocks_keep_their_inputs_alone(text: Path) -> None:
    """What a further layer costs: without, all that is between its maps; with, the residual stream, B T D numbers."""
    costs = {}
    for setting in ("train.seed=0", RECOMPUTED):
        two, six = (bytes_kept(build(text, *DROPOUT, f"model.depth={depth}", setting)) for depth in (2, 6))
        costs[setting] = (six - two) / 4
    stream = 4 * 16 * 16 * 4
    assert costs[RECOMPUTED] == stream
    assert costs["train.seed=0"] > 10 * stream


def test_a_model_without_blocks_has_nothing_to_recompute(text: Path) -> None:
    with pytest.raises(
        ConfigError, match=r"train\.activation_checkpointing: computes blocks twice, and this model has none; set it to false"
    ):
        build(text, "model={kind='recurrent', width=16, hidden=[24]}", RECOMPUTED)


@pytest.mark.filterwarnings("ignore")  # torch's compiler warns of itself
@pytest.mark.usefixtures("no_compiled_code")
@pytest.mark.parametrize("settings", [("train.precision=float64", RECOMPUTED), ("train.precision=bf16_weights",)], ids=str)
def test_captured_blocks_train_as_eager_ones(text: Path, settings: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    captured = partial(torch.compile, backend="aot_eager")
    eager = weights_after(build(text, "model.depth=2", *settings))
    monkeypatch.setattr(torch, "compile", captured)
    theirs = weights_after(build(text, "model.depth=2", "train.compile=true", *settings))
    for name, tensor in eager.items():
        torch.testing.assert_close(tensor, theirs[name], rtol=0, atol=1e-9 if "float64" in settings[0] else 2e-3)


def after_training(text: Path, folder: Path, settings: tuple[str, ...], program: tuple[str, ...]) -> dict[str, Any]:
    with started("train", write_recipe(text.parent, text), *settings, "--runs-dir", folder, program=program) as process:
        _, errors = process.communicate(timeout=200)
    assert process.returncode == 0, errors
    weights: dict[str, Any] = load_file(checkpoint.find_folder(only_run(folder).checkpoints, "last") / checkpoint.WEIGHTS)
    return weights


@pytest.mark.slow
def test_two_processes_recompute_and_copy_weights_as_one_does(text: Path, tmp_path: Path) -> None:
    """The same four micro-batches: gradients are added up in float32, in another order."""
    settings = ("train.precision=bf16_weights", RECOMPUTED, "train.budget=4steps", "train.validate_every=4steps", "optimizer.eps=1e-3")
    one = after_training(text, tmp_path / "one", (*settings, "train.accumulation=4"), ("-m", "assay"))
    two = after_training(text, tmp_path / "two", (*settings, "train.accumulation=2"), TORCHRUN)
    assert max(float((one[name] - two[name]).abs().max()) for name in one) < 1e-5
