"""What is compiled, and in which number formats training computes."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from assay.core.parallel import Parallel
from assay.core.types import Progress
from assay.data.plan import share
from assay.experiment import Experiment
from assay.nn.block import Block
from assay.train.precision import arithmetic, weight_type
from assay.train.step import train_step
from assay.train.wrap import wrap
from train.tiny import DROPOUT, build


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
    assert wrap(learner, torch.device("cpu"), Parallel(), compiled=False) is learner


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
    [("float32", torch.float32, torch.float32), ("bf16", torch.float32, torch.bfloat16), ("float64", torch.float64, torch.float64)],
)
def test_a_precision_decides_the_format_of_weights_and_of_products(
    text: Path, precision: str, weights: torch.dtype, hidden: torch.dtype
) -> None:
    experiment = build(text, *DROPOUT, f"train.precision={precision}")
    seen = []
    experiment.state.learner.model.get_submodule("blocks.0.feed.expand").register_forward_hook(lambda *call: seen.append(call[2].dtype))
    result = train_step(experiment.state, experiment.setup)
    assert set(seen) == {hidden}
    assert {tensor.dtype for tensor in experiment.state.learner.parameters()} == {weights} == {weight_type(experiment.setup.precision)}
    moments = [state["exp_avg"].dtype for state in experiment.state.optimizer.state_dict()["adamw"]["state"].values()]
    assert set(moments) == {weights}
    assert result.terms["loss"].mean.total.dtype in (torch.float32, weights)


def first_loss(experiment: Experiment) -> torch.Tensor:
    rows = experiment.setup.plan.rows(0)
    (batch,) = share(rows, 0, 1, 1)
    with arithmetic(experiment.setup.precision, experiment.setup.device):
        learned = experiment.state.learner(batch, Progress(0, 0.0, rows.targets, rows.row_count))
    total: torch.Tensor = learned.total
    return total.detach().double()


def test_lower_precisions_give_the_same_loss_but_for_rounding(text: Path) -> None:
    exact, single, half = (first_loss(build(text, f"train.precision={precision}")) for precision in ("float64", "float32", "bf16"))
    assert abs(single - exact) < 1e-5
    assert abs(half - exact) < 0.02
    assert single != exact
    assert half != single
