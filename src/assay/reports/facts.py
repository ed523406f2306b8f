"""What stands behind the figures, as small tables: what was changed, the protocol, the machine, what went wrong."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, TypeVar

from assay.core.config import Tree, flatten
from assay.core.words import plural
from assay.reports.words import NOTHING, shown, signed
from assay.studies.analysis.results import ArmOutcome, Effect, Interaction, Outcome, RunOutcome

FREE = ("train.seed",)  # differs between the runs of an arm
TOGETHER = "pairs of values, less what each does alone"
VERSIONS = ("assay", "code", "python", "platform", "cpus", "threads", "gpus")


class Fact(NamedTuple):
    """A row: what, and its value, or several with what has them."""

    name: str
    value: str


class Change(NamedTuple):
    """A key of the config that an arm sets otherwise than the base."""

    key: str
    base: str
    arm: str


class Trouble(NamedTuple):
    """A run that is not finished."""

    run: str
    arm: str
    state: str
    progress: str
    reason: str


def changed(outcome: Outcome, arm: ArmOutcome) -> tuple[Change, ...]:
    """Every key in which an arm's config differs from the base's."""
    base, other = (dict(flatten(one.plan.config.tree())) for one in (outcome.base, arm))
    keys = [key for key in dict.fromkeys([*base, *other]) if key not in FREE and base.get(key) != other.get(key)]
    return tuple(Change(key, shown(base.get(key)), shown(other.get(key))) for key in keys)


def protocol(outcome: Outcome) -> tuple[Fact, ...]:
    """How the figures came about, as far as it is the same for all arms."""
    study = outcome.plan.study
    facts = [
        Fact("figures on", f"the {outcome.split} text" + _uses(outcome)),
        Fact("matched", ", ".join(study.match) if study.match else "nothing"),
        Fact("seeds", ", ".join(map(str, sorted({run.job.seed for run in outcome.jobs})))),
        Fact("weights", f"the {study.checkpoint} checkpoint of each run" + (", on validation" if study.checkpoint == "best" else "")),
    ]
    if len(study.lr_factors) > 1:
        rates, seeds = ", ".join(f"×{factor:g}" for factor in study.lr_factors), ", ".join(map(str, study.tuning_seeds))
        facts.append(Fact("learning rates tried", f"{rates} for every arm, on seed {seeds}, chosen on validation"))
    data: Tree = next((run.provenance["data"] for run in outcome.jobs if run.provenance.get("data")), {})
    if "corpus" in data:
        facts.append(Fact("text", f"{data['corpus']['name']}, {data['corpus']['bytes']:,} bytes; {data['corpus']['licence']}"))
    facts += [Fact(f"{name} text", _part(part)) for name, part in data.get("parts", {}).items()]
    if "split_sha256" in data:
        facts.append(Fact("division of the text, sha256", str(data["split_sha256"])))
    scores = [score for arm in outcome.arms for score in arm.stored]
    if scores:
        read = [_told(score.protocol) for score in scores]
        facts.append(Fact("how the text was read", "; or ".join(dict.fromkeys(read))))
        facts.append(Fact("bytes scored", f"{scores[0].figures['bytes_scored']:,} of {scores[0].figures['bytes_in_split']:,}, each once"))
        facts.append(Fact("text scored, sha256", str(scores[0].protocol["text_sha256"])))
    if outcome.units is not None:
        facts.append(Fact("intervals over the text", f"resampled over {outcome.units.describe()}"))
    return tuple(facts)


def _uses(outcome: Outcome) -> str:
    most = max((run.test_uses for run in outcome.jobs), default=0)
    return f"; the test text was used at most {plural(most, 'time')} by a run" if most else ""


def _part(part: Mapping[str, Any]) -> str:
    size = f"{part['documents']:,} documents, {part['bytes']:,} bytes, {part['tokens']:,} tokens of the base"
    return f"{size}; sha256 {str(part['sha256'])[:16]}"


def _told(protocol: Mapping[str, Any]) -> str:
    how = {
        "carried": f"state carried through {protocol['streams']} streams",
        "documents": f"each document alone, at most {protocol['context']} tokens",
        "strided": f"windows of {protocol['context']} tokens, {protocol['stride']} new ones each",
    }.get(protocol["policy"], f"disjoint windows of {protocol['context']} tokens")
    masked = ", documents isolated" if protocol["document_mask"] else ""
    return f"{how}{masked}, {protocol['dtype']}"


def machine(outcome: Outcome) -> tuple[Fact, ...]:
    """Code, versions and machines; where runs differ, each value with the number of runs that have it."""
    begun = [run.provenance for run in outcome.jobs if run.provenance]
    facts = [Fact(name, _spread([_plain(name, facts.get(name)) for facts in begun])) for name in VERSIONS if begun]
    packages = list(dict.fromkeys(name for facts in begun for name in facts.get("packages", {})))
    facts += [Fact(name, _spread([_plain(name, facts.get("packages", {}).get(name)) for facts in begun])) for name in packages]
    return tuple(facts)


def _plain(name: str, value: Any) -> str:
    if name == "gpus":
        return ", ".join(value or ()) or "none"
    return str(value)[:12] if name == "code" else shown(value)


def _spread(values: Sequence[str]) -> str:
    different = list(dict.fromkeys(values))
    return different[0] if len(different) == 1 else "; ".join(f"{value} ({plural(values.count(value), 'run')})" for value in different)


def troubles(outcome: Outcome) -> tuple[Trouble, ...]:
    """Every run that is not finished, the failed ones first."""
    rows = []
    for run in sorted((run for run in outcome.jobs if not run.finished), key=lambda run: run.state != "failed"):
        rows.append(Trouble(run.run.name, run.job.arm, run.state, _progress(run), run.reason or NOTHING))
    return tuple(rows)


def _progress(run: RunOutcome) -> str:
    return NOTHING if run.state == "waiting" else f"{run.step:,} of {'?' if run.steps is None else f'{run.steps:,}'} steps"


def unequal(outcome: Outcome) -> tuple[tuple[str, tuple[tuple[str, str, str], ...]], ...]:
    """By arm: what is unequal between it and the base besides what was changed."""
    return tuple(
        (found.arm, tuple((what, *values) for what, values in found.unequal.items())) for found in outcome.comparisons if found.unequal
    )


def effects(outcome: Outcome) -> tuple[tuple[str, tuple[tuple[str, ...], ...]], ...]:
    """By axis: value, difference, interval, whether it is resolved; the best on top. Nothing where an arm is all that an axis has."""
    if len(outcome.axes) < 2 and all(effect.over == 1 for axis in outcome.axes for effect in axis.effects):
        return ()
    found = [(axis.axis, [_effect(effect.value, effect) for effect in _ranked(axis.effects)]) for axis in outcome.axes]
    together = [_effect(" ".join((*one.first, "with", *one.second)), one) for one in _ranked(outcome.interactions)]
    found += [(TOGETHER, together)] if together else []
    return tuple((name, tuple(rows)) for name, rows in found)


Shown = TypeVar("Shown", Effect, Interaction)


def _ranked(found: Sequence[Shown]) -> list[Shown]:
    return sorted(found, key=lambda one: one.difference)


def _effect(name: str, one: Effect | Interaction) -> tuple[str, ...]:
    interval = NOTHING if one.interval is None else f"{signed(one.interval.low)} to {signed(one.interval.high)}"
    return (name, signed(one.difference), interval, "yes" if one.resolved else "no")
