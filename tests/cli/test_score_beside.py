"""`assay score` with dynamic evaluation, with a harness's figure, and of a transformers model."""

import io
import json
from pathlib import Path

import pytest
from rich.console import Console

from assay.evaluation.comparable import refuse_unequal
from assay.evaluation.stored import read_stored
from assay.views.score_beside import print_dynamic
from support.lab import Lab
from support.trained import call


def test_dynamic_evaluation_has_a_column_of_its_own(lab: Lab) -> None:
    plain = call("score", lab.run, "--json").json
    both = call("score", lab.run, "--dynamic", "--json").json
    assert {name: both[name] for name in plain} == plain
    column = both["dynamic"]
    assert column["static_bits_per_byte"] == plain["bits_per_byte"]
    assert column["difference"] == pytest.approx(column["bits_per_byte"] - plain["bits_per_byte"])
    assert column["difference"] != 0
    assert (plain["protocol"]["dynamic"], column["protocol"]["dynamic"]) == ("", "rate 0.0002, decay 0.003")
    kept = json.loads(Path(plain["stored"].replace(".json", "-dynamic.json")).read_text())
    assert kept["bits_per_byte"] == column["bits_per_byte"]
    printed = call("score", lab.run, "--dynamic").out
    assert "each piece is scored before the weights learn from it" in printed
    assert f"{column['bits_per_byte']:.5f}" in printed


@pytest.mark.parametrize("reading", [(), ("--stride", 5), ("--policy", "documents")])
def test_with_rate_0_the_dynamic_figure_is_the_static_one(lab: Lab, reading: tuple[object, ...]) -> None:
    tree = call("score", lab.run, *reading, "--dynamic", "--dynamic-rate", 0, "--json").json
    assert tree["dynamic"]["bits_per_byte"] == pytest.approx(tree["bits_per_byte"], abs=1e-7)
    assert tree["dynamic"]["difference"] == pytest.approx(0, abs=1e-7)


@pytest.mark.parametrize(("dynamic", "told"), [(1.4, False), (1.6, True)])
def test_a_rate_that_makes_it_worse_is_told(dynamic: float, told: bool) -> None:
    out = Console(file=io.StringIO(), width=200)
    figures = {"static_bits_per_byte": 1.5, "bits_per_byte": dynamic, "difference": dynamic - 1.5, "difference_standard_error": 0.01}
    print_dynamic(out, {**figures, "protocol": {"dynamic": "rate 1, decay 0"}})
    assert ("--dynamic-rate is too high" in out.file.getvalue()) is told


def test_a_rate_that_breaks_the_weights_is_refused(lab: Lab) -> None:
    broken = call("score", lab.run, "--dynamic", "--dynamic-rate", 1e30)
    assert broken.code == 1
    assert "--dynamic-rate: 1e+30 drives this model's weights" in broken.err.replace("\n", " ")


def test_the_harness_stands_beside_the_honest_figure(lab: Lab) -> None:
    tree = call("score", lab.run, "--legacy", "mainrun", "--legacy-shapes", "4x2,16x8", "--json").json
    small, large = tree["legacy"]
    assert (small["label"], small["block"], small["batch"]) == ("legacy, incomplete coverage", 4, 2)
    assert large["coverage"] < small["coverage"] < 1
    assert small["nats_per_character"] < tree["nats_per_character"]
    printed = call("score", lab.run, "--legacy", "mainrun", "--legacy-shapes", "4x2").out
    assert "legacy, incomplete coverage, block 4 x batch 2" in printed
    assert f"{tree['nats_per_character']:.4f}" in printed
    assert "100.0 %" in printed


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--dynamic-rate", 0.1), "add --dynamic"),
        (("--legacy-shapes", "4x2"), "add --legacy mainrun"),
        (("--legacy", "mainrun", "--legacy-shapes", "4by2"), "'4by2' is not a block and a batch"),
        (("--legacy", "mainrun"), "rows of 128 tokens exceed the model's 24 positions"),
        (("--text", "x"), "--text: is for --hf"),
        (("--context", 4), "--context: is for --hf"),
        (("--hf", "nowhere"), "RUN: is not used with --hf"),
    ],
)
def test_what_would_do_nothing_or_cannot_be_is_refused(lab: Lab, options: tuple[object, ...], message: str) -> None:
    answer = call("score", lab.run, *options)
    assert answer.code == 2
    assert message in answer.err.replace("\n", " ")


def test_something_must_be_scored(lab: Lab) -> None:
    assert "missing argument RUN" in call("score").err
    assert "give --text FILE or --corpus RECIPE" in call("score", "--hf", "nowhere").err
    assert "--split: a file has no parts" in call("score", "--hf", "nowhere", "--text", "x", "--split", "test").err
    assert "--dynamic: is not used with --hf" in call("score", "--hf", "nowhere", "--dynamic").err


@pytest.mark.filterwarnings("default")
def test_a_transformers_model_is_scored_on_a_file_and_on_the_text_of_a_recipe(lab: Lab, tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers", reason="needs transformers: pip install 'assay[huggingface]'")
    tokenizers = pytest.importorskip("tokenizers")
    config = transformers.GPT2Config(vocab_size=300, n_positions=32, n_embd=8, n_layer=1, n_head=2, bos_token_id=256, eos_token_id=256)
    transformers.GPT2LMHeadModel(config).save_pretrained(tmp_path / "tiny")
    made = tokenizers.Tokenizer(tokenizers.models.BPE())
    made.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    alphabet = tokenizers.pre_tokenizers.ByteLevel.alphabet()
    made.train_from_iterator([], tokenizers.trainers.BpeTrainer(initial_alphabet=alphabet, show_progress=False))
    made.save(str(tmp_path / "tiny" / "tokenizer.json"))
    text = tmp_path / "text.txt"
    text.write_bytes("naïve\n\ntext\n".encode() * 9)
    scored = call("score", "--hf", tmp_path / "tiny", "--text", text, "--json").json
    assert scored["bytes_scored"] == text.stat().st_size
    assert scored["bits_per_byte"] == pytest.approx(8.2, abs=0.2)  # it knows nothing, of 300 tokens of a byte each
    assert Path(scored["stored"]).is_file()
    ours = call("score", lab.run, "--json").json
    theirs = call("score", "--hf", tmp_path / "tiny", "--corpus", lab.recipe, "--stride", 7, "--json").json
    assert theirs["bytes_scored"] == ours["bytes_scored"]
    assert theirs["protocol"]["text_sha256"] == ours["protocol"]["text_sha256"]
    assert theirs["units"] == ours["units"]
    assert theirs["protocol"]["stride"] == 7
    refuse_unequal([read_stored(Path(tree["stored"])) for tree in (ours, theirs)])  # so the two can be compared
    assert "--context: 64 tokens exceed the model's 32 positions" in call(
        "score", "--hf", tmp_path / "tiny", "--text", text, "--context", 64
    ).err.replace("\n", " ")
