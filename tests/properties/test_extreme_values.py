"""Every setting of every kind takes a value that is out of all proportion, or refuses it in a sentence with its place."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from assay.core.config import FAMILIES
from assay.core.parallel import Parallel
from assay.core.recipe import set_value
from assay.core.trees import merge
from assay.errors import AssayError, is_out_of_memory
from assay.experiment.assemble import assemble
from assay.experiment.config import ExperimentConfig
from assay.experiment.load import load_data
from assay.training.clock import Clock
from assay.training.config import TrainConfig
from assay.training.loop import train
from support.experiment import tree_of, write_text
from support.kinds import PREFERRED, SIDE, accepted_positions, position, tiny

VALUES: tuple[Any, ...] = (
    0, -1, 1, 2**31, 2**40, 2**70, 0.0, -0.5, 1e-320, 1e20, 1e300, float("inf"), float("nan"), "", "é\0\ud800", [], [-1], [2**40], {},
    {"": 1}, True, None,
)  # fmt: skip
AT_ONCE = 1  # of these, in make test, each setting taking others
PLACES = {
    "mixer": "model.block.mixer", "feedforward": "model.block.feedforward", "norm": "model.block.norm", "residual": "model.block.residual",
    "position": "model.position", "activation": "model.block.feedforward.activation", "init": "model.init", "cell": "model.cell",
}  # fmt: skip
SMALL = {"bpe": {"vocabulary": 280}, "word": {"vocabulary": 270}}
PREPARED_BY_A_KIND = ("corpus",)  # what is to be had of another place than a file


@pytest.fixture(scope="module")
def text(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_text(tmp_path_factory.mktemp("text"))


def settings() -> Iterator[tuple[str, str, str]]:
    for family, members in FAMILIES.items():
        for kind, leaf in members.kinds.items():
            if family not in PREPARED_BY_A_KIND or kind == "text":
                yield from ((family, kind, key) for key in leaf.model_fields if key not in ("kind", "path"))
    yield from (("train", "", key) for key in TrainConfig.model_fields)


def tree_with(text: Path, family: str, kind: str) -> Any:
    """A tiny experiment with a kind in its place."""
    whole = tree_of(text, "train.budget=1steps")
    if family == "train" or family in PREPARED_BY_A_KIND:
        return whole
    leaf = FAMILIES[family].kinds[kind]
    plain: Any = {"kind": kind, "window": 16, "size": 4} if family == "batches" else {"kind": kind, **SMALL.get(kind, {})}
    if family == "cell":
        whole = merge(whole, {"model": {"kind": "recurrent", "width": 16, "hidden": [8]}})
    if family == "activation":
        whole = set_value(whole, "model.block.feedforward", "mlp")
    if family == "residual":
        whole = merge(
            whole, {"model": {"block": {"placement": getattr(leaf, "allowed_placements", ("pre",))[0]}, "init": {"outputs": "plain"}}}
        )
    if family == "mixer":
        whole["model"]["position"] = position(next(name for name in PREFERRED if name in accepted_positions(leaf())))
    return set_value(whole, PLACES.get(family, family), tiny(leaf).to_dict() if family in SIDE else plain)


def find_failure(text: Path, setting: tuple[str, str, str], value: Any, *, runs: bool) -> str:
    """Make the config and, where it `runs`, build everything and take a step; say what went wrong other than in one sentence."""
    family, kind, key = setting
    try:
        config = ExperimentConfig.make(set_value(tree_with(text, family, kind), f"{PLACES.get(family, family)}.{key}", value))
        if runs:
            experiment = assemble(config, load_data(config, None), Parallel())
            if experiment.state.steps == 1:
                train(experiment.state, experiment.setup, [], Clock())
    except AssayError as refused:
        return f"{key}={value!r}: several lines: {refused}" if "\n" in str(refused) else ""
    except Exception as failed:
        return "" if is_out_of_memory(failed) else f"{key}={value!r}: {failed!r}"
    return ""


@pytest.mark.parametrize(
    ("number", "setting"), list(enumerate(settings())), ids=lambda one: ".".join(one) if isinstance(one, tuple) else ""
)
def test_some_values_of_every_setting_make_a_config_or_a_sentence(text: Path, number: int, setting: tuple[str, str, str]) -> None:
    for index in range(AT_ONCE):
        assert not find_failure(text, setting, VALUES[(number * AT_ONCE + index) % len(VALUES)], runs=False)


@pytest.mark.slow
@pytest.mark.parametrize("setting", list(settings()), ids=".".join)
def test_all_values_of_every_setting_train_or_are_a_sentence(text: Path, setting: tuple[str, str, str]) -> None:
    for value in VALUES:
        assert not find_failure(text, setting, value, runs=setting[2] != "compile")
