"""`python docs/make_catalogue.py [--measure [FAMILY ...]]`: docs/catalogue.md, every kind of every family as the code describes it.

Ideas, equations and papers are those of the docstrings, options those of the configs. Costs of mixers are what `assay bench mixers --json`
has written to benchmarks/mixers.json, those of the other parts of a model what `benchmarks/kinds.py` has written to benchmarks/kinds.json,
which `--measure` runs first.
"""

import argparse
import inspect
import json
import re
import runpy
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import torch
from docstrings import code, first_sentence, is_equation, markdown, prose, spaced, works

import assay.experiment.assemble  # noqa: F401  # the families register when their modules are imported
from assay.core.allowed_values import format_allowed_values, read_allowed_values
from assay.core.catalogue import format_default
from assay.core.config import FAMILIES, Config, config_class
from assay.nn.position.base import ModelSizes
from assay.tools.bench import DEPTH, TOKENS, WIDTH
from assay.tools.configs import find_traits

Figures = dict[str, Any]

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "catalogue.md"
MIXERS, KINDS = ROOT / "benchmarks" / "mixers.json", ROOT / "benchmarks" / "kinds.json"
MEASURED = ("model", "feedforward", "norm", "residual", "position", "activation", "cell")  # by benchmarks/kinds.py
MODEL = ("model", "mixer", *MEASURED[1:], "init", "objective")  # what the property suite holds to its laws
BUILD: dict[str, Callable[[Any], Any]] = {
    "model": lambda config: config.build(256, torch.Generator().manual_seed(0)),
    "mixer": lambda config: config.build(WIDTH),
    "feedforward": lambda config: config.build(WIDTH),
    "norm": lambda config: config.build(WIDTH),
    "residual": lambda config: config.build(WIDTH, DEPTH),
    "position": lambda config: config.build(ModelSizes(WIDTH, DEPTH, (32,), (8,))),
    "cell": lambda config: config.build(WIDTH, WIDTH),
}
INTRODUCTION = """\
# Catalogue

Every kind that can stand in a [config](config.md), as the code describes it: this page is written by `docs/make_catalogue.py`. A kind is
chosen by its name and its options by theirs, as in `model.block.feedforward={kind=glu, activation=gelu}`; in the tables `-` is an option
that is absent unless given. B is the batch, T time, D the width of the model, L its layers, H heads, K the features of a head.

What a mixer sees and keeps is said of its defaults. *Deviations* are the laws of the property suite that a kind cannot keep, with the
reason; the parts of models and the objectives are held to them. What differs from a paper is said in the text. *Cost* is measured for the
parts of a model that work in every step; inits work once, before the first."""


class Undocumented(Exception):
    """A kind or an option without a word about it."""


def main() -> None:
    """Measure if `--measure` is given, and write the page."""
    parser = argparse.ArgumentParser(description="Write docs/catalogue.md.")
    parser.add_argument("--measure", nargs="*", metavar="FAMILY", help="measure the kinds of these families anew; without a name all")
    measured = parser.parse_args().measure
    if measured is not None:
        runpy.run_path(str(ROOT / "benchmarks" / "kinds.py"))["measure"](measured)
    PAGE.write_text(page(figures(MIXERS), figures(KINDS)), encoding="utf-8")


def figures(file: Path) -> Figures:
    """What was measured; nothing where nothing was."""
    return json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}


def page(mixers: Figures, others: Figures) -> str:
    """The whole page. Raises Undocumented."""
    lines = [INTRODUCTION, ""]
    for family in families():
        lines += [f"**[{family}](#{family})**: {prose(first_sentence(words(FAMILIES[family].base)))}", ""]
        lines += [f"- [`{kind}`](#{family}-{kind}): {prose(first_sentence(words(leaf)))}" for kind, leaf in kinds(family).items()] + [""]
    for family in families():
        lines += [f"## {family}", "", *about(family), *note(family, mixers, others)]
        for kind, leaf in kinds(family).items():
            cost = mixer_costs(kind, mixers) if family == "mixer" else part_cost(family, kind, others)
            lines += [f"### {family}: `{kind}`", "", *section(leaf), *trait_lines(leaf), *cost, ""]
    lines += ["## parts", "", "What some options hold that is no kind.", ""]
    for name, part in parts().items():
        lines += [f"### part: `{name}`", "", *section(part)]
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).rstrip() + "\n"


# What there is


@cache
def families() -> list[str]:
    """Those of a model first."""
    return [*MODEL, *sorted(set(FAMILIES) - set(MODEL))]


@cache
def kinds(family: str) -> dict[str, type[Config]]:
    """Those of the package, without the plug-ins of this machine."""
    return {kind: leaf for kind, leaf in FAMILIES[family].kinds.items() if leaf.__module__.startswith("assay.")}


def parts() -> dict[str, type[Config]]:
    """The configs that are no kinds and stand in the options of kinds."""
    leaves = [leaf for family in families() for leaf in kinds(family).values()]
    found = [config_class(field.annotation) for leaf in leaves for field in leaf.model_fields.values()]
    return {name_of(part): part for part in sorted(filter(None, found), key=name_of) if part.family is None}


def name_of(part: type[Config]) -> str:
    """By which a part is called on the page."""
    return part.__name__.removesuffix("Config").lower()


@cache
def build_default(leaf: type[Config]) -> Any:
    """The module of a kind with its default settings, where it has one."""
    build = BUILD.get(leaf.family.name) if leaf.family is not None else None
    return None if build is None or any(field.is_required() for field in leaf.model_fields.values()) else build(leaf())


# What is said


def words(leaf: type[Config]) -> str:
    """The docstring of a config. Raises Undocumented."""
    if not leaf.__doc__:
        raise Undocumented(f"{leaf.__module__}.{leaf.__name__} has no docstring")
    return inspect.cleandoc(leaf.__doc__)


def words_of_file(leaf: type[Config]) -> str:
    """The docstring of the file that a kind has for itself; nothing where it is one of many in the file."""
    shared = leaf.family is not None and leaf is not leaf.family.base and leaf.__module__ in shared_modules(leaf.family.name)
    guest = leaf.family is None and leaf.__module__ in {kind.__module__ for family in families() for kind in kinds(family).values()}
    return "" if shared or guest else (sys.modules[leaf.__module__].__doc__ or "").strip("\n")


@cache
def shared_modules(family: str) -> set[str]:
    """The module of the family, and those with several of its kinds."""
    modules = [leaf.__module__ for leaf in kinds(family).values()]
    return {FAMILIES[family].base.__module__, *(module for module in modules if modules.count(module) > 1)}


def about(family: str) -> list[str]:
    """What is said of a family: in its config, in the file that its kinds share, and of its presets."""
    base, own = FAMILIES[family].base, words(FAMILIES[family].base)
    shared = words_of_file(base) if {leaf.__module__ for leaf in kinds(family).values()} == {base.__module__} else ""
    lines = [] if shared.startswith(own.split("\n")[0].rstrip(".")) else markdown(own, anchor_from(base))
    lines += markdown(shared, anchor_from(base))
    presets = [name for name, make in FAMILIES[family].presets.items() if make.__module__.startswith("assay.")]
    texts = FAMILIES[family].preset_descriptions
    listed = [f"- `{name}`: {prose(first_sentence(inspect.cleandoc(texts[name])))}" for name in presets]
    return [*lines, *(["Presets, complete configs that are written where a kind's name could stand:", "", *listed, ""] if presets else [])]


def section(leaf: type[Config]) -> list[str]:
    """A kind or a part in the words of its docstrings, and its options."""
    lines, explained = markdown(words(leaf), anchor_from(leaf)), markdown(words_of_file(leaf), anchor_from(leaf))
    if "```text" not in [*lines, *explained]:  # the equation is perhaps in the words of what is built
        said = type(build_default(leaf)).__doc__ or "" if type(build_default(leaf)).__module__.startswith("assay.") else ""
        equation = first_sentence(said).rstrip(".")
        lines += code(equation) if is_equation(equation) and equation not in spaced(words(leaf)) else []
    return lines + explained + options(leaf)


def options(leaf: type[Config]) -> list[str]:
    """The table of a config's keys. Raises Undocumented."""
    rows = []
    for key, field in leaf.model_fields.items():
        if key == "kind":
            continue
        if not field.description:
            raise Undocumented(f"{leaf.__module__}.{leaf.__name__}.{key} has no description")
        value = field.get_default(call_default_factory=True, validated_data={})
        default = f"`{format_default(field)}`"
        if isinstance(value, Config):
            part, target = name_of(type(value)), type(value).family
            default = f"[{default}](#{target.name}-{value.to_dict()['kind']})" if target is not None else f"[`{part}`](#part-{part})"
        values = code_words(format_allowed_values(read_allowed_values(field.annotation, field.metadata)))
        rows.append(f"| `{key}` | {default} | {values} | {prose(field.description).replace('|', '&#124;')} |")
    return ["| option | default | values | meaning |", "|---|---|---|---|", *rows, ""] if rows else ["No options.", ""]


def code_words(values: str) -> str:
    """The values as they stand in a table."""
    return values.replace("|", "&#124;").replace("<", "&lt;").replace(">", "&gt;").replace("*", "\\*")


def trait_lines(leaf: type[Config]) -> list[str]:
    """Papers, traits and deviations of a kind, one a line."""
    assert leaf.family is not None
    family, text = leaf.family.name, f"{words(leaf)} {words_of_file(leaf)}"
    anchors = dict.fromkeys(filter(None, map(anchor_from(leaf), re.findall(r"`([^`]*)`", text))))
    papers = works(text) or [f"those of [{anchor.replace('-', ': ', 1)}](#{anchor})" for anchor in anchors]
    lines = [f"- Papers: {', '.join(papers) or 'none'}"] if papers or family in MODEL else []
    if family == "mixer":
        lines += [f"- {trait[:1].upper()}{trait[1:]}" for trait in find_traits(leaf).describe().split("; ")]  # type: ignore[arg-type]
    if family == "optimizer":
        lines.append(f"- State: {leaf.bytes_per_parameter} bytes a parameter")  # type: ignore[attr-defined]
    if family in MODEL:
        made = build_default(leaf)
        holders = [leaf, *map(type, made.modules() if isinstance(made, torch.nn.Module) else [])]
        declared = {law: why for holder in holders for law, why in getattr(holder, "property_exemptions", {}).items()}
        lines.append("- Deviations: " + ("; ".join(f"{law} ({prose(why)})" for law, why in declared.items()) or "none"))
    return lines


def anchor_from(leaf: type[Config]) -> Callable[[str], str | None]:
    """Where on the page the kind of a file is that a docstring names, seen from its own folder or from that of the package."""

    def anchor(name: str) -> str | None:
        dotted = name.removesuffix(".py").replace("/", ".")
        return (
            files().get(f"assay.{dotted}" if "/" in name else f"{leaf.__module__.rpartition('.')[0]}.{dotted}", None)
            if name.endswith(".py")
            else None
        )

    return anchor


@cache
def files() -> dict[str, str]:
    """The anchors of the kinds that have a file for themselves."""
    found = [(leaf.__module__, f"{family}-{kind}") for family in families() for kind, leaf in kinds(family).items()]
    modules = [module for module, _ in found]
    return {module: anchor for module, anchor in found if modules.count(module) == 1}


# What it costs: each line of it begins with "Costs are" or "- Cost", by which the test knows them


def mixer_costs(kind: str, mixers: Figures) -> list[str]:
    """The costs of a mixer at every length of context."""
    return [mixer_cost(row) for row in mixers.get("mixers", []) if row["mixer"] == kind] or ["- Cost: not measured"]


def mixer_cost(row: Figures) -> str:
    """The cost of a mixer at one length of context."""
    memory, share = row["peak_memory_bytes"], row["peak_memory_of_full"]
    peak = "" if memory is None else f" {memory / 2**20:,.0f} MiB at the peak" + (f" ({share:.2f} of `full`)," if share else ",")
    return (
        f"- Cost at {row['context']:,} tokens: {row['tokens_per_second']:,.0f} tokens a second "
        f"({row['tokens_per_second_of_full']:.2f} of `full`),{peak} {row['state_bytes'] / 1024:,.0f} KiB of state, "
        f"{row['flops_per_token'] / 1e6:,.1f} MFLOP a token, {row['parameters']:,} parameters"
        + (" (disturbed)" if row["disturbed"] else "")
    )


def part_cost(family: str, kind: str, others: Figures) -> list[str]:
    """The cost of a step with a kind of another part of the model."""
    found = others.get("kinds", {}).get(family, {}).get(kind)
    if found is None:
        return ["- Cost: not measured"] if family in MEASURED else []
    settings = ", ".join(f"`{key}={value}`" for key, value in found["settings"].items())
    return [
        f"- Cost: {found['of_plain']:.2f} of a step with `{found['plain']}` ({found['milliseconds']:,.1f} ms), "
        f"{found['flops_per_token'] / 1e6:,.1f} MFLOP a token, {found['parameters']:,} parameters"
        + (f"; with {settings}" if settings else "")
    ]


def note(family: str, mixers: Figures, others: Figures) -> list[str]:
    """How the costs of a family were measured."""
    if family == "mixer" and mixers:
        return [
            f"Costs are medians over steps of training of {TOKENS:,} tokens in a model of {DEPTH} layers of width {WIDTH} with learned "
            f"positions, {mixers['precision']}, on {machine(mixers)}. The peak of memory is that of training, the state is what generation "
            "keeps of a text of that length. `assay bench mixers` measures them; [here](mixers.md#what-each-costs) they are as a table.",
            "",
        ]
    if family in others.get("kinds", {}):
        return [
            f"Costs are medians over {others['steps']} steps, forward and backward, in turn with steps of the plain kind, everything else "
            f"being equal: {others['model']}, on {machine(others)}. The time is the processor's, so that other programs matter little; how "
            "far the plain kind differs from itself shows how far to trust the figures.",
            "",
        ]
    return []


def machine(measured: Figures) -> str:
    """In words."""
    threads = measured["machine"]["threads"]
    return f"{measured['machine']['cpu']} with torch {measured['machine']['torch']} and {threads} thread{'s' if threads > 1 else ''}"


if __name__ == "__main__":
    main()
