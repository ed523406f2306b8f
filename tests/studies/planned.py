"""A study file on the tiny recipe, for tests that plan it."""

from pathlib import Path

from assay.studies.plan import StudyPlan
from assay.studies.planning import make_plan
from support.trained import RECIPE

HEAD = """
question = "Does it matter?"
base = "tiny.toml"
budget = "8steps"
"""


def study(folder: Path, body: str, recipe: str = RECIPE, head: str = HEAD) -> Path:
    """The file of a study beside its base."""
    (folder / "tiny.toml").write_text(recipe, encoding="utf-8")
    file = folder / "study.toml"
    file.write_text(head + body, encoding="utf-8")
    return file


def planned(folder: Path, body: str, recipe: str = RECIPE, head: str = HEAD, scale: str | None = None) -> StudyPlan:
    """The plan of such a study, without FLOPs."""
    return make_plan(str(study(folder, body, recipe, head)), scale, with_costs=False)
