"""Every mistake is one line with the place, the cause and the remedy, and an exit code; never a traceback."""

import errno
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from assay.errors import Interrupted, NonFiniteLoss
from assay.trainer.trainer import Trainer
from support.lab import Lab
from support.trained import TEXT, Answer, call


def refused(answer: Answer, *words: str, code: int = 2) -> None:
    """One line on stderr, nothing on stdout, and all of `words` in it."""
    assert answer.code == code, answer.err
    assert answer.err.count("\n") == 1, answer.err
    assert answer.err.startswith("assay: error: "), answer.err
    assert answer.out == ""
    for word in words:
        assert word in answer.err, answer.err


def test_a_command_of_earlier_versions_says_where_it_went() -> None:
    refused(call("demo", "lies", "--only", "3"), "examples/six_lies.py")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("model.widht=8", ("model.widht", "did you mean 'width'?")),
        ("modle.width=8", ("modle", "did you mean 'model'?")),
        ("model.block.mixer=ful", ("model.block.mixer", "unknown kind 'ful'", "did you mean 'full'?")),
        ("optimizer=sdg", ("optimizer", "unknown kind 'sdg'", "did you mean 'sgd'?")),
        ("model.width=wide", ("model.width", "integer", "'wide'")),
        ("model.width=1.5", ("model.width", "integer", "1.5")),
        ("model.width=0", ("model.width", "greater than or equal to 1", "0")),
        ("train.seed=-1", ("train.seed", "greater than or equal to 0")),
        ("model.block.mixer.heads=3", ("model.block.mixer.heads", "3 heads do not divide the width 16", "choose")),
        ("train.budget=soon", ("train.budget", "'soon'", "300steps")),
        ("train.budget=0steps", ("train.budget", "positive")),
        ("train.log_every=1min", ("train.log_every", "steps, epochs or tokens")),
        ("batches.window=25", ("batches.window", "25", "24 positions", "lower it")),
        ("split.validation=0.95", ("split.validation", "below 1")),
        ("corpus.sha256=abc", ("corpus.sha256", "not abc", "correct the setting")),
        ("corpus.path=missing.txt", ("corpus.path", "missing.txt", "--data-dir")),
        ("model.width", ("'model.width'", "key=value")),
        ("model.pattern=[1", ("model.pattern", "cannot read")),
        ("train.device=cuda", ("train.device", "no device 'cuda' here", "this machine has cpu")),
    ],
    ids=str,
)
def test_a_wrong_config_names_its_place_and_the_remedy(lab: Lab, change: str, words: tuple[str, ...]) -> None:
    refused(call("train", lab.recipe, change, "--dry-run"), *words)


def test_the_shakespeare_recipe_says_where_its_text_is_to_be_had() -> None:
    refused(call("train", "shakespeare"), "input.txt", "char-rnn/master/data/tinyshakespeare", "--data-dir")


RUN_COMMANDS = [("score",), ("sample",), ("resume",)]


@pytest.mark.parametrize("command", RUN_COMMANDS, ids=str)
def test_an_unknown_run_names_the_nearest_one(lab: Lab, command: tuple[str, ...]) -> None:
    refused(call(*command, lab.run.name[:-1] + "9"), "no run", f"did you mean '{lab.run.name}'?")
    refused(call(*command, "last", "--runs-dir", lab.folder / "none"), "no runs in", "assay train bible", "--runs-dir")


def test_what_cannot_be_shown_or_compared_names_the_nearest_thing() -> None:
    refused(call("show", "bibel"), "neither a recipe, nor a preset, nor a run", "did you mean 'bible'?")
    refused(call("diff", "bible", "gpt2-smal"), "did you mean 'gpt2-small'?")
    refused(call("kinds", "mixers"), "no family 'mixers'", "did you mean 'mixer'?")
    refused(call("kinds", "feed"), "'feed' is called 'feedforward' since 0.7; write that")
    refused(call("kinds", "norm", "--traits"), "--traits", "is for `assay kinds mixer`")
    refused(call("train", "shakespear"), "unknown recipe 'shakespear'", "did you mean 'shakespeare'?")
    refused(call("train", "nowhere.toml"), "no recipe file nowhere.toml", "bible")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--split", "vlaidation"), ("split: no part", "'vlaidation'", "did you mean 'validation'?")),
        (("--stride", 17), ("stride", "17 exceeds the context of 16", "choose 1 to 16")),
        (("--checkpoint", "beast"), ("no checkpoint 'beast'", "best, last, 8")),
        (("--checkpoint", "3"), ("no checkpoint '3'",)),
        (("--batch-size", 0), ("'--batch-size'", "assay score --help")),
        (
            ("--policy", "streams"),
            ("policy: streams carry state", "this model has 24 positions", "choose another policy, such as disjoint"),
        ),
        (("--policy", "strided"), ("stride: is missing", "the policy strided needs it")),
        (("--policy", "all"), ("--policy: 'all' is no policy", "disjoint")),
        (("--policy", "carried"), ("--policy: 'carried' is called 'streams' since 0.7",)),
        (("--stride", "two"), ("'--stride'", "integer")),
        (("--strid", 3), ("--strid ", "--stride", "assay score --help")),
    ],
    ids=str,
)
def test_wrong_options_of_score(arguments: tuple[object, ...], words: tuple[str, ...]) -> None:
    refused(call("score", "last", *arguments), *words)


def test_wrong_options_of_sample() -> None:
    refused(call("sample", "last", "--prompt", "x" * 30), "prompt has 30 tokens", "reads at most 23", "shorten")
    refused(call("sample", "last", "--top-p", 2), "'--top-p'")


def test_unknown_commands_and_missing_arguments_are_as_short() -> None:
    refused(call("trian"), "'trian'", "train", "`assay --help`")
    refused(call("--verison"), "--verison", "--version", "`assay --help`")
    refused(call("score"), "missing argument", "RUN", "`assay score --help`")
    refused(call("runs", "extra"), "extra", "`assay runs --help`")


def test_an_option_of_another_program_is_told_our_key() -> None:
    refused(call("train", "bible", "--n_layer=6"), "--n_layer (nanoGPT) is model.depth here: write model.depth=6")
    refused(call("train", "bible", "--max-grad-norm=1"), "--max-grad-norm (transformers) is train.clip here: write train.clip=1")
    refused(call("train", "bible", "--out_dir", "out"), "--out_dir (nanoGPT) is no setting here", "--runs-dir DIR")
    refused(call("train", "bible", "--n_embd=abc"), "--n_embd (nanoGPT) is model.width here, which cannot be abc")


def test_an_option_of_another_command_is_no_setting_of_another_program() -> None:
    refused(call("study", "show", "s1.toml", "--data-dir", "."), "no such option: --data-dir; `assay study show` does not take it")
    refused(call("compare", "--batch-size", "3"), "no such option: --batch-size; `assay compare` does not take it")
    refused(call("train", "bible", "--data_dir=."), "no such option: --data_dir; did you mean --data-dir?")
    refused(call("train", "bible", "--device=cpu"), "write train.device=cpu")


def test_a_recipe_that_is_not_toml(lab: Lab) -> None:
    path = lab.folder / "broken.toml"
    path.write_text("model = [\n")
    refused(call("show", path), "broken.toml", "not valid TOML")
    path.write_bytes(b"\xff\xfe")
    refused(call("show", path), "broken.toml", "not valid TOML")


def test_recipes_that_extend_each_other(lab: Lab) -> None:
    for name, other in (("a", "b"), ("b", "a")):
        (lab.folder / f"{name}.toml").write_text(f'extends = "{other}.toml"\n')
    refused(call("show", "a.toml"), "extends", "circle", "a -> b -> a")
    (lab.folder / "c.toml").write_text('extends = "bibel"\n')
    refused(call("show", "c.toml"), "bibel", "did you mean 'bible'?")


@pytest.fixture
def copied(lab: Lab) -> Iterator[Path]:
    path = lab.folder / "copied"
    shutil.copytree(lab.run, path)
    yield path
    shutil.rmtree(path)


@pytest.mark.parametrize("command", [*RUN_COMMANDS, ("show",)], ids=str)
@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("width = 16", "widht = 16", ("model.widht", "did you mean 'width'?")),
        ("width = 16", "width = [", ("not valid TOML",)),
        ('kind = "full"', 'kind = "ful"', ("model.block.mixer", "did you mean 'full'?")),
    ],
    ids=["key", "toml", "kind"],
)
def test_a_run_whose_config_was_edited_into_something_wrong(
    copied: Path, command: tuple[str, ...], old: str, new: str, words: tuple[str, ...]
) -> None:
    config = copied / "config.toml"
    config.write_text(config.read_text().replace(old, new))
    refused(call(*command, copied), f"error: {config}: ", *words)


@pytest.mark.parametrize("command", RUN_COMMANDS, ids=str)
def test_a_run_whose_config_fits_no_longer_what_was_saved(copied: Path, command: tuple[str, ...]) -> None:
    config = copied / "config.toml"
    config.write_text(config.read_text().replace("width = 16", "width = 32"))
    refused(call(*command, copied), f"{config}: was changed since the run began", "restore it from a copy")


def damage_weights(run: Path) -> None:
    next(run.glob("checkpoints/step-00000008/model.safetensors")).write_bytes(b"not weights")


def lose_the_state(run: Path) -> None:
    (run / "checkpoints/step-00000008/state.pt").unlink()


def lose_the_checkpoints(run: Path) -> None:
    shutil.rmtree(run / "checkpoints")


def damage_the_tokenizer(run: Path) -> None:
    (run / "tokenizer.json").write_text("{")


@pytest.mark.parametrize("command", [("score", "--checkpoint", "last"), ("sample", "--checkpoint", "last"), ("resume",)], ids=str)
@pytest.mark.parametrize(
    ("harm", "words"),
    [
        (damage_weights, ("model.safetensors is damaged or missing", "no checkpoint of this run is whole")),
        (lose_the_checkpoints, ("holds no checkpoint", "save_every")),
    ],
)
def test_an_unreadable_checkpoint(copied: Path, command: tuple[str, ...], harm: Callable[[Path], None], words: tuple[str, ...]) -> None:
    harm(copied)
    refused(call(*command, copied), str(copied), *words)


def test_a_run_that_lost_its_training_state_is_still_sampled_and_scored(copied: Path) -> None:
    lose_the_state(copied)
    refused(call("resume", copied), "state.pt is damaged or missing", "--checkpoint 8 reads them to sample and to score")
    for command in ("sample", "score"):
        assert call(command, copied, "--checkpoint", "8").code == 0


def test_a_damaged_tokenizer(copied: Path) -> None:
    damage_the_tokenizer(copied)
    for command in ("score", "sample", "show"):
        refused(call(command, copied), "tokenizer", "copy tokenizer.json from the run")


def test_a_text_that_changed_since_the_run_is_not_scored_as_if_it_were_the_same(lab: Lab) -> None:
    file = lab.folder / "data" / "inner" / "tiny.txt"
    file.write_text(TEXT + "one more line\n" * 40)
    try:
        refused(call("score", "last"), lab.run.name, "the corpus has changed since")
        refused(call("resume", lab.run), "trained on other data")
    finally:
        file.write_text(TEXT, encoding="utf-8")
    assert call("score", "last").code == 0


def test_resume_changes_nothing_but_the_budget(lab: Lab) -> None:
    refused(call("resume", "last", "model.width=32"), "model.width", "assay train", "train.budget")


def test_a_runs_folder_that_cannot_be_one(lab: Lab) -> None:
    refused(call("train", lab.recipe, "--runs-dir", lab.recipe), str(lab.recipe), "is a file", "name a folder")
    refused(call("train", lab.recipe, "--name", "a/b"), "'a/b' cannot be a run's name")


@pytest.mark.parametrize(
    ("raised", "code", "said"),
    [
        (MemoryError(), 1, "error: out of memory: raise train.accumulation"),
        (
            RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate 8 bytes"),
            1,
            "error: out of memory",
        ),
        (RuntimeError("CUDA out of memory. Tried to allocate 2 GiB"), 1, "error: out of memory"),
        (OSError(errno.ENOSPC, "No space left on device", "runs/x"), 2, "error: runs/x: no space left on device; make room"),
        (PermissionError(errno.EACCES, "Permission denied", "runs/x"), 2, "error: runs/x: permission denied; change its permissions"),
        (NonFiniteLoss("step 3: the gradient is not finite"), 1, "error: step 3: the gradient is not finite"),
        (Interrupted("stopped after step 3 and saved; go on with: assay resume x"), 130, "stopped after step 3 and saved; go on with"),
        (KeyboardInterrupt(), 130, "interrupted"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, BaseException) else "",
)
def test_what_is_nobodys_mistake_has_its_own_exit_code(
    monkeypatch: pytest.MonkeyPatch, lab: Lab, raised: BaseException, code: int, said: str
) -> None:
    def fail(fit: Trainer) -> None:
        raise raised

    monkeypatch.setattr(Trainer, "run", fail)
    answer = call("train", lab.recipe, "--json", "--runs-dir", lab.folder / "failing")
    assert answer.code == code
    assert answer.out == ""
    assert answer.err.splitlines()[-1].startswith(f"assay: {said}")
    assert "Traceback" not in answer.err


def test_a_bug_is_not_dressed_up_as_a_mistake(monkeypatch: pytest.MonkeyPatch, lab: Lab) -> None:
    def fail(fit: Trainer) -> None:
        raise RuntimeError("shapes do not match")

    monkeypatch.setattr(Trainer, "run", fail)
    with pytest.raises(RuntimeError, match="shapes do not match"):
        call("train", lab.recipe, "--runs-dir", lab.folder / "failing")


def test_no_message_holds_a_line_break_or_a_traceback(lab: Lab) -> None:
    answer = call("train", lab.recipe, "model.block.feedforward.activation.kind=tanhh")
    refused(answer, "model.block.feedforward.activation")
    assert not re.search(r"pydantic|Traceback|validation error", answer.err)
