"""`assay score` and `assay quality`: what is printed, what is kept, and what is refused."""

import io
import json
import re
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from assay.evaluation.comparability import refuse_unequal
from assay.evaluation.stored import read_stored_score
from assay.runs.directory import TEST_USES, RunDirectory
from assay.views.score import print_dynamic
from support.lab import Lab
from support.trained import call


def test_figures_beside_bits_per_byte_come_with_standard_errors(lab: Lab) -> None:
    figures = call("score", lab.run, "--json").json
    errors = figures["standard_errors"]
    wanted = {"bits_per_byte", "perplexity_per_word", "top1_accuracy", "top5_accuracy", "calibration_error", "expected_bits_per_byte"}
    assert wanted <= errors.keys()
    assert all(figures[name] > 0 and errors[name] > 0 for name in wanted)
    assert errors["bits_per_byte"] == pytest.approx(figures["standard_error"])
    assert sum(row["tokens"] for row in figures["reliability"]) == figures["tokens_scored"]
    assert len(figures["hardest"]) == len(figures["easiest"]) == 5


@pytest.mark.parametrize("name", ["end-best", "end-last", "end-training", "validation-best-step8-disjoint"])
def test_a_score_is_kept_by_unit_beside_its_figures(lab: Lab, name: str) -> None:
    call("score", lab.run, "--checkpoint", "best", "--json")
    found = sorted((lab.run / "scores").glob("validation-best-*-disjoint.json")) if name.startswith("validation") else []
    path = found[0] if found else lab.run / "scores" / f"{name}.json"
    stored = json.loads(path.read_text())
    with np.load(path.with_suffix(".npz"), allow_pickle=False) as units:
        assert set(units) == {"bytes", "characters", "words", "tokens", "bits", "top1", "top5", "group"}
        assert all(len(units[column]) == stored["units"]["count"] for column in units)
        assert units["bytes"].sum() == stored["bytes_scored"]
        assert units["bits"].sum() / units["bytes"].sum() == pytest.approx(stored["bits_per_byte"])
        assert units["top1"].sum() / units["tokens"].sum() == pytest.approx(stored["top1_accuracy"])
    assert stored["units"]["kind"] == ("chunks" if stored["standard_error_over"]["count"] < 30 else "documents")
    if name != "end-training":
        assert stored["units"]["bytes_sha256"] == stored["protocol"]["text_sha256"]


def test_the_loop_the_end_of_a_run_and_the_command_compute_the_same_score(lab: Lab) -> None:
    command = call("score", lab.run, "--checkpoint", "last", "--json").json
    run = RunDirectory(lab.run)
    loop = [line["validation"] for line in run.read_lines("metrics.jsonl") if "validation" in line][-1]
    end = json.loads((lab.run / "scores" / "end-last.json").read_text())
    assert loop["coverage"] == 1  # no sample of it
    assert loop["bits_per_byte"] == end["bits_per_byte"] == command["bits_per_byte"]
    with np.load(lab.run / "scores" / "end-last.npz") as at_the_end, np.load(Path(command["stored"]).with_suffix(".npz")) as by_command:
        assert all(np.array_equal(at_the_end[column], by_command[column]) for column in at_the_end.files)


@pytest.mark.parametrize("columns", [40, 80])
def test_the_tables_fit_into_a_terminal(lab: Lab, columns: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    answer = call("score", "last", "--detail")
    assert answer.code == 0, answer.err
    for heading in ("every figure", "by position", "by class", "calibration", "hardest documents", "easiest documents"):
        assert heading in answer.out
    assert "9-16" in answer.out
    assert "end token" in answer.out
    widest = max(len(line.rstrip()) for line in answer.out.splitlines())
    assert widest <= columns
    for line in re.findall(r"^ +\d\.\d{3}  .*$", answer.out, re.MULTILINE):
        assert len(line) <= columns


def test_without_detail_there_are_no_tables(lab: Lab) -> None:
    printed = call("score", "last").out
    assert "likeliest token" in printed
    assert "by position" not in printed


def test_a_minimum_context_is_a_stride_by_another_name(lab: Lab) -> None:
    one, other = call("score", "last", "--minimum-context", 12, "--json").json, call("score", "last", "--stride", 5, "--json").json
    assert one["protocol"] == other["protocol"]
    assert one["bits_per_byte"] == other["bits_per_byte"]
    assert "a target sees 12 to 16 tokens" in call("score", "last", "--minimum-context", 12).out
    assert call("score", "last", "--minimum-context", 1, "--json").json["protocol"]["stride"] == 16


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--minimum-context", 17), "--minimum-context: 17 exceeds the context of 16 tokens; choose 1 to 16"),
        (("--minimum-context", 4, "--stride", 4), "--minimum-context: says the same as --stride in another way; give one of them"),
        (("--minimum-context", 4, "--policy", "documents"), "stride: is for the policy strided, and the policy is documents"),
        (("--picture", "a.pdf"), "--picture: 'a.pdf' is neither .svg nor .png; write a.svg"),
    ],
)
def test_what_cannot_be_is_refused_with_a_remedy(lab: Lab, arguments: tuple[object, ...], message: str) -> None:
    answer = call("score", "last", *arguments)
    assert answer.code == 2
    assert message in " ".join(answer.err.split())


def test_each_use_of_the_test_split_is_written_down_and_told(lab: Lab) -> None:
    path = lab.run / TEST_USES
    path.unlink(missing_ok=True)
    call("score", "last")
    assert not path.exists()
    first = call("score", "last", "--split", "test")
    assert "used for the first time with this run" in first.out
    told = call("score", "last", "--split", "test", "--stride", 4, "--json").json
    uses = RunDirectory(lab.run).test_uses()
    assert told["test_uses"] == uses
    assert [use["protocol"]["stride"] for use in uses] == [16, 4]
    assert uses[1]["bits_per_byte"] == told["bits_per_byte"]
    assert {"time", "checkpoint", "protocol", "bits_per_byte"} <= uses[0].keys()
    third = call("score", "last", "--split", "test")
    assert "used 3 times with this run" in third.out
    assert uses[0]["time"] in third.out


def test_the_picture_is_the_same_byte_for_byte(lab: Lab) -> None:
    pytest.importorskip("matplotlib")
    for name in ("one.svg", "two.svg"):
        assert call("score", "last", "--picture", lab.folder / name).code == 0
    one, two = ((lab.folder / name).read_bytes() for name in ("one.svg", "two.svg"))
    assert one == two
    assert b"<svg" in one


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
    assert "split: a file has no parts" in call("score", "--hf", "nowhere", "--text", "x", "--split", "test").err
    assert "--dynamic: is not used with --hf" in call("score", "--hf", "nowhere", "--dynamic").err


@pytest.mark.filterwarnings("default")
def test_a_transformers_model_is_scored_on_a_file_and_on_the_text_of_a_recipe(lab: Lab, tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers", reason="needs transformers, of the extra huggingface")
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
    refuse_unequal([read_stored_score(Path(tree["stored"])) for tree in (ours, theirs)])  # so the two can be compared
    assert "--context: 64 tokens exceed the model's 32 positions" in call(
        "score", "--hf", tmp_path / "tiny", "--text", text, "--context", 64
    ).err.replace("\n", " ")


def test_the_figures_are_printed_and_stored(lab: Lab) -> None:
    answer = call("quality", lab.run, "--samples", 6)
    assert answer.code == 0, answer.err
    for label in ("held-out", "distinct-1 to -4 of words", "in training, byte for byte", "spans of 13 words", "distance of lengths"):
        assert label in answer.out
    (stored,) = (lab.run / "quality").glob("*-n6-s0.json")
    tree = json.loads(stored.read_text())
    assert tree["verdict"] in answer.out.replace("\n", " ")
    assert tree["samples"]["texts"] == 6
    assert tree["held_out"]["texts"] == 6
    assert tree["held_out"]["verbatim"] is None  # of fewer than 30 documents, pieces stand in for them


def test_it_is_decided_by_the_seed(lab: Lab) -> None:
    first, again, other = (call("quality", lab.run, "--samples", 5, "--tokens", 12, "--seed", seed, "--json").json for seed in (3, 3, 4))
    assert first == again
    assert first["samples"] != other["samples"]
    assert first["limit_tokens"] == 12


def test_samples_are_no_longer_than_the_model_reads(lab: Lab) -> None:
    assert call("quality", lab.run, "--samples", 2, "--tokens", 500, "--json").json["limit_tokens"] == 24


def test_its_files_are_no_scores(lab: Lab) -> None:
    before = {path.name for path in (lab.run / "scores").iterdir()}
    assert call("quality", lab.run, "--samples", 2).code == 0
    assert {path.name for path in (lab.run / "scores").iterdir()} == before


def test_an_unknown_run_is_refused(lab: Lab) -> None:
    answer = call("quality", "nonsense")
    assert answer.code == 2
    assert "no run 'nonsense'" in answer.err
