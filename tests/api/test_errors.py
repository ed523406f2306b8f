"""A mistake in a call is an error whose sentence is the one that the command prints."""

import errno
import os
import shutil
from collections.abc import Callable

import pytest
import torch

import assay
from assay.errors import ConfigError, RunError, UserError
from support.trained import call
from support.workshop import Workshop

V = 256
BYTES = [bytes([value]) for value in range(V)]
embed = torch.nn.Embedding(V, V)
single = torch.nn.Embedding(1, 1)

Mistake = tuple[Callable[[Workshop], object], tuple[str, ...]]


def mistake(call_it: Callable[[Workshop], object], *command: str) -> Mistake:
    """The same mistake in Python and on the command line."""
    return call_it, command


MISTAKES: dict[str, Mistake] = {
    "recipe": mistake(lambda w: assay.train("bibel"), "train", "bibel"),
    "recipe file": mistake(lambda w: assay.train("none.toml"), "train", "none.toml"),
    "scale": mistake(lambda w: assay.train(w.recipe, scale="huge"), "train", "RECIPE", "--scale", "huge"),
    "key": mistake(lambda w: assay.train(w.recipe, "model.widht=3"), "train", "RECIPE", "model.widht=3"),
    "key in a dict": mistake(lambda w: assay.train(w.recipe, {"model": {"widht": 3}}), "train", "RECIPE", "model.widht=3"),
    "value": mistake(lambda w: assay.train(w.recipe, "model.width=big"), "train", "RECIPE", "model.width=big"),
    "no override": mistake(lambda w: assay.train(w.recipe, "model.width"), "train", "RECIPE", "model.width"),
    "budget": mistake(lambda w: assay.train(w.recipe, budget="long"), "train", "RECIPE", "train.budget=long"),
    "run": mistake(lambda w: assay.load("tiny-of-mine"), "score", "tiny-of-mine"),
    "split": mistake(lambda w: w.run.score("tset"), "score", "RUN", "--split", "tset"),
    "checkpoint": mistake(lambda w: w.run.score(checkpoint="7"), "score", "RUN", "--checkpoint", "7"),
    "checkpoint word": mistake(lambda w: w.run.sample(checkpoint="bets"), "sample", "RUN", "--checkpoint", "bets"),
    "average": mistake(lambda w: w.run.model("average"), "sample", "RUN", "--checkpoint", "average"),
    "resume": mistake(lambda w: w.run.resume("model.width=8"), "resume", "RUN", "model.width=8"),
    "smaller budget": mistake(lambda w: w.run.resume("train.budget=5steps"), "resume", "RUN", "train.budget=5steps"),
    "one arm": mistake(lambda w: assay.compare(w.run), "compare", "RUN"),
    "no stride": mistake(lambda w: assay.compare(w.run, w.run, policy="strided"), "compare", "RUN", "RUN", "--policy", "strided"),
    "mirror": mistake(lambda w: assay.train(w.recipe, track=["paper"]), "train", "RECIPE", "--track", "paper"),
    "report": mistake(lambda w: assay.report("nothing", "page.html"), "report", "nothing", "-o", "page.html"),
    "device": mistake(lambda w: w.run.score(device="tpu"), "score", "RUN", "--device", "tpu"),
}  # fmt: skip


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_the_sentence_that_the_command_prints(name: str, workshop: Workshop) -> None:
    call_it, command = MISTAKES[name]
    with pytest.raises(UserError) as refused:
        call_it(workshop)
    named = {"RECIPE": str(workshop.recipe), "RUN": workshop.run.name}
    answer = call(*(named.get(word, word) for word in command))
    assert answer.code == 2
    assert answer.err == f"assay: error: {refused.value}\n"


@pytest.mark.parametrize(
    ("call_it", "kind", "says"),
    [
        (lambda w: assay.train("bibel"), ConfigError, "did you mean 'bible'"),
        (lambda w: assay.train(w.recipe, 3), ConfigError, "3 is no override; write 'train.seed=1' or a dict"),
        (lambda w: assay.load("nothing"), RunError, "no run 'nothing'"),
        (lambda w: assay.train(w.recipe, hooks=[3]), UserError, "hooks: 3 is neither a Hook nor a function"),
        (lambda w: assay.train(w.recipe, hooks=lambda event: None), UserError, "hooks: takes a list"),
        (lambda w: assay.score(w.run, context=3), UserError, "context: is for a model that belongs to no run"),
        (lambda w: assay.score(len), UserError, "needs its tokenizer and a text"),
        (lambda w: assay.score(len, [b"a"], "a", data_dir="x"), UserError, "data_dir: is for a run"),
        (lambda w: assay.score(len, [b"a"], "a", context=0), UserError, "context: 0 is out of range; give a number of at least 1"),
        (lambda w: assay.score(w.run, policy="carried"), UserError, "there is no 'carried'; 'carried' is called 'streams' since 0.7"),
        (lambda w: assay.score(w.run, policy="strode"), UserError, "policy: there is no 'strode'; did you mean 'strided'?"),
        (lambda w: assay.score(w.run, stride=0), UserError, "stride: 0 is out of range"),
        (lambda w: assay.score(w.run, batch_size=0), UserError, "batch_size: 0 is out of range"),
        (lambda w: w.run.sample(count=0), UserError, "count: 0 is out of range; give a number of at least 1"),
        (lambda w: w.run.sample(tokens=0), UserError, "tokens: 0 is out of range"),
        (lambda w: w.run.sample(temperature=-1), UserError, "temperature: -1 is out of range; give a number of at least 0"),
        (lambda w: w.run.sample(top_p=2), UserError, "top_p: 2 is out of range; give a number from 1e-09 to 1"),
        (lambda w: w.run.sample(checkpoint=7), RunError, "no checkpoint '7'; there are best, last, 20"),
        (lambda w: assay.train(w.recipe, track="paper"), UserError, "nothing is called 'paper'"),
        (lambda w: assay.study("harder", jobs=0), UserError, "jobs: 0 is out of range; give a number of at least 1"),
        (lambda w: assay.study("harder", jobs=-1), UserError, "jobs: -1 is out of range"),
        (lambda w: assay.search("any.toml", jobs=0), UserError, "jobs: 0 is out of range; give a number of at least 1"),
        (lambda w: assay.search("any.toml", jobs=-2), UserError, "jobs: -2 is out of range"),
        (lambda w: assay.check(embed, V, pad=9999), UserError, "pad: the model cannot read texts padded with 9999 (IndexError"),
        (lambda w: assay.check(embed, 2, pad=1), UserError, "pad: beside 1 there is a single token"),
        (lambda w: assay.check(embed, None), UserError, "vocabulary: None is no number of tokens; give a whole number from 2 on"),
        (lambda w: assay.check(single, 2), UserError, "the model knows a single token"),
        (lambda w: assay.check(embed, V, device="gpu"), UserError, "device: no device 'gpu'"),
        (lambda w: assay.check(embed, V, validation={"loss": 1.0}), UserError, "validation: dict is no validation loop"),
        (lambda w: assay.check_validation({"loss": 1.0}), UserError, "validation: dict is no validation loop"),
        (lambda w: assay.score(embed, BYTES, "abc", device="gpu"), UserError, "device: no device 'gpu'"),
        (lambda w: assay.score(embed, BYTES, [1, 2]), UserError, "text: 1 is no text; give a str, bytes, a path, or a list"),
        (lambda w: assay.score(embed, BYTES, 5), UserError, "text: 5 is no text"),
        (lambda w: assay.score(embed, {}, "x"), UserError, "the table has no tokens"),
        (lambda w: assay.score(single, ["a"], "aaa"), UserError, "the model knows a single token"),
        (lambda w: assay.train(w.recipe, hooks=[assay.Hook]), UserError, "hooks: Hook is a class; give an object of it, Hook()"),
        (lambda w: w.run.sample(None), UserError, "prompt: None is not a text or bytes"),
        (lambda w: assay.Run(w.folder / "nope").config, RunError, "nope/config.toml: cannot be read (No such file or directory)"),
        (lambda w: assay.compare(), UserError, "0 to compare"),
        (lambda w: assay.compare([], w.run), UserError, "an arm has no run"),
        (lambda w: assay.study("harder", jobs="2"), UserError, "jobs: '2' is not a whole number or None"),
        (lambda w: assay.search("any.toml", jobs=2.5), UserError, "jobs: 2.5 is not"),
        (lambda w: assay.train(w.recipe, hooks=5), UserError, "hooks: 5 is no list of hooks; write hooks=[...]"),
        (lambda w: assay.train(w.recipe, track=5), UserError, "track: 5 is no list of names"),
        (lambda w: assay.train(w.recipe, name=5), UserError, "name: 5 is not a text or None"),
        (lambda w: assay.list_runs("a\0b"), UserError, "runs_dir: 'a\\x00b' cannot be the name of a file or a folder"),
        (lambda w: assay.report(5, "page.html"), UserError, "what: 5 is neither a study nor a run"),
        (lambda w: w.run.sample(count="2"), UserError, "count: '2' is not a whole number"),
        (lambda w: w.run.sample(temperature=True), UserError, "temperature: True is not a number"),
        (lambda w: w.run.score(policy="strided"), ConfigError, "stride: is missing, and the policy strided needs it: give the new tokens"),
        (lambda w: w.run.score(policy="documents", stride=3), ConfigError, "is for the policy strided, and the policy is documents"),
        (lambda w: w.run.score("tset"), UserError, "split: no part 'tset'"),
        (lambda w: assay.compare(w.run, 5), UserError, "5 is neither a run nor the name of one"),
    ],
)  # fmt: skip
def test_what_only_python_can_ask_for_is_refused_in_a_sentence(
    call_it: Callable[[Workshop], object], kind: type[UserError], says: str, workshop: Workshop
) -> None:
    with pytest.raises(kind) as refused:
        call_it(workshop)
    assert says in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.skipif(torch.cuda.is_available(), reason="the mistake is to ask for CUDA where there is none")
@pytest.mark.parametrize("call_it", [lambda: assay.check(embed, V, device="cuda"), lambda: assay.score(embed, BYTES, "a", device="cuda:0")])
def test_cuda_where_there_is_none_names_the_argument(call_it: Callable[[], object]) -> None:
    with pytest.raises(UserError, match=r"^device: no device 'cuda(:0)?' here; this machine has cpu"):
        call_it()


def test_a_refused_call_makes_no_run(workshop: Workshop) -> None:
    with pytest.raises(UserError):
        assay.train(workshop.recipe, hooks=[3])  # type: ignore[list-item]
    with pytest.raises(UserError):
        assay.train(workshop.recipe, "model.width=big")
    assert [run.name for run in assay.list_runs()] == [workshop.run.name]


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS, errno.EACCES])
def test_a_disk_that_refuses_is_the_sentence_that_the_command_prints(
    number: int, workshop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(folder: object, *_: object) -> None:
        raise OSError(number, os.strerror(number), str(workshop.runs))

    monkeypatch.setattr("assay.trainer.train_run.create_run", refuse)
    with pytest.raises(UserError, match=f"{workshop.runs}: {os.strerror(number).lower()}; ") as refused:
        assay.train(workshop.recipe)
    assert call("train", str(workshop.recipe)).err.splitlines()[-1] == f"assay: error: {refused.value}"


def test_a_file_that_a_run_cannot_write_is_a_sentence_too(workshop: Workshop) -> None:
    scores = workshop.run.path / "scores"
    shutil.rmtree(scores)
    scores.write_text("")
    with pytest.warns(UserWarning, match=r"the score is not kept .*scores: (file exists|not a directory); name a folder"):
        assert workshop.run.score().bits_per_byte > 0
