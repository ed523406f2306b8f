"""Translate the parameters of a sweep that have other programs' names, such as `n_layer`, to our keys."""

from collections.abc import Mapping
from functools import partial
from typing import Any

from assay.core.config_keys import find_refusal, has_key
from assay.core.foreign_settings import ForeignKeyError, ForeignSetting, load_foreign_settings
from assay.core.trees import Tree
from assay.core.words import format_list
from assay.experiment.config import ExperimentConfig

CHECK = partial(find_refusal, ExperimentConfig)


def find_foreign_setting(key: str) -> ForeignSetting | None:
    """Find the setting of another program that a dotted key means; None for a key of ours, or one that nobody has."""
    return None if has_key(ExperimentConfig, key) else load_foreign_settings().get(key.rpartition(".")[2])


def translate_fixed(place: str, foreign: ForeignSetting, value: Any) -> Mapping[str, Any]:
    """Translate a fixed value to values of our keys; none for what is no setting here. Raises ForeignKeyError."""
    translated = foreign.translate(value)
    if translated is None:
        raise ForeignKeyError(place, f"({foreign.of[0]}) {foreign.explain(value, CHECK)}")
    return translated


def translate_varied(place: str, foreign: ForeignSetting, values: Tree) -> tuple[str, Tree]:
    """Translate the values of a parameter that varies to those of one of our keys. Raises ForeignKeyError where there is no such key."""
    if foreign.no_setting is not None or foreign.example is not None:
        raise ForeignKeyError(place, f"({foreign.of[0]}) {foreign.explain('', CHECK)}")
    if len(foreign.keys) > 1:
        raise ForeignKeyError(
            place, f"({foreign.of[0]}) is {format_list(foreign.keys)} here; name the one that is to vary, or fix it with value"
        )
    [key] = foreign.keys
    if "choice" in values:
        return key, {"choice": [translate_fixed(place, foreign, value)[key] for value in values["choice"]]}
    if foreign.form != "{}" or foreign.values is not None:
        raise ForeignKeyError(
            place, f"({foreign.of[0]}) is {key} here, whose values are words such as {foreign.form.format(10)}; list them in values"
        )
    return key, values
