"""What each command prints, for people and for scripts."""

import json
import re
import shutil
import tomllib
from pathlib import Path

import pytest

import assay
from assay.core.config import FAMILIES
from assay.core.recipe import list_recipes
from assay.runs.directory import METRICS, RunDirectory
from support.lab import Lab
from support.trained import call


def test_train_prints_one_json_document_and_tells_the_rest_on_stderr(lab: Lab) -> None:
    assert lab.answer.code == 0, lab.answer.err
    figures = json.loads(lab.answer.out)
    assert figures["bits_per_byte"] == figures["scores"]["best"]["bits_per_byte"]
    assert figures["scores"]["best"]["coverage"] == 1
    assert "step 8/8" in lab.answer.err
    assert "assay train tiny" in lab.answer.err


def test_the_run_directory_is_complete(lab: Lab) -> None:
    found = {path.name for path in lab.run.iterdir()}
    wanted = {
        "config.toml",
        "provenance.json",
        "tokenizer.json",
        "status.json",
        METRICS,
        "timings.jsonl",
        "checkpoints",
        "samples",
        "scores",
    }
    assert wanted <= found
    assert RunDirectory(lab.run).status()["state"] == "finished"
    assert re.fullmatch(r"tiny-[0-9a-f]{8}-s0", lab.run.name)
    assert [line["step"] for line in RunDirectory(lab.run).read_lines(METRICS) if "loss" in line] == [2, 4, 6, 8]
    assert {path.stem for path in (lab.run / "scores").iterdir()} >= {"end-best", "end-last", "end-training"}


def test_score_has_what_scripts_rely_on(lab: Lab) -> None:
    figures = call("score", lab.run, "--json").json
    assert {"bits_per_byte", "bytes_scored", "bytes_in_split", "tokens_scored", "protocol"} <= figures.keys()
    assert figures["bytes_scored"] == figures["bytes_in_split"] == figures["tokens_scored"]
    assert figures["bits_per_byte"] == lab.answer.json["bits_per_byte"]
    assert figures["protocol"]["split"] == "validation"
    assert json.loads(Path(figures["stored"]).read_text())["bits_per_byte"] == figures["bits_per_byte"]


def test_the_validation_of_the_loop_is_what_score_computes(lab: Lab) -> None:
    last = [line for line in RunDirectory(lab.run).read_lines(METRICS) if "validation" in line][-1]
    figures = call("score", lab.run.name, "--checkpoint", "last", "--json").json
    assert last["step"] == 8
    for name in ("bits_per_byte", "standard_error", "nats_per_token", "bytes_scored", "coverage"):
        assert last["validation"][name] == figures[name]


def test_score_reads_each_document_alone_where_asked(lab: Lab) -> None:
    told = call("score", "last", "--policy", "documents", "--json").json
    assert (told["protocol"]["policy"], told["coverage"]) == ("documents", 1)
    assert told["stored"].endswith("-documents.json")
    assert "each document alone" in call("score", "last", "--policy", "documents").out


def test_score_does_not_depend_on_the_batch_size_and_tells_the_stride(lab: Lab) -> None:
    one, other = (call("score", "last", "--batch-size", size, "--stride", 5, "--json").json for size in (3, 50))
    assert one["bits_per_byte"] == pytest.approx(other["bits_per_byte"], rel=1e-6)
    assert one["protocol"]["stride"] == 5
    assert one["stored"].endswith("-stride5.json")


@pytest.mark.parametrize("split", ["train", "validation", "test"])
def test_score_prints_every_figure_with_its_protocol(lab: Lab, split: str) -> None:
    printed = call("score", "last", "--split", split).out
    for word in ("bits per byte", "+-", "bits per character", "nats per token", "perplexity", f"{split}, windows of 16 tokens, disjoint"):
        assert word in printed
    scored, whole = re.search(r"([\d,]+) of ([\d,]+) bytes", printed).groups()
    assert scored == whole


def test_kinds_is_family_to_list_of_kinds() -> None:
    found = call("kinds", "--json").json
    assert found == {name: list(family.kinds) for name, family in sorted(FAMILIES.items())}
    assert "full" in found["mixer"]
    assert call("kinds", "recipe", "--json").json == {"recipe": list_recipes()}


def test_kinds_of_a_family_show_their_settings() -> None:
    printed, traits = call("kinds", "mixer").out, call("kinds", "mixer", "--traits").out
    assert "key_heads" in printed
    assert "query heads H" in printed
    assert "positions:" not in printed
    assert "positions: learned, none, per_layer, row_column, sinusoidal; sees all of the past; its state does not grow with" in traits
    assert call("kinds", "mixer", "--traits", "--json").json["traits"]["local"]["reach"] == 127
    assert all(name in call("kinds").out for name in (*FAMILIES, "gpt2-small", "shakespeare"))
    assert "nanoGPT" in call("kinds", "recipe").out
    assert "GPT-2's shape" in call("kinds", "preset").out


def test_runs_lists_what_was_trained(lab: Lab) -> None:
    row = next(row for row in call("runs", "--json").json if row["run"] == lab.run.name)
    assert (row["state"], row["step"]) == ("finished", 8)
    assert f"{lab.answer.json['bits_per_byte']:.4f}" in call("runs").out
    empty = call("runs", "--runs-dir", lab.folder / "none")
    assert empty.code == 0
    assert "train one with: assay train bible" in empty.out
    assert call("runs", "--runs-dir", lab.folder / "none", "--json").json == []


@pytest.mark.parametrize("what", ["tiny.toml", "gpt2-tiny", "last", "bible"])
def test_show_tells_config_shapes_and_totals(lab: Lab, what: str) -> None:
    printed = call("show", what).out
    for word in ("model", "mixer", "full", "embedding.weight", "parameters", "FLOPs a token", "memory", "vocabulary"):
        assert word in printed
    tree = call("show", what, "--json").json
    assert sum(part["count"] for part in tree["parameters"]) == tree["parameters_total"]
    assert f"{tree['parameters_total']:,}" in printed


def test_show_folds_identical_layers_and_takes_overrides() -> None:
    printed = call("show", "gpt2-tiny").out
    assert "blocks.0-3.mixer.project.weight" in printed
    assert "blocks.1." not in printed
    mixed = call("show", "gpt2-tiny", 'model.pattern=[{}, {}, {feedforward={kind="glu"}}]', "depth=6").out
    assert all(f"blocks.{span}." in mixed for span in ("0-1", "2", "3-4", "5"))


def test_show_as_toml_is_a_recipe_for_the_same_thing(lab: Lab) -> None:
    text = call("show", "last", "--toml").out
    (lab.folder / "again.toml").write_text(text)
    assert tomllib.loads(text) == call("show", "last", "--json").json["config"]
    assert call("diff", "again.toml", "last", "--json").json == {}


def test_diff_lists_what_differs_and_nothing_else(lab: Lab) -> None:
    (lab.folder / "wide.toml").write_text('extends = "tiny.toml"\n[model]\nwidth = 32\n')
    found = call("diff", "tiny.toml", "wide.toml", "--json").json
    assert found["model.width"] == {"left": 16, "right": 32}
    assert {key.partition("_")[0] for key in found} == {"model.width", "parameters", "flops"}
    printed = call("diff", "tiny.toml", "wide.toml").out
    assert re.search(r"model\.width\s+16\s+32", printed)
    assert call("diff", "tiny.toml", "last").out.strip() == "tiny.toml and last do not differ"


def test_dry_run_tells_the_costs_and_leaves_no_run(lab: Lab) -> None:
    before = set((lab.folder / "runs").iterdir())
    facts = call("train", lab.recipe, "--dry-run", "--json").json
    assert facts["steps"] == 8
    assert facts["tokens_per_epoch"] == RunDirectory(lab.run).provenance()["data"]["parts"]["train"]["bytes"]  # a token a byte
    assert facts["epochs"] == pytest.approx(8 / facts["steps_per_epoch"])
    assert {"memory_bytes", "training_seconds", "tokens_per_second", "parameters", "flops_per_token"} <= facts.keys()
    assert call("train", lab.recipe, "train.budget=1min", "--dry-run", "--json").json["steps"] > 100
    assert "tokens an epoch" in call("train", lab.recipe, "--dry-run").out
    assert set((lab.folder / "runs").iterdir()) == before


def test_sample_writes_what_its_seed_decides(lab: Lab) -> None:
    def samples(*options: object) -> list[str]:
        return call("sample", "last", "--tokens", 20, "--json", *options).json["samples"]

    assert samples("--seed", 1, "--count", 3) == samples("--seed", 1, "--count", 5)[:3] != samples("--seed", 2, "--count", 3)
    assert all(text.startswith("lïne ") for text in samples("--prompt", "lïne "))
    assert len(set(samples("--temperature", 0))) == 1
    assert set(samples("--top-k", 1)) == set(samples("--temperature", 0))
    assert samples("--min-p", 0.3, "--top-p", 0.5, "--count", 1) != []


def test_one_sample_is_streamed_and_equals_the_batched_one(lab: Lab) -> None:
    (text,) = call("sample", "last", "--count", 1, "--tokens", 20, "--prompt", "naïve", "--json").json["samples"]
    streamed = call("sample", "last", "--count", 1, "--tokens", 20, "--prompt", "naïve").out
    assert streamed.startswith("naïve")
    assert re.sub(r"\\x[0-9a-f]{2}", "", streamed).rstrip("\n") == re.sub(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]", "", text).rstrip("\n")
    assert "\x1b" not in call("sample", "last", "--count", 20).out


def test_a_second_run_of_the_same_recipe_overwrites_nothing_and_a_finished_one_is_extended(lab: Lab) -> None:
    again = call("train", lab.recipe, "train.samples=0", "--name", "tiny", "--json").json
    twice = call("train", lab.recipe, "train.samples=0", "--name", "tiny", "--json").json
    assert Path(twice["run"]).name == Path(again["run"]).name + "-2"
    assert again["bits_per_byte"] == twice["bits_per_byte"]
    moved = lab.folder / "elsewhere"
    shutil.move(twice["run"], moved)
    longer = call("resume", moved, "train.budget=12steps", "--json").json
    assert longer["run"] == str(moved)
    assert RunDirectory(moved).status()["step"] == 12
    assert call("score", moved, "--json").json["bits_per_byte"] == longer["bits_per_byte"]
    assert len(call("diff", moved, again["run"], "--json").json) == 1
    shutil.rmtree(moved)
    shutil.rmtree(again["run"])


def test_seed_is_short_for_its_key(lab: Lab) -> None:
    assert (
        call("train", lab.recipe, "--seed", 7, "train.budget=1step", "--json", "--runs-dir", lab.folder / "seeds")
        .json["run"]
        .endswith("-s7")
    )


def test_alone_it_shows_what_to_do_first() -> None:
    answer = call()
    assert (answer.code, answer.err) == (0, "")
    assert answer.out.index("assay train bible") < answer.out.index("assay score last")
    assert max(map(len, answer.out.splitlines())) <= 60


def test_version_and_help() -> None:
    assert call("--version").out == f"assay {assay.__version__}\n"
    listed = call("--help")
    assert listed.code == 0
    for command in ("train", "resume", "score", "sample", "runs", "kinds", "show", "diff", "verify-resume"):
        assert command in listed.out
        assert "--help" in call(command, "--help").out


@pytest.mark.parametrize("width", [60, 200])
@pytest.mark.parametrize(
    "command",
    [
        ("runs",),
        ("score", "last"),
        ("show", "last"),
        ("show", "gpt2-tiny"),
        ("diff", "bible", "bible-byte"),
        ("kinds",),
        ("kinds", "optimizer"),
    ],
)
def test_a_terminal_of_any_width_cuts_nothing_off(width: int, command: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    answer = call(*command)
    assert answer.code == 0, answer.err
    assert "…" not in answer.out
    assert max(map(len, answer.out.splitlines())) <= width
    figures = re.compile(r"\d[\d,.]*\d")
    monkeypatch.setenv("COLUMNS", "1000")
    assert sorted(figures.findall(answer.out)) == sorted(figures.findall(call(*command).out))
