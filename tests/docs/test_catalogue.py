"""The catalogue is what the code says now, has every kind with all that is to be said of it, and links that lead somewhere."""

import importlib
import json
import re
from pathlib import Path
from types import ModuleType

import pytest

from assay.core.config import FAMILIES
from assay.nn.mixer.windows import LocalConfig

DOCS = Path(__file__).parents[2] / "docs"
TEXT = (DOCS / "catalogue.md").read_text(encoding="utf-8")
ROW = {
    "mixer": "local", "context": 1024, "parameters": 5_000_000, "flops_per_token": 31_460_000, "tokens_per_second": 12_345.6,
    "tokens_per_second_of_full": 1.254, "seconds": [0.3], "peak_memory_bytes": 300 * 2**20, "peak_memory_of_full": 0.5,
    "state_bytes": 96 * 1024, "disturbed": False,
}  # fmt: skip
MACHINE = {"cpu": "Some CPU", "torch": "2.9", "threads": 2}
MIXERS = {"machine": MACHINE, "precision": "float32", "device": "cpu", "mixers": [ROW]}


@pytest.fixture
def catalogue(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(DOCS))
    return importlib.import_module("make_catalogue")


@pytest.fixture
def docstrings(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(DOCS))
    return importlib.import_module("docstrings")


def without_costs(text: str) -> str:
    lines = [line for line in text.splitlines() if not line.startswith(("- Cost", "Costs are"))]
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines))


def sections() -> dict[str, str]:
    """What is below each heading of a kind or a part."""
    found = re.split(r"^###? (.*)$", TEXT, flags=re.MULTILINE)[1:]
    return dict(zip(found[::2], found[1::2], strict=True))


def test_the_page_is_what_the_code_says_now(catalogue: ModuleType) -> None:
    assert without_costs(TEXT) == without_costs(catalogue.page({}, {})), "run make catalogue"


def test_every_kind_has_a_section_and_a_line_at_the_top() -> None:
    expected = {
        f"{name}: `{kind}`": f"- [`{kind}`](#{name}-{kind}): "
        for name, family in FAMILIES.items()
        for kind, leaf in family.kinds.items()
        if leaf.__module__.startswith("assay.")
    }
    assert len(expected) > 60
    assert expected.keys() <= sections().keys()
    assert all(line in TEXT for line in expected.values())


def test_a_section_lists_every_option_of_its_kind() -> None:
    for family in FAMILIES.values():
        for kind, leaf in family.kinds.items():
            listed = re.findall(r"^\| `(\w+)` \|", sections()[f"{family.name}: `{kind}`"], re.MULTILINE)
            assert listed == [key for key in leaf.model_fields if key != "kind"], kind


def test_parts_of_models_tell_their_papers_deviations_and_costs(catalogue: ModuleType) -> None:
    for family in catalogue.MODEL:
        for kind in catalogue.kinds(family):
            text = sections()[f"{family}: `{kind}`"]
            assert "\n- Papers: " in text
            assert "\n- Deviations: " in text
            assert ("\n- Cost" in text) is (family not in ("init", "objective")), kind


def test_places_on_the_page_that_are_linked_exist() -> None:
    headings = {re.sub(r"[:`]", "", heading).replace(" ", "-") for heading in sections()}
    linked = set(re.findall(r"\]\(#([^)]*)\)", TEXT))
    assert len(linked) > 60
    assert linked <= headings


def test_the_page_names_no_place_on_a_machine() -> None:
    assert not re.search(r"/(tmp|root|home|Users|private|work)/", TEXT)


def test_a_kind_without_a_docstring_is_refused(catalogue: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(LocalConfig, "__doc__", None)
    with pytest.raises(catalogue.Undocumented, match="LocalConfig has no docstring"):
        catalogue.page({}, {})


def test_an_option_without_a_description_is_refused(catalogue: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(LocalConfig.model_fields["window"], "description", None)
    with pytest.raises(catalogue.Undocumented, match=r"LocalConfig\.window has no description"):
        catalogue.page({}, {})


def test_what_a_module_declares_as_a_deviation_is_told(catalogue: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(type(catalogue.build_default(LocalConfig)), "property_exemptions", {"causality": "it *looks* ahead"})
    assert r"- Deviations: causality (it \*looks\* ahead)" in catalogue.trait_lines(LocalConfig)


def test_measured_mixers_are_told_with_the_machine(catalogue: ModuleType) -> None:
    text = catalogue.page(MIXERS, {})
    assert (
        "\n- Cost at 1,024 tokens: 12,346 tokens a second (1.25 of `full`), 300 MiB at the peak (0.50 of `full`), 96 KiB of state, "
        "31.5 MFLOP a token, 5,000,000 parameters\n"
    ) in text
    assert "float32, on Some CPU with torch 2.9 and 2 threads" in text
    assert "- Cost: not measured" in text  # the other mixers


def test_figures_that_a_system_does_not_tell_are_left_out(catalogue: ModuleType) -> None:
    row = {**ROW, "peak_memory_bytes": None, "peak_memory_of_full": None, "disturbed": True}
    told = catalogue.mixer_cost(row)
    assert "peak" not in told
    assert told.endswith("parameters (disturbed)")


def test_measured_parts_are_told_with_their_settings(catalogue: ModuleType) -> None:
    found = {
        "plain": "plain",
        "settings": {"placement": "post"},
        "milliseconds": 91.26,
        "of_plain": 1.014,
        "parameters": 9_000,
        "flops_per_token": 2e6,
    }
    others = {"machine": {**MACHINE, "threads": 1}, "model": "a model", "steps": 7, "kinds": {"residual": {"deep_norm": found}}}
    text = catalogue.page({}, others)
    assert "\n- Cost: 1.01 of a step with `plain` (91.3 ms), 2.0 MFLOP a token, 9,000 parameters; with `placement=post`\n" in text
    assert "medians over 7 steps" in text
    assert "a model, on Some CPU with torch 2.9 and 1 thread." in text


def test_stored_figures_are_those_of_kinds_that_exist(catalogue: ModuleType) -> None:
    for file in (catalogue.MIXERS, catalogue.KINDS):
        if not file.exists():  # as in a source distribution
            continue
        tree = json.loads(file.read_text(encoding="utf-8"))
        measured = {"mixer": [row["mixer"] for row in tree["mixers"]]} if "mixers" in tree else tree["kinds"]
        assert all(set(kinds) <= set(FAMILIES[family].kinds) for family, kinds in measured.items())


@pytest.mark.parametrize(
    ("text", "made"),
    [
        ("A  line\nand one.", ["A line and one.", ""]),
        ("As\n\n    y = x\n      + 1\n\nsays.", ["As", "", "```text", "y = x", "  + 1", "```", "", "says.", ""]),
        ("y = W x, x [T]. It is small.", ["```text", "y = W x, x [T]", "```", "", "It is small.", ""]),
        ("Attention with W = U V. It is small.", ["Attention with W = U V. It is small.", ""]),
        ("a*b and _c_ of [d](e) <f> & `*g*`", [r"a\*b and \_c_ of \[d\](e) &lt;f&gt; &amp; `*g*`", ""]),
        ("1. is no list", [r"1\. is no list", ""]),
        ("As in `x.py`.", ["As in [`x.py`](#x).", ""]),
        (
            "arXiv 1706.03762 and 0.0001 of 8888.12345",
            ["[arXiv 1706.03762](https://arxiv.org/abs/1706.03762) and 0.0001 of 8888.12345", ""],
        ),
    ],
)
def test_a_docstring_becomes_markdown(docstrings: ModuleType, text: str, made: list[str]) -> None:
    assert docstrings.markdown(text, {"x.py": "x"}.get) == made


def test_what_a_text_cites_is_found(docstrings: ModuleType) -> None:
    text = (
        "After Dai et al., arXiv 1901.02860 and 2006.03236; Gers et al.\n2000; Glorot and Bengio 2010, as of March 2006, example.com/paper."
    )
    links = [f"[{number}](https://arxiv.org/abs/{number})" for number in ("1901.02860", "2006.03236")]
    assert docstrings.works(text) == [
        *links,
        "Gers et al. 2000",
        "Glorot and Bengio 2010",
        "[example.com/paper](https://example.com/paper)",
    ]
