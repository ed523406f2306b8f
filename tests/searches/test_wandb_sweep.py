"""A W&B sweep as a search file."""

import math
from pathlib import Path
from typing import Any

import pytest

from assay.errors import ConfigError
from assay.searches.space import Space
from assay.searches.wandb_sweep import read_sweep, translate_sweep

SWEEP = """
program: train.py
project: bible
name: rates
description: Which learning rate is best?
method: bayes
metric: {name: val_loss, goal: minimize}
run_cap: 20
early_terminate: {type: hyperband, min_iter: 3, eta: 2}
parameters:
  optimizer:
    parameters:
      lr: {distribution: log_uniform_values, min: 1e-4, max: 1e-1}
      weight_decay: {min: 0.0, max: 0.2}
  model.depth: {min: 2, max: 8}
  model.width: {distribution: q_uniform, q: 16, min: 60, max: 130}
  model.block.norm: {values: [rms, layer]}
  train.clip: {value: 1e-1}
  train.compile: {value: false}
"""


def sweep(**changes: Any) -> dict[str, Any]:
    return {"method": "random", "run_cap": 3, "parameters": {"optimizer.lr": {"min": 0.1, "max": 0.2}}, **changes}


def test_a_sweep_says_the_same_as_a_search_file(tmp_path: Path) -> None:
    (tmp_path / "sweep.yaml").write_text(SWEEP)
    tree, early, left_out = translate_sweep(read_sweep(tmp_path / "sweep.yaml"), "bible")
    assert tree == {
        "question": "Which learning rate is best?",
        "base": "bible",
        "sampler": "tpe",
        "metric": "nats_per_token",
        "set": ["train.clip=0.1", "train.compile=false"],
        "trials": 20,
        "space": {
            "optimizer.lr": {"log": [1e-4, 1e-1]},  # which YAML reads as words
            "optimizer.weight_decay": {"uniform": [0.0, 0.2]},
            "model.depth": {"int": [2, 8]},
            "model.width": {"int": [64, 128], "step": 16},
            "model.block.norm": {"choice": ["rms", "layer"]},
        },
    }
    assert early == (3, 2)
    assert left_out == ("program", "project")
    assert len(Space(tree["space"]).dimensions) == 5


def test_hyperband_by_its_longest_run_begins_at_the_shortest_bracket() -> None:
    _, early, _ = translate_sweep(sweep(early_terminate={"type": "hyperband", "max_iter": 27, "s": 2}), "bible")
    assert early == (27 // 9, 3)


def test_words_in_lists_of_values_become_numbers_where_they_are() -> None:
    tree, _, _ = translate_sweep(
        sweep(parameters={"optimizer.lr": {"values": ["1e-4", "3e-4", 1]}, "a": {"values": ["1e", "e5"]}}), "bible"
    )
    assert tree["space"] == {"optimizer.lr": {"choice": [1e-4, 3e-4, 1]}, "a": {"choice": ["1e", "e5"]}}


def test_a_lattice_of_fractions_keeps_to_multiples_of_q() -> None:
    parameters = {"train.clip": {"distribution": "q_uniform", "q": 0.5, "min": 0.4, "max": 2.1}}
    tree, _, _ = translate_sweep(sweep(parameters=parameters), "bible")
    assert tree["space"]["train.clip"] == {"uniform": [0.5, 2.0], "step": 0.5}
    assert math.isclose(Space(tree["space"]).grid_points()[-1]["train.clip"], 2.0)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"method": "hyper"}, "method: is 'hyper'"),
        ({"metod": "grid"}, "metod: is no key of a sweep that Assay can translate; did you mean 'method'?"),
        ({"controller": {"type": "local"}}, "controller: is no key"),
        ({"metric": {"name": "val_los"}}, "metric.name: 'val_los' is no figure of Assay"),
        ({"metric": {"name": "val_loss", "goal": "maximize"}}, "metric.goal: val_loss is better the lower it is; write minimize"),
        ({"metric": {"name": "val_loss", "target": 3}}, "metric.target: cannot be translated"),
        ({"early_terminate": {"type": "median"}}, "early_terminate.type: is 'median'; only hyperband"),
        ({"early_terminate": {"type": "hyperband", "strict": True}}, "early_terminate.strict: cannot be translated"),
        ({"parameters": {"a": {"distribution": "normal", "mu": 0, "sigma": 1}}}, "parameters.a.mu: cannot be translated: it has no limits"),
        ({"parameters": {"a": {"distribution": "log_uniform", "min": -9, "max": -2}}}, "limits are exponents"),
        ({"parameters": {"a": {"values": [1, 2], "probabilities": [0.1, 0.9]}}}, "values cannot have probabilities"),
        ({"parameters": {"a": {"min": "x", "max": 2}}}, "parameters.a.min: expects a number, not 'x'"),
        ({"parameters": {"a": {"distribution": "int_uniform", "min": 0.5, "max": 2}}}, "int_uniform needs whole numbers"),
        ({"parameters": {"a": {"distribution": "unform", "min": 0, "max": 2}}}, "'unform' is not known; did you mean 'uniform'?"),
        ({"parameters": {"a": {"vlaues": [1]}}}, "parameters.a.vlaues: is not known of a parameter; did you mean 'values'?"),
        ({"parameters": {"a": {"value": [1, 2]}}}, "parameters.a.value: cannot be translated"),
        ({"parameters": None}, "parameters: is missing"),
    ],
)
def test_what_has_no_counterpart_is_refused_in_a_sentence(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError) as refused:
        translate_sweep(sweep(**changes), "bible")
    assert said in str(refused.value)


def test_broken_yaml_is_refused_with_the_place(tmp_path: Path) -> None:
    (tmp_path / "sweep.yaml").write_text("method: [grid\nparameters: 1\n")
    with pytest.raises(ConfigError, match=r"is not valid YAML: .*line 2"):
        read_sweep(tmp_path / "sweep.yaml")
    (tmp_path / "list.yaml").write_text("- 1\n")
    with pytest.raises(ConfigError, match="is no W&B sweep"):
        read_sweep(tmp_path / "list.yaml")


def test_parameters_with_other_programs_names_become_ours() -> None:
    parameters = {
        "n_layer": {"values": [2, 4]},
        "learning_rate": {"distribution": "log_uniform_values", "min": "1e-4", "max": "1e-2"},
        "training": {"parameters": {"max_norm": {"min": 0.5, "max": 2.0}}},
        "epochs": {"value": 3},
        "resid_pdrop": {"value": 0.1},
        "num_workers": {"value": 4},
    }
    tree, _, ignored = translate_sweep(sweep(parameters=parameters), "bible")
    assert tree["set"] == ["train.budget=3epochs", "model.block.mixer_dropout=0.1", "model.block.feedforward_dropout=0.1"]
    assert tree["space"] == {
        "model.depth": {"choice": [2, 4]}, "optimizer.lr": {"log": [1e-4, 1e-2]}, "train.clip": {"uniform": [0.5, 2.0]},
    }  # fmt: skip
    assert ignored == ("num_workers",)
    tree, _, _ = translate_sweep(sweep(parameters={"max_iters": {"values": [100, 200]}}), "bible")
    assert tree["space"] == {"train.budget": {"choice": ["100steps", "200steps"]}}


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ({"num_workers": {"values": [1, 2]}}, r"parameters\.num_workers \(PyTorch\) is no setting here: leave it out"),
        (
            {"dropout": {"values": [0.1, 0.2]}},
            r"parameters\.dropout \(nanoGPT\) is .* here; name the one that is to vary",
        ),
        (
            {"max_iters": {"min": 1, "max": 9}},
            r"parameters\.max_iters \(nanoGPT\) is train.budget here, .* words such as 10steps",
        ),
        ({"min_lr": {"value": 0.1}}, r"parameters\.min_lr \(nanoGPT\) .*a share of the highest rate"),
        ({"n_layer": {"value": 2}, "model.depth": {"values": [1, 2]}}, r"model.depth: is model.depth here, which is set before"),
    ],
)
def test_what_another_program_s_parameter_cannot_be_is_said(parameters: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        translate_sweep(sweep(parameters=parameters), "bible")
