"""Settings bite, for the kinds that only training or the data shows: optimisers, schedules, plans, splits, tokenizers, corpora."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from assay.core import recipe
from assay.core.config import FAMILIES, Config
from assay.core.parallel import Parallel
from assay.core.trees import merge
from assay.experiment.assemble import assemble
from assay.experiment.config import ExperimentConfig
from assay.experiment.load import load_data
from assay.training.clock import Clock
from assay.training.loop import train
from properties import corpora
from properties.chosen import has_changed, is_one_of_few
from support.experiment import tree_of

FAMILY_NAMES = ("optimizer", "schedule", "batches", "split", "tokenizer", "corpus")
ROWS = {"window": 16, "size": 4}
SMALL: dict[str, dict[str, Any]] = {
    "windows": ROWS,
    "streams": ROWS,
    "documents": ROWS,
    "bpe": {"vocabulary": 280},
    "word": {"vocabulary": 270},
}
RULED = {"batch_rule": "linear", "reference_batch": 8}  # one is refused without the other


def cases() -> list[Any]:
    found = []
    for family in FAMILY_NAMES:
        for kind, leaf in FAMILIES[family].kinds.items():
            for key, field in leaf.model_fields.items():
                extra: Any = field.json_schema_extra or {}
                if key != "kind" and extra.get("affects") != "report":
                    marks = () if is_one_of_few(leaf) or has_changed(leaf) else pytest.mark.slow
                    found.append(pytest.param(family, leaf, key, extra, id=f"{family}/{kind}.{key}", marks=marks))
    return found


def outcome(text: Path, family: str, settings: dict[str, Any], affects: str) -> Any:
    """The fingerprint of the data, or all weights after 20 steps."""
    tree = merge(tree_of(text), {family: settings})
    if settings["kind"] == "streams":  # which want a model whose state stays small
        tree = merge(tree, {"model": {"kind": "recurrent", "width": 16, "hidden": [8]}})
    config = ExperimentConfig.make(recipe.apply_overrides(tree, ["train.budget=20steps"]))
    prepared = load_data(config, text.parent)
    if affects == "data":
        return prepared.fingerprint
    experiment = assemble(config, prepared, Parallel())
    train(experiment.state, experiment.setup, [], Clock())
    return torch.cat([parameter.detach().flatten() for parameter in experiment.state.learner.parameters()])


@pytest.mark.parametrize(("family", "leaf", "key", "extra"), cases())
def test_every_setting_changes_what_it_says(
    family: str, leaf: type[Config], key: str, extra: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ASSAY_CACHE", str(tmp_path / "cache"))
    text = corpora.write(tmp_path)
    corpora.know_enwik8(tmp_path, monkeypatch)
    kind, needs, other = leaf.model_fields["kind"].default, {}, extra["alternative"]
    if family == "corpus":
        needs = corpora.settings(kind, key, tmp_path)
        other = corpora.placed(corpora.OTHER.get(f"{kind}.{key}", other), tmp_path)
        if key == "hub":
            corpora.write_data_sets(tmp_path, monkeypatch)
    if key in RULED:
        needs = RULED
    plain = {"kind": kind, **SMALL.get(kind, {}), **needs}
    assert other is not None, f"{family}/{kind}.{key} has no second value; give setting(other=...)"
    before, after = (outcome(text, family, settings, extra["affects"]) for settings in (plain, merge(plain, {key: other})))
    if extra["affects"] == "data":
        assert before != after, f"{key}={json.dumps(other, default=str)} changes nothing"
    else:
        assert not torch.equal(before, after), f"{key}={json.dumps(other, default=str)} changes nothing"
