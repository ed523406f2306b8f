"""A study that an earlier version began goes on with the names that it has, and a file in the earlier words is read."""

import json
import tomllib
from pathlib import Path
from typing import Any

import pytest
import tomli_w

from assay.core.renames import restore, restore_key
from assay.studies.plan import StudyPlan
from studies.planned import planned
from support.trained import RECIPE

BODY = """
mode = "grid"
seeds = [0, 1]
set = ["batches.document_mask=false", "model.position=none", "model.block.mixer=lstm"]
[axes]
"batches.size" = [8, 4]
"model.block.feedforward.bias" = [true, false]
[variants.feed]
"batches" = { kind = "streams", window = 8 }
"""
RECURRENT = 'set = ["model.position=none", "model.block.mixer=lstm"]\n'
FIRST_NAMES = {"batches.size=4, feedforward.bias=false": "batch=4, feed.bias=false", "batches.size=4": "batch=4"}
FIRST_NAMES["feedforward.bias=false"] = "feed.bias=false"


def begin_with_earlier_version(folder: Path, plan: StudyPlan) -> None:
    """Write a plan as 0.6 wrote it: the keys, kinds and names of arms and runs in its words."""
    names = {arm.name: FIRST_NAMES.get(arm.name, arm.name) for arm in plan.arms}
    runs = {job.run: job.run.replace("batches.size", "batch").replace("feedforward", "feed") for job in plan.jobs}
    (folder / "jobs").mkdir(parents=True)
    for job in plan.jobs:
        (folder / "jobs" / f"{runs[job.run]}.toml").write_text(tomli_w.dumps(restore(job.config)), encoding="utf-8")
    study = plan.study.to_dict()
    variant = study["variants"]["feed"]
    first = {
        **restore(study),
        "set": ["plan.document_mask=false", "model.position=none", "model.block.mixer=lstm"],
        "variants": {"feed": restore(variant)},
    }
    (folder / "study.toml").write_text(tomli_w.dumps(first), encoding="utf-8")
    tree: dict[str, Any] = json.loads(json.dumps(plan.to_dict()))
    for arm in tree["arms"]:
        arm["axis"] = arm["axis"] and restore_key(arm["axis"])
        arm |= {"name": names[arm["name"]], "config": restore(arm["config"]), "values": restore(arm["values"])}
    tree["jobs"] = [{**job, "run": runs[job["run"]], "arm": names[job["arm"]]} for job in tree["jobs"]]
    tree["chosen"] = {names[arm]: factor for arm, factor in tree["chosen"].items()}
    (folder / "plan.json").write_text(json.dumps(tree), encoding="utf-8")


def test_the_plan_of_an_earlier_version_is_read_and_written_in_todays_words(tmp_path: Path) -> None:
    folder = tmp_path / "begun"
    plan = planned(tmp_path, BODY)
    begin_with_earlier_version(folder, plan)
    assert "batches" not in (folder / "plan.json").read_text() + (folder / "study.toml").read_text()
    earlier = StudyPlan.read(folder)
    assert [arm.name for arm in earlier.arms] == ["base", "feed.bias=false", "batch=4", "batch=4, feed.bias=false", "feed"]
    assert earlier.study == plan.study
    for old, new in zip(earlier.arms, plan.arms, strict=True):
        assert (old.config, old.values, old.axis) == (new.config, new.values, new.axis)
    assert [job.config for job in earlier.jobs] == [job.config for job in plan.jobs]


def test_a_study_that_an_earlier_version_began_makes_no_run_twice(tmp_path: Path) -> None:
    folder = tmp_path / "begun"
    begin_with_earlier_version(folder, planned(tmp_path, BODY))
    earlier = StudyPlan.read(folder)
    again = planned(tmp_path, BODY).keep_names(folder)
    assert again == earlier
    again.write(folder)
    assert {path.stem for path in (folder / "jobs").iterdir()} == {job.run for job in earlier.jobs}
    assert StudyPlan.read(folder) == earlier
    grown = planned(tmp_path, BODY.replace("[0, 1]", "[0, 1, 2]")).keep_names(folder)
    assert {job.run for job in earlier.jobs} < {job.run for job in grown.jobs}


def test_a_variant_with_a_new_label_is_called_so(tmp_path: Path) -> None:
    folder = tmp_path / "begun"
    planned(tmp_path, '[variants.deep]\n"model.depth" = 2\n').write(folder)
    again = planned(tmp_path, '[variants.deeper]\n"model.depth" = 2\n').keep_names(folder)
    assert [arm.name for arm in again.arms] == ["base", "deeper"]


def test_configs_of_runs_keep_their_first_digest(tmp_path: Path) -> None:
    folder = tmp_path / "begun"
    begin_with_earlier_version(folder, planned(tmp_path, BODY))
    for file in (folder / "jobs").iterdir():
        assert "plan" in tomllib.loads(file.read_text(encoding="utf-8"))
    assert [job.run[-11:] for job in StudyPlan.read(folder).jobs] == [job.run[-11:] for job in planned(tmp_path, BODY).jobs]


@pytest.mark.parametrize(
    ("earlier", "today"),
    [
        ('[axes]\n"plan.batch" = [8, 4]\n', '[axes]\n"batches.size" = [8, 4]\n'),
        ('[axes]\n"model.block.feed.bias" = [true, false]\n', '[axes]\n"model.block.feedforward.bias" = [true, false]\n'),
        ('[variants.one]\n"plan.batch" = 4\n', '[variants.one]\n"batches.size" = 4\n'),
        (f'{RECURRENT}[variants.one]\n"plan" = "lanes"\n', f'{RECURRENT}[variants.one]\n"batches" = "streams"\n'),
        ('set = ["plan.batch=4"]\n', 'set = ["batches.size=4"]\n'),
    ],
)
def test_a_study_file_in_earlier_words_is_that_in_todays(tmp_path: Path, earlier: str, today: str) -> None:
    plans = [planned(tmp_path, body) for body in (earlier, today)]
    first, second = ([(arm.name, arm.config.to_dict()) for arm in plan.arms] for plan in plans)
    assert first == second


def test_a_base_in_earlier_words_is_that_in_todays(tmp_path: Path) -> None:
    recipes = (RECIPE.replace("[batches]", "[plan]").replace("size =", "batch ="), RECIPE)
    assert "batch =" in recipes[0]
    first, second = (planned(tmp_path, "", recipe).arms[0].config for recipe in recipes)
    assert first == second
