"""`assay kinds` is a table of settings with the values they take, at every width."""

import io

import pytest
from rich.console import Console

from assay.core.catalogue import Catalogue, KindInfo, SettingInfo
from assay.tools.configs import KindList
from assay.views.kinds import print_kinds

SETTINGS = (
    SettingInfo("lr", "0.001", "learning rate", {"type": "number", "above": 0}),
    SettingInfo("decay", "l2", "how the weights shrink, " * 4, {"type": "choice", "choices": ["l2", "decoupled"]}),
    SettingInfo("decays", "('matrix', 'embedding', 'head')", "roles", {"type": "list", "items": {"type": "text"}}),
)
CATALOGUE = Catalogue({"optimizer": {"adam": KindInfo("Adam.", SETTINGS), "plain": KindInfo("Nothing to set.", ())}}, {})


def printed(width: int, family: str | None = "optimizer") -> list[str]:
    out = Console(file=io.StringIO(), width=width)
    print_kinds(out, KindList(family, CATALOGUE, {}))
    return out.file.getvalue().splitlines()  # type: ignore[attr-defined]


@pytest.mark.parametrize("width", [80, 100, 120, 200])
def test_values_stand_in_a_column_below_their_title(width: int) -> None:
    lines = printed(width)
    assert lines[0] == "adam  Adam."
    title = lines[1]
    assert title.split() == ["setting", "default", "values", "what", "it", "is"]
    assert lines[2][title.index("values") :].startswith("number > 0 ")
    assert next(line for line in lines if line.startswith("  decay ")).find("l2, decoupled") == title.index("values")


@pytest.mark.parametrize("width", [40, 60, 80, 120])
def test_no_line_is_wider_than_the_window_and_no_value_is_lost(width: int) -> None:
    lines = printed(width)
    assert max(map(len, lines)) <= width
    told = " ".join(" ".join(lines).split())
    for part in ("number > 0", "l2, decoupled", "0.001", "Nothing to set."):
        assert part in told


def test_all_families_are_shown_where_all_are_asked_for() -> None:
    assert printed(100, "all")[0] == "OPTIMIZER"
    assert "  lr " in "\n".join(printed(100, "all"))
    assert printed(100, None)[1].split() == ["optimizer", "adam,", "plain"]


def test_a_program_gets_the_values_as_data() -> None:
    tree = KindList("optimizer", CATALOGUE, {}).to_dict()
    assert tree["optimizer"] == ["adam", "plain"]
    assert tree["settings"]["optimizer"]["adam"]["lr"] == {
        "default": "0.001", "description": "learning rate", "allowed": {"type": "number", "above": 0}
    }  # fmt: skip
    assert KindList(None, CATALOGUE, {}).to_dict() == {"optimizer": ["adam", "plain"]}
    assert set(KindList("all", CATALOGUE, {}).to_dict()) == {"optimizer", "settings"}
