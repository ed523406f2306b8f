"""An experiment put together: what fits, what is refused, and that the config alone decides it."""

from pathlib import Path

import pytest
import torch

from assay.core.parallel import Parallel
from assay.core.recipe import apply_overrides, list_recipes, load_recipe
from assay.data.prepare import PreparedText
from assay.errors import ConfigError
from assay.experiment.assemble import Experiment, ScoreTarget, amount_in_steps, assemble, build_model, make_scorer
from assay.experiment.config import ExperimentConfig
from assay.experiment.load import load_data
from assay.runs.checkpoint_ref import CheckpointRef
from support import trained

CPU = torch.device("cpu")


@pytest.fixture
def recipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ASSAY_CACHE", str(tmp_path / "cache"))
    return trained.lay(tmp_path)


def config_of(recipe: Path, *changes: str) -> ExperimentConfig:
    return ExperimentConfig.load(str(recipe), list(changes))


def prepared_of(recipe: Path, *changes: str) -> PreparedText:
    return load_data(config_of(recipe, *changes), recipe.parent / "data")


def made(recipe: Path, *changes: str) -> Experiment:
    return assemble(config_of(recipe, *changes), prepared_of(recipe, *changes), Parallel())


def test_the_config_decides_the_weights(recipe: Path) -> None:
    torch.manual_seed(1)
    first = made(recipe).state.learner.state_dict()
    torch.manual_seed(2)
    second, other = made(recipe).state.learner.state_dict(), made(recipe, "train.seed=1").state.learner.state_dict()
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert not all(torch.equal(first[name], other[name]) for name in first)


def test_the_digest_is_of_the_resolved_config(recipe: Path) -> None:
    digest = config_of(recipe).digest()
    assert config_of(recipe, "model.width=16").digest() == digest  # as it is
    assert config_of(recipe, "model.width=32").digest() != digest
    assert ExperimentConfig.make(apply_overrides(load_recipe(str(recipe)), [])).digest() == digest


@pytest.mark.parametrize("key", ["corpus", "split", "tokenizer", "batches", "model", "objective", "optimizer", "schedule"])
def test_a_part_that_is_missing_is_named(recipe: Path, key: str) -> None:
    tree = load_recipe(str(recipe))
    del tree[key]
    with pytest.raises(ConfigError, match=f"^{key}: "):
        ExperimentConfig.make(tree)


def test_a_window_longer_than_the_positions_is_refused(recipe: Path) -> None:
    assert build_model(config_of(recipe, "batches.window=24"), 257).max_length == 24
    with pytest.raises(ConfigError, match=r"batches.window: 25 tokens exceed the model's 24 positions; lower it or raise"):
        build_model(config_of(recipe, "batches.window=25"), 257)


@pytest.mark.parametrize(("text", "steps"), [("7steps", 7), ("2epochs", None), ("5min", None)])
def test_a_budget_in_steps(recipe: Path, text: str, steps: int | None) -> None:
    experiment = made(recipe, f"train.budget={text}")
    batches = experiment.setup.batches
    expected = 2 * batches.steps_per_epoch if text == "2epochs" else steps
    assert experiment.state.steps == expected == amount_in_steps(text, batches, experiment.config.batches)


def test_tokens_of_documents_are_those_that_are_read_and_not_the_padding(recipe: Path) -> None:
    experiment = made(recipe, "batches={kind=documents, window=24, size=4}", "model.position.length=24")
    batches, config = experiment.setup.batches, experiment.config.batches
    assert amount_in_steps(f"{batches.targets_per_epoch // 4}tokens", batches, config) == pytest.approx(batches.steps_per_epoch / 4, abs=1)
    assert amount_in_steps(f"{2 * batches.targets_per_epoch}tokens", batches, config) == 2 * batches.steps_per_epoch


def test_a_rhythm_is_at_least_one_step(recipe: Path) -> None:
    experiment = made(recipe)
    assert experiment.interval_in_steps("0.0001epochs") == 1
    assert experiment.interval_in_steps("3steps") == 3
    assert experiment.interval_in_steps("1epoch") == experiment.setup.batches.steps_per_epoch


def test_the_scorer_follows_the_plan(recipe: Path) -> None:
    experiment = made(recipe, "batches.document_mask=true", "train.precision=float64")
    protocol = experiment.make_validation_scorer("last").protocol
    assert (protocol.context, protocol.stride, protocol.document_mask, protocol.dtype) == (16, 16, True, "float64")
    prepared = experiment.prepared
    assert protocol.text_sha256 == prepared.parts["validation"].sha256
    assert protocol.split_sha256 == prepared.split_sha256
    assert protocol.tokenizer == prepared.tokenizer.digest
    with pytest.raises(ConfigError, match="stride: 17 exceeds the context of 16 tokens, so tokens would be left out; choose 1 to 16"):
        make_scorer(experiment.config, prepared, ScoreTarget(prepared.parts["test"], "test", CheckpointRef("last", 0)), CPU, stride=17)


def test_a_large_split_is_sampled_while_training_and_only_then(recipe: Path) -> None:
    experiment = made(recipe, "train.validation_bytes=200")
    bytes_there = experiment.prepared.parts["validation"].byte_count
    assert experiment.make_validation_scorer("x", sampled=True).sample_share == pytest.approx(200 / bytes_there)
    assert experiment.make_validation_scorer("x").sample_share == 1
    assert made(recipe).make_validation_scorer("x", sampled=True).sample_share == 1


@pytest.mark.parametrize("name", list_recipes())
def test_every_recipe_has_a_tiny_scale_of_fewer_parameters(name: str) -> None:
    whole, tiny = (ExperimentConfig.load(name, scale=scale) for scale in (None, "tiny"))
    sizes = [sum(p.numel() for p in build_model(config, 300).parameters()) for config in (whole, tiny)]
    assert sizes[1] < sizes[0] / 1.9
