"""`assay quality`: the table, the stored figures, and what is refused."""

import json

from support.lab import Lab
from support.trained import call


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
