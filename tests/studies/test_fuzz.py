"""Whatever is in a study's file, the answer is a plan or one sentence."""

import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assay.studies.file import BUNDLED, list_bundled
from assay.studies.planning import make_plan
from support.experiment import write_recipe, write_text
from support.fuzz import BYTES, MANY, accept_or_refuse, change, mutate, write_toml

NAMES = list_bundled()
FILES = {name: (BUNDLED / f"{name}.toml").read_bytes() for name in NAMES}
SMALL: dict[str, Any] = {
    "question": "what?", "base": "tiny.toml", "seeds": [0, 1], "report_on": "validation", "mode": "grid", "match": "steps",
    "axes": {"model.depth": [1, 2], "optimizer.lr": [0.1, 0.2]}, "variants": {"wide": {"model.width": 32, "label": "wide one"}},
    "lr_factors": [0.5, 1.0], "set": ["train.budget=3steps"], "scales": {"tiny": {"seeds": [3]}},
}  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("studies")
    write_recipe(made, write_text(made))
    return made


def plan(folder: Path, data: bytes | None, scale: str | None = None) -> None:
    if data is not None:
        (folder / "mine.toml").write_bytes(data)
        accept_or_refuse(lambda: make_plan(str(folder / "mine.toml"), scale, with_costs=False).to_dict())


@settings(max_examples=8)
@given(data=st.data(), scale=st.sampled_from((None, "tiny")))
def test_study_files_of_other_values_and_keys(folder: Path, data: st.DataObject, scale: str | None) -> None:
    plan(folder, write_toml(mutate(SMALL, data.draw)), scale)


@pytest.mark.slow
@MANY
@given(data=st.data(), scale=st.sampled_from((None, "tiny")), changes=BYTES, name=st.sampled_from(NAMES))
def test_many_study_files(folder: Path, data: st.DataObject, scale: str | None, changes: list[tuple[int, str, bytes]], name: str) -> None:
    plan(folder, write_toml(mutate(SMALL, data.draw)), scale)
    plan(folder, write_toml(mutate(tomllib.loads(FILES[name].decode()), data.draw)), scale)
    plan(folder, change(FILES[name], changes), scale)


@pytest.mark.parametrize(
    "changes",
    [
        {"axes": {key: [number / 1000 for number in range(1, 1001)] for key in ("optimizer.lr", "train.clip", "optimizer.weight_decay")}},
        {"seeds": list(range(1000)) * 2},
        {"seeds": [2**40, -1]},
        {"lr_factors": [1e300, 1e-320]},
        {"axes": {"model..depth": [1]}},
        {"axes": {"": [1]}},
        {"axes": {"model.größe": [1]}},
        {"axes": {"model.pattern.99999999999.mixer": ["full"]}},
        {"variants": {"": {"model.depth": 2}}},
    ],
)
def test_study_files_out_of_all_proportion(folder: Path, changes: dict[str, Any]) -> None:
    plan(folder, write_toml({**SMALL, **changes}))
