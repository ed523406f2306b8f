"""`python docs/make_settings_page.py`: docs/where-is-my-setting.md, the settings of other programs and what they are here.

It is made from src/assay/core/foreign_settings.toml, which the refusals of unknown keys and the import of W&B sweeps read as well.
"""

from collections import Counter
from pathlib import Path

from assay.core.foreign_settings import ForeignSetting, load_foreign_recipes, load_foreign_settings

PAGE = Path(__file__).parent / "where-is-my-setting.md"
INTRODUCTION = """\
# Where is my setting?

The settings of other programs, by their names there, and what they are here. This page is made by `docs/make_settings_page.py` from the
table that Assay reads itself: who writes `n_layer=6` after a recipe is told

```text
assay: error: n_layer (nanoGPT) is model.depth here: write model.depth=6
```

and the same in a TOML file, or at another place (`model.n_layer`, `training.max_norm`); and a [W&B sweep](search.md) with such names is
imported with ours. What each of our keys means is on the pages [Configs](config.md) and [Catalogue](catalogue.md)."""


def main() -> None:
    """Write the page."""
    PAGE.write_text(page(), encoding="utf-8")


def page() -> str:
    """Make the whole page: a table for each program, the one with most names first, and one of recipes."""
    settings = load_foreign_settings().values()
    programs = Counter(program for setting in settings for program in setting.of)
    lines = [INTRODUCTION, ""]
    for program, _ in sorted(programs.items(), key=lambda item: (-item[1], item[0].lower())):
        lines += [f"## {program}", "", "| there | here |", "|---|---|"]
        lines += [f"| `{setting.name}` | {describe(setting)} |" for setting in sorted(settings, key=name) if program in setting.of] + [""]
    lines += ["## Recipes", "", "Names that are given for a recipe, and the nearest one.", "", "| there | here |", "|---|---|"]
    for recipe in load_foreign_recipes().values():
        lines.append(f"| `{recipe.name}` ({', '.join(recipe.of)}) | `{recipe.recipe}`{f'; {recipe.note}' if recipe.note else ''} |")
    return "\n".join(lines) + "\n"


def name(setting: ForeignSetting) -> str:
    """By which settings are sorted."""
    return setting.name.lower()


def describe(setting: ForeignSetting) -> str:
    """Say in a cell of the table what a setting is here."""
    if setting.no_setting is not None:
        return f"no setting: {setting.no_setting}"
    value = "1/N" if setting.inverse else "N"
    form = "" if setting.form == "{}" else f", written `{setting.form.format(value)}`"
    values = "" if setting.values is None else ": " + ", ".join(f"`{theirs}` is `{ours}`" for theirs, ours in setting.values.items())
    note = f" ({setting.note})" if setting.note else ""
    needs = f", with `{setting.needs}`" if setting.needs else ""
    return f"{', '.join(f'`{key}`' for key in setting.keys)}{form}{note}{needs}{values}"


if __name__ == "__main__":
    main()
