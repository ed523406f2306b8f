"""The settings of other programs: each leads to a key that there is, by a value that it takes, or to what to do instead."""

import re
import shlex
from typing import Any

import pytest

from assay.core import recipe
from assay.core.config_keys import has_key
from assay.core.foreign_settings import ForeignKeyError, ForeignSetting, load_foreign_recipes, load_foreign_settings
from assay.data.text_lookup import TextSettings
from assay.errors import UnknownKeyError
from assay.experiment.config import ExperimentConfig

SETTINGS = load_foreign_settings()
ASKED = """
n_layer n_embd n_head block_size max_norm grad_clip epochs evals_per_epoch vertsize n_bctx num_workers drop_last max_iters
eval_interval eval_iters learning_rate min_lr warmup_iters lr_decay_iters beta1 beta2 weight_decay dropout attn_pdrop resid_pdrop
embd_pdrop bias compile device dtype gradient_accumulation_steps batch_size per_device_train_batch_size num_train_epochs
hidden_size num_hidden_layers num_attention_heads num_key_value_heads intermediate_size max_position_embeddings rope_theta
rms_norm_eps tie_word_embeddings hidden_act fp16 bf16 logging_steps save_steps save_total_limit early_stopping_patience seed
vocab_size pin_memory shuffle wandb_log always_save_checkpoint init_from out_dir max_epochs accumulate_grad_batches gradient_clip_val
"""


def refusal(*overrides: str) -> str:
    with pytest.raises(ForeignKeyError) as refused:
        ExperimentConfig.load("bible", overrides)
    return str(refused.value)


def test_the_names_that_people_have_are_there() -> None:
    assert set(ASKED.split()) <= SETTINGS.keys()
    assert len(SETTINGS) > 150


@pytest.mark.parametrize("foreign", SETTINGS.values(), ids=lambda foreign: foreign.name)
def test_a_setting_has_keys_that_there_are_or_says_what_to_do_instead(foreign: ForeignSetting) -> None:
    assert foreign.of
    assert bool(foreign.keys) != bool(foreign.no_setting)
    assert all(has_key(ExperimentConfig, key) for key in foreign.keys)
    assert not has_key(ExperimentConfig, foreign.name)


def values_of(foreign: ForeignSetting) -> list[Any]:
    """List values that the setting has in its program."""
    if foreign.values is not None:
        return list(foreign.values)
    return [1] if foreign.inverse or foreign.form != "{}" else []


@pytest.mark.parametrize("foreign", [one for one in SETTINGS.values() if one.keys], ids=lambda foreign: foreign.name)
def test_what_is_advised_can_be_written(foreign: ForeignSetting) -> None:
    needs = [] if foreign.needs is None else [foreign.needs]
    if foreign.example is not None and foreign.needs != "model.block.mixer=bottleneck":
        needs += [f"{key}={foreign.example}" for key in foreign.keys]
    for value in values_of(foreign):
        ours = foreign.translate(value)
        assert ours is not None
        if foreign.name not in ("model_type", "group_by_length", "optim"):  # whose kinds need more settings than one
            ExperimentConfig.load("bible", [*needs, *(f"{key}={word}" for key, word in ours.items())])
    config = ExperimentConfig.load("bible", needs)
    for key in foreign.keys:
        assert has_key(type(config), key)


@pytest.mark.parametrize("foreign", load_foreign_recipes().values(), ids=lambda foreign: foreign.name)
def test_the_nearest_recipe_ships_and_is_not_hidden_by_the_name(foreign: Any) -> None:
    assert foreign.recipe in recipe.list_recipes()
    assert foreign.name == foreign.name.lower()
    assert foreign.name not in recipe.list_recipes()


@pytest.mark.parametrize(
    ("override", "sentence"),
    [
        ("n_layer=6", "n_layer (nanoGPT) is model.depth here: write model.depth=6"),
        ("model.n_layer=6", "model.n_layer (nanoGPT) is model.depth here: write model.depth=6"),
        ("training.max_norm=0.5", "training.max_norm (PyTorch) is train.clip here: write train.clip=0.5"),
        ("max_iters=5000", "max_iters (nanoGPT) is train.budget here: write train.budget=5000steps"),
        ("evals_per_epoch=4", "evals_per_epoch (mainrun) is train.validate_every here: write train.validate_every=0.25epochs"),
        ("dtype=bfloat16", "dtype (nanoGPT) is train.precision here: write train.precision=bf16"),
        ("fp16=true", "fp16 (transformers) is train.precision here: write train.precision=fp16"),
        (
            "betas=[0.9, 0.95]",
            "betas (minGPT) is optimizer.beta1 and optimizer.beta2 here: "
            "write optimizer.beta1=0.9 optimizer.beta2=0.95, with optimizer=adamw",
        ),
        (
            "min_lr=1e-4",
            "min_lr (nanoGPT) is schedule.final here (a share of the highest rate: min_lr / learning_rate): "
            "write a value of its own, such as schedule.final=0.1, with schedule=cosine",
        ),
        ("n_bctx=2", "n_bctx (sparse_attention) is no setting here: leave it out, as it is the window divided by blocksize"),
        ("out_dir=out", "out_dir (nanoGPT) is no setting here: name the folder of all runs with --runs-dir DIR"),
    ],
)
def test_a_key_of_another_program_is_told_ours(override: str, sentence: str) -> None:
    assert refusal(override).startswith(sentence)


def test_the_first_known_name_of_an_unknown_table_is_told() -> None:
    with pytest.raises(ForeignKeyError, match=r"^args\.learning_rate \(nanoGPT\) is optimizer\.lr here: write optimizer\.lr=0\.1$"):
        ExperimentConfig.make({**recipe.load_recipe("bible"), "args": {"something": 1, "learning_rate": 0.1}})


def test_a_key_of_ours_at_its_own_place_is_not_sent_to_itself() -> None:
    """The recipe's optimiser has no beta1, and that of adamw is where the table leads."""
    with pytest.raises(UnknownKeyError, match="unknown key") as refused:
        ExperimentConfig.load("bible", ["optimizer.beta1=0.9"])
    assert not isinstance(refused.value, ForeignKeyError)


def load_advised(advice: str) -> ExperimentConfig | None:
    """Load the recipe with what the advice says to write; None where it says why the value is none of ours."""
    written = re.search(r"here[^:]*(?::[^:]*)?: write (?:a value of its own, such as )?(\S+=.*?)(?:, with (\S+))?$", advice)
    if written is None:
        assert ", which cannot be " in advice
        return None
    return ExperimentConfig.load("bible", [*([written[2]] if written[2] else []), *shlex.split(written[1])])


def test_an_advice_leads_to_a_config_that_is_accepted() -> None:
    for override in ("n_layer=2", "max_norm=0.5", "epochs=2", "dropout=0.1", "bias=true", "num_key_value_heads=2", "betas=[0.8, 0.9]"):
        assert load_advised(refusal(override))


@pytest.mark.parametrize("value", ["abc", "0", "-1", "0.5", "polynomial", "no", "[1, 2]"])
def test_what_is_advised_for_odd_values_is_accepted(value: str) -> None:
    asked = [one.name for one in SETTINGS.values() if one.keys and one.needs != "model.block.mixer=bottleneck"]  # which needs more settings
    configs = [load_advised(refusal(f"{name}={value}")) for name in asked]
    assert any(configs)
    assert None in configs


@pytest.mark.parametrize(
    ("override", "sentence"),
    [
        ("lr_scheduler_type=polynomial", r"schedule here, which cannot be polynomial: list its kinds with `assay kinds schedule`"),
        ("optim=adafactor", r"optimizer here, .*`assay kinds optimizer`"),
        ("model_type=mistral", r"model here, .*`assay kinds model`"),
        ("epochs=abc", r"train\.budget here, which cannot be abcepochs: .*write it like 300steps"),
        ("n_embd=abc", r"model\.width here, which cannot be abc: .*write a whole number"),
        ("save_steps=0", r"train\.save_every here, which cannot be 0steps: .*give a positive amount"),
        ("evals_per_epoch=0", r"train\.validate_every here, which cannot be 0epochs"),
        ("eval_steps=0.1", r"train\.validate_every here: write a value of its own, such as train\.validate_every=500steps"),
        ("eval_strategy=no", r"such as train\.validate_every=500steps"),
        ("vertsize=3", r"such as model\.block\.mixer\.summary=32"),
        ("max_epochs=3", r"write train\.budget=3epochs"),
        ("hidden_act=gelu_new", r"write 'model\.block\.feedforward\.activation=\{kind=gelu, approximate=tanh\}'"),
    ],
)
def test_a_value_that_ours_refuses_or_that_is_none_of_theirs_is_not_advised(override: str, sentence: str) -> None:
    assert re.search(sentence, refusal(override))


def test_a_command_that_reads_a_part_of_the_settings_advises_no_others() -> None:
    with pytest.raises(ForeignKeyError, match=r"only corpus, split and tokenizer are read"):
        TextSettings.make({"corpus": "bible", "split": "hash", "tokenizer": "char", "n_embd": 3})
