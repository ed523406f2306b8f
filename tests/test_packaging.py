"""The package: a version, its recipes inside it, and nothing that happens at import."""

import subprocess
import sys
from importlib.metadata import version
from importlib.resources import files

import pytest
import tomli_w

import assay
from assay.core import recipe
from assay.experiment.config import ExperimentConfig
from assay.optim.torch_optimizers import AdamwConfig

HEAVY = ("torch", "numpy", "pydantic", "typer", "rich", "tokenizers")


def test_the_version_is_the_installed_one() -> None:
    assert assay.__version__ == version("assay")
    assert assay.__doc__


def test_recipes_are_inside_the_package() -> None:
    inside = {item.name for item in (files("assay") / "recipes").iterdir() if item.name.endswith(".toml")}
    assert {"bible.toml", "bible-byte.toml", "shakespeare.toml"} <= inside
    assert inside == {f"{name}.toml" for name in recipe.list_recipes()}
    assert (files("assay") / "py.typed").is_file()


@pytest.mark.parametrize("name", recipe.list_recipes())
def test_every_recipe_is_valid_and_survives_being_written(name: str) -> None:
    config = ExperimentConfig.load(name)
    assert ExperimentConfig.make(config.to_dict()) == config
    written = tomli_w.dumps(config.to_dict())
    assert ExperimentConfig.make(recipe.tomllib.loads(written)).digest() == config.digest()
    assert recipe.find_recipe(name).read_text(encoding="utf-8").startswith("# "), "a recipe begins with what it is"


def test_bible_byte_is_the_bible_on_bytes() -> None:
    left, right = ExperimentConfig.load("bible").to_dict(), ExperimentConfig.load("bible-byte").to_dict()
    assert {key for key in left if left[key] != right[key]} == {"tokenizer", "batches"}
    assert left["batches"]["window"] * left["batches"]["size"] == right["batches"]["window"] * right["batches"]["size"]


def test_shakespeare_is_nanogpts_setting() -> None:
    config = ExperimentConfig.load("shakespeare").to_dict()
    assert (config["model"]["depth"], config["model"]["width"], config["model"]["block"]["mixer"]["heads"]) == (4, 128, 4)
    assert (config["batches"]["window"], config["batches"]["size"], config["train"]["budget"]) == (64, 12, "2000steps")
    assert config["optimizer"] == AdamwConfig(lr=1e-3, beta1=0.9, beta2=0.99, eps=1e-8, weight_decay=0.1).to_dict()


def values(recipe_name: str, *keys: str) -> list[object]:
    tree = ExperimentConfig.load(recipe_name).to_dict()
    return [recipe.get_value(tree, key) for key in keys]


def test_the_recipes_of_the_notes_are_their_settings() -> None:
    shape = ("tokenizer.kind", "batches.window", "batches.size", "model.width", "model.depth", "model.block.mixer.heads", "optimizer.lr")
    assert values("bible-24-layers", *shape) == ["char", 192, 192, 128, 24, 4, pytest.approx(5e-4 * 192 / 512)]
    dropouts = ("model.embedding_dropout", "model.block.mixer.dropout", "model.block.mixer_dropout", "model.block.feedforward_dropout")
    assert values("bible-24-layers", *dropouts, "train.clip", "optimizer.weight_decay") == [0.1, 0.1, 0.1, 0.1, 1.0, 0.1]
    assert values("bible-gpt2", *shape) == ["word", 128, 192, 512, 6, 8, 3e-4]
    assert values("titles-mainrun", *shape) == ["bpe", 256, 128, 256, 6, 8, 0.007]
    rest = ("optimizer.kind", "optimizer.weight_decay", "schedule.kind", "model.init.kind", "model.block.placement", "train.budget")
    assert values("titles-mainrun", *rest) == ["adagrad", 0.0, "cosine", "xavier", "pre", "7epochs"]
    every = ("train.budget", "train.validate_every", "train.validation_bytes", "train.full_validate_every")
    assert values("enwik8-t12", *every) == ["10_000steps", "1000steps", 500_000, "10_000steps"]


@pytest.mark.parametrize(("scale", "digest"), [(None, "85ba84b46fb00dec"), ("tiny", "ca4a48ee230f176e")])
def test_titles_adagrad_is_the_config_that_it_was_in_earlier_versions(scale: str | None, digest: str) -> None:
    assert ExperimentConfig.load("titles-adagrad", scale=scale).digest().startswith(digest)


WATCH = """
import sys, os, torch, signal, threading
before = (torch.get_rng_state().sum().item(), torch.get_default_dtype(), torch.get_num_threads(), dict(os.environ),
          signal.getsignal(signal.SIGINT), threading.active_count(), os.getcwd())
import pkgutil, importlib, assay
for module in pkgutil.walk_packages(assay.__path__, "assay."):
    if not module.name.endswith("__main__"):
        importlib.import_module(module.name)
after = (torch.get_rng_state().sum().item(), torch.get_default_dtype(), torch.get_num_threads(), dict(os.environ),
         signal.getsignal(signal.SIGINT), threading.active_count(), os.getcwd())
assert before == after, [(a, b) for a, b in zip(before, after) if a != b]
assert torch.is_grad_enabled()
"""


def run(code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, *arguments, "-c", code], capture_output=True, text=True, check=False)


def test_importing_assay_imports_nothing_heavy() -> None:
    done = run(f"import sys, assay, assay.__main__; print([name for name in {HEAVY} if name in sys.modules])")
    assert (done.stdout.strip(), done.stderr) == ("[]", "")


def test_importing_every_module_does_no_work() -> None:
    done = run(WATCH, "-W", "error")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
